"""Rules 1-4 where targets are numbers: are the batch's targets like those of the last promoted batches?"""

from __future__ import annotations

import math
from collections.abc import Callable

from service.contract.enums import Severity
from service.contract.figures import amount, percent
from service.contract.number_policy import NumberPolicy
from service.contract.reports.facts import BY_CHANCE, MOVE
from service.learning.gate.gate import Finding, silent_without
from service.learning.gate.numbers.first_batch_rules import (
    LOOK,
    MEANT,
    MOVES,
    PART_OF_USUAL,
    surprises,
    unlike_at_first,
)
from service.learning.gate.numbers.number_measurements import (
    BatchFigures,
    Beside,
    NumberMeasured,
    OneNumber,
    Outlying,
    OwnOrder,
    Repair,
    Stopped,
)
from service.learning.statistics import SURELY, fisher_z
from service.learning.wording import raised, rows, whole_percent

NumberRule = Callable[[NumberMeasured, OneNumber, NumberPolicy], Finding]
"""What a rule finds of one number of a row."""

FOLLOWS = 0.1
"""Own order above which, if it is no luck, the targets follow a rule of their own."""
USUAL_ORDER = 0.2
"""Usual order above which its loss contradicts the live version."""
LOST = 0.5
"""An order is lost below this part of such a usual one."""
SAME_ROWS = 10
"""Rows of a batch from which their being one value means something."""
SAME_P = 1e-3
"""Chance below which their being one value is none."""
WIDER = 1.25
"""What is left after a repair that halves the errors may lie so many times as far from the usual."""
NEW_ROWS = 20
"""Rows with new values from which a slip is a mistake where it halves their errors, and no shift explains as much."""
LARGE = 100.0
"""Power of ten that no change of the world is mistaken for, if division by it ..."""
PART_OF_FACTOR = 1 / 3
"""... brings errors down by at least this part of it ..."""
NEAR = 3.0
"""... to at most so many times the usual ..."""
CUT = 3.0
"""... or three times as many, where inputs are cut off: right targets of such rows lie farther off, too."""
NEARLY = 0.95
"""Part of the targets beyond which a few that are right as they were sent may be so by chance."""
NOVEL = "of a category that version"
"""Stands in what a rule says of a batch whose rows have new values."""
NO_LINK = 4.0
"""Standard errors of a rank correlation, 1 / sqrt(rows - 3), from which the usual order would show in a batch."""
SHOWS = 2.5
"""Standard errors by which own order is below the least of the last batches where it is lost."""


def _batch(measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> BatchFigures | str:
    return number.batch or "Nothing shows yet what is usual of a batch."


def excuse(batch: BatchFigures, live: int | None) -> str:
    """Why a batch that is unlike the promoted ones may pass: it has values that the live version cannot know, or so
    were those before it, and the stream has moved. "" where nothing excuses it."""
    if batch.novel:
        have = "row has a value" if batch.novel == 1 else "rows have values"
        return f"{batch.novel:,} {have} {NOVEL} {live} has not learned."
    return _moved(batch.stopped) if batch.stopped is not None and batch.follows else ""


def _moved(stopped: Stopped) -> str:
    if not stopped.batches:
        return "That was expected: targets move at once."
    n = stopped.batches
    before = "the batch before it, which was" if n == 1 else f"the {n} before it, which were"
    return f"It is like {before} stopped: what comes has changed for good."


def _as_usual(batch: BatchFigures) -> str:
    return f"The errors of {rows(batch.rows)} are {_times(batch.mean)} as large as usual."


def _may_be_chance(figure: Beside, beyond: bool) -> str:
    """Why errors that are beyond a limit may pass."""
    return f" So much more may be chance (p = {figure.p:.2g}), {BY_CHANCE}" if beyond else ""


def _times(figure: Beside) -> str:
    return f"{figure.ratio:.1f} times" if figure.ratio < 9.95 else f"{figure.ratio:,.0f} times"


@silent_without(_batch)
def wrong_unit(batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 2: errors are far off, and one repair of all targets mends them."""
    rule, usually, repair, median = policy.wrong_unit, policy.disagrees_broadly, batch.repair, batch.median.ratio
    off = batch.mean.far_off(usually) or batch.median.far_off(usually)
    usual = Finding(f"Nothing speaks for another unit. {_as_usual(batch)}", limit=rule.max_after)
    beyond_repair = f"{_as_usual(batch)} No change of the unit would mend that."
    if repair is None:
        return Finding(beyond_repair, None, rule.max_after) if off else usual
    gained = repair.after < rule.min_gain * median
    plain = gained and surprises(batch, policy) and not batch.novel  # another shop may well be 3.6 times as dear
    slip = repair.slip and batch.follows  # that others erred alike shows no move
    gross = gained and repair.slip and repair.no_shift and batch.novel >= NEW_ROWS
    near = NEAR * CUT if measured.beyond else NEAR
    large = _divided_by_much(repair, median, near)
    if not (off or plain or slip or gross or large):
        return usual
    limit = rule.min_gain * median
    if large and not gross:
        limit = min(near, limit)
    elif not gross:
        limit = min(rule.max_after * (WIDER if plain else 1.0), limit)
    if repair.after >= limit:
        return Finding(beyond_repair, repair.after, rule.max_after)
    fits = repair.after < rule.max_after * WIDER
    mended = batch.rows if repair.rows is None else repair.rows
    what = _in_another_unit(repair, mended, batch.rows, number, measured.live, fits)
    figures = {"rows": batch.rows, "mended" if fits else "nearer": mended}
    least = limit if gross or large else rule.max_after
    remedy = "Send the rows again in the usual unit."
    return Finding(what, repair.after, least, Severity.REJECTED, remedy, figures=figures)


def _in_another_unit(repair: Repair, mended: int, sent: int, number: OneNumber, live: int | None, fits: bool) -> str:
    """What is wrong with so many of the targets that were sent, and that they fit once repaired, or lie nearer."""
    if sent == 1:
        targets, fit, lie = "The target", "it fits", "it lies"
        wrong = repair.wrong.replace("look", "looks", 1).replace("they", "it")
    else:
        every = "All" if mended == sent else "Nearly all"
        many = f"{every} {sent:,}" if mended > NEARLY * sent else f"{mended:,} of {sent:,}"
        targets, fit, lie = f"{many} targets", "they fit", "they lie"
        wrong = repair.wrong
    repaired = f"{fit} version {live}" if fits else f"{lie} far nearer to what version {live} expects"
    return f"{targets}{number.of} {wrong}: {repair.right} {repaired}."


def _divided_by_much(repair: Repair, median: float, near: float) -> bool:
    """Whether it divides by a large power of ten, and errors fall by about as much, as by no shift of all targets."""
    much = repair.slip and repair.no_shift and repair.divides >= LARGE
    return much and repair.after <= near and repair.after * repair.divides * PART_OF_FACTOR <= median


@silent_without(_batch)
def one_value(batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 2: nearly all targets are one value, and nothing makes one expect it."""
    common, limit = batch.commonest, policy.one_value.min_excess
    if common is None:
        return Finding("There are no trusted rows yet to compare with.", limit=limit, evidence=False)
    excess = common.share - common.usual
    if excess < limit:
        most = f"{percent(common.share)} of the {batch.rows:,} targets{number.of} are {amount(common.target)}"
        what = f"No value is too common: at most {most}; {percent(common.usual)} would be usual."
        return Finding(what, excess, limit)
    most = "All" if common.share == 1 else f"{whole_percent(common.share)} of the"
    usual = whole_percent(common.usual) if common.usual >= 0.005 else "hardly any"
    what = f"{most} {batch.rows:,} targets{number.of} are {amount(common.target)}, where {usual} would be usual."
    if batch.rows < SAME_ROWS or common.p >= SAME_P:
        return Finding(f"{what} Of so few rows that may be chance, {BY_CHANCE}", excess, limit)
    return Finding(what, excess, limit, Severity.REJECTED, "Was a default filled in for values that are not known?")


@silent_without(_batch)
def unlearnable(batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 1: a head of the batch alone finds nothing, where it always found something, or where targets contradict the
    base or have no link to what it expects as well."""
    own, rule = batch.own, policy.unlearnable
    if own is None:
        return Finding("Too few rows to learn from alone.", limit=rule.min_order, evidence=False)
    says = _alone(own, batch)
    usually = own.least is not None and own.least > rule.usual_order
    least = own.least if usually and own.least is not None else 0.0
    fell = float(fisher_z(least) - fisher_z(own.value)) * math.sqrt(max(batch.rows - 3, 0)) > SHOWS
    lost = usually and fell and own.p >= rule.p and own.value < min(rule.min_order, least * PART_OF_USUAL)
    unlike = _contradicts(batch, policy) and not batch.follows
    if lost or (unlike and not (own.p < rule.p and own.value > FOLLOWS)) or _no_link(own, batch, policy):
        before = f", where in the last batches it was {least:.2f} at least" if lost else ""
        what = f"The targets{number.of} look shuffled: {says}{before}."
        return Finding(what, own.value, rule.min_order, Severity.REJECTED, "Do rows and targets still belong together?")
    chance = _may_be_usual(own, rule.p) if own.value < rule.min_order else ""
    return Finding(f"{raised(says)}.{chance}", own.value, rule.min_order)


def _may_be_usual(own: OwnOrder, p: float) -> str:
    """Why an order that is below its limit may pass."""
    if own.p < p:
        return f" That is more than chance gives, {BY_CHANCE}"
    known = "No batch before shows" if own.least is None else f"The last batches ({own.least:.2f} at least) do not show"
    return f" {known} that this is lost and not chance, {BY_CHANCE}"


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
    shows = float(fisher_z(order.usual)) * math.sqrt(max(batch.rows - 3, 0)) > NO_LINK
    return order.usual > rule.usual_order and max(own.value, order.value) < FOLLOWS and shows


def _contradicts(batch: BatchFigures, policy: NumberPolicy) -> bool:
    """Whether errors are far off or the order is lost, and what is left of the order is less than half."""
    order = batch.order
    if order is None or order.usual <= USUAL_ORDER or order.value >= LOST * order.usual:
        return False
    return batch.mean.far_off(policy.disagrees_broadly) or order.surely(policy.disagrees_broadly)


@silent_without(_batch)
def contradicts_everything(
    batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy
) -> Finding:
    """Rule 2: errors of most rows are beyond any usual batch's."""
    limit, mean, median = policy.contradicts_everything.times, batch.mean.ratio, batch.median.ratio
    value = min(mean, median)
    if not batch.mean.far_off(policy.disagrees_broadly) or value <= limit:
        return Finding(f"{_as_usual(batch)}{_may_be_chance(batch.mean, value > limit)}", value, limit)
    what = (
        f"The {batch.rows:,} targets{number.of} are {_times(batch.mean)} as far as usual from what version "
        f"{measured.live} expects (off by {number.error(batch.error)} on average)."
    )
    remedy = (
        "Are they targets of this model, in its unit? Do rows and targets still belong together? If they moved on "
        f"purpose, learn them {MOVE}."
    )
    return Finding(what, value, limit, Severity.REJECTED, remedy, figures=MOVES)


@silent_without(_batch)
def outliers(batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Rule 3: a few targets are far beyond any error of the last batches."""
    far, rule = batch.outliers, policy.outliers
    if far is None:
        return Finding("Too few errors are known to say what is far.", limit=rule.p, evidence=False)
    if not far.rows:
        return Finding("No target is far beyond the errors of the last batches.", far.p, rule.p)
    are = "target is" if far.rows == 1 else "targets are"
    what = (
        f"{far.rows:,} of {batch.rows:,} {are} far beyond any error that version {measured.live} made{number.for_it} "
        f"({_farthest(far)})."
    )
    if far.p >= rule.p:
        return Finding(what, far.p, rule.p)
    remedy = "Look at the listed rows, then promote it or send the batch without them."
    return Finding(what, far.p, rule.p, Severity.HELD, remedy)


def _farthest(far: Outlying) -> str:
    return f"row {far.row}, counted from 0, says {amount(far.target)} where it expects {amount(far.value)}"


@silent_without(_batch)
def disagrees_broadly(
    batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy
) -> Finding:
    """Rule 4: the batch is unlike the last ones. It passes where one head learned it and old rows alike: errors on its
    own rows surely fell, and those on trusted rows did not rise."""
    made, harm, own = _unlike(batch, measured, number, policy), number.harm, number.own
    if made.fires is None:
        return unlike_at_first(batch, measured, number, policy) or made
    if harm is None or own is None:
        return made
    few = harm.rows < policy.forgets.min_rows or own.rows < policy.learned_nothing.min_rows
    if few or harm.rise > 0 or own.p_fall >= SURELY:
        return made
    both = f"Both can be right: learned, its own errors fell, and those on {rows(harm.rows)} of before did not rise."
    return Finding(f"{made.what} {both}", made.value, made.limit, figures=made.figures)


def _unlike(batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy) -> Finding:
    """Errors are larger than usual, lie to one side, or the order of targets is another; or the targets follow the rows
    less than usual, which a head of the batch alone tells whatever the base expects."""
    rule, bias, order, own, far = policy.disagrees_broadly, batch.bias, batch.order, batch.own, batch.outliers
    largest = max(batch.mean, batch.median, key=lambda figure: (figure.far_off(rule), figure.ratio))
    if largest.far_off(rule):
        what = (
            f"The {'errors' if largest is batch.mean else 'median error'} of {rows(batch.rows)}{number.for_it} "
            f"{'are' if largest is batch.mean else 'is'} {_times(largest)} as large as usual (off by "
            f"{number.error(batch.error)} on average)."
        )
        return Finding(what, largest.ratio, rule.times, Severity.HELD, MEANT, figures=MOVES)
    if bias.surely(rule) and abs(bias.value) > max(rule.max_bias, abs(bias.usual)):
        also = (
            f" {far.rows:,} of {batch.rows:,} are far beyond any other ({_farthest(far)})." if far and far.rows else ""
        )
        what = (
            f"The targets{number.of} are {number.error(abs(batch.off))} {'higher' if bias.value > 0 else 'lower'} on "
            f"average than version {measured.live} expects: {abs(bias.value):.1f} usual errors.{also}"
        )
        figures = {**MOVES, "unit": "usual_errors"}
        return Finding(what, abs(bias.value), rule.max_bias, Severity.HELD, MEANT, figures=figures)
    if order is not None and order.surely(rule):
        what = (
            f"The order of the targets{number.of} is unlike what version {measured.live} expects (rank correlation "
            f"{order.value:.2f}, usually {order.usual:.2f})."
        )
        return Finding(what, order.p, rule.p, Severity.HELD, LOOK, figures={"unit": "chance"})
    if own is not None and own.beside is not None and own.beside.surely(rule):
        usually = f"{_alone(own, batch)}, usually {own.beside.usual:.2f}"
        what = f"The targets{number.of} follow the rows less than usual: {usually}."
        return Finding(what, own.beside.p, rule.p, Severity.HELD, LOOK, figures={"unit": "chance"})
    chance = _may_be_chance(largest, largest.ratio > rule.times)
    return Finding(f"{_as_usual(batch)}{chance}", largest.ratio, rule.times)
