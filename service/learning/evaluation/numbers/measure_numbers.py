"""Measures an update of a number model for the gate: its batch beside earlier ones, errors before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from service.contract.figures import amount
from service.contract.reports.number_report import FEW_ROWS
from service.learning.data.rows import Bools, Floats, Ints
from service.learning.evaluation.assessment import places_of_same
from service.learning.evaluation.numbers.batch.comparison import Usual, chance, figures_of, outliers, own_order
from service.learning.evaluation.numbers.batch.figures import ROUNDING, Figures, error_sizes
from service.learning.evaluation.numbers.batch.first_batches import first_batches
from service.learning.evaluation.numbers.batch.recent_batches import (
    familiar,
    just_moved,
    novel_rows,
    of_first_version,
    ratios,
    recent,
)
from service.learning.evaluation.numbers.batch.repairs import best_repair
from service.learning.evaluation.numbers.batch.stopped import stopped
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.gate.numbers.number_measurements import (
    BatchFigures,
    Commonest,
    FirstNumber,
    NumberMeasured,
    OneNumber,
    Region,
    Rise,
    RiseSince,
    beyond,
)
from service.learning.statistics import SURELY, at_least, holm, ordered_by_chance, signed_rank

FIFTHS = 5
"""Regions by the base's value."""
SHARED = 0.75
"""Part of today's trusted rows that an earlier version must have answered. It knew what it answers of fewer from little
else: of eight honest streams the rows of a twentieth to a half of all updates were 10 % worse than by some earlier
version, and with three quarters of them in common none were but after a jump."""
REAL = 0.5
"""Part of the error on rows to come that a rise is relative to at least. A head of 1,000 features that knew seven weeks
of half-hourly demand was off by 0.05 on other rows of these, and by 0.74 on the next. Of demand's second week, before
which none was tested, the right rows were stopped in three of eight divisions into folds (0.035 to 0.061 on 67 trusted
rows) until errors on blocks of the first week counted (0.17), and are in none."""
SHRUNK = 2.0**-9
"""Errors that rises are relative to at least, in units: below it they are what shrinkage leaves of targets without
noise, 7 to 11 % more of it out of fold, where as much shrinks fewer rows."""
FAR = 12.0
"""Until tested batches say what is usual, a target is far off where its error is so many times the median of its batch:
no normal error lies there, of Laplace's 2 in 10,000, of Student's with three degrees of freedom 3 in 1,000. Three
of 120 made-up rows with ten times their target lie 14 to 40 medians off, by heads that learned the other two."""
FAR_NEARER = 0.75
"""Part of the base's errors on a batch below which a head of the same rows in other settings takes its place there."""
SAME = 1e-12
"""Targets closer than this, relative, are all one."""


def beside_median(goals: Floats, answers: Floats) -> Floats:
    """Errors over the median of each number, 0 for a row without an answer. goals, answers [n, k] -> [n, k]"""
    error = np.abs(goals - answers)
    answered = np.asarray(np.isfinite(error).all(1))
    if not answered.any():
        return np.zeros_like(error)
    usual = np.maximum(np.median(error[answered], axis=0), SHRUNK)
    return np.where(answered[:, None], error / usual, 0.0)


def _few_far(assessment: NumberAssessment) -> bool:
    """Whether few targets, and few of the batch, are far from what the base answers to values that it knows, beside
    those of the other rows. Of a batch in another unit, all are as far."""
    seen = familiar(assessment)
    if seen.base is None:
        return False
    far: Bools = np.asarray((beside_median(seen.batch_goals, seen.base.on_batch) > FAR).any(1))
    return 0 < int(far.sum()) <= min(FEW_ROWS, len(far) // 5)


def measure(assessment: NumberAssessment) -> NumberMeasured:
    if assessment.base is None:
        numbers = [replace(_number(assessment, k), first=_first(assessment, k)) for k in range(assessment.grid.size)]
        return NumberMeasured(assessment.live, numbers, assessment.sound)
    beside = _beside_settings(assessment)
    return NumberMeasured(
        live=assessment.live,
        numbers=[_measured(assessment, k, _batch(beside, k, figures)) for k, figures in enumerate(figures_of(beside))],
        sound=assessment.sound,
        part=len(assessment.batch) / assessment.known if assessment.known else 0.0,
        fades=assessment.fades,
        moved=just_moved(assessment),
        new_source=assessment.new_source,
        few_far=_few_far(assessment),
        columns=assessment.columns,
        resettled=assessment.same is not None,
        nearer=beside is not assessment,
    )


def _number(assessment: NumberAssessment, k: int) -> OneNumber:
    return OneNumber(assessment.grid.names[k], assessment.grid.size, assessment.grid.scale == "log")


def _beside_settings(assessment: NumberAssessment) -> NumberAssessment:
    """The assessment beside what the candidate's settings make of the rows of before, where these answer the batch far
    nearer than the base does. Then the base errs, as where its features go on as a line beyond all that it learned;
    targets of other rows lie about as far from both."""
    base, same, goals = assessment.base, assessment.same, assessment.batch_goals
    if base is None or same is None or not len(goals):
        return assessment
    before, after = (error_sizes(goals, answers.on_batch).mean(1) for answers in (base, same))
    nearer = after.mean() < FAR_NEARER * before.mean() and signed_rank(before - after) < SURELY
    return replace(assessment, base=same) if nearer else assessment


def _measured(assessment: NumberAssessment, k: int, batch: BatchFigures | None) -> OneNumber:
    assert assessment.before is not None
    return replace(
        _number(assessment, k),
        batch=batch,
        harm=_on_trusted(assessment, k, slice(None)),
        regions=tuple(_regions(assessment, k)),
        since=tuple(_since(assessment, k)),
        own=_own(assessment, k),
    )


def _on_trusted(assessment: NumberAssessment, k: int, rows: Ints | slice) -> Rise | None:
    assert assessment.before is not None
    before, after = assessment.before.on_trusted[rows], assessment.candidate.on_trusted[rows]
    return change(assessment, k, assessment.trusted_goals[rows], before, after)


def _own(assessment: NumberAssessment, k: int) -> Rise | None:
    assert assessment.before is not None
    return change(assessment, k, assessment.batch_goals, assessment.before.on_batch, assessment.candidate.on_batch)


def gained(assessment: NumberAssessment, k: int) -> tuple[float | None, float | None]:
    """What an update gained on its own rows, out of fold, None of a first version or of few rows; and how much errors
    on trusted rows rose by another strength, decay or lift alone, None where they stayed."""
    own = _own(assessment, k) if assessment.base is not None else None
    few = own is None or own.rows < assessment.policy.learned_nothing.min_rows
    return None if own is None or few else own.gain, _settings(assessment, k)


def _settings(assessment: NumberAssessment, k: int) -> float | None:
    """How much errors on trusted rows rose by other settings alone, where that is sure. None where they stayed."""
    same = assessment.candidate if assessment.challenges else assessment.same
    if assessment.base is None or same is None:
        return None
    rise = change(assessment, k, assessment.trusted_goals, assessment.base.on_trusted, same.on_trusted)
    return -rise.gain if rise is not None else None


def settings_pay(assessment: NumberAssessment) -> bool:
    """Whether what other settings alone lose on trusted rows is no more than an update may, or than they win on its own
    rows: these no head has learned that answers here. Bad rows choose settings, too."""
    base, same, rule = assessment.base, assessment.same, assessment.policy.forgets
    if base is None or same is None:
        return True
    for k in range(assessment.grid.size):
        lost = change(assessment, k, assessment.trusted_goals, base.on_trusted, same.on_trusted)
        own = change(assessment, k, assessment.batch_goals, base.on_batch, same.on_batch)
        won = -own.rise if own is not None else 0.0
        if lost is not None and lost.rise > max(rule.max_rise, won) and lost.p < rule.p:
            return False
    return True


def change(assessment: NumberAssessment, k: int, goals: Floats, before: Floats, after: Floats) -> Rise | None:
    """Mean |error| of number k on the rows that both answered. None where there is none. [n, k] each"""
    both = np.isfinite(before[:, k]) & np.isfinite(after[:, k])
    if not both.any():
        return None
    old, new = (error_sizes(goals[both, k], answers[both, k]) for answers in (before, after))
    return _rise(assessment, k, old, new)


def _rise(assessment: NumberAssessment, k: int, before: Floats, after: Floats) -> Rise:
    """The rise from |errors| in units, row by row. [n], n >= 1

    It is relative to half of those on rows to come at least: wide heads answer other rows of what was learned far
    better, and how much better says little. And to `SHRUNK`.
    """
    unit = float(assessment.grid.unit[k])
    return Rise(
        rows=len(before),
        before=unit * float(before.mean()),
        after=unit * float(after.mean()),
        p=chance(assessment, signed_rank(after - before)),
        p_fall=signed_rank(before - after),
        least=unit * max(REAL * _error_to_come(assessment, k), SHRUNK),
    )


def _error_to_come(assessment: NumberAssessment, k: int) -> float:
    """Mean |error| on tested rows of the last batches, in units; until there are any, that on blocks of the first
    version's rows by heads without the block, 0 where it keeps none."""
    errors = np.concatenate([np.zeros(0), *(np.abs(t.error[t.familiar, k]) for t in recent(assessment))])
    if len(errors):
        return float(errors.mean())
    first = of_first_version(assessment, k)
    return first.size if first is not None else 0.0


def fifths(values: Floats) -> tuple[Floats, Ints]:
    """Five regions of about as many rows each by a value. [n] -> inner edges [4], region of each row [n]"""
    edges = np.quantile(values, np.arange(1, FIFTHS) / FIFTHS)
    return edges, np.searchsorted(edges, values)


def regions(assessment: NumberAssessment, k: int) -> Iterator[tuple[str, Ints]]:
    """Trusted rows by fifths of the base's value of number k, and by source where there are several: how a sentence
    names them, and their places. Regions of too few rows (`worst_region.min_rows`) are left out."""
    if assessment.base is None:
        return
    answers = assessment.base.on_trusted[:, k]
    both = np.flatnonzero(np.isfinite(answers) & np.isfinite(assessment.candidate.on_trusted[:, k]))
    grid, least = assessment.grid, assessment.policy.worst_region.min_rows
    if len(both):
        values = answers[both]
        edges, region = fifths(values)
        ends = grid.value(np.tile(np.r_[values.min(), edges, values.max()][:, None], grid.size))[:, k]
        ends = np.exp(np.minimum(ends, 700.0)) if grid.scale == "log" else ends
        what = "differences" if grid.from_ is not None else "values"
        for place in range(FIFTHS):
            if (region == place).sum() >= least:
                yield f"{what} from {amount(ends[place])} to {amount(ends[place + 1])}", both[region == place]
    if len(assessment.trusted.sources) > 1:
        for place, source in enumerate(assessment.trusted.sources):
            of_source = both[assessment.trusted.source[both] == place]
            if len(of_source) >= least:
                yield f'rows of "{source}"' if source else "rows without a source", of_source


def _regions(assessment: NumberAssessment, k: int) -> Iterator[Region]:
    """The regions, with chances that are Holm-corrected over them."""
    rises = []
    for phrase, rows in regions(assessment, k):
        rise = _on_trusted(assessment, k, rows)
        if rise is not None:
            rises.append((phrase, rise))
    for (phrase, rise), p in zip(rises, holm([rise.p for _, rise in rises]), strict=True):
        yield Region(phrase, replace(rise, p=p))


def _since(assessment: NumberAssessment, k: int) -> Iterator[RiseSince]:
    """Remembered versions that answered most of today's trusted rows, see `SHARED`."""
    least = (assessment.policy.forgets if assessment.fades else assessment.policy.worst_region).min_rows
    past = assessment.past[-assessment.policy.slow_loss.versions :]
    updates = [*((tested.figures[k].gain, tested.figures[k].settings) for _, tested in past[1:]), gained(assessment, k)]
    gains, costs = ([value or 0.0 for value in values] for values in zip(*updates, strict=True))
    for place, (version, tested) in enumerate(past):
        before, rows = remembered(assessment, tested)
        after = error_sizes(assessment.trusted_goals[rows, k], assessment.candidate.on_trusted[rows, k])
        both = np.isfinite(after) & np.isfinite(before[:, k])
        shared = int(both.sum())
        if shared >= max(SHARED * len(assessment.trusted), least):
            change = _rise(assessment, k, np.maximum(before[both, k], ROUNDING), after[both])
            settings, its = (prod(1 + cost for cost in of) - 1 for of in (costs[place:], costs[place:-1]))
            live, part = beyond(_live(assessment, k, rows, before), its), len(assessment.trusted) / shared - 1
            yield RiseSince(version, change, part, sum(gains[place:]), settings, live)


def _live(assessment: NumberAssessment, k: int, rows: Ints, before: Floats) -> float:
    """How much errors of the live version rose beside those `before`, on trusted rows at these places. [s], [s, k]"""
    if assessment.base is None:
        return 0.0
    now = error_sizes(assessment.trusted_goals[rows, k], assessment.base.on_trusted[rows, k])
    both = np.isfinite(now) & np.isfinite(before[:, k])
    return _rise(assessment, k, np.maximum(before[both, k], ROUNDING), now[both]).rise if both.any() else 0.0


def remembered(assessment: NumberAssessment, tested: Tested) -> tuple[Floats, Ints]:
    """|error| of an earlier version on the trusted rows that are still such, and their places. -> [s, k], [s]"""
    remembers = tested.trusted_batches, tested.trusted_batch, tested.trusted_row
    places, its_places = places_of_same(assessment.trusted, *remembers)
    return tested.trusted_error[its_places], places


def _batch(assessment: NumberAssessment, k: int, figures: Figures) -> BatchFigures | None:
    """Figures of the rows that the base may know, see `familiar`. None without rows, or where nothing is usual."""
    known = familiar(assessment)
    ratio = ratios(known)
    if ratio is None or known.base is None or not len(ratio):
        return None
    usual, rows = Usual.of(assessment, k), len(ratio)
    mean, median, bias = usual.mean(figures, rows), usual.median(figures, rows), usual.bias(figures, rows)
    if mean is None or median is None or bias is None:
        return None
    error = error_sizes(known.batch_goals[:, k], known.base.on_batch[:, k])
    unit = float(assessment.grid.unit[k])
    own = own_order(assessment, k)
    return BatchFigures(
        rows=rows,
        mean=mean,
        median=median,
        order=usual.order(figures, rows),
        bias=bias,
        off=unit * float((known.batch_goals[:, k] - known.base.on_batch[:, k]).mean()),
        error=unit * float(error.mean()),
        own=own,
        repair=best_repair(known, error / ratio[:, k], median.usual, k),
        outliers=outliers(known, ratio, k),
        commonest=_commonest(assessment, k),
        stopped=stopped(assessment, k, figures, rows, own),
        novel=novel_rows(known),
        first=first_batches(known, k, own),
    )


def _commonest(assessment: NumberAssessment, k: int) -> Commonest | None:
    """The commonest target, beside that of trusted rows to which the base answers about the same: where it answers one
    value, one target is due. None without trusted rows."""
    assert assessment.base is not None
    known = np.flatnonzero(np.isfinite(assessment.base.on_trusted[:, k]))
    if not len(known):
        return None
    values, counts = np.unique(assessment.batch.targets[:, k], return_counts=True)
    _, trusted_counts = np.unique(assessment.trusted.targets[known, k], return_counts=True)
    target, rows = float(values[counts.argmax()]), int(counts.max())
    edges, region = fifths(assessment.base.on_trusted[known, k])
    is_it = assessment.trusted.targets[known, k] == target
    share = np.array([is_it[region == place].mean() if (region == place).any() else 0.0 for place in range(FIFTHS)])
    alike = float(share[np.searchsorted(edges, assessment.base.on_batch[:, k])].mean())
    usual = max(float(trusted_counts.max()) / len(known), alike)
    surely = max((trusted_counts.max() + 1) / (len(known) + 2), usual)
    p = at_least(rows - 1, len(assessment.batch_goals) - 1, surely)  # which target it is, its first row says
    return Commonest(target, rows / len(assessment.batch_goals), usual, chance(assessment, p))


def _first(assessment: NumberAssessment, k: int) -> FirstNumber:
    """A first version beside the median of its targets. The order counts as well: where targets are skewed, no mean is
    as near to them as their median is."""
    goals, answers = assessment.batch_goals[:, k], assessment.candidate.on_batch[:, k]
    judged = np.isfinite(answers)
    targets = assessment.batch.targets[:, k]
    middle = float(np.median(targets)) if len(targets) else 0.0
    if not judged.any():
        return FirstNumber(0, 0.0, 0.0, middle, 1.0, 1.0, _constant(targets))
    error = error_sizes(goals[judged], answers[judged])
    unit = float(assessment.grid.unit[k])
    median = np.full(len(goals), np.median(goals))
    if assessment.grid.from_ is not None:  # what is added back is no merit of the median
        median = goals + (middle - targets) / unit
    plain = error_sizes(goals[judged], median[judged])
    return FirstNumber(
        rows=int(judged.sum()),
        error=unit * float(error.mean()),
        median_error=unit * float(plain.mean()),
        median=middle,
        p=min(signed_rank(plain - error), ordered_by_chance(answers[judged], goals[judged])),
        p_skill=chance(assessment, signed_rank(error - (1 - assessment.policy.first_version.min_skill) * plain)),
        constant=_constant(targets),
    )


def _constant(targets: Floats) -> bool:
    return not len(targets) or bool(np.ptp(targets) <= SAME * np.abs(targets).max())
