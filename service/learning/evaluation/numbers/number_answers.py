"""What versions of a number model answer to trusted rows and to an update's own, in units and as targets."""

from __future__ import annotations

import math

import numpy as np

from service.contract.targets.number_target import LARGEST_TARGET
from service.learning.data.rows import Floats, Ints
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.numbers.number_assessment import NumberAssessment
from service.learning.evaluation.version_answers import Outputs, VersionAnswers
from service.learning.method import Learned

AT_ONCE = 4096
"""Rows whose features are spread out at once."""
LARGEST_LOG = math.log(LARGEST_TARGET)
"""Logarithms of values are cut here: float64 holds squares of such values."""


def base_answers(base: VersionAnswers, trusted: Ints, batch: Ints) -> ExamAnswers[Floats]:
    """Answers to these places: trusted rows by the head that never saw a judging fold, the batch by the head that is
    served."""
    layout, k = base.version.layout, len(base.version.outputs)
    on_trusted = _all(base.trusted_outputs(), len(base.rows.trusted), k)
    on_batch = _all(base.batch_outputs(), len(base.rows.batch), k)
    return ExamAnswers(layout.within_reach(on_trusted[trusted]), layout.within_reach(on_batch[batch]))


def candidate_answers(
    candidate: VersionAnswers, learned: Learned, numbers: int, trusted: Ints, batch: Ints
) -> ExamAnswers[Floats]:
    """Answers to these places: trusted rows as of a base, the batch by heads that never saw the row; NaN where there is
    none. A version that knows nothing answers nothing."""
    rows, layout = candidate.rows, candidate.version.layout
    if not candidate.version.outputs:
        return ExamAnswers(np.full((len(trusted), numbers), np.nan), np.full((len(batch), numbers), np.nan))
    on_trusted = layout.within_reach(_all(candidate.trusted_outputs(), len(rows.trusted), numbers)[trusted])
    if learned.out_of_fold is not None:
        return ExamAnswers(on_trusted, layout.within_reach(learned.out_of_fold[batch]))
    served = _all(candidate.batch_outputs(), len(rows.batch), numbers)
    return ExamAnswers(on_trusted, rows.unlearned(layout.within_reach(served))[batch])


def as_targets(grid: NumberGrid, answers: Floats, goals: Floats, targets: Floats) -> Floats:
    """Answers in units as the targets that are served; `goals`, `targets`: of the same rows, which say what `from` adds
    back, to half a step of the grid. All [n, k]"""
    if grid.scale == "log":
        return np.exp(np.minimum(grid.value(answers), LARGEST_LOG))
    if grid.from_ is None:
        return grid.value(answers)
    return np.asarray(targets + (answers - goals) * grid.unit)


def expected_targets(assessment: NumberAssessment, row: int) -> Floats:
    """The base's answers to a row of the update as targets. -> [k]"""
    assert assessment.base is not None
    grid = assessment.grid
    values = grid.value(assessment.base.on_batch[row])
    if grid.scale == "log":
        return np.exp(np.minimum(values, 700.0))
    if grid.from_ is None:
        return values
    return np.asarray(values + assessment.batch.targets[row] - grid.value(assessment.batch_goals[row]))  # with `from`


def _all(outputs: Outputs, rows: int, numbers: int) -> Floats:
    parts = [outputs(slice(start, start + AT_ONCE)) for start in range(0, rows, AT_ONCE)]
    return np.concatenate([np.zeros((0, numbers)), *parts])
