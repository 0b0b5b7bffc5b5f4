"""Rule 4 while fewer than four batches of numbers were tested: what speaks against one, though hardly any surprises."""

from __future__ import annotations

from service.contract.enums import Expect, Severity
from service.contract.number_policy import NumberPolicy
from service.contract.reports.facts import MOVE
from service.learning.gate.gate import Finding
from service.learning.gate.numbers.number_measurements import Apart, BatchFigures, NumberMeasured, OneNumber
from service.learning.statistics import fisher_z
from service.learning.wording import whole_percent

BEYOND = 0.3
"""Share of the targets outside their intervals of 90 %, where a tenth is due ..."""
LEARNED = 0.2
"""... unless at least this part of their errors can be learned."""
OFF = 4 / 3
"""Median error, in intervals of 50 %, from which a unit is asked for."""
STEPS = 5.0
"""Standard errors by which targets lie to one side of the rows before ..."""
ASIDE = 0.6
"""... and standard deviations of the targets."""
SHOWN = 0.5
"""Part of such a step that the targets themselves show at least: else it is the version whose answers moved. Right
batches with such a step show 0.04 to 0.12 of it in three years of shares, where this was found, and 0.03 and 0.38 on
two of 65 other streams, whose 33 wrong ones of which it can be told show 0.68 at least. Of 93 wrong second and third
batches of six tables that set nothing, two show less than 0.74 (0.44 and 0.46), both stopped for their unit."""
LOST = 1.0
"""Standard errors by which an order fell."""
LEARNED_ANYWAY = 0.75
"""Errors once learned, over usual ones, below which a lost order is no fault."""
WORSE = 2.0
"""Standard errors by which errors, once learned, are beyond usual ones where an order is worse."""
WORSE_BY = 0.1
"""Fall of a rank correlation from which an order is worse: near 0 luck makes its z smaller ..."""
WORSE_BY_Z = 0.6
"""... and of its Fisher's z: near 1 every noise that grows a little makes that smaller."""
PART_OF_USUAL = 1 / 3
"""An order is lost where it is below this part of the usual one."""
SURPRISING = 0.1
"""Chance below which a median error surprises, where something else speaks against the batch, too."""
LOOK = "Look at some of these rows, then promote it or retract the batch."
MOVES = {"expect": Expect.MOVE}
"""Figures of what may be so on purpose."""
MEANT = f"If they were meant to move at once, as prices do, learn it {MOVE}; if not, retract the batch."


def surprises(batch: BatchFigures, policy: NumberPolicy) -> bool:
    """Whether the median error is larger than most would be, by batches before; or by intervals while these are few, if
    anything orders the targets: else those that are divided lie nearer to whatever is expected."""
    ordered = batch.order is not None and batch.order.usual > policy.unlearnable.usual_order
    return batch.median.p < SURPRISING or (ordered and batch.first is not None and batch.first.median > OFF)


def unlike_at_first(
    batch: BatchFigures, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy
) -> Finding | None:
    """What speaks against one of the first batches, of which no other shows yet what is usual: too many targets outside
    their intervals, which hardly can be learned, another unit that brings them half as near, or the rows before."""
    first, repair = batch.first, batch.repair
    if first is None or batch.novel:
        return None
    gained = repair is not None and repair.after < policy.wrong_unit.min_gain * batch.median.ratio
    if repair is not None and gained and surprises(batch, policy):
        what = (
            f"The {batch.rows:,} targets{number.of} {repair.wrong}: {repair.right} they lie less than half as far from "
            f"what version {measured.live} expects."
        )
        after = {"unit": "repaired"}
        return Finding(what, repair.after, policy.wrong_unit.max_after, Severity.HELD, LOOK, figures=after)
    if first.beyond > BEYOND and first.learned < LEARNED and not _noise_grows(first.apart, policy):
        what = (
            f"{whole_percent(first.beyond)} of the {batch.rows:,} targets{number.of} lie outside the intervals in "
            f"which version {measured.live} expects nine in ten, and learning these rows hardly brings them nearer."
        )
        return Finding(what, first.beyond, BEYOND, Severity.HELD, LOOK, figures={"unit": "percent"})
    return None if first.apart is None else _unlike_rows_before(first.apart, measured, number, policy)


def _noise_grows(apart: Apart | None, policy: NumberPolicy) -> bool:
    """Whether errors beside those on the rows before lie to no side, and targets are in hardly a worse order."""
    if apart is None or abs(apart.side) > policy.disagrees_broadly.max_bias:
        return False
    return apart.usual - apart.order <= WORSE_BY


def _unlike_rows_before(
    apart: Apart, measured: NumberMeasured, number: OneNumber, policy: NumberPolicy
) -> Finding | None:
    """What speaks against one of the first batches beside the rows before it: a step to one side where it begins, an
    order that is lost, or one that is worse, of targets that cannot be learned as well as those were."""
    targets, expects = f"targets{number.of}", f"version {measured.live} expects"
    aside = abs(apart.side) > policy.disagrees_broadly.max_bias and apart.moved > ASIDE
    if apart.steps > STEPS and aside and apart.shown > SHOWN:
        what = (
            f"The {targets} are {number.error(abs(apart.off))} {'higher' if apart.side > 0 else 'lower'} on average "
            f"than {expects}, from the first row on: a jump of {apart.steps:.0f} standard errors from where the rows "
            "before were heading."
        )
        return Finding(what, apart.steps, STEPS, Severity.HELD, MEANT, figures={**MOVES, "unit": "standard_errors"})
    were = f"(rank correlation {apart.order:.2f}, of the rows before {apart.usual:.2f})"
    lost = apart.usual > policy.unlearnable.usual_order and apart.order < PART_OF_USUAL * apart.usual
    if lost and apart.order_lost > LOST and apart.learned > LEARNED_ANYWAY:
        what = f"The order of the {targets} is unlike what {expects} {were}."
        least = PART_OF_USUAL * apart.usual
        return Finding(what, apart.order, least, Severity.HELD, LOOK, figures={"unit": "correlation"})
    by, by_z = apart.usual - apart.order, float(fisher_z(apart.usual) - fisher_z(apart.order))
    if apart.lost > LOST and apart.worse > WORSE and by > WORSE_BY and by_z > WORSE_BY_Z:
        what = (
            f"The {targets} follow the rows less than those before {were}, and once learned errors are still "
            f"{apart.learned:.1f} times those on rows before."
        )
        return Finding(what, apart.worse, WORSE, Severity.HELD, LOOK, figures={"unit": "standard_errors"})
    return None
