"""What the gate looks at and what a rule finds: counts, not rows, so that judging is a pure function of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.contract.enums import Severity
from service.contract.report import ClassEvidence
from service.learning.statistics import Agreement, Paired


@dataclass(frozen=True)
class First:
    """A first version on its own rows, out of fold. `alone`: rows left aside, of whose class none stays to learn from
    where they are kept back: their answers are wrong by construction. `one_group`: no row was judged, for they are all
    of one group, of which none is kept back from the others."""

    agreement: Agreement
    classes: int
    commonest: str
    alone: int = 0
    one_group: bool = False


@dataclass(frozen=True)
class Group:
    """One class, the rare classes together, or one source, on trusted rows; `said`: as a sentence names it; `several`
    classes, in the plural."""

    name: str
    said: str
    before: float
    after: float
    paired: Paired
    several: bool = False


@dataclass(frozen=True)
class Harm:
    """Base and candidate on the trusted rows. `intruders`: new classes that old rows are answered with, most first.
    `taken`: over all columns but those of new classes whose rows show that they are none of the old ones; null: the
    same as `masked`."""

    rows: int
    masked: Paired
    groups: tuple[Group, ...] = ()
    taken: Paired | None = None
    intruded: int = 0
    intruders: tuple[str, ...] = ()
    yardstick_intruded: int | None = None


@dataclass(frozen=True)
class Reconciliation:
    """What a joint head makes of both: `fixed` of the conflicting rows right, `loss` on old rows of those classes.

    `alone`: the share of the conflicting rows that a head of the batch alone gets right, out of fold."""

    fixed: float
    loss: float
    alone: float = 0.0


@dataclass(frozen=True)
class Contradiction:
    """The update's familiar rows of known classes against the base.

    `expected`: share of conflicts that the base's own mistakes would give. `labels`: classes among these rows.
    `pooled`: `classes` and those of the last batches together. `learner`, `reconciliation`: null where no rule asks.
    `strange`: rows of known classes unlike anything seen, `strange_others` of them outside their commonest class;
    `strange_learner`: a head of those, where they are most and can tell.
    """

    rows: int
    conflicts: int
    expected: float
    labels: int
    classes: Mapping[str, ClassEvidence] = field(default_factory=dict)
    pooled: Mapping[str, ClassEvidence] = field(default_factory=dict)
    learner: Agreement | None = None
    reconciliation: Reconciliation | None = None
    strange: int = 0
    strange_others: int = 0
    strange_learner: Agreement | None = None

    @property
    def excess(self) -> float:
        """Conflicts as a share of rows, above the expected share."""
        return self.conflicts / self.rows - self.expected if self.rows else 0.0


MOSTLY = 0.8
"""Classes that hold so much of a new class's rows are named as those that it is taken for."""


@dataclass(frozen=True)
class Likeness:
    """Rows of a new class that were judged out of fold; `sure`: of them the base is, and finds them familiar. `usual`:
    the share of trusted rows that it is sure of.

    `compared` of them, the sure ones or `all`, stood `beside` so many trusted rows that the base calls the same.
    `called`: rows by class, most first. `separation`: of pairs of one and the other, the share in which the former lies
    nearer to the new class (0.5: nothing but the name differs); null where nothing stood beside them.
    """

    rows: int
    sure: int
    usual: float
    called: Mapping[str, int]
    compared: int
    beside: int
    separation: float | None
    all: bool = False

    @property
    def share(self) -> float:
        """Of the rows that the base is sure of, as a part of what is usual."""
        return self.sure / self.rows / self.usual if self.rows and self.usual else 0.0

    @property
    def mostly(self) -> Mapping[str, int]:
        """Of `called` the first classes, that together hold most of the rows."""
        most, counted = dict[str, int](), 0
        for name, rows in self.called.items():
            if counted >= MOSTLY * sum(self.called.values()):
                break
            most[name], counted = rows, counted + rows
        return most

    @staticmethod
    def together(classes: Sequence[Likeness]) -> Likeness:
        """Sure rows of several classes; of at least one."""
        compared = sum(c.compared for c in classes)
        apart = sum(c.compared * c.separation for c in classes if c.separation is not None)
        return Likeness(
            rows=sum(c.rows for c in classes),
            sure=sum(c.sure for c in classes),
            usual=classes[0].usual,
            called=dict(sum((Counter(c.called) for c in classes), Counter[str]()).most_common()),
            compared=compared,
            beside=max(c.beside for c in classes),
            separation=apart / compared if compared else None,
        )


@dataclass(frozen=True)
class NewClass:
    """Rows of a new class that were judged out of fold, and how many are recognised, here and by the yardstick."""

    name: str
    rows: int
    hits: int
    yardstick_hits: int | None
    like: Likeness | None = None

    @staticmethod
    def together(classes: Sequence[NewClass]) -> NewClass:
        """All rows of several classes; the yardstick's count is null unless it judged each of them."""
        yardstick = [c.yardstick_hits for c in classes]
        known = None if None in yardstick else sum(k for k in yardstick if k is not None)
        return NewClass("", sum(c.rows for c in classes), sum(c.hits for c in classes), known)


@dataclass(frozen=True)
class Since:
    """An earlier promoted version and the candidate, on the trusted rows that both were asked about, and on those of
    each class that has enough of them."""

    version: int
    paired: Paired
    classes: Mapping[str, Paired] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """Everything that was measured of an update; null where there is no evidence.

    `live`: number of the version that answers now (the base). `own`: base and candidate on the update's own rows.
    `since`: each remembered version and the candidate, oldest first. `sound`: weights are finite and load again.
    `exact`: the candidate's head is a function of all rows ever learned, which cannot forget by itself; `partial`: it
    would be, but rows were deleted or count less · `stuck`: a training whose loss did not fall. `foreign`:
    classes that came with an imported version and have no trusted row · `replaced`: the candidate keeps none of
    their weights. `batches`: the update's own. `young`: classes that earlier batches brought a few rows at a time, so
    that none of those was judged as a new class; their rows are counted with those of this batch. `untested`: where
    the base learned many rows and none of them can judge (all are of one group), how many of the batch's rows of known
    classes it answers, and how many of these otherwise than their labels.
    """

    live: int | None
    first: First | None = None
    harm: Harm | None = None
    contradiction: Contradiction | None = None
    new_classes: tuple[NewClass, ...] = ()
    own: Paired | None = None
    since: tuple[Since, ...] = ()
    sound: bool | None = None
    exact: bool = False
    partial: bool = False
    stuck: bool = False
    foreign: tuple[str, ...] = ()
    replaced: bool = False
    batches: tuple[str, ...] = ()
    young: tuple[NewClass, ...] = ()
    untested: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """What one rule has to say. `what`: the event and its evidence; `remedy`: what a person can do about it.

    `fires` null: it passes; without `evidence` it passes with a flag; `unproven`: rows were too few to judge by.
    """

    what: str
    value: float | None = None
    limit: float | None = None
    fires: Severity | None = None
    remedy: str = ""
    evidence: bool = True
    unproven: bool = False
