"""What crosses between the parent and the child: digests, parameters and a seed, as JSON; never live objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from service.contract.enums import Outcome, Retention, UpdateKind
from service.contract.inputs import Architecture, InputSpec
from service.contract.policy import GatePolicy
from service.contract.report import ClassEvidence, Report


class Fact(BaseModel):
    """Frozen, and strict about its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shard(Fact):
    """One stored part of a version and the batches that had a hand in it."""

    part: str
    digest: str
    bytes: int
    learned: list[str]


class Stored(Fact):
    """A version as the child finds it in the store."""

    number: int
    layout: dict[str, Any]
    shards: list[Shard]
    learned: list[str]


class Step(Fact):
    """One call of a method: these batches, in this order of ids. No batches: solve anew from what is known, where the
    start still holds what is to be taken out; else the start is the answer as it is."""

    batches: list[str]
    method: dict[str, Any]
    seed: int
    by_auto: bool = False
    """The method was chosen by `auto`, from the rows that there were when it was learned first."""


class Entry(Fact):
    """Rounded features of a batch in a feature space."""

    batch: str
    space: str
    digest: str
    rows: int


class Bits(Fact):
    """Right and wrong answers on trusted rows, stored with a promoted version."""

    version: int
    digest: str


class Lineage(Fact):
    """What the lineage remembers: the gate compares with it."""

    bits: list[Bits] = []
    best_masked: dict[str, float] = {}
    evidence: list[dict[str, ClassEvidence]] = []


class Places(Fact):
    """Where the child reads and writes bytes."""

    store: str
    cache: str
    cache_bytes: int
    area: str
    crash_point: str | None = None


class Assignment(Fact):
    """Everything that an execution needs.

    `base` is the live version it is judged against; `start` the checkpoint that the first step builds on (the same, but
    for a retraction that replays the lineage from an older version, or from nothing).
    """

    update: str
    kind: UpdateKind
    places: Places
    input: InputSpec
    architecture: Architecture
    policy: GatePolicy
    base: Stored | None
    start: Stored | None
    steps: list[Step]
    removed: list[str] = []
    appeared: dict[str, list[str]] = {}
    """Of a retraction: batches of the base as they were learned -> classes as they first appear in each."""
    rows: dict[str, str]
    """Batch -> digest of its stored rows."""
    counts: dict[str, int]
    """Batch -> number of its rows."""
    kept: dict[str, int] = {}
    """Batch -> rows of it that are still stored."""
    sources: dict[str, str] = {}
    """Batch -> its source, where it has one."""
    weights: dict[str, str] = {}
    """Pretrained backbone -> file of its weights, where the operator named one."""
    retention: Retention = Retention.ALL
    champion: Stored | None = None
    """The version that a challenger must beat, by the same rows; null: nobody is challenged."""
    budget_seconds: float = 0.0
    """Time that a challenger may take."""
    challenged_rows: int = 0
    """Rows behind the last challenge of the model."""
    entries: list[Entry]
    lineage: Lineage = Lineage()
    wait_seconds: float = 0.0


class Trusted(Fact):
    """Numbers of the rows of a batch that are among the bounded ones of a ledger."""

    exam: list[int]
    selected: list[int]


class Challenge(Fact):
    """Who may challenge the version that was made, and why."""

    method: dict[str, Any]
    why: str
    budget_seconds: float


class Result(Fact):
    """What the child made; all bytes it names are in the store."""

    learned: list[str]
    layout: dict[str, Any]
    shards: list[Shard]
    classes: list[str]
    feature_space: str | None
    ledger_digest: str | None
    bits: str | None
    parameters: int
    report: Report
    outcome: Outcome
    method: dict[str, Any] | None
    why: str
    entries: list[Entry]
    learned_rows: int
    exam_rows: int
    trusted: dict[str, Trusted] = {}
    """Batch that was new -> its rows that judge and select in the ledger."""
    blames_batch: bool
    """Rule 1 or 2 rejected it: these judge the batch itself."""
    challenge: Challenge | None = None
    lost: str | None = None
    """Of a challenger that did not win: the comparison, in a sentence. Then no version is made of it."""

    def timed(self, parts: Mapping[str, float], seconds: float | None = None) -> Result:
        """With these seconds of the parts of its way, in order, and those of all that the child did."""
        cost = self.report.cost
        update = {"parts": dict(parts), "seconds": cost.seconds if seconds is None else seconds}
        report = self.report.model_copy(update={"cost": cost.model_copy(update=update)})
        return self.model_copy(update={"report": report})
