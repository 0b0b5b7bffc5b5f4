"""The report of an update of a model of classes: what was gained, what was forgotten, and what the batch says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from service.contract.enums import Expect, Interference
from service.contract.reports.facts import (
    PARTS,
    STOPPED_ALONE,
    TAKEN_BACK,
    BatchPart,
    Certificate,
    Cost,
    Fact,
    GateReport,
    NewValues,
)

BARELY = 0.5
"""A class of which a smaller share of its own rows is recognised is not called known."""
FEW = 5
"""Fewer rows of a class say little of it."""
ONE_SIDED = 0.9
"""Where one class has so many of the rows, a share of all of them says little of the others."""


class ClassScore(Fact):
    accuracy: float
    rows: int

    @property
    def right(self) -> int:
        return round(self.accuracy * self.rows)


class Confusion(Fact):
    """Rows of a class that are answered with another."""

    class_: str = Field(serialization_alias="class", validation_alias="class")
    answer: str
    rows: int


class Commonest(Fact):
    """The class that most of some rows are of; always saying it is right on that share of them."""

    class_: str = Field(serialization_alias="class", validation_alias="class")
    accuracy: float
    rows: int | None = Field(
        default=None, description="Of how many rows; null in older reports, which counted the judged ones."
    )


def rare(scores: Mapping[str, ClassScore], *commonest: Commonest | None) -> dict[str, ClassScore]:
    """Where one class has nearly all rows of some, the others, those of the fewest rows first; else none."""
    most = next((of.class_ for of in commonest if of is not None and of.accuracy >= ONE_SIDED), None)
    others = [(name, score) for name, score in scores.items() if most not in (None, name)]
    return dict(sorted(others, key=lambda other: (other[1].rows, other[0])))


class Score(Fact):
    """Accuracy on trusted rows, at most 200 a class. In `accuracy` and `ece` each of them stands for its part of the
    learned rows of its class once a class has more: they are what all rows of these shares would give."""

    brief: ClassVar = ("accuracy", "balanced_accuracy", "rows")

    accuracy: float
    balanced_accuracy: float
    rows: int
    classes: dict[str, ClassScore]
    ece: float | None = Field(
        default=None,
        description="Expected calibration error: how far the top scores lie from the share that is right, over 15 bins "
        "of equal width.",
    )
    confusions: list[Confusion] = Field(
        default=[], description="Wrong answers by class and answer, those of the most rows first, at most 100."
    )
    commonest: Commonest | None = Field(
        default=None, description="What always saying the commonest class is right on, counted as `accuracy` is."
    )


class TestedClass(ClassScore):
    """The same of the rows of one class."""

    __test__ = False

    class_: str = Field(serialization_alias="class", validation_alias="class")


class TestedScore(Fact):
    """What the version before answered to rows of the update, of the classes that it knew."""

    __test__ = False

    brief: ClassVar = ("accuracy", "rows")

    accuracy: float
    rows: int
    ece: float | None
    classes: list[TestedClass] = Field(
        default=[], description="Those of which the smallest share is right, these first; at most 20."
    )
    commonest: Commonest | None = Field(
        default=None, description="What always saying the commonest class is right on, of the same rows."
    )

    @property
    def missed(self) -> list[TestedClass]:
        """Classes with more than a few rows of which fewer than half are right."""
        return [of for of in self.classes if of.accuracy < BARELY and of.rows >= FEW]


class Pair(Fact):
    before: float | None
    after: float | None


class OldClasses(Fact):
    """Trusted rows, before and after. `interval` is of after - before (Agresti-Min, 95 %)."""

    before: float | None
    after: float | None
    interval: tuple[float, float] | None
    masked: Pair = Field(description="Accuracy where only classes that were known before may answer.")
    intrusion: float | None = Field(description="Share of them that is answered with a new class.")
    gone: list[str] = Field(
        default=[], description="Classes that the version before answers and this one does not: no row of them is left."
    )


class Older(Fact):
    """Trusted rows of batches that are too old to judge by, before and after: reported, not judged."""

    before: float | None
    after: float | None
    rows: int


class NewClassesScore(Fact):
    """Out-of-fold recall of the classes that this update brought. `interval` is Wilson's, 95 %."""

    names: list[str]
    after: float | None
    interval: tuple[float, float] | None
    rows: int = 0
    classes: dict[str, ClassScore] = Field(default={})
    commonest: Commonest | None = Field(
        default=None,
        description="Of a first version of several classes: what always saying the commonest is right on, of the rows "
        "that judge; in some older reports of all rows.",
    )
    commonest_of_all: Commonest | None = Field(
        default=None,
        description="The same of all rows of the update that have a label. Those that judge are at most 200 a class, "
        "each content once.",
    )

    @property
    def barely(self) -> dict[str, ClassScore]:
        """Classes of which fewer than half of their own rows are recognised."""
        return {name: score for name, score in self.classes.items() if score.accuracy < BARELY}

    @property
    def rare(self) -> dict[str, ClassScore]:
        """The others where one class has nearly all rows that judge, or all of the update, but for `barely`."""
        known = {name: score for name, score in self.classes.items() if name not in self.barely}
        return rare(known, self.commonest, self.commonest_of_all)


class LostSince(Fact):
    """What the old classes lost since an earlier promoted version, on rows that both answered. `forgotten` is of the
    same rows what `Report.forgetting` is in all."""

    version: int
    rows: int
    lost: float = Field(description="Share of these rows that is lost on balance, where all classes may answer.")
    p: float = Field(description="How often chance alone takes so much (sign test; of this version alone).")
    forgotten: float = Field(description="The same where classes that came since may not answer.")
    newer: int = Field(description="Classes that came since.")


class WorstClassDrop(Fact):
    """What lost most: a class, the rare classes together, or the rows of a source."""

    name: str
    drop: float
    rare: int = Field(
        default=0, description="Classes of few trusted rows that are judged together here; 0: it is none."
    )
    names: list[str] = Field(default=[], description="Those classes, where they are at most three.")


class Yardstick(Fact):
    """The exact head over the same history. `regret` is its accuracy minus this version's on the same rows."""

    method: str
    accuracy: float | None
    regret: float | None
    intrusion: float | None = None
    new_classes: float | None = Field(default=None, description="Its out-of-fold recall of the new classes.")


class SuspectRow(Fact):
    batch: str
    row: int
    label: str
    suggested: str
    score: float
    alike: int = Field(
        default=0,
        description="Rows of the batch that lie close together, this one among them, and carry this label where the "
        "live version answers the suggested one; 0: fewer than three.",
    )


class Dispute(Fact):
    """Rows the model is sure of carry another label; a later batch settles it, or a person who promotes or retracts."""

    class_: str = Field(serialization_alias="class", validation_alias="class")
    suggested: str = Field(description="The label that most of them carry; the others may carry any.")
    rows: int
    source: str | None


class Settled(Dispute):
    """What this batch says about a dispute that another update had opened. Of the `sure` rows that the live version
    surely calls by the class, `rows` carry the suggested label, or, refuting, any other; `p`: by chance."""

    update: str
    batches: list[str] = Field(default=[], description="Those of that update.")
    verdict: Literal["confirmed", "refuted"]
    sure: int
    p: float


class ClassEvidence(Fact):
    """Rule 3's counts for one class, kept so that later updates can pool them."""

    confident: int
    conflicts: int
    expected: float = Field(description="Share of conflicts that trusted rows and the other classes make one expect.")
    tested: float = Field(default=0.0, description="Rows that this share rests on; 0: no limit.")
    toward: dict[str, int] = Field(default={})


class BatchEvidence(Fact):
    """What the batch itself says."""

    conflicts: int | None
    familiar: int | None = None
    expected: float | None = Field(default=None, description="Expected share of conflicts.")
    unfamiliar_share: float | None = None
    parts: list[BatchPart] = Field(default=[], description=PARTS)
    stopped_alone: list[str] = Field(default=[], description=STOPPED_ALONE)
    suspect_rows: list[SuspectRow] = Field(default=[])
    disputes: list[Dispute] = Field(default=[])
    settled: list[Settled] = Field(default=[])
    evidence: dict[str, ClassEvidence] = Field(default={})
    reconcilable: bool | None = None
    unlabelled: int = Field(default=0, description="Rows that came without a label.")
    taken_back_at: datetime | None = Field(default=None, description=TAKEN_BACK)
    near_duplicates: int = Field(
        default=0, description="Rows that are nearly the same as another of the update with their label: counted once."
    )
    near_trusted: int = Field(default=0, description="Rows that are nearly the same as a trusted row.")
    unlabelled_unfamiliar_share: float | None = Field(
        default=None, description="Share of them that is unlike anything that was learned."
    )
    new_values: NewValues = Field(
        default={}, description="By column of a table, at most 100 of each. Empty for a first version."
    )
    notes: list[str] = Field(default=[])


class MoreRows(Fact):
    """What more learning rows of a class would bring its recall, by the exact head. `interval` is of `gain`, 95 %."""

    class_: str = Field(serialization_alias="class", validation_alias="class")
    rows: int = Field(description="Learning rows that it has.")
    judged: int = Field(description="Rows that judge it.")
    more: int = Field(description="Rows more: 20, or as many again.")
    gain: float | None = Field(description="Null: too few rows to tell.")
    interval: tuple[float, float] | None


class CurvePoint(Fact):
    """Accuracy of the exact head of so many learning rows."""

    rows: int
    accuracy: float


class LearningCurve(Fact):
    """The exact head of some of the update's folds, and of all, on rows that it never learned."""

    points: list[CurvePoint]
    classes: list[MoreRows]
    told: list[str] = Field(description="In plain sentences.")


class Report(Fact):
    """What an update measured. Rows of T are trusted rows (the exam: at most 200 a class, so where classes are unequal
    a share of them is none of all rows, but for `accuracy` and `ece`); rows of B are the update's own. Near-duplicates
    count once."""

    brief: ClassVar = ("gate", "tested", "before", "after", "notes")
    kind: ClassVar = "class"

    tested: TestedScore | None = Field(
        default=None, description="The honest number: rows as they came, before the batch was learned."
    )
    before: Score | None
    after: Score | None
    old_classes: OldClasses
    new_classes: NewClassesScore
    forgetting: float | None = Field(
        description="The most that was lost since any version that is remembered, on rows that both answered and over "
        "the classes of that time; below 0 where more was won since each."
    )
    lost_since: LostSince | None = Field(
        default=None,
        description="The earlier version since which most was lost, where that is 3 points or more and chance takes so "
        "much from fewer than one in ten; else null.",
    )
    interference: Interference
    worst_class: WorstClassDrop | None
    negative_flips: float | None
    positive_flips: float | None
    yardstick: Yardstick | None
    older: Older | None = Field(default=None, description="Null where all trusted rows are judged by.")
    batch: BatchEvidence
    cost: Cost
    gate: GateReport
    exact: bool
    learning_curve: LearningCurve | None = Field(default=None, description="What more rows would bring.")
    certificate: Certificate | None = None
    method: dict[str, Any] = Field(default={}, description="What the method itself tells; docs/auto.md has the units.")
    notes: list[str] = Field(default=[])

    few_far_out: ClassVar = False
    batches_far_out: ClassVar = frozenset[str]()

    @property
    def classes(self) -> dict[str, ClassScore]:
        """How good the version is at each class, those that it brought among them."""
        return {**(self.after.classes if self.after else {}), **self.new_classes.classes}

    @property
    def may_be_meant(self) -> bool:
        """Whether nothing would stop it if labels changed on purpose."""
        stopping = [rule for rule in self.gate.rules if rule.severity]
        return bool(stopping) and all(rule.expect is Expect.RELABEL for rule in stopping)

    @property
    def figures(self) -> dict[str, float]:
        """What versions are compared by, by name: shares that are right, of trusted rows and by class."""
        return _of_all(self.after) | _by_class(self.classes)

    @property
    def on_same_rows(self) -> tuple[dict[str, float], dict[str, float]] | None:
        """`figures` of the version that it was made from and of this one, on the same trusted rows; classes that it
        brought stand in those of this one alone. None where nothing was judged before."""
        if self.before is None or self.after is None or not self.before.classes:
            return None
        first, second = (_of_all(score) | _by_class(score.classes) for score in (self.before, self.after))
        return first, second | _by_class(self.new_classes.classes)

    @property
    def judged_rows(self) -> str:
        """How many rows of which kind `figures` are of."""
        own = "" if not self.new_classes.rows else f"{self.new_classes.rows:,} of its own"
        return " and ".join(filter(None, (f"{self.after.rows:,} trusted" if self.after else "", own))) or "–"


def _of_all(score: Score | None) -> dict[str, float]:
    return {"accuracy": score.accuracy} if score is not None and score.rows else {}


def _by_class(scores: Mapping[str, ClassScore]) -> dict[str, float]:
    return {f"class {name}": score.accuracy for name, score in scores.items()}
