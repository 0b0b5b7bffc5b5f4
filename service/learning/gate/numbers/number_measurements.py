"""What the gate judges where targets are numbers: for each number of a row what its targets and its errors say.

Values and errors are in the targets' own unit; where the logarithm is learned, values are targets and errors are of the
logarithm, of which sentences make percent. Where a row has several numbers, every chance by which a rule fires is
corrected for them; a chance that clears a batch is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.contract.figures import amount
from service.contract.number_policy import NumberDisagreesBroadly
from service.learning.gate.wrong_columns import ColumnSlips
from service.learning.statistics import SURELY


@dataclass(frozen=True)
class Rise:
    """Mean error before and after on the same rows. p: chance of such a rise, p_fall: of such a fall (Wilcoxon).

    least: what a rise is relative to at least, where the error before is smaller.
    """

    rows: int
    before: float
    after: float
    p: float
    p_fall: float = 1.0
    least: float = 0.0

    @property
    def rise(self) -> float:
        """Relative: 0.05 for 5 % more."""
        size = max(self.before, self.least)
        return (self.after - self.before) / size if size else 0.0

    @property
    def gain(self) -> float:
        """The relative fall, below 0 for a rise; 0 of what may be luck."""
        return -self.rise if min(self.p, self.p_fall) < SURELY else 0.0


@dataclass(frozen=True)
class Region:
    """A fifth of the trusted rows by the base's value, or a source. `phrase`: as a sentence names it."""

    phrase: str
    change: Rise


def beyond(rise: float, settings: float) -> float:
    """The part of a rise that settings do not explain; what they won is not to be lost first."""
    return (1 + rise) / (1 + max(settings, 0.0)) - 1


@dataclass(frozen=True)
class RiseSince:
    """An earlier promoted version and the candidate on the trusted rows that both answered. `part`: trusted rows that
    came since over these · gained: `Rise.gain` of all updates since, this one among them, each on its own rows ·
    settings: how much errors on trusted rows rose by another strength, decay or lift alone, in all of them ·
    live: how much those of the live version rose, on the same rows, beside what its settings explain."""

    version: int
    change: Rise
    part: float = 0.0
    gained: float = 0.0
    settings: float = 0.0
    live: float = 0.0

    @property
    def rise(self) -> float:
        return beyond(self.change.rise, self.settings)


@dataclass(frozen=True)
class Beside:
    """A figure of a batch, and what it usually was in the last promoted ones. p: chance of one more so far off."""

    value: float
    usual: float
    p: float

    @property
    def ratio(self) -> float:
        return self.value / self.usual

    def surely(self, rule: NumberDisagreesBroadly) -> bool:
        """Whether it is no luck that it is so far off."""
        return self.p < rule.p

    def far_off(self, rule: NumberDisagreesBroadly) -> bool:
        """Whether it is an error that is surely far beyond those of the last batches."""
        return self.surely(rule) and self.ratio > rule.times


@dataclass(frozen=True)
class OwnOrder:
    """Rank correlation of targets with the answers of a head of the batch alone, out of fold.

    p: chance that such a head does as well as the median · least: that of the last five batches; None: too few ·
    beside: compared with all the last ones that had hardly more rows; None: too few.
    """

    value: float
    p: float
    least: float | None
    beside: Beside | None = None


@dataclass(frozen=True)
class Repair:
    """One repair for the targets of the batch. after: the median error then, over the usual one · slip: it is a power
    of ten or the sign, by which no world changes · divides: by how much, below 1 where it multiplies · rows: whose
    targets are not plainly right as they were sent; None: all · no_shift: targets lie nearer by it than they would if
    all of them were shifted alike; logarithms, of which a factor is a shift, less than a quarter as far as sent."""

    factor: str
    wrong: str
    right: str
    after: float
    slip: bool = False
    divides: float = 1.0
    rows: int | None = None
    no_shift: bool = False


@dataclass(frozen=True)
class Outlying:
    """Rows whose error is far beyond any of the last batches. p: chance of so many · row: the farthest, from 0."""

    rows: int
    p: float
    row: int
    target: float
    value: float


@dataclass(frozen=True)
class Commonest:
    """The commonest target of a batch. usual: the share that trusted rows make one expect · p: chance of so many."""

    target: float
    share: float
    usual: float
    p: float


@dataclass(frozen=True)
class Stopped:
    """Batches in a row that were stopped since the live version came, as many as are evidence at least, or 0 where the
    sender said that targets move. agrees: beside them this batch is no surprise."""

    batches: int
    agrees: bool


@dataclass(frozen=True)
class Apart:
    """A batch compared with the rows before it, which were answered in blocks that were left out, or as they came.

    side: its mean error beyond theirs, in usual errors; off: the same in the targets' unit, moved: in standard
    deviations of the targets, steps: in standard errors, by how mean errors differ from one fifth of a batch, and from
    one batch, to the next · shown: part of this by which targets themselves lie beyond trusted ones, 1.0 where their
    spread does not tell · order, usual: rank correlation of target and value, now and before · order_lost: standard
    errors by which it fell; lost: the same, or less where that of a head of the batch alone fell less · learned: errors
    once learned, out of fold, in usual ones; worse: how many standard errors they are beyond usual ones.
    """

    side: float
    off: float
    moved: float
    steps: float
    shown: float
    order: float
    usual: float
    order_lost: float
    lost: float
    learned: float
    worse: float


@dataclass(frozen=True)
class FirstBatches:
    """What shows while fewer than four batches were tested before. beyond: share of the targets outside the base's
    intervals of 90 % · median: median error over half of its intervals of 50 % · learned: part of the base's errors
    that the candidate does not make, out of fold · apart: None where nothing is remembered of the rows before."""

    beyond: float
    median: float
    learned: float
    apart: Apart | None = None


@dataclass(frozen=True)
class BatchFigures:
    """What the batch looks like beside the last promoted ones. mean, median: of errors, over what is usual of such
    rows · order: rank correlation of target and value · bias: mean of target - value, in usual errors; off: the same in
    the targets' unit · stopped: the batches just before it, None where they are too few to be evidence · novel: rows
    whose value of a category the live version has not learned, where hardly any others are there · first: None once
    batches show what is usual."""

    rows: int
    mean: Beside
    median: Beside
    order: Beside | None
    bias: Beside
    off: float
    error: float
    own: OwnOrder | None = None
    repair: Repair | None = None
    outliers: Outlying | None = None
    commonest: Commonest | None = None
    stopped: Stopped | None = None
    novel: int = 0
    first: FirstBatches | None = None

    @property
    def follows(self) -> bool:
        """Whether it is like the batches before it, which were stopped: then the stream has moved."""
        return self.stopped is not None and self.stopped.agrees


@dataclass(frozen=True)
class FirstNumber:
    """A first version out of fold, beside the median of the targets. p: chance that its errors are as small, or its
    values ordered as the targets are, by luck · p_skill: chance of such errors, had it the skill that is due ·
    constant: all targets are this value."""

    rows: int
    error: float
    median_error: float
    median: float
    p: float
    p_skill: float
    constant: bool = False


@dataclass(frozen=True)
class OneNumber:
    """Everything that was measured of one number of a row; None where there is no evidence.

    `among`: numbers a row · `log`: errors are of the logarithm · `harm`: base and candidate on trusted rows, `own`: on
    the update's own · `since`: each remembered version and the candidate, oldest first.
    """

    name: str
    among: int = 1
    log: bool = False
    first: FirstNumber | None = None
    batch: BatchFigures | None = None
    harm: Rise | None = None
    regions: tuple[Region, ...] = ()
    since: tuple[RiseSince, ...] = ()
    own: Rise | None = None

    @property
    def of(self) -> str:
        """What stands behind "targets" where a row has several numbers."""
        return f' of "{self.name}"' if self.among > 1 else ""

    @property
    def for_it(self) -> str:
        """What stands behind "errors" and "rows" there."""
        return f' for "{self.name}"' if self.among > 1 else ""

    def error(self, size: float) -> str:
        """An error as a sentence says it."""
        return f"{amount(100 * math.expm1(min(size, 700)))} %" if self.log else amount(size)


@dataclass(frozen=True)
class NumberMeasured:
    """An update of a number model. `live`: number of the version that answers now (the base) · `sound`: weights are
    finite and load again · `part`: rows of the update over those that the base has learned, 0 where that is not known ·
    fades: in base and candidate older batches count less; a batch that has just brought a decay does not excuse itself
    · moved: one of the last promoted batches showed that the stream has moved · new_source: that of all rows of the
    update, where the base has learned none of it · few_far: few targets of the update are far out, the others are not ·
    resettled: harm, regions and own are beside what its settings make without the batch · unpaid: they are not, since
    those settings lose more on trusted rows than they win on the batch's · nearer: figures of the batch are, too, since
    those settings answer it far nearer · beyond: which columns are far off the scale, as a sentence without its end ·
    numbering: a sentence on those of them that may only number rows.
    """

    live: int | None
    numbers: Sequence[OneNumber]
    sound: bool | None = None
    part: float = 0.0
    fades: bool = False
    moved: bool = False
    new_source: str = ""
    few_far: bool = False
    resettled: bool = False
    unpaid: bool = False
    nearer: bool = False
    columns: ColumnSlips | None = None
    beyond: str = ""
    numbering: str = ""
