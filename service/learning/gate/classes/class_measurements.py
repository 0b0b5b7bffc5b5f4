"""What the gate judges where targets are classes: counts, not rows, so that judging is a pure function of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.contract.reports.class_report import ClassEvidence
from service.learning.gate.wrong_columns import ColumnSlips
from service.learning.statistics import Agreement, Narrowed, Paired, at_least


@dataclass(frozen=True)
class First:
    """A first version on its own rows, out of fold. `alone`: rows that are not judged, since without them their class
    has no row to learn from. `one_group`: no row is judged, since all are of one group."""

    agreement: Agreement
    classes: int
    commonest: str
    alone: int = 0
    one_group: bool = False


@dataclass(frozen=True)
class Group:
    """One class, the rare classes together, or one source, on trusted rows. `phrase`: as a sentence names it;
    `rare`: how many rare classes, `names`: those, where they are few."""

    name: str
    phrase: str
    before: float
    after: float
    paired: Paired
    rare: int = 0
    names: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether sentences speak of it in the plural."""
        return self.rare > 1


@dataclass(frozen=True)
class Harm:
    """Base and candidate on the trusted rows. `masked`: over the old columns · `intruded`: rows that are answered with
    a new class, `intruders`: those classes, most first · `taken`: over all columns but those of new classes whose rows
    show that they are none of the old ones; None where it was not measured · `in_all`: over the old columns, beside the
    live version itself, where the others are beside what the candidate's settings make without the batch."""

    rows: int
    masked: Paired
    groups: tuple[Group, ...] = ()
    taken: Paired | None = None
    intruded: int = 0
    intruders: tuple[str, ...] = ()
    yardstick_intruded: int | None = None
    in_all: Paired | None = None


@dataclass(frozen=True)
class Reconciliation:
    """A joint head of old and new rows: the share of the conflicting rows that it gets right (`fixed`), and its `loss`
    on old rows of those classes. `alone`: the share that a head of the batch alone gets right, out of fold."""

    fixed: float
    loss: float
    alone: float = 0.0


@dataclass(frozen=True)
class Lasting:
    """Rows of all batches since a version of which the live one of that time was sure that they are of one class, and
    how many of them carry one other label. `evidence`: those counts, beside what was usual at that version."""

    since: int
    evidence: ClassEvidence


@dataclass(frozen=True)
class Contradiction:
    """The update's familiar rows of known classes against the base.

    `expected`: share of conflicts that the base's own mistakes would give, and `tested`: rows that this rests on,
    trusted ones and those of earlier batches that had no more, 0: no limit. `labels`: classes among these rows.
    `pooled`: `classes` and those of the last batches together · `lasting`: those since conflicts of a class began to be
    too many. `learner`, `reconciliation`: None where no rule needs
    them. `strange`: rows of known classes unlike anything seen, `strange_others` of them outside their commonest class;
    `strange_learner`: a head of those, where they are most and can show a rule. `called`: labels of the rows by what
    the base answers.
    """

    rows: int
    conflicts: int
    expected: float
    labels: int
    classes: Mapping[str, ClassEvidence] = field(default_factory=dict)
    pooled: Mapping[str, ClassEvidence] = field(default_factory=dict)
    lasting: Mapping[str, Lasting] = field(default_factory=dict)
    learner: Agreement | None = None
    reconciliation: Reconciliation | None = None
    strange: int = 0
    strange_others: int = 0
    strange_learner: Agreement | None = None
    called: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    tested: float = 0.0

    def by_chance(self, conflicts: int, rows: int) -> float:
        """Chance that of so many of its rows as many or more are conflicts, were they as usual."""
        return at_least(conflicts, rows, self.expected, self.tested)

    @property
    def excess(self) -> float:
        """Conflicts as a share of rows, above the expected share."""
        return self.conflicts / self.rows - self.expected if self.rows else 0.0


MOSTLY = 0.8
"""The classes that a new one is taken for are named until they hold so great a part of its rows."""


@dataclass(frozen=True)
class Likeness:
    """Rows of a new class that were judged out of fold; `sure`: those that are familiar and of which the base is sure.
    `usual`: the share of trusted rows that it is sure of, of the class it is least often sure of among those that these
    are taken for.

    `compared` of them, the sure ones or `all`, stood `beside` so many trusted rows that the base calls the same.
    `called`: rows by class, most first. `separation`: of pairs of one and the other, the share in which the former lies
    nearer to the new class (0.5: nothing but the name differs); None where nothing stood beside them.
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
        """The share of rows that the base is sure of, as a part of what is usual."""
        return self.sure / self.rows / self.usual if self.rows and self.usual else 0.0

    @property
    def mostly(self) -> Mapping[str, int]:
        """The first classes of `called` that together hold most of the rows."""
        most, counted = dict[str, int](), 0
        for name, rows in self.called.items():
            if counted >= MOSTLY * sum(self.called.values()):
                break
            most[name], counted = rows, counted + rows
        return most

    @staticmethod
    def together(classes: Sequence[Likeness]) -> Likeness:
        """Several classes as one; at least one."""
        compared = sum(c.compared for c in classes)
        rows = sum(c.rows for c in classes)
        apart = sum(c.compared * c.separation for c in classes if c.separation is not None)
        return Likeness(
            rows=rows,
            sure=sum(c.sure for c in classes),
            usual=sum(c.rows * c.usual for c in classes) / rows if rows else classes[0].usual,
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
        """All rows of several classes; the yardstick's count is None unless it judged each of them."""
        judged = [c.yardstick_hits for c in classes if c.yardstick_hits is not None]
        hits = sum(judged) if len(judged) == len(classes) else None
        return NewClass("", sum(c.rows for c in classes), sum(c.hits for c in classes), hits)


ALL = ""
"""No class has this name."""
VISIBLE, SELDOM = 0.03, 0.1
"""What was lost since an earlier version is told from so much on, where chance takes it less often.

In ten streams of one law (20 updates of 20 or 60 rows of letter, digits, mnist10k, wine and drawn tables, no or 5 %
wrong labels) it was told of 3 of 174 versions that had lost less than 1 point on test rows, and of 4 of 6 that had
lost 3 or more. At p < 0.2 it is 10 and 5, at 0.05 none and 2."""


@dataclass(frozen=True)
class Since:
    """An earlier promoted version and the candidate, on the trusted rows that both answered, and on those of each class
    that has enough of them. `margins`: by how much they are right, where that version's are remembered. `settings`:
    share of rows, by class and of ALL, that another strength, form, decay or lift alone lost in between. `live`: the
    live version beside that one, on the same rows. `gained`: `Paired.gain` of all updates since, this one among them,
    each on its own rows. `lacks`: classes of the live version that that one did not know · `in_all`: as `paired`, but
    classes that came since may answer, too."""

    version: int
    paired: Paired
    classes: Mapping[str, Paired] = field(default_factory=dict)
    margins: Mapping[str, Narrowed] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)
    live: Since | None = None
    gained: float = 0.0
    lacks: tuple[str, ...] = ()
    in_all: Paired | None = None

    def drop(self, name: str = ALL) -> float:
        """What the settings do not explain, of all rows or of a class; what they won is not to be lost first. 0 of a
        class with too few rows."""
        paired = self.paired if name == ALL else self.classes.get(name)
        return paired.drop - max(self.settings.get(name, 0.0), 0.0) if paired else 0.0

    def narrowed(self, name: str) -> float:
        """By how much the margins of a class fell (`Narrowed.drop`); 0 of one with too few."""
        return self.margins[name].drop if name in self.margins else 0.0

    def adds(self, name: str = ALL) -> bool:
        """Whether more rows are lost than by the live version, of all or of a class: what that lost no update did."""
        now, live = ((s.paired if name == ALL else s.classes.get(name)) if s else None for s in (self, self.live))
        return now is None or live is None or now.drop > live.drop

    def narrows(self, name: str) -> bool:
        """Whether the margins of a class fell further than those of the live version."""
        margins = None if self.live is None else self.live.margins.get(name)
        return margins is None or self.margins[name].drop > margins.drop


@dataclass(frozen=True)
class Measured:
    """Everything that was measured of an update; None where there is no evidence.

    `live`: number of the version that answers now (the base). `own`: base and candidate on the update's own rows.
    `since`: each remembered version and the candidate, oldest first. `sound`: weights are finite and load again.
    `exact`: the candidate's head is a function of all rows ever learned, which cannot forget by itself; `partial`: it
    would be, but rows were deleted or count less · `stuck`: a training whose loss did not fall · `relabels`: its
    sender says that labels of known inputs change on purpose. `foreign`: classes that came with an imported version
    and have no trusted row · `replaced`: the candidate keeps none of their weights. `young`: classes that earlier
    batches brought a few rows at a time, so that none of those was judged as a new class; their rows are counted
    with those of this batch. `untested`: where the base learned many rows and none of them can judge (all are of
    one group), how many of the batch's rows of known classes it answers, and how many of these otherwise than their
    labels. `resettled`: harm and own are beside what its settings make without the batch.
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
    relabels: bool = False
    foreign: tuple[str, ...] = ()
    replaced: bool = False
    young: tuple[NewClass, ...] = ()
    untested: tuple[int, int] | None = None
    resettled: bool = False
    columns: ColumnSlips | None = None

    @property
    def lost_since(self) -> Since | None:
        """The version before the live one since which users lost most, if they see it and chance seldom takes it."""
        lost = ((s, s.in_all) for s in self.since if s.version != self.live and s.in_all is not None)
        seen = [(of.drop, of.rows, s) for s, of in lost if of.drop >= VISIBLE and of.p_harm < SELDOM]
        return max(seen, key=lambda item: item[:2])[2] if seen else None
