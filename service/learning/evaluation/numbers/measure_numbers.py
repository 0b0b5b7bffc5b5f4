"""Measures an update of a number model for the gate: its batch beside earlier ones, errors before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from service.learning.data.rows import Floats, Ints
from service.learning.evaluation.assessment import places_of_same
from service.learning.evaluation.numbers.batch.figures import (
    BIAS,
    GAIN,
    MEAN,
    MEDIAN,
    ORDER,
    ROUNDING,
    SETTINGS,
    Usual,
    chance,
    familiar,
    figures_of,
    just_moved,
    novel_rows,
    outliers,
    own_order,
    ratios,
    recent,
    sizes,
)
from service.learning.evaluation.numbers.batch.first_batches import first_batches
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
)
from service.learning.statistics import at_least, holm, ordered_by_chance, signed_rank
from service.learning.wording import amount

FIFTHS = 5
"""Regions by the base's value."""
SHARED = 0.75
"""Part of today's trusted rows that an earlier version must have answered. It knew what it answers of fewer from little
else: of eight honest streams the rows of a twentieth to a half of all updates were 10 % worse than by some earlier
version, and with three quarters of them in common none were but after a jump."""
REAL = 0.5
"""Part of the error on the last batches, before they were learned, that a rise is relative to at least. A head of 1,000
features that knew seven weeks of half-hourly demand was off by 0.05 on other rows of these, and by 0.74 on the next."""
SHRUNK = 2.0**-9
"""Errors that rises are relative to at least, in units: below it they are what shrinkage leaves of targets without
noise, 7 to 11 % more of it out of fold, where as much shrinks fewer rows."""
SAME = 1e-12
"""Targets closer than this, relative, are all one."""


def measure(a: NumberAssessment) -> NumberMeasured:
    if a.base is None:
        return NumberMeasured(a.live, [replace(_number(a, k), first=_first(a, k)) for k in range(a.grid.size)], a.sound)
    figures, part = figures_of(a), len(a.batch) / a.known if a.known else 0.0
    numbers = [_measured(a, k, figures[k]) for k in range(a.grid.size)]
    resettled = a.same is not None
    return NumberMeasured(a.live, numbers, a.sound, part, a.fades, just_moved(a), a.new_source, resettled)


def _number(a: NumberAssessment, k: int) -> OneNumber:
    return OneNumber(a.grid.names[k], a.grid.size, a.grid.scale == "log")


def _measured(a: NumberAssessment, k: int, figures: Mapping[str, float]) -> OneNumber:
    assert a.before is not None
    return replace(
        _number(a, k),
        batch=_batch(a, k, figures),
        harm=change(a, k, a.trusted_goals, a.before.on_trusted, a.candidate.on_trusted),
        regions=tuple(_regions(a, k)),
        since=tuple(_since(a, k)),
        own=_own(a, k),
    )


def _own(a: NumberAssessment, k: int) -> Rise | None:
    assert a.before is not None
    return change(a, k, a.batch_goals, a.before.on_batch, a.candidate.on_batch)


def gained(a: NumberAssessment, k: int) -> dict[str, float]:
    """The figures of what an update gained on its own rows, out of fold, none of a first version or of few rows, and of
    how much errors on trusted rows rose by another strength, decay or lift alone."""
    own = _own(a, k) if a.base is not None else None
    few, cost = own is None or own.rows < a.policy.learned_nothing.min_rows, _settings(a, k)
    figures = {} if own is None or few else {GAIN: own.gain}
    return figures if cost is None else figures | {SETTINGS: cost}


def _settings(a: NumberAssessment, k: int) -> float | None:
    """How much errors on trusted rows rose by other settings alone, where that is sure. None where they stayed."""
    same = a.candidate if a.challenges else a.same
    if a.base is None or same is None:
        return None
    rise = change(a, k, a.trusted_goals, a.base.on_trusted, same.on_trusted)
    return -rise.gain if rise is not None else None


def change(a: NumberAssessment, k: int, goals: Floats, before: Floats, after: Floats) -> Rise | None:
    """Mean |error| of number k on the rows that both answered. None where there is none. [n, k] each"""
    both = np.isfinite(before[:, k]) & np.isfinite(after[:, k])
    if not both.any():
        return None
    return _rise(a, k, sizes(goals[both, k], before[both, k]), sizes(goals[both, k], after[both, k]))


def _rise(a: NumberAssessment, k: int, before: Floats, after: Floats) -> Rise:
    """From |errors| in units, row by row. [n], n >= 1

    Relative to half of those really made on the last batches at least: wide heads answer other rows of what was learned
    far better, and how much better says little. And to `SHRUNK`.
    """
    unit = float(a.grid.unit[k])
    return Rise(
        rows=len(before),
        before=unit * float(before.mean()),
        after=unit * float(after.mean()),
        p=chance(a, signed_rank(after - before)),
        p_fall=signed_rank(before - after),
        least=unit * max(REAL * _tested_error(a, k), SHRUNK),
    )


def _tested_error(a: NumberAssessment, k: int) -> float:
    """Mean |error| on tested rows of the last batches, in units; 0 without any."""
    errors = np.concatenate([np.zeros(0), *(np.abs(t.error[t.familiar, k]) for t in recent(a))])
    return float(errors.mean()) if len(errors) else 0.0


def fifths(values: Floats) -> tuple[Floats, Ints]:
    """Five regions of about as many rows each by a value. [n] -> inner edges [4], region of each row [n]"""
    edges = np.quantile(values, np.arange(1, FIFTHS) / FIFTHS)
    return edges, np.searchsorted(edges, values)


def regions(a: NumberAssessment, k: int) -> Iterator[tuple[str, Ints]]:
    """Trusted rows by fifths of the base's value of number k, and by source where there are several: how a sentence
    names them, and their places. Regions of too few rows (`worst_region.min_rows`) are left out."""
    if a.base is None:
        return
    both = np.flatnonzero(np.isfinite(a.base.on_trusted[:, k]) & np.isfinite(a.candidate.on_trusted[:, k]))
    least = a.policy.worst_region.min_rows
    if len(both):
        values = a.base.on_trusted[both, k]
        edges, region = fifths(values)
        ends = a.grid.value(np.tile(np.r_[values.min(), edges, values.max()][:, None], a.grid.size))[:, k]
        ends = np.exp(np.minimum(ends, 700.0)) if a.grid.scale == "log" else ends
        what = "differences" if a.grid.from_ is not None else "values"
        for place in range(FIFTHS):
            if (region == place).sum() >= least:
                yield f"{what} from {amount(ends[place])} to {amount(ends[place + 1])}", both[region == place]
    if len(a.trusted.sources) > 1:
        for place, source in enumerate(a.trusted.sources):
            of_source = both[a.trusted.source[both] == place]
            if len(of_source) >= least:
                yield f'rows of "{source}"' if source else "rows without a source", of_source


def _regions(a: NumberAssessment, k: int) -> Iterator[Region]:
    """With chances that are Holm-corrected over the regions."""
    assert a.before is not None
    found = []
    for phrase, rows in regions(a, k):
        rise = change(a, k, a.trusted_goals[rows], a.before.on_trusted[rows], a.candidate.on_trusted[rows])
        if rise is not None:
            found.append((phrase, rise))
    for (phrase, rise), p in zip(found, holm([rise.p for _, rise in found]), strict=True):
        yield Region(phrase, replace(rise, p=p))


def _since(a: NumberAssessment, k: int) -> Iterator[RiseSince]:
    """Remembered versions that answered most of today's trusted rows, see `SHARED`."""
    least = (a.policy.forgets if a.fades else a.policy.worst_region).min_rows
    past = a.past.tested[-a.policy.slow_loss.versions :]
    updates = [*(tested.figures[k] for _, tested in past[1:]), gained(a, k)]
    gains, costs = ([figures.get(name, 0.0) for figures in updates] for name in (GAIN, SETTINGS))
    for place, (version, tested) in enumerate(past):
        before, rows = remembered(a, tested)
        after = sizes(a.trusted_goals[rows, k], a.candidate.on_trusted[rows, k])
        both = np.isfinite(after) & np.isfinite(before[:, k])
        shared = int(both.sum())
        if shared >= max(SHARED * len(a.trusted), least):
            change = _rise(a, k, np.maximum(before[both, k], ROUNDING), after[both])
            settings = prod(1 + cost for cost in costs[place:]) - 1
            yield RiseSince(version, change, len(a.trusted) / shared - 1, sum(gains[place:]), settings)


def remembered(a: NumberAssessment, tested: Tested) -> tuple[Floats, Ints]:
    """|error| of an earlier version on the trusted rows that are still such, and their places. -> [s, k], [s]"""
    here, there = places_of_same(a.trusted, tested.trusted_batches, tested.trusted_batch, tested.trusted_row)
    return tested.trusted_error[there], here


def _batch(a: NumberAssessment, k: int, figures: Mapping[str, float]) -> BatchFigures | None:
    """Of the rows that the base may know, see `familiar`. None without rows, or where nothing is usual."""
    known = familiar(a)
    ratio = ratios(known)
    if ratio is None or known.base is None or not len(ratio):
        return None
    usual, rows = Usual.of(a, k), len(ratio)
    mean, median, bias = (usual.beside(figures, name, rows) for name in (MEAN, MEDIAN, BIAS))
    if mean is None or median is None or bias is None:
        return None
    error = sizes(known.batch_goals[:, k], known.base.on_batch[:, k])
    unit = float(a.grid.unit[k])
    order, own = usual.beside(figures, ORDER, rows), own_order(a, k)
    return BatchFigures(
        rows=rows,
        mean=mean,
        median=median,
        order=order,
        bias=bias,
        off=unit * float((known.batch_goals[:, k] - known.base.on_batch[:, k]).mean()),
        error=unit * float(error.mean()),
        own=own,
        repair=best_repair(known, error / ratio[:, k], median.usual, k),
        outliers=outliers(known, ratio, k),
        commonest=_commonest(a, k),
        stopped=stopped(a, k, figures, rows, own),
        novel=novel_rows(known),
        first=first_batches(known, k, own),
    )


def _commonest(a: NumberAssessment, k: int) -> Commonest | None:
    """The commonest target, beside that of trusted rows to which the base answers about the same: where it answers one
    value, one target is due. None without trusted rows."""
    assert a.base is not None
    known = np.flatnonzero(np.isfinite(a.base.on_trusted[:, k]))
    if not len(known):
        return None
    values, counts = np.unique(a.batch.targets[:, k], return_counts=True)
    _, trusted_counts = np.unique(a.trusted.targets[known, k], return_counts=True)
    target, rows = float(values[counts.argmax()]), int(counts.max())
    edges, region = fifths(a.base.on_trusted[known, k])
    is_it = a.trusted.targets[known, k] == target
    share = np.array([is_it[region == place].mean() if (region == place).any() else 0.0 for place in range(FIFTHS)])
    alike = float(share[np.searchsorted(edges, a.base.on_batch[:, k])].mean())
    usual = max(float(trusted_counts.max()) / len(known), alike)
    surely = max((trusted_counts.max() + 1) / (len(known) + 2), usual)
    p = at_least(rows - 1, len(a.batch_goals) - 1, surely)  # which target it is, its first row says
    return Commonest(target, rows / len(a.batch_goals), usual, chance(a, p))


def _first(a: NumberAssessment, k: int) -> FirstNumber:
    """The order counts as well: where targets are skewed, no mean is as near to them as their median is."""
    goals, answers = a.batch_goals[:, k], a.candidate.on_batch[:, k]
    judged = np.isfinite(answers)
    targets = a.batch.targets[:, k]
    middle = float(np.median(targets)) if len(targets) else 0.0
    if not judged.any():
        return FirstNumber(0, 0.0, 0.0, middle, 1.0, 1.0, _constant(targets))
    error = sizes(goals[judged], answers[judged])
    unit = float(a.grid.unit[k])
    median = np.full(len(goals), np.median(goals))
    if a.grid.from_ is not None:  # what is added back is no merit of the median
        median = goals + (middle - targets) / unit
    plain = sizes(goals[judged], median[judged])
    return FirstNumber(
        rows=int(judged.sum()),
        error=unit * float(error.mean()),
        median_error=unit * float(plain.mean()),
        median=middle,
        p=min(signed_rank(plain - error), ordered_by_chance(answers[judged], goals[judged])),
        p_skill=chance(a, signed_rank(error - (1 - a.policy.first_version.min_skill) * plain)),
        constant=_constant(targets),
    )


def _constant(targets: Floats) -> bool:
    return not len(targets) or bool(np.ptp(targets) <= SAME * np.abs(targets).max())
