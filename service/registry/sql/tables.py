"""The tables. A version is a fact: its row is written once and only `erased_at` may follow. Events and deployments are
append-only. Times are seconds since the epoch, UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.contract.enums import DeploymentKind, Promotion, Retention, UpdateKind, UpdateState, Verdict
from service.registry.sql.base import Table, index_where, one_of
from service.registry.sql.learned import learned_by


class Installation(Table):
    """One row, made by the first migration: the secret that keys the folds."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(primary_key=True)
    secret: Mapped[str]
    created_at: Mapped[float]


class Model(Table):
    """A model by name."""

    __tablename__ = "models"
    __table_args__ = (
        CheckConstraint(one_of("promotion", Promotion), name="promotion"),
        CheckConstraint(one_of("retention", Retention), name="retention"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    input: Mapped[dict[str, Any]]
    target: Mapped[dict[str, Any]]
    architecture: Mapped[dict[str, Any]]
    classes: Mapped[list[str]]
    live_version_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id", use_alter=True))
    """The only word on which version is live."""
    method: Mapped[dict[str, Any]]
    gate: Mapped[dict[str, Any]]
    promotion: Mapped[str]
    retention: Mapped[str]
    memory_rows: Mapped[int]
    folding: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    """How its rows fall into folds (`learning.data.sides.Folding`): {} until that is settled, None where they do by
    their bytes."""
    created_at: Mapped[float]
    archived_at: Mapped[float | None]
    leave_out: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Columns of CSV files that it does not look at."""
    claimed_at: Mapped[float | None]
    """When an update of it was last claimed."""
    keep_versions: Mapped[int | None]
    """Of so many versions the parts are kept; None or 0: of all."""


class Version(Table):
    """What a model was at one point."""

    __tablename__ = "versions"
    __table_args__ = (
        UniqueConstraint("model_id", "number"),
        UniqueConstraint("update_id"),
        index_where("erased_at IS NOT NULL", "ix_versions_erased", "model_id", "number"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    number: Mapped[int]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id"))
    update_id: Mapped[str | None] = mapped_column(ForeignKey("updates.id"))
    whole: Mapped[list[str] | None] = mapped_column("learned", JSON(none_as_null=True))
    """All of its batches, of some versions."""
    more: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Batches that it learned and its parent did not, sorted; None where `whole` alone names them."""
    less: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Batches that its parent learned and it did not, sorted; None where `whole` alone names them."""
    layout: Mapped[dict[str, Any]]
    shards: Mapped[list[Any]]
    classes: Mapped[list[str]]
    feature_space: Mapped[str | None]
    ledger_digest: Mapped[str | None]
    bits: Mapped[str | None]
    parameters: Mapped[int]
    bytes: Mapped[int]
    report: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[float]
    erased_at: Mapped[float | None]
    trained_on: Mapped[str | None]
    """The device that made it; None before that was kept, and where it was imported."""
    rows: Mapped[int | None]
    """Rows of its batches; None before that was kept."""
    batch_count: Mapped[int]

    @property
    def learned(self) -> Sequence[str]:
        """Its batches, sorted; first asked for while its session is open."""
        return learned_by(self)


class Batch(Table):
    """Rows under their model."""

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint("kept_as IS NULL OR " + one_of("kept_as", Retention), name="kept_as"),
        Index(None, "model_id", "digest"),
        Index(None, "model_id", "id"),
        Index(None, "model_id", "settled_at"),
        index_where("retracted_at IS NOT NULL", "ix_batches_retracted", "model_id", "id"),
        index_where("kept_rows < rows", "ix_batches_lacking", "model_id", "id"),
        index_where(
            "in_live IS FALSE AND retracted_at IS NULL AND rejected_by IS NULL", "ix_batches_waiting", "model_id", "id"
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    digest: Mapped[str]
    stored_digest: Mapped[str | None]
    rows: Mapped[int]
    """Those with a label or target."""
    unlabelled: Mapped[int]
    """The others, stored beside them."""
    label_counts: Mapped[dict[str, Any]]
    target_summary: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    """Of each number of a row; None where targets are classes or none is known."""
    values: Mapped[dict[str, dict[str, int]] | None] = mapped_column(JSON(none_as_null=True))
    """Rows of each value of a category with a label, by the name of its column, and under "" rows that lack a cell;
    None where inputs are no tables."""
    folds: Mapped[dict[str, Any]]
    """Class -> [judging, selecting, learning, lent] rows; where targets are numbers, of the one class ""."""
    lent: Mapped[list[Any]]
    source: Mapped[str | None]
    corrects: Mapped[str | None] = mapped_column(ForeignKey("batches.id"))
    """The batch whose place it takes."""
    merged: Mapped[int | None]
    """Batches elsewhere whose sums it is; None where it has rows."""
    entries: Mapped[dict[str, int] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    """Rows of each of the merged batches, by its id; None where it has rows."""
    by: Mapped[str | None]
    """Who sent it; None before that was kept."""
    bytes: Mapped[int]
    """Of the body that is stored; 0 before that was kept."""
    kept_rows: Mapped[int]
    """Those of `rows` whose inputs are stored."""
    kept_as: Mapped[str | None]
    """The retention that deleted the other inputs."""
    trusted: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Numbers of the rows that judged and selected when it was learned."""
    settled_at: Mapped[float | None]
    """Since when every update that names it is final."""
    doomed: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Bytes that it no longer names and that may be there still; None where there are none."""
    rejected_by: Mapped[str | None] = mapped_column(ForeignKey("updates.id", use_alter=True))
    received_at: Mapped[float]
    retracted_at: Mapped[float | None]
    erased_at: Mapped[float | None]
    notes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Which batch has the same rows, or most of them, and how its CSV file was read, where that is not as usual."""
    in_live: Mapped[bool] = mapped_column(default=False)
    """Whether the live version of its model learned it, which follows each move of the pointer."""
    sketch: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    """Hashes of some of its rows (`learning.data.batch_sketch`); None before that was kept."""


class RowMark(Table):
    """Of the sketch of a batch the smallest hash of each kind: batches that share rows are found by it."""

    __tablename__ = "row_marks"

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    mark: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)


class Dispute(Table):
    """Rows of a held update of which the live version is sure carry another label."""

    __tablename__ = "disputes"
    __table_args__ = (
        CheckConstraint("verdict IN ('confirmed', 'refuted')", name="verdict"),
        Index(None, "model_id", "id"),
        Index(None, "update_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    update_id: Mapped[str] = mapped_column(ForeignKey("updates.id"))
    class_: Mapped[str] = mapped_column("class")
    suggested: Mapped[str]
    rows: Mapped[int]
    source: Mapped[str | None]
    by: Mapped[str | None]
    """Who ordered the update."""
    opened_at: Mapped[float]
    verdict: Mapped[str | None]
    """Confirmed or refuted; None until somebody or something says so."""
    settled_by: Mapped[str | None]
    """An update, or a caller."""
    settled_at: Mapped[float | None]
    reason: Mapped[str]


class LedgerEntry(Table):
    """The rounded features of a batch in one feature space."""

    __tablename__ = "ledger_entries"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    feature_space: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    rows: Mapped[int]
    device: Mapped[str | None]
    """On which they were made; None before that was kept: on a CPU."""


class Update(Table):
    """Work on batches, the only row that has states."""

    __tablename__ = "updates"
    __table_args__ = (
        CheckConstraint(one_of("state", UpdateState), name="state"),
        CheckConstraint(one_of("kind", UpdateKind), name="kind"),
        CheckConstraint("verdict IS NULL OR " + one_of("verdict", Verdict), name="verdict"),
        index_where("state = 'running'", "uq_updates_one_running", "model_id", unique=True),
        Index(None, "model_id", "id"),
        Index(None, "model_id", "state"),
        Index(None, "state", "run_after"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    kind: Mapped[str]
    batches: Mapped[list[str]]
    adds: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Of a retraction, batches that are learned in the place of those that it takes back."""
    corrected: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Of a correction, as the contract has it."""
    challenges: Mapped[str | None] = mapped_column(ForeignKey("updates.id"))
    requested_method: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    method: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    why: Mapped[str | None]
    seed: Mapped[int]
    expect: Mapped[str | None]
    reason: Mapped[str | None]
    by: Mapped[str | None]
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]
    """Of the request that ordered it, as is `request_id`: this one for spans, that one for logs."""
    erase: Mapped[bool]
    state: Mapped[str]
    verdict: Mapped[str | None]
    base_version_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id", use_alter=True))
    version_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id", use_alter=True))
    attempts: Mapped[int]
    fence: Mapped[int]
    """The number of its claim: a worker that lost its lease cannot finish."""
    worker: Mapped[str | None]
    lease_until: Mapped[float | None]
    run_after: Mapped[float]
    cancel_requested: Mapped[bool]
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    learned_rows: Mapped[int | None]
    exam_rows: Mapped[int | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    device: Mapped[str | None]
    """That somebody asked for."""
    trainings: Mapped[str | None]
    """The last save of its trainings, until it ends."""


class NamedBatch(Table):
    """That the lists of an update, `batches` or `adds`, name a batch: its updates are found by it."""

    __tablename__ = "named_batches"

    batch_id: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    update_id: Mapped[str] = mapped_column(ForeignKey("updates.id"), primary_key=True)


class UpdateEvent(Table):
    """What happened to an update, in order. Append-only."""

    __tablename__ = "update_events"
    __table_args__ = (Index(None, "update_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    update_id: Mapped[str] = mapped_column(ForeignKey("updates.id"))
    at: Mapped[float]
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]]


class Deployment(Table):
    """How the live pointer moved. Append-only; a rollback names the promotion that it undoes."""

    __tablename__ = "deployments"
    __table_args__ = (
        CheckConstraint(one_of("kind", DeploymentKind), name="kind"),
        UniqueConstraint("undoes"),
        Index(None, "model_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    previous_id: Mapped[int | None] = mapped_column(ForeignKey("versions.id"))
    kind: Mapped[str]
    undoes: Mapped[int | None] = mapped_column(ForeignKey("deployments.id"))
    left_out: Mapped[list[str]]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[float]


class Alias(Table):
    """A name of a version: who gave it (`by`) and when it was pointed there (`at`)."""

    __tablename__ = "aliases"
    __table_args__ = (UniqueConstraint("model_id", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    name: Mapped[str]
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    by: Mapped[str]
    at: Mapped[float]


class ApiKey(Table):
    """A key of callers, which is never deleted. `rate`, `bytes` and `queued` are None where the setting decides."""

    __tablename__ = "api_keys"
    __table_args__ = (UniqueConstraint("prefix"), Index(None, "created_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    """Its first characters, which name it."""
    hash: Mapped[str]
    """A keyed hash of the whole."""
    scopes: Mapped[list[str]]
    models: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """Those that it reaches; None: all."""
    rate: Mapped[float | None]
    """Requests a second."""
    bytes: Mapped[int | None]
    """Of stored batches."""
    queued: Mapped[int | None]
    """Updates that wait."""
    replaces: Mapped[str | None] = mapped_column(ForeignKey("api_keys.id"))
    by: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class AuditEntry(Table):
    """A change of state: who made it, by which request, why. Append-only, as triggers see to."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "model", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    by: Mapped[str]
    request_id: Mapped[str | None]
    action: Mapped[str]
    model: Mapped[str | None]
    subject: Mapped[str | None]
    reason: Mapped[str]
    hash: Mapped[str]
    """Of this row and of the hash before it, so that no row can be changed, left out or put in between without a
    trace."""


class IdempotencyKey(Table):
    """What a POST under a key answered; written in the transaction of its effect."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "created_at"),)

    caller: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    method: Mapped[str]
    path: Mapped[str]
    body_hash: Mapped[str]
    status: Mapped[int]
    resource: Mapped[dict[str, Any]]
    created_at: Mapped[float]
