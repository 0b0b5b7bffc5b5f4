"""What crosses between parent and child, as JSON: digests, parameters and a seed, never live objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from service.contract.enums import Outcome, Retention, UpdateKind
from service.contract.inputs import Architecture, InputSpec
from service.contract.reports import AnyReport
from service.contract.reports.class_report import ClassEvidence
from service.contract.strict import Unlimited
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import AnyPolicy


class Fact(BaseModel):
    """Is frozen, and refuses fields that it does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shard(Fact):
    """One stored part of a version, and the batches that it was learned from; None: from all of the version's."""

    part: str
    digest: str
    bytes: int
    learned: list[str] | None


class Stored(Fact):
    """A version as the child finds it in the store."""

    number: int
    layout: dict[str, Any]
    shards: list[Shard]
    learned: list[str]


class Step(Fact):
    """One call of a method on these batches, in this order. Without batches what is known is solved anew, if the start
    learned any that are to be taken out; else the start is the answer."""

    batches: list[str]
    method: dict[str, Any]
    seed: int
    by_auto: bool = False
    """Whether `auto` chose the method, by the rows that were stored when these batches were first learned."""


class Entry(Fact):
    """The stored entry of a batch: its rounded features in a feature space."""

    batch: str
    space: str
    digest: str
    rows: int
    device: str | None = None
    """On which its features were made; None: not known."""


class Bits(Fact):
    """Which trusted rows a promoted version answers right, as it is stored."""

    version: int
    digest: str


class Shown(Fact):
    """What a batch showed of each class beside the version that was live before it; how many of its rows were like
    those seen, and carried another label than that version answers."""

    version: int
    rows: int = 0
    conflicts: int = 0
    evidence: dict[str, ClassEvidence]


class Lineage(Fact):
    """What the lineage remembers, for the gate to compare with."""

    bits: list[Bits] = []
    evidence: list[dict[str, ClassEvidence]] = []
    shown: list[Shown] = []
    stopped: list[list[dict[str, float]]] = []
    """Where targets are numbers, figures of the batches in a row that were stopped since the base came, for each
    number of a row; oldest first."""


class Places(Fact):
    """Where the child reads and writes bytes. `store`: a URL."""

    store: str
    cache: str
    cache_bytes: int
    area: str
    reserve_bytes: int = 0
    crash_point: str | None = None


class BatchFacts(Fact):
    """What is known of batches."""

    rows: dict[str, str]
    """Batch -> digest of its stored rows."""
    counts: dict[str, int]
    """Batch -> number of its rows."""
    kept: dict[str, int] = {}
    """Batch -> rows of it that are still stored."""
    merged: list[str] = []
    """Batches that are merged ledgers: there are sums of their rows, and none of these."""
    sources: dict[str, str] = {}
    """Batch -> its source, where it has one."""
    entries: dict[str, dict[str, str]]
    """Feature space -> batch -> digest of the stored entry."""


class Assignment(BatchFacts):
    """Everything that the child needs to execute an update, with the facts of the batches that it learns, and of those
    that the base learned: all of them, or if `brief` the latest. There may be many, and most updates need no others;
    the child asks for those where it does.

    `base` is the live version that it is judged against, and on which it learns. A retraction builds on `start`: the
    same, an older version from which it replays the lineage, or None, nothing.
    """

    update: str
    ids: dict[str, str] = {}
    """What the log of the child is to name beside its words."""
    traceparent: str | None = None
    """The span within which it learns."""
    kind: UpdateKind
    places: Places
    input: InputSpec
    architecture: Architecture
    target: Target = ClassTarget()
    policy: AnyPolicy
    base: Stored | None
    start: Stored | None
    steps: list[Step]
    removed: list[str] = []
    appeared: dict[str, list[str]] = {}
    """For a retraction: batches of the base in the order in which they were learned -> the classes of each."""
    brief: bool = False
    known: tuple[int, int, int] | None = None
    """Of the batches of the base: rows that they brought, that are still stored, that are elsewhere, in merged ledgers;
    None: to be added up from their facts."""
    entered: list[str] = []
    """Feature spaces in which each batch of the base is known to have an entry."""
    values: dict[str, dict[str, dict[str, int]]] = {}
    """Batch -> column -> rows of each value of a category; of what an update learns, of all that a retraction leaves.
    Empty where inputs are no tables."""
    vocabulary: dict[str, list[str]] = {}
    """Column -> values that any batch of the model brought, where the update brings new ones: one that looks like one
    of them may be a slip."""
    weights: dict[str, str] = {}
    """Pretrained backbone -> file of its weights, where the operator named one."""
    retention: Retention = Retention.ALL
    expected: bool = False
    """Whether its sender said that labels of known inputs change on purpose, or that targets move at once."""
    champion: Stored | None = None
    """The version that a challenger must beat, learned from the same rows; None where this is no challenger."""
    budget_seconds: float = 0.0
    """Time that a challenger may take."""
    challenged_rows: int = 0
    """Rows behind the last challenge of the model."""
    lineage: Lineage = Lineage()
    wait_seconds: float = 0.0
    device: str = "cpu"
    """Where it trains and makes features."""
    trainings: str | None = None
    """The last save of an earlier attempt, from which its trainings go on."""
    save_seconds: float = 300.0
    """Time between two saves."""

    @property
    def learned(self) -> list[str]:
        """Batches of the version that comes of it."""
        begun = self.start if self.kind is UpdateKind.RETRACT else self.base
        known = begun.learned if begun is not None else []
        new = sorted({batch for step in self.steps for batch in step.batches})
        if known and new and known[-1] < new[0] and not self.removed:
            return [*known, *new]
        return sorted({*known}.difference(self.removed).union(new))


ASSIGNMENT: Unlimited[Assignment] = Unlimited(Assignment)
"""Reads an assignment: what it says of the model was stored."""
BATCH_FACTS: Unlimited[BatchFacts] = Unlimited(BatchFacts)


class Trusted(Fact):
    """Numbers of the rows of a batch that judge and select in a ledger."""

    exam: list[int]
    selected: list[int]


class Challenge(Fact):
    """The method that challenges the version that was made, and why."""

    method: dict[str, Any]
    why: str
    budget_seconds: float


class Result(Fact):
    """What the child made; all bytes that it names are in the store."""

    learned: list[str]
    layout: dict[str, Any]
    shards: list[Shard]
    classes: list[str]
    feature_space: str | None
    ledger_digest: str | None
    bits: str | None
    parameters: int
    trained_on: str | None = None
    """The device, as `learning.devices.described` says it."""
    report: AnyReport
    outcome: Outcome
    method: dict[str, Any] | None
    why: str
    entries: list[Entry]
    learned_rows: int
    exam_rows: int
    trusted: dict[str, Trusted] = {}
    """New batch -> its rows that judge and select in the ledger."""
    blames_batch: bool
    """Whether rule 1 or 2 rejected it: these judge the batch itself."""
    challenge: Challenge | None = None
    lost: str | None = None
    """How a challenger lost, in a sentence; then no version is made of it."""

    def timed(self, parts: Mapping[str, float], seconds: float | None = None) -> Result:
        """This result with these seconds of its phases, in order, and with `seconds` as those of the child's work."""
        cost = self.report.cost
        update = {"parts": dict(parts), "seconds": cost.seconds if seconds is None else seconds}
        report = self.report.model_copy(update={"cost": cost.model_copy(update=update)})
        return self.model_copy(update={"report": report})
