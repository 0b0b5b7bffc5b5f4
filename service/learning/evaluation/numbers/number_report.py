"""Makes the report of an update of a number model from what was measured, and the note on its intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from service.contract.enums import Outcome
from service.contract.figures import amount
from service.contract.reports.facts import BatchPart, Cost, GateReport
from service.contract.reports.number_report import (
    MOST_OUTLIERS,
    BatchErrors,
    NumberBatch,
    NumberReport,
    OutlierRow,
    Region,
    TestedErrors,
    YardstickError,
)
from service.contract.targets.number_target import NumberTarget
from service.learning.data.near_duplicates import shared
from service.learning.data.rows import Bools, Floats, Rows
from service.learning.data.slips import slip_notes, value_notes
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.batch_parts import batch_parts
from service.learning.evaluation.context import Exam
from service.learning.evaluation.gaps import RowNames, may_be_told
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.evaluation.numbers.batch.recent_batches import familiar, farthest, outlying_from
from service.learning.evaluation.numbers.errors import ErrorRows, Part, explained, of_each, regions, rise
from service.learning.evaluation.numbers.intervals import LAST_BATCHES, LEAST_ROWS, covered
from service.learning.evaluation.numbers.measure_numbers import FAR, beside_median, fifths, remembered
from service.learning.evaluation.numbers.number_answers import as_targets, expected_targets
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.evaluation.numbers.yardsticks import beside_mean, not_compared, reported, skill
from service.learning.gate.numbers.batch_rules import NOVEL
from service.learning.gate.numbers.number_gate import follows
from service.learning.gate.numbers.number_measurements import NumberMeasured
from service.learning.gate.numbers.number_words import YARDSTICKS
from service.learning.ledger.batch_weights import weights_of
from service.learning.update_data import Data
from service.learning.wording import rows as counted_rows


def target_of(data: Data) -> NumberTarget:
    assert data.target.kind == "number", "numbers are examined where targets are numbers"
    return data.target


def number_report(
    exam: Exam,
    assessment: NumberAssessment,
    measured: NumberMeasured,
    gate: GateReport,
    memory: Tested,
    *,
    intervals: Part | None,
    cost: Cost,
    notes: list[str],
) -> NumberReport:
    """The report of an update. Errors are of the targets themselves, whatever is learned of them.

    memory: what the candidate will remember · intervals: of the candidate, None where it has none.
    """
    target, candidate = target_of(exam.data), exam.candidate
    latest = last_tested(assessment, memory)
    values = [as_targets(assessment.grid, t.value, t.value + t.error, t.target) for t in latest]
    before, after = _before_and_after(assessment, intervals, target.level)
    tested = _tested(latest, values, target)
    yardsticks = reported(target, latest) if before is not None else beside_mean(after.rows.targets)
    rose = rise(np.abs(before.error), np.abs(after.error)) if before is not None else None
    return NumberReport(
        tested=tested,
        skill=skill(target, latest, values),
        before=before.report(target.called) if before is not None else None,
        after=after.report(target.called, before.values[:, 0] if before is not None and len(before.rows) else None),
        yardsticks=yardsticks,
        rise=rose[0] if rose else None,
        rise_interval=rose[1] if rose else None,
        worst_region=_worst_region(before, after) if before is not None else None,
        forgetting=_forgetting(assessment),
        batch=_batch(exam, assessment, measured, gate),
        cost=cost,
        gate=gate,
        exact=candidate.layout.exact is not None and weights_of(candidate).whole,
        method=dict(exam.learned.details),
        notes=[
            *notes,
            *not_compared(target, latest),
            *(worse_than(yardsticks, tested) if gate.outcome is Outcome.PASS else []),
        ],
    )


def worse_than(yardsticks: Mapping[str, YardstickError], tested: TestedErrors | None) -> list[str]:
    """A conclusion where anybody would have been nearer, on rows enough to say so, of one number a row."""
    if tested is None or tested.rows < LEAST_ROWS or tested.numbers:
        return []
    nearer = {name: of.mae for name, of in yardsticks.items() if name in YARDSTICKS and of.mae < tested.mae}
    if not nearer:
        return []
    name = min(nearer, key=lambda each: nearer[each])
    return [
        f"It answers worse than {YARDSTICKS[name]} would: off by {amount(tested.mae)} beside {amount(nearer[name])}, "
        f"on {counted_rows(tested.rows)} as they came. Do its columns say anything of what is predicted? If that "
        "changes with time, use a decay."
    ]


def last_tested(assessment: NumberAssessment, memory: Tested) -> list[Tested]:
    """What versions remember of the last tested batches, the update's own among them; newest last."""
    latest: list[Tested] = []
    for tested in reversed([*(t for _, t in assessment.past), memory]):
        if len(tested.error) and len(tested.target) and sum(len(t.batches) for t in latest) < LAST_BATCHES:
            latest = [tested, *latest]
    return latest


def _tested(latest: Sequence[Tested], values: Sequence[Floats], target: NumberTarget) -> TestedErrors | None:
    if not latest:
        return None
    targets = np.concatenate([t.target for t in latest])
    error = np.concatenate([*values]) - targets
    return TestedErrors(
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt((error**2).mean(0)).mean()),
        r2=explained(targets, error),
        coverage=covered(np.concatenate([t.missed for t in latest]), target.level),
        level=target.level,
        rows=len(targets),
        batches=sum(len(t.batches) for t in latest),
        numbers=of_each(target.called, np.abs(error)),
    )


def _before_and_after(
    assessment: NumberAssessment, intervals: Part | None, level: float
) -> tuple[ErrorRows | None, ErrorRows]:
    """Base and candidate on the trusted rows that both answered. Of a first version, the candidate on the update's own
    rows, out of fold."""
    grid, trusted, goals = assessment.grid, assessment.trusted, assessment.trusted_goals
    if assessment.base is None:
        own = assessment.batch, assessment.batch_goals, assessment.candidate.on_batch
        return None, ErrorRows(grid, *own, intervals, level).answered
    both = np.flatnonzero(np.isfinite(assessment.base.on_trusted + assessment.candidate.on_trusted).all(1))
    before = ErrorRows(grid, trusted, goals, assessment.base.on_trusted, assessment.intervals, level)
    after = ErrorRows(grid, trusted, goals, assessment.candidate.on_trusted, intervals, level)
    return before.take(both), after.take(both)


def _worst_region(before: ErrorRows, after: ErrorRows) -> Region | None:
    """The fifth whose mean error rose most; None where none rose, or a row has several numbers."""
    if before.grid.size > 1 or not len(before.rows):
        return None
    values = before.values[:, 0]
    then, now = regions(values, np.abs(before.error)), regions(values, np.abs(after.error))
    rises = [new.mae / old.mae - 1 if old.mae else 0.0 for old, new in zip(then, now, strict=True)]
    worst = int(np.argmax(rises))
    return now[worst] if rises[worst] > 0 else None


def _forgetting(assessment: NumberAssessment) -> float | None:
    """Mean over fifths and sources of (error now / the least of any version that answered these rows) - 1."""
    if assessment.base is None:
        return None
    size = np.abs(assessment.trusted_goals - assessment.candidate.on_trusted)
    earlier = [(np.abs(assessment.trusted_goals - assessment.base.on_trusted), np.arange(len(size)))]
    earlier += [remembered(assessment, tested) for _, tested in assessment.past]
    answered = [(then, size[rows], rows, np.isfinite(then + size[rows]).all(1)) for then, rows in earlier]
    least, ratios = assessment.policy.worst_region.min_rows, []
    for group in _groups(assessment):
        worst = None
        for then, now, rows, both in answered:
            of_group = group[rows] & both
            before = then[of_group].mean(0) if of_group.sum() >= least else np.zeros(1)
            if (before > 0).all():
                ratio = float((now[of_group].mean(0) / before - 1).mean())
                worst = ratio if worst is None else max(worst, ratio)
        ratios += [worst] if worst is not None else []
    return float(np.mean(ratios)) if ratios else None


def _groups(assessment: NumberAssessment) -> Iterator[Bools]:
    """Trusted rows of each fifth by the base's value, where a row has one number, and of each source. Masks [m]"""
    assert assessment.base is not None
    if assessment.grid.size == 1 and len(assessment.trusted):
        _, place = fifths(assessment.base.on_trusted[:, 0])
        yield from (np.asarray(place == g) for g in np.unique(place))
    if assessment.grid.size > 1 or len(assessment.trusted.sources) > 1:
        yield from (np.asarray(assessment.trusted.source == k) for k in np.unique(assessment.trusted.source))


def _batch(exam: Exam, assessment: NumberAssessment, measured: NumberMeasured, gate: GateReport) -> NumberBatch:
    unlabelled, new_values = len(exam.data.unlabelled), exam.data.new_values(exam.base)
    left = next((rule.value for rule in gate.rules if rule.name == "wrong_unit" and rule.severity), None)
    repairs = [n.batch.repair for n in measured.numbers if n.batch is not None and n.batch.repair is not None]
    named = value_notes(new_values) if any(NOVEL in rule.why for rule in gate.rules) else []
    came = f"{counted_rows(unlabelled)} came without a target and {'is' if unlabelled == 1 else 'are'} left aside."
    return NumberBatch(
        errors=batch_errors(measured),
        parts=[] if gate.outcome is Outcome.PASS else _parts(assessment),
        outliers=_outliers(assessment),
        factor=next((repair.factor for repair in repairs if repair.after == left), None),
        unlabelled=unlabelled,
        near_trusted=int(shared(assessment.batch.marks, assessment.trusted.marks).sum()),
        follows=follows(measured, assessment.policy, gate),
        figures=[figures.stored() for figures in figures_of(assessment)],
        new_values=new_values,
        notes=[*([came] if unlabelled else []), *slip_notes(new_values), *named],
    )


def _parts(assessment: NumberAssessment) -> list[BatchPart]:
    """Its batches by what the live version is off by, a mean over the numbers of a row."""
    if assessment.base is None or len(assessment.batch.batches) < 2:
        return []  # one has no others beside it, and a challenger learns none
    own = assessment.batch, assessment.batch_goals, assessment.base.on_batch
    return batch_parts(assessment.batch, np.abs(ErrorRows(assessment.grid, *own, None, 0.0).error).mean(1))


def batch_errors(measured: NumberMeasured) -> BatchErrors | None:
    """Figures of the batch over the usual ones; means over the numbers of a row. None where nothing is usual."""
    figures = [number.batch for number in measured.numbers if number.batch is not None]
    if not figures:
        return None
    return BatchErrors(
        mean=_mean([f.mean.ratio for f in figures]),
        median=_mean([f.median.ratio for f in figures]),
        order=_mean([f.order.value for f in figures if f.order is not None]),
        own_order=_mean([f.own.value for f in figures if f.own is not None]),
        bias=_mean([f.bias.value for f in figures]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _outliers(assessment: NumberAssessment) -> list[OutlierRow]:
    """Targets beyond any error of the last batches; until these are known, far from what the version before answers to
    values that it knows, and of a first version from what heads of other rows do."""
    if outlying_from(assessment) is None:
        seen = familiar(assessment)
        answers = seen.base or seen.candidate
        return left_out_outliers(seen.grid, seen.batch, seen.batch_goals, answers.on_batch, assessment.gaps)
    far = farthest(assessment, MOST_OUTLIERS)
    grid, batch = assessment.grid, assessment.batch
    return _in_order(grid, [_outlier(grid, batch, k, row, expected_targets(assessment, row)) for row, k in far])


def left_out_outliers(grid: NumberGrid, rows: Rows, goals: Floats, answers: Floats, gaps: RowNames) -> list[OutlierRow]:
    """Rows whose target is far from what heads answer that did not learn this row. goals, answers [n, k]: in units; NaN
    where there is no such head · gaps: see `may_be_told`"""
    ratio = np.where(may_be_told(rows, goals, gaps), beside_median(goals, answers), 0.0)
    far, values = np.argwhere(np.asarray(ratio > FAR)), as_targets(grid, answers, goals, rows.targets)
    order = np.argsort(-ratio[far[:, 0], far[:, 1]], kind="stable")[:MOST_OUTLIERS]
    return _in_order(grid, [_outlier(grid, rows, int(k), int(row), values[row]) for row, k in far[order]])


def _in_order(grid: NumberGrid, farthest_first: list[OutlierRow]) -> list[OutlierRow]:
    """By the error that each shows, the largest first; of several numbers a row, whose units differ, as they are."""
    return sorted(farthest_first, key=lambda row: -row.error) if grid.size == 1 else farthest_first


def _outlier(grid: NumberGrid, rows: Rows, k: int, row: int, expected: Floats) -> OutlierRow:
    target, value = float(rows.targets[row, k]), float(expected[k])
    return OutlierRow(
        name=grid.names[k] if grid.size > 1 else None,
        batch=rows.batches[rows.batch[row]],
        row=int(rows.row[row]),
        target=target,
        value=value,
        error=abs(value - target),
    )
