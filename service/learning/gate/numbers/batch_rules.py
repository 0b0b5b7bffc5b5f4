"""Rules 1-4 where targets are numbers: are the batch's targets like those of the last promoted batches?"""

from __future__ import annotations

import math
from collections.abc import Callable

from service.contract.enums import Severity
from service.contract.number_policy import NumberPolicy
from service.contract.report import BY_CHANCE
from service.learning.gate.gate import Finding
from service.learning.gate.numbers.number_measurements import (
    SURELY,
    Apart,
    BatchFigures,
    Beside,
    NumberMeasured,
    OneNumber,
    Outlying,
    OwnOrder,
    Stopped,
)
from service.learning.wording import amount, rows, whole_percent

NumberRule = Callable[[NumberMeasured, OneNumber, NumberPolicy], Finding]
"""What a rule finds of one number of a row."""
BatchRule = Callable[[NumberMeasured, OneNumber, BatchFigures, NumberPolicy], Finding]
"""What it finds where something shows what is usual of a batch."""

FOLLOWS = 0.1
"""Own order above which, if it is no luck, the targets follow a rule of their own."""
PART_OF_USUAL = 1 / 3
"""Of the usual own order: what is left of it is below this."""
LOST, ONCE = 0.5, 0.2
"""An order is lost below this part of the usual one, where that is above the second."""
SAME_ROWS, SAME_P = 10, 1e-3
"""Rows of a batch from which their being one value means something, and the chance below which it is none."""
PLAINLY_P, PLAINLY_WIDER = 0.1, 1.25
"""A repair that halves the errors is evidence of its own: then less surprise is asked for, since after a few batches
hardly anything surprises, and what is left may lie a little farther from the usual. Of 483 right batches of ten streams
none would be halved to less than 1.4 times the usual by any repair, where so large errors have a chance below 0.15."""
NEW_ROWS = 20
"""Rows with new values from which a power of ten or the sign is a mistake where it halves their errors and no shift
explains them as well: of 125 right batches that were live none is stopped, of 359 harmful ones by such mistakes 143
were live and 74 are."""
NEARLY = 0.95
"""Part of the targets beyond which a few that are right as they were sent may be so by chance."""
NO_LINK = 4.0
"""Standard errors of a rank correlation, 1 / sqrt(rows - 3), from which the usual order would show in a batch. Where
targets follow neither the rows nor the base, nothing more is needed: after a batch or two no figure surprises yet."""
SHOWS = 2.5
"""Standard errors by which own order is below the least of the last batches where it is lost: of 900 right batches four
of 40 to 90 rows seemed shuffled, with this two."""
LOOK = "Look at some of these rows, then promote it or retract the batch."
BEYOND_AT_FIRST, LEARNED_AT_FIRST, OFF_AT_FIRST = 0.3, 0.2, 4 / 3
"""While fewer than four batches were tested: share of the targets outside their intervals, where a tenth is due, though
less than that part of their errors can be learned; and the median error, in intervals of 50 %, from which a unit is
asked for."""
STEPS, ASIDE, LOST_AT_FIRST, LEARNED_ANYWAY, WORSE = 5.0, 0.6, 1.0, 0.75, 2.0
"""Then, too, beside the rows before: standard errors and standard deviations of the targets that they lie to one side;
standard errors by which orders fell; errors once learned, in usual ones, below which a lost order is no fault; and
standard errors that these are beyond usual ones where an order is worse. On 40 tables that set none of them 73 of 916
harmful second and third batches go live; on 248, of targets as they are, 26 of 642 right ones are stopped."""
WORSE_BY, WORSE_BY_Z = 0.1, 0.6
"""Falls of a rank correlation, and of its Fisher's z, from which an order is worse: near 1 every noise that grows a
little makes a z smaller, near 0 luck makes a correlation so."""
MEANT = 'If they were meant to move at once, as prices do, learn it with "expect": "move"; if not, retract the batch.'


def _of_batch(rule: BatchRule) -> NumberRule:
    """Makes a rule over the batch silent where nothing shows what is usual."""

    def finding(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
        if number.batch is None:
            return Finding("Nothing shows yet what is usual of a batch.", evidence=False)
        return rule(measured, number, number.batch, policy)

    return finding


def _unless_excused(rule: BatchRule) -> BatchRule:
    """Lets pass what a rule over the batch finds where most rows have values that the live version cannot know, or
    where it found it of those before, too: the stream has moved."""

    def finding(measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy) -> Finding:
        made = rule(measured, number, batch, policy)
        if made.fires is None:
            return made
        if batch.novel:
            have = "row has a value" if batch.novel == 1 else "rows have values"
            excuse = f"{batch.novel:,} {have} of a category that version {measured.live} has not learned."
        elif batch.stopped is not None and batch.follows:
            excuse = moved(batch.stopped)
        else:
            return made
        return Finding(f"{made.what} {excuse}", made.value, made.limit)

    return finding


def moved(stopped: Stopped) -> str:
    """Why a batch that is unlike the promoted ones may pass."""
    if not stopped.batches:
        return "That was expected: targets move at once."
    before = (
        "the batch before it, which was" if stopped.batches == 1 else f"the {stopped.batches} before it, which were"
    )
    return f"It is like {before} stopped: the stream has moved."


def _ratio(figure: Beside) -> float:
    return figure.value / figure.usual


def _surely(figure: Beside | None, policy: NumberPolicy) -> bool:
    return figure is not None and figure.p < policy.disagrees_broadly.p


def _far_off(figure: Beside, policy: NumberPolicy) -> bool:
    """Whether errors are far beyond those of the last batches."""
    return _surely(figure, policy) and _ratio(figure) > policy.disagrees_broadly.times


def _as_usual(batch: BatchFigures) -> str:
    return f"The errors of {rows(batch.rows)} are {_times(batch.mean)} as large as usual."


def _may_be_chance(figure: Beside, beyond: bool) -> str:
    """Why errors that are beyond a limit may pass."""
    return f" So much more may be chance (p = {figure.p:.2g}), {BY_CHANCE}" if beyond else ""


def _times(figure: Beside) -> str:
    ratio = _ratio(figure)
    return f"{ratio:.1f} times" if ratio < 9.95 else f"{ratio:,.0f} times"


@_of_batch
def wrong_unit(measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy) -> Finding:
    """Rule 2: errors are far off, and one repair of all targets mends them."""
    rule, repair, median = policy.wrong_unit, batch.repair, _ratio(batch.median)
    off = _far_off(batch.mean, policy) or _far_off(batch.median, policy)
    gained = repair is not None and repair.after < rule.min_gain * median
    plain = gained and _surprises(batch, policy) and not batch.novel  # another shop may well be 3.6 times as dear
    slip = repair is not None and repair.slip and batch.follows  # that others erred alike shows no move
    gross = gained and repair is not None and repair.slip and repair.no_shift and batch.novel >= NEW_ROWS
    if not off and not plain and not slip and not gross:
        return Finding(_as_usual(batch), limit=rule.max_after)
    limit = rule.min_gain * median
    limit = limit if gross else min(rule.max_after * (PLAINLY_WIDER if plain else 1.0), limit)
    if repair is None or repair.after >= limit:
        what = f"{_as_usual(batch)} No change of the unit would mend that."
        return Finding(what, repair.after if repair else None, rule.max_after)
    one, mended = batch.rows == 1, batch.rows if repair.rows is None else repair.rows
    every = "All" if mended == batch.rows else "Nearly all"
    many = f"{every} {batch.rows:,}" if mended > NEARLY * batch.rows else f"{mended:,} of {batch.rows:,}"
    targets = "The target" if one else f"{many} targets"
    wrong = repair.wrong.replace("look", "looks", 1).replace("they", "it") if one else repair.wrong
    fit = f"{'it fits' if one else 'they fit'} version {measured.live}"
    if repair.after >= rule.max_after * PLAINLY_WIDER:
        fit = f"{'it lies' if one else 'they lie'} far nearer to what version {measured.live} expects"
    what, remedy = f"{targets}{number.of} {wrong}: {repair.right} {fit}.", "Send the rows again in the usual unit."
    return Finding(what, repair.after, limit if gross else rule.max_after, Severity.REJECTED, remedy)


def _surprises(batch: BatchFigures, policy: NumberPolicy) -> bool:
    """Whether the median error is larger than most would be, by batches before; or by intervals while these are few, if
    anything orders the targets: else those that are divided lie nearer to whatever is expected."""
    ordered = batch.order is not None and batch.order.usual > policy.unlearnable.usual_order
    return batch.median.p < PLAINLY_P or (ordered and batch.first is not None and batch.first.median > OFF_AT_FIRST)


@_of_batch
def one_value(measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy) -> Finding:
    """Rule 2: nearly all targets are one value, and nothing makes one expect it."""
    common, limit = batch.commonest, policy.one_value.min_excess
    if common is None:
        return Finding("There are no trusted rows yet to compare with.", limit=limit, evidence=False)
    excess = common.share - common.usual
    most = "All" if common.share == 1 else f"{whole_percent(common.share)} of the"
    usual = whole_percent(common.usual) if common.usual >= 0.005 else "hardly any"
    what = f"{most} {batch.rows:,} targets{number.of} are {amount(common.target)}, where {usual} would be usual."
    if batch.rows < SAME_ROWS or excess < limit or common.p >= SAME_P:
        chance = f" Of so few rows that may be chance, {BY_CHANCE}" if excess >= limit else ""
        return Finding(f"{what}{chance}", excess, limit)
    return Finding(what, excess, limit, Severity.REJECTED, "Was a default filled in for values that are not known?")


@_of_batch
def unlearnable(measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy) -> Finding:
    """Rule 1: a head of the batch alone finds nothing, where it always found something, or where targets contradict the
    base or have no link to what it expects as well."""
    own, rule = batch.own, policy.unlearnable
    if own is None:
        return Finding("Too few rows to learn from alone.", limit=rule.min_order, evidence=False)
    says = _alone(own, batch)
    usually = own.least is not None and own.least > rule.usual_order
    least = own.least if usually and own.least is not None else 0.0
    fell = (_widened(least) - _widened(own.value)) * math.sqrt(max(batch.rows - 3, 0)) > SHOWS
    lost = usually and fell and own.p >= rule.p and own.value < min(rule.min_order, least * PART_OF_USUAL)
    unlike = _contradicts(batch, policy) and not batch.follows
    if lost or (unlike and not (own.p < rule.p and own.value > FOLLOWS)) or _no_link(own, batch, policy):
        before = f", where in the last batches it was {least:.2f} at least" if lost else ""
        what = f"The targets{number.of} look shuffled: {says}{before}."
        return Finding(what, own.value, rule.min_order, Severity.REJECTED, "Do rows and targets still belong together?")
    chance = _may_be_usual(own, rule.p) if own.value < rule.min_order else ""
    return Finding(f"{says[0].upper()}{says[1:]}.{chance}", own.value, rule.min_order)


def _may_be_usual(own: OwnOrder, p: float) -> str:
    """Why an order that is below its limit may pass."""
    if own.p < p:
        return f" That is more than chance gives, {BY_CHANCE}"
    known = "No batch before shows" if own.least is None else f"The last batches ({own.least:.2f} at least) do not show"
    return f" {known} that this is lost and not chance, {BY_CHANCE}"


def _widened(order: float) -> float:
    """A rank correlation as Fisher's z."""
    return math.atanh(min(max(order, -0.999), 0.999))


def _alone(own: OwnOrder, batch: BatchFigures) -> str:
    return (
        f"a model of these {rows(batch.rows)} alone predicts the order of their targets with a rank correlation of "
        f"{own.value:.2f} (0: by chance, 1: exactly)"
    )


def _no_link(own: OwnOrder, batch: BatchFigures, policy: NumberPolicy) -> bool:
    """Whether targets follow neither the rows nor the base, where so many rows would show what is usual."""
    order, rule = batch.order, policy.unlearnable
    if order is None or batch.novel or batch.follows or own.p < rule.p:
        return False
    shows = _widened(order.usual) * math.sqrt(max(batch.rows - 3, 0)) > NO_LINK
    return order.usual > rule.usual_order and max(own.value, order.value) < FOLLOWS and shows


def _contradicts(batch: BatchFigures, policy: NumberPolicy) -> bool:
    """Whether errors are far off or the order is lost, and what is left of the order is less than half."""
    order = batch.order
    if order is None or order.usual <= ONCE or order.value >= LOST * order.usual:
        return False
    return _far_off(batch.mean, policy) or _surely(order, policy)


@_of_batch
@_unless_excused
def contradicts_everything(
    measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy
) -> Finding:
    """Rule 2: errors of most rows are beyond any usual batch's."""
    limit, mean, median = policy.contradicts_everything.times, _ratio(batch.mean), _ratio(batch.median)
    value = min(mean, median)
    if not _far_off(batch.mean, policy) or value <= limit:
        return Finding(f"{_as_usual(batch)}{_may_be_chance(batch.mean, value > limit)}", value, limit)
    what = f"The {batch.rows:,} targets{number.of} are {_times(batch.mean)} as far as usual from what version "
    what += f"{measured.live} expects (off by {number.error(batch.error)} on average)."
    remedy = "Are they targets of this model, in its unit? Do rows and targets still belong together? "
    remedy += 'If they moved on purpose, learn them with "expect": "move".'
    return Finding(what, value, limit, Severity.REJECTED, remedy)


@_of_batch
@_unless_excused
def outliers(measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy) -> Finding:
    """Rule 3: a few targets are far beyond any error of the last batches."""
    far, rule = batch.outliers, policy.outliers
    if far is None:
        return Finding("Too few errors are known to say what is far.", limit=rule.p, evidence=False)
    if not far.rows:
        return Finding("No target is far beyond the errors of the last batches.", far.p, rule.p)
    are = "target is" if far.rows == 1 else "targets are"
    what = f"{far.rows:,} of {batch.rows:,} {are} far beyond any error that version {measured.live} made"
    what = f"{what}{number.for_it} ({_farthest(far)})."
    if far.p >= rule.p:
        return Finding(what, far.p, rule.p)
    remedy = "Look at the listed rows, then promote it or send the batch without them."
    return Finding(what, far.p, rule.p, Severity.HELD, remedy)


def _farthest(far: Outlying) -> str:
    return f"row {far.row + 1} says {amount(far.target)} where it expects {amount(far.value)}"


@_of_batch
@_unless_excused
def disagrees_broadly(
    measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy
) -> Finding:
    """Rule 4: the batch is unlike the last ones. It passes where one head learned it and old rows alike: errors on its
    own rows surely fell, and those on trusted rows did not rise."""
    made, harm, own = _unlike(measured, number, batch, policy), number.harm, number.own
    if made.fires is None:
        return _unlike_at_first(measured, number, batch, policy) or made
    if harm is None or own is None:
        return made
    few = harm.rows < policy.forgets.min_rows or own.rows < policy.learned_nothing.min_rows
    if few or harm.rise > 0 or own.p_fall >= SURELY:
        return made
    both = f"Both can be right: learned, its own errors fell, and those on {rows(harm.rows)} of before did not rise."
    return Finding(f"{made.what} {both}", made.value, made.limit)


def _unlike(measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy) -> Finding:
    """Errors are larger than usual, lie to one side, or the order of targets is another; or the targets follow the rows
    less than usual, which a head of the batch alone tells whatever the base expects."""
    rule, mean, median, far = policy.disagrees_broadly, batch.mean, batch.median, batch.outliers
    largest = max(mean, median, key=lambda figure: (_far_off(figure, policy), _ratio(figure)))
    if _far_off(largest, policy):
        what = f"{'The errors' if largest is mean else 'Half of the errors'} of {rows(batch.rows)}{number.for_it} are "
        what += f"{_times(largest)} as large as usual"
        what += f" (off by {number.error(batch.error)} on average)."
        return Finding(what, _ratio(largest), rule.times, Severity.HELD, MEANT)
    if _surely(batch.bias, policy) and abs(batch.bias.value) > max(rule.max_bias, abs(batch.bias.usual)):
        side = "higher" if batch.bias.value > 0 else "lower"
        what = f"The targets{number.of} are {number.error(abs(batch.off))} {side} on average than version "
        what += f"{measured.live} expects: {abs(batch.bias.value):.1f} usual errors."
        what += (
            f" {far.rows:,} of {batch.rows:,} are far beyond any other ({_farthest(far)})." if far and far.rows else ""
        )
        return Finding(what, abs(batch.bias.value), rule.max_bias, Severity.HELD, MEANT)
    if batch.order is not None and _surely(batch.order, policy):
        what = f"The order of the targets{number.of} is unlike what version {measured.live} expects (rank correlation "
        what += f"{batch.order.value:.2f}, usually {batch.order.usual:.2f})."
        return Finding(what, batch.order.p, rule.p, Severity.HELD, LOOK)
    own = batch.own
    if own is not None and own.beside is not None and _surely(own.beside, policy):
        what = f"The targets{number.of} follow the rows less than usual: {_alone(own, batch)}, usually "
        what += f"{own.beside.usual:.2f}."
        return Finding(what, own.beside.p, rule.p, Severity.HELD, LOOK)
    chance = _may_be_chance(largest, _ratio(largest) > rule.times)
    return Finding(f"{_as_usual(batch)}{chance}", _ratio(largest), rule.times)


def _unlike_at_first(
    measured: NumberMeasured, number: OneNumber, batch: BatchFigures, policy: NumberPolicy
) -> Finding | None:
    """What speaks against one of the first batches, of which no other shows yet what is usual: too many targets outside
    their intervals, which hardly can be learned, another unit that brings them half as near, or the rows before."""
    first, repair = batch.first, batch.repair
    if first is None or batch.novel:
        return None
    if (
        repair is not None
        and _surprises(batch, policy)
        and repair.after < policy.wrong_unit.min_gain * _ratio(batch.median)
    ):
        what = f"The {batch.rows:,} targets{number.of} {repair.wrong}: {repair.right} they lie less than half as far "
        what += f"from what version {measured.live} expects."
        return Finding(what, repair.after, policy.wrong_unit.max_after, Severity.HELD, LOOK)
    beyond = (
        f"{whole_percent(first.beyond)} of the {batch.rows:,} targets{number.of} lie outside the intervals in which "
    )
    beyond += f"version {measured.live} expects nine in ten"
    if first.beyond > BEYOND_AT_FIRST and first.learned < LEARNED_AT_FIRST and not _noise_grows(first.apart, policy):
        what = f"{beyond}, and learning these rows hardly brings them nearer."
        return Finding(what, first.beyond, BEYOND_AT_FIRST, Severity.HELD, LOOK)
    return None if first.apart is None else _apart_at_first(measured, number, first.apart, policy)


def _noise_grows(apart: Apart | None, policy: NumberPolicy) -> bool:
    """Whether errors beside those on the rows before lie to no side, and targets are in hardly a worse order."""
    if apart is None or abs(apart.side) > policy.disagrees_broadly.max_bias:
        return False
    return apart.usual - apart.order <= WORSE_BY


def _apart_at_first(measured: NumberMeasured, number: OneNumber, apart: Apart, policy: NumberPolicy) -> Finding | None:
    """What speaks against one of the first batches beside the rows before it: a step to one side where it begins, an
    order that is lost, or one that is worse, of targets that cannot be learned as well as those were."""
    targets, expects = f"targets{number.of}", f"version {measured.live} expects"
    if apart.steps > STEPS and abs(apart.side) > policy.disagrees_broadly.max_bias and apart.moved > ASIDE:
        what = f"The {targets} are {number.error(abs(apart.off))} {'higher' if apart.side > 0 else 'lower'} on average "
        what += f"than {expects}, from the first row on: a step of {apart.steps:.0f} standard errors beside the course "
        return Finding(f"{what}of the rows before.", apart.steps, STEPS, Severity.HELD, MEANT)
    were = f"(rank correlation {apart.order:.2f}, of the rows before {apart.usual:.2f})"
    lost = apart.usual > policy.unlearnable.usual_order and apart.order < PART_OF_USUAL * apart.usual
    if lost and apart.order_lost > LOST_AT_FIRST and apart.learned > LEARNED_ANYWAY:
        what = f"The order of the {targets} is unlike what {expects} {were}."
        return Finding(what, apart.order, PART_OF_USUAL * apart.usual, Severity.HELD, LOOK)
    by, by_z = apart.usual - apart.order, _widened(apart.usual) - _widened(apart.order)
    if apart.lost > LOST_AT_FIRST and apart.worse > WORSE and by > WORSE_BY and by_z > WORSE_BY_Z:
        what = f"The {targets} follow the rows less than those before {were}, and once learned errors are still "
        what += f"{apart.learned:.1f} times those on rows before."
        return Finding(what, apart.worse, WORSE, Severity.HELD, LOOK)
    return None
