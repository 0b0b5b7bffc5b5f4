"""The resources that the API answers with. Members may be added; none changes its name or shape."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from service.contract.enums import (
    BatchState,
    DisputeState,
    Expect,
    Promotion,
    Retention,
    UpdateKind,
    UpdateState,
    Verdict,
)
from service.contract.inputs import Architecture, InputSpec
from service.contract.reports import AnyReport, AnySuspect
from service.contract.strict import Brief
from service.contract.targets import Target, policy_of
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import AnyPolicy
from service.remedies import CORRECT, SEND, Door

T = TypeVar("T")
MANY_CORRECTED = 50
"""Rows that are many for one correction by hand: half of those that a page can correct at once."""


class Resource(Brief, BaseModel):
    """An answer; unknown fields from a newer service are ignored by the client."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class Page(Resource, Generic[T]):
    """One page of a list, newest first."""

    items: list[T]
    next_cursor: str | None = None


class Suspects(Page[AnySuspect]):
    """Rows of a batch that most likely carry a wrong label, the likeliest first; where targets are numbers, rows whose
    target is far from what was expected, the farthest first."""

    version: int | None = Field(description="The version whose report names them; null where none has learned any.")
    note: str = Field(description="What was judged by what, and what to do.")
    remedy: str = Field(default="", description="What to do, which ends `note`; empty where there is nothing.")


class Pending(Resource):
    batches: int
    rows: int
    stopped: int = Field(
        default=0,
        description="Of these batches those that are in a version that was held or rejected, and not refuted.",
    )
    refuted: int = Field(default=0, description="Those of which a dispute found the labels wrong.")

    @property
    def sentence(self) -> str:
        """What of these batches hardly anybody means to learn as it is; "" where there is none."""
        said = [f"{self.stopped:,} {_were(self.stopped)} stopped by the gate"] if self.stopped else []
        said += [f"{self.refuted:,} {_were(self.refuted)} refuted by a dispute"] if self.refuted else []
        wait = "1 batch that waits" if self.batches == 1 else f"{self.batches:,} batches that wait"
        return f"Of {wait} {' and '.join(said)}." if said else ""


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


class UpdateCounts(Resource):
    queued: int
    running: int


class Model(Resource):
    brief: ClassVar = ("name", "live_version", "classes", "promotion", "method", "pending")

    name: str
    input: InputSpec
    target: Target = Field(default=ClassTarget(), description="What is predicted of a row.")
    architecture: Architecture
    classes: list[str] = Field(description="The vocabulary; empty where numbers are predicted.")
    live_version: int | None
    live_classes: int | None = Field(
        default=None, description="How many classes the live version knows; null where none is live."
    )
    serving_version: int | None
    method: dict[str, Any]
    gate: Annotated[AnyPolicy, Field(union_mode="left_to_right")]
    promotion: Promotion
    retention: Retention
    memory_rows: int = Field(default=500, description="Learning rows that retention exemplars keeps.")
    leave_out: list[str] = Field(default=[], description="Columns of CSV files that it does not look at.")
    keep_versions: int = Field(default=0, description="Newest versions whose parts are kept; 0: all.")
    pending: Pending
    updates: UpdateCounts
    created_at: datetime
    archived_at: datetime | None = None

    @field_validator("gate", mode="before")
    @classmethod
    def _completed(cls, gate: Any, info: ValidationInfo) -> Any:
        return policy_of(info.data["target"], gate) if isinstance(gate, dict) and "target" in info.data else gate


class NumberSummary(Resource):
    """Targets of a batch, in their own unit."""

    rows: int
    mean: float
    std: float
    min: float
    max: float


TargetSummary = NumberSummary | list[NumberSummary]


class Batch(Resource):
    brief: ClassVar = ("id", "model", "rows", "state", "source")

    id: str
    model: str
    rows: int
    unlabelled: int = Field(default=0, description="Rows among them without a label or target.")
    label_counts: dict[str, int] = Field(description="Rows of each class; empty where targets are numbers.")
    target_summary: TargetSummary | None = Field(
        default=None,
        description="Of one number a row; a list of such where a row has several. Null for classes, and "
        "once the batch is erased.",
    )
    digest: str | None = Field(description="SHA-256 of the content; null once the batch is erased.")
    source: str | None
    corrects: str | None = Field(default=None, description="The batch whose place it takes.")
    corrected_by: str | None = Field(
        default=None, description="Of one that was corrected: the batch that has its rows now. Null where that is gone."
    )
    merged: int | None = Field(
        default=None, description="Batches elsewhere whose sums it is: a merged ledger, which has no rows here."
    )
    state: BatchState
    in_live: bool
    stopped: int | None = Field(
        default=None,
        description="Of one that the live version has not learned: the latest version that did learn it, and that was "
        "held or rejected.",
    )
    stopped_alone: int | None = Field(
        default=None,
        description="The latest of these versions that learned it alone and that did not pass every check: of batches "
        "that were stopped together nobody knows which is bad.",
    )
    refuted: str | None = Field(
        default=None, description="The latest dispute over it in which its labels were found wrong."
    )
    updates: list[str]
    lent: list[int] = Field(default=[], description="Rows of judging folds that were lent to learning.")
    kept_rows: int | None = Field(
        default=None, description="Rows that are still stored; fewer once the model's retention deleted the others."
    )
    received_at: datetime
    retracted_at: datetime | None
    erased_at: datetime | None = Field(description="Set once its bytes are gone, a moment after its update has ended.")
    notes: list[str] = Field(
        default=[],
        description="Which earlier batch has the same rows, or most of them, how its CSV file was read, where that is "
        "not as usual, and what was said to no effect; empty once the batch is erased.",
    )

    @property
    def is_doubtful(self) -> bool:
        """Whether hardly anybody means to learn it as it is, among all that wait."""
        return self.stopped_alone is not None or self.refuted is not None

    def is_mostly(self, corrected: int) -> bool:
        """Whether so many corrections may be a slip, and a person is asked first: of more than half of its rows, or of
        `MANY_CORRECTED`."""
        return corrected > 1 and (2 * corrected > self.rows or corrected >= MANY_CORRECTED)


class BatchRow(Resource):
    row: int = Field(description="Its number in the batch, from 0.")
    label: str | None = Field(description="Its label; null where targets are numbers.")
    targets: list[float] | None = Field(description="Its numbers to predict; null where it has a label.")
    input: Any = Field(description="As it could be sent: numbers, an image as numbers, a text, the cells of a table.")


class BatchRows(Page[BatchRow]):
    """Rows of a batch, in the order of their numbers."""


class Classes(Resource):
    classes: list[str]


class EpochLosses(Resource):
    epoch: int
    training: float = Field(
        description="Mean over the steps of the epoch that were looked at, each before it was taken."
    )
    kept_back: float | None = Field(
        description="On rows that are kept back to stop in time, after the epoch; null where there are none."
    )


class Progress(Resource):
    phase: str
    done: int
    total: int
    losses: list[EpochLosses] = Field(
        default=[],
        description="Of the training at hand, oldest first: at most 100 epochs, spread evenly. None where nothing "
        "descends, as in exact heads.",
    )


class Failure(Resource):
    type: str = "about:blank"
    title: str
    detail: str


class Correction(Resource):
    batch: str = Field(description="The batch that was corrected.")
    by: str = Field(description="The batch that took its rows over.")
    changed: int = Field(description="Rows that got another label or target.")
    taken_out: int = Field(description="Rows that were taken out.")

    @property
    def sentence(self) -> str:
        """What was changed, and where the rows are."""
        counts = ((self.changed, "changed"), (self.taken_out, "taken out"))
        what = [f"{n:,} {'row' if n == 1 else 'rows'} {verb}" for n, verb in counts if n]
        return f"Batch {self.batch} was corrected: {' and '.join(what)}. Batch {self.by} took its rows over."


class Update(Resource):
    brief: ClassVar = ("id", "model", "state", "verdict", "version", "sentence", "undo")

    id: str
    model: str
    kind: UpdateKind
    state: UpdateState
    batches: list[str]
    adds: list[str] | None = Field(
        default=None, description="Of a retraction: batches learned in the place of those that it takes back."
    )
    corrected: Correction | None = Field(
        default=None, description="Of the updates that carry out a correction: what it changes, and where the rows are."
    )
    method: dict[str, Any] | None
    requested_method: dict[str, Any] | None
    challenges: str | None = Field(default=None, description="The update whose version this one challenges.")
    why: str | None = Field(description="Why this method, and what became of the version.")
    base_version: int | None
    version: int | None
    verdict: Verdict | None
    report: AnyReport | None
    progress: Progress | None
    learned_rows: int | None
    exam_rows: int | None = Field(
        description="Trusted rows there were to judge by. `rows` of the report's `before` counts those that did: each "
        "near-duplicate once, no copies of what was learned, and of recent batches alone where these are trusted."
    )
    attempts: int
    seed: int
    device: str | None = Field(default=None, description="Device that was asked for; null: where the setting says.")
    expect: Expect | None = Field(default=None, description="What its sender said beforehand of its labels or targets.")
    reason: str | None = None
    erase: bool = False
    error: Failure | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def undo(self) -> str | None:
        """What undoes a correction or a retraction, as Python calls it: no rollback does, for what was taken back does
        not return. None of all else."""
        if self.kind is not UpdateKind.RETRACT or self.erase or self.verdict is not Verdict.PROMOTED:
            return None
        if self.corrected is not None and self.corrected.changed:
            return CORRECT.said({"model": self.model, "batch": self.corrected.by}, Door.PYTHON)
        return SEND.said({"model": self.model}, Door.PYTHON)

    @property
    def sentence(self) -> str | None:
        """What became of it: the verdict with the evidence, of one without a report why it ended; and of a correction
        what was changed."""
        said = self.report.gate.why if self.report else self.why
        if self.corrected is None or said is None:
            return said
        return f"{said} {self.corrected.sentence}" if self.report else f"{self.corrected.sentence} {said}"


class Event(Resource):
    id: int
    at: datetime
    kind: str
    detail: dict[str, Any]


class ModelDispute(Resource):
    """What a held update disputes: rows that the live version is sure of carry another label."""

    brief: ClassVar = ("id", "model", "class_", "suggested", "rows", "state", "remedy")

    id: str
    model: str
    class_: str = Field(alias="class")
    suggested: str = Field(description="The label that most of these rows carry; the others may carry any.")
    rows: int = Field(description="Those that the live version is sure are of the class, and that carry another label.")
    source: str | None
    update: str = Field(description="The update that opened it.")
    version: int | None = Field(description="The version that it made, which is held.")
    batches: list[str]
    opened_by: str | None = Field(description="The key that ordered the update; null before that was kept.")
    opened_at: datetime
    state: DisputeState
    by: str | None = Field(description="The update whose batch settled it, or the key by which somebody did.")
    at: datetime | None
    reason: str
    remedy: str = Field(description="What can be done now.")


class MethodInfo(Resource):
    brief: ClassVar = ("name", "family", "summary")

    name: str
    family: str
    summary: str
    paper: str
    params: dict[str, Any] = Field(description="JSON Schema of its parameters.")
    needs: list[str]
    targets: list[str] = Field(default=["class"], description="Targets that it learns: class, number.")
    moves: list[str] = Field(
        default=[],
        description="Weights that it may move: head; backbone (one that is trained here); pretrained (a pretrained "
        "backbone, as far as unfreeze says); added (what it adds beside them, while the others stand still).",
    )
    good_when: str
    limits: str


class Methods(Resource):
    items: list[MethodInfo]


class FieldProblem(Resource):
    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457, application/problem+json."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/unknown-labels"])
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    remedies: list[dict[str, Any]] = Field(
        default=[],
        description="What `detail` says to do, as data: `do`, the `text` that says it there, and what it is done with.",
        examples=[[{"do": "learn", "text": 'POST {"batches": "pending"} to ...', "model": "m", "batches": "pending"}]],
    )
    request_id: str
