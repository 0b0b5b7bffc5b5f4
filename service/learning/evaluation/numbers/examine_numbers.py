"""Judges a version of a number model: base, candidate and yardsticks answer the same rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

import numpy as np
from torch import Tensor

from service.contract.number_policy import NumberPolicy
from service.contract.reports.number_report import NumberReport
from service.contract.targets.kind import AnyPolicy
from service.learning.data.rows import Bools, FeatureRows, Floats, Ints, Rows, distinct
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.column_slips import column_slips
from service.learning.evaluation.context import (
    Arrays,
    Candidate,
    Exam,
    Remembered,
    UpdateContext,
    still_counting,
    usual_rows,
)
from service.learning.evaluation.gaps import mostly_gaps
from service.learning.evaluation.numbers.batch.figures import Figures
from service.learning.evaluation.numbers.batch.own_head import own_answers
from service.learning.evaluation.numbers.batch.recent_batches import recent
from service.learning.evaluation.numbers.batch.usual_errors import usual_errors
from service.learning.evaluation.numbers.bounds import INTERVAL
from service.learning.evaluation.numbers.errors import Part
from service.learning.evaluation.numbers.intervals import (
    LEAST_ROWS,
    IntervalErrors,
    enough,
    interval_part,
    latest,
    levels_due,
)
from service.learning.evaluation.numbers.left_out import left_out_errors
from service.learning.evaluation.numbers.measure_numbers import measure, settings_pay
from service.learning.evaluation.numbers.number_answers import base_answers, candidate_answers
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Past, Tested, still_learned
from service.learning.evaluation.numbers.number_challenge import NumberComparison, compare_numbers
from service.learning.evaluation.numbers.number_memory import remember
from service.learning.evaluation.numbers.number_report import left_out_outliers, number_report, target_of
from service.learning.evaluation.numbers.yardsticks import RIDGE, ridge_values, yardstick_values
from service.learning.evaluation.version_answers import VersionAnswers
from service.learning.exact.decay import LEAST_BATCHES
from service.learning.gate.numbers.number_gate import follows, judge_numbers
from service.learning.ledger.batch_weights import weights_of
from service.learning.ledger.feature_space import Space
from service.learning.method import Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import declared_scale, load_scale
from service.learning.network.scale_notes import far_off, scale_notes
from service.learning.number_heads.equations import goals_in_units, grid_of
from service.learning.run import Run
from service.learning.update_data import Data

MOVES = (
    "These targets move at once, as their sender said (expect: move), so nothing stopped it for being unlike those "
    "before. From now on they are what is usual."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class NumberContext(UpdateContext):
    """What surrounds an update whose targets are numbers. stopped: see `NumberAssessment`."""

    policy: NumberPolicy = field(default_factory=NumberPolicy)
    past: Past = ()
    stopped: Sequence[Sequence[Figures]] = ()

    @classmethod
    def looking_back(cls, policy: AnyPolicy, memories: Sequence[tuple[int, Arrays]], lineage: Remembered) -> Self:
        assert isinstance(policy, NumberPolicy), "numbers are judged by a policy of numbers"
        tested = [(version, Tested.load(arrays)) for version, arrays in memories]
        stopped = [[*map(Figures.load, figures)] for figures in lineage.stopped]
        return cls(policy=policy, past=tested, stopped=stopped)

    def examine(self, base: Checkpoint | None, learned: Learned, data: Data, run: Run) -> Candidate:
        """Judges what was learned, beside a base that knows something."""
        return super().examine(base if base is not None and base.outputs else None, learned, data, run)

    def space(self, base: Checkpoint | None, candidate: Checkpoint, data: Data) -> Space:
        return _with_grid(super().space(base, candidate, data), candidate, data)

    def judge(self, exam: Exam) -> tuple[Checkpoint, NumberReport, Tested]:
        """Gives the version its intervals, too."""
        base, learned, data, space = exam.base, exam.learned, exam.data, exam.space
        past = still_learned(self.past, frozenset(data.known_batches))
        assessment = _assessment(exam, self, past)
        unpaid = not _settings_pay(assessment)
        if unpaid:
            exam, assessment = replace(exam, same=None), replace(assessment, same=None)
        exam.run.check()
        tested = [t for _, t in past]
        own = data.batch.take(distinct(exam.rows.batch))
        yardsticks = yardstick_values(target_of(data), exam.rows.ledger, tested, own)
        if base is not None and (ridge := ridge_values(base, space, exam.rows.ledger, assessment.batch)) is not None:
            yardsticks[RIDGE] = ridge
        scale = load_scale(data.input, learned.checkpoint.parts["scale"])
        beyond, numbering = far_off(scale, data.batch.inputs) if base is not None else ("", "")
        measured = replace(measure(assessment), beyond=beyond, numbering=numbering, unpaid=unpaid)
        gate = judge_numbers(measured, self.policy)
        moved = self.expected or follows(measured, self.policy, gate) > 0
        unmade = cache(lambda: _unmade_errors(learned.checkpoint, data, space, assessment))
        first = base is None and learned.checkpoint.layout.exact is not None
        memory = remember(assessment, space, assessment.intervals, yardsticks, moved, unmade() if first else None)
        known = data.everything
        made, note = _with_intervals(learned.checkpoint, [*tested, memory], known, unmade)
        notes = [
            *learned.notes,
            *([MOVES] if self.expected else []),
            *note,
            *_notes(made, data, first=base is None),
            *exam.gone,
            *exam.chosen_anew(gate),
        ]
        report = number_report(
            exam,
            assessment,
            measured,
            gate,
            memory,
            intervals=_part(made.parts.get(INTERVAL)),
            cost=self.cost(exam, made),
            notes=notes,
        )
        return made, report, memory

    def with_suspects(self, candidate: Candidate, learned: Learned, data: Data) -> Candidate:
        report, rows = candidate.report, data.entry(candidate.space)
        if learned.out_of_fold is None:
            return candidate
        assert isinstance(report, NumberReport)
        grid, layout = grid_of(candidate.space), candidate.checkpoint.layout
        answers = layout.within_reach(learned.out_of_fold)
        gaps = mostly_gaps(data)
        listed = left_out_outliers(grid, rows, goals_in_units(rows, grid), answers, gaps)
        batch = report.batch.model_copy(update={"outliers": listed})
        return replace(candidate, report=report.model_copy(update={"batch": batch}))

    def compare(
        self, champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run, later: Rows | None = None
    ) -> NumberComparison:
        return compare_numbers(champion, challenger, data, run, later)


def _assessment(exam: Exam, context: NumberContext, past: Past) -> NumberAssessment:
    """Gathers what the update is judged by. past: of batches that are still known"""
    rows, space = exam.rows, exam.space
    grid = grid_of(space)
    trusted, batch = _still_true(rows.trusted, still_counting(exam.candidate, exam.data)), distinct(rows.batch)
    own: FeatureRows = rows.batch.take(batch)
    goals, decay = goals_in_units(own, grid), weights_of(exam.candidate).decay
    candidate = candidate_answers(exam.after, exam.learned, grid.size, trusted, batch)
    made = NumberAssessment(
        policy=context.policy,
        grid=grid,
        trusted=rows.trusted.take(trusted),
        batch=own,
        trusted_goals=goals_in_units(rows.trusted.take(trusted), grid),
        batch_goals=goals,
        candidate=candidate,
        base=base_answers(exam.before, trusted, batch) if exam.before is not None else None,
        same=base_answers(exam.same, trusted, batch) if exam.same is not None else None,
        live=context.live,
        alone=own_answers(own, space.features, goals),
        novel=_novel(exam.before, batch),
        past=past,
        stopped=context.stopped,
        intervals=_part(exam.base.parts.get(INTERVAL)) if exam.base is not None else None,
        expected=context.expected,
        columns=column_slips(exam.data, context.policy.wrong_columns) if exam.base is not None else None,
        gaps=mostly_gaps(exam.data),
        challenges=context.challenges,
        sound=not np.isinf(candidate.on_trusted).any() and not np.isinf(candidate.on_batch).any(),
        known=_known(exam.data, len(own), decay),
        new_source=_new_source(exam.data),
        fades=decay < 1 and exam.base is not None and weights_of(exam.base).decay < 1,
    )
    if made.base is None:
        return made
    return replace(made, usual=usual_errors(recent(made), rows.ledger, space, own))


def _settings_pay(assessment: NumberAssessment) -> bool:
    """As `settings_pay`, which is asked while hardly more than this batch chooses them. Later several chose them, each
    before it was learned: half-hourly demand's ninth week may well cost older ones more than it wins itself."""
    tested = 1 + sum(len(memory.error) > 0 for _, memory in assessment.past)
    return tested >= LEAST_BATCHES or settings_pay(assessment)


def _novel(base: VersionAnswers | None, batch: Ints) -> Bools | None:
    """Which of the update's own rows have a value of a category that the base has not learned; None: no row has."""
    novel = base.novel()[batch] if base is not None else None
    return novel if novel is not None and novel.any() else None


def _new_source(data: Data) -> str:
    """The source of all rows of the update, where the base has learned none of it and it has a name."""
    names = {data.batch.sources[k] for k in np.unique(data.batch.source)}
    return names.pop() if len(names) == 1 and names != {""} and data.known_rows and data.unknown_sources(names) else ""


def _known(data: Data, rows: int, decay: float) -> int:
    """Rows that the base has learned, as they count beside so many new ones: with a decay all batches before count no
    more than decay / (1 - decay) such as this one."""
    return data.known_rows if decay == 1 else min(data.known_rows, round(rows * decay / (1 - decay)))


def _still_true(trusted: FeatureRows, batches: Collection[str]) -> Ints:
    """Places of trusted rows of these batches, each once."""
    places = distinct(trusted)
    return places[trusted.in_batches(batches)[places]]


def _with_grid(space: Space, candidate: Checkpoint, data: Data) -> Space:
    """The space with the grid of targets beside it."""
    if space.numbers is not None:
        return space
    target = target_of(data)
    fitted = NumberGrid.fitted(target, np.zeros((1, target.size)))
    network = copy(space.network)
    network.layout = network.layout.model_copy(update={"numbers": candidate.layout.numbers or fitted})
    return Space.of(network)


def _with_intervals(
    version: Checkpoint,
    tested: list[Tested],
    known: frozenset[str],
    unmade: Callable[[], tuple[Floats, Floats, Floats]],
) -> tuple[Checkpoint, list[str]]:
    """The version with its intervals, where errors are enough for them, and a note where they say less than they
    will. unmade: `_unmade_errors` of the known batches"""
    if not version.outputs:
        return version, []
    errors, notes = latest(tested), list[str]()
    made = enough(errors)
    if not made:
        errors = IntervalErrors(*unmade()[:2], known)
        kind = "its rows, left out in turn" if version.layout.exact is not None else "rows kept back"
        notes = [
            f"Intervals rest on errors on {kind}, and hold for rows like these. Those of the next version rest on "
            "errors on new rows, and its report says how often they held."
        ]
    part = interval_part(errors, levels_due(tested) if made else None)
    if part is None:
        return version, [f"Values have no interval yet: that takes {LEAST_ROWS} rows."]
    parts = {**version.parts, INTERVAL: part}
    return replace(version, parts=parts, learned={**version.learned, INTERVAL: errors.batches}), notes


def _unmade_errors(
    version: Checkpoint, data: Data, space: Space, assessment: NumberAssessment
) -> tuple[Floats, Floats, Floats]:
    """Values and errors (goal - value) in units until errors were really made: of an exact head those on fifths of its
    rows, of a net those on rows that it did not learn. -> [n, k], [n, k]"""
    if version.layout.exact is not None:
        return left_out_errors(version, data, space)
    answers = assessment.candidate
    value = np.concatenate([answers.on_trusted, answers.on_batch])
    error = np.concatenate([assessment.trusted_goals, assessment.batch_goals]) - value
    answered = np.isfinite(value).all(1)
    return value[answered], error[answered], np.zeros_like(error)[answered]


def _part(tensors: Mapping[str, Tensor] | None) -> Part | None:
    return None if tensors is None else {name: tensor.numpy() for name, tensor in tensors.items()}


def _notes(version: Checkpoint, data: Data, first: bool) -> list[str]:
    if not len(data.batch):
        return []
    scale = load_scale(data.input, version.parts["scale"])
    fitted = first and declared_scale(data.input) is None
    return scale_notes(scale, data.batch.inputs, fitted, differences=True, known=usual_rows(data, first))
