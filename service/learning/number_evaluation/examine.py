"""Examines a version of a number model: base, candidate and yardsticks answer the same rows, and the gate judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from service.contract.number_policy import NumberPolicy
from service.contract.targets import NumberTarget
from service.learning.absent_rows import lacking
from service.learning.data.rows import Bools, FeatureRows, Ints, distinct
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.examine import HALF, Candidate, UpdateContext, ledger_space
from service.learning.evaluation.version_answers import ExamRows, VersionAnswers
from service.learning.gate.number_gate import follows, judge_numbers
from service.learning.ledger.batch_weights import aged, weights_of
from service.learning.ledger.feature_space import Space
from service.learning.method import Data, Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import declared_scale, load_scale
from service.learning.network.scale_notes import scale_notes
from service.learning.number_evaluation.answers import base_answers, candidate_answers
from service.learning.number_evaluation.assessment import Floats, NumberAssessment, NumberPast, Tested
from service.learning.number_evaluation.batch.figures import recent
from service.learning.number_evaluation.batch.own_head import own_answers
from service.learning.number_evaluation.batch.usual_errors import usual_errors
from service.learning.number_evaluation.challenge import NumberBout, compare_numbers
from service.learning.number_evaluation.errors import Part
from service.learning.number_evaluation.intervals import (
    LEAST_ROWS,
    IntervalErrors,
    enough,
    interval_part,
    latest,
    levels_due,
)
from service.learning.number_evaluation.left_out import left_out_errors
from service.learning.number_evaluation.measure import measure
from service.learning.number_evaluation.memory import remember
from service.learning.number_evaluation.report import Examined, number_report
from service.learning.number_evaluation.yardsticks import RIDGE, ridge_values, yardstick_values
from service.learning.number_heads.equations import goals_in_units
from service.learning.run import Run

INTERVAL = "interval"
"""The part of a version that holds its intervals."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NumberContext(UpdateContext):
    """What surrounds an update whose targets are numbers. stopped: see `NumberAssessment`."""

    policy: NumberPolicy = field(default_factory=NumberPolicy)
    past: NumberPast = field(default_factory=NumberPast)
    stopped: Sequence[Sequence[Mapping[str, float]]] = ()

    def examine(self, base: Checkpoint | None, learned: Learned, data: Data, run: Run) -> Candidate:
        return examine_numbers(base, learned, data, run, self)

    def compare(self, champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run) -> NumberBout:
        return compare_numbers(champion, challenger, data, run)


def examine_numbers(
    base: Checkpoint | None, learned: Learned, data: Data, run: Run, context: NumberContext
) -> Candidate:
    """Judges a version against the base on trusted rows and on the update's own, and gives it its intervals."""
    run.progress("judging", 0, 1)
    base = base if base is not None and base.outputs else None
    space = _space(base, learned.checkpoint, data)
    ledger = data.ledger(space)
    run.check()
    past = context.past.of(frozenset(data.known_batches))
    last = context.policy.recent_batches if context.policy.trusted == "recent" else None
    rows = ExamRows(data, space, ledger, last=last)
    after, before = rows.answered_by(learned.checkpoint), rows.answered_by(base) if base is not None else None
    weights = weights_of(learned.checkpoint)
    trusted = _still_true(rows.trusted, aged(weights.decay, data.weighted_batches(weights)))
    same = rows.answered_by(learned.without) if learned.without is not None and base is not None else None
    answered = _Answered(rows, after, before, same, trusted, distinct(rows.batch))
    assessment = _assessment(answered, learned, replace(context, past=past))
    run.check()
    own = data.batch.take(answered.batch)
    yardsticks = yardstick_values(_target(data), ledger, [t for _, t in past.tested], own)
    if base is not None and (ridge := ridge_values(base, space, ledger, assessment.batch)) is not None:
        yardsticks[RIDGE] = ridge
    base_part = _part(base.parts.get(INTERVAL)) if base is not None else None
    measured = measure(assessment)
    gate = judge_numbers(measured, context.policy)
    moved = follows(measured, context.policy, gate) > 0
    memory = remember(assessment, space, base_part, yardsticks, moved)
    made, note = _with_intervals(
        learned.checkpoint,
        [*(t for _, t in past.tested), memory],
        frozenset(data.known_batches) | frozenset(data.batch.batches),
        lambda: _unmade_errors(learned.checkpoint, data, space, assessment),
    )
    exact = made.layout.exact
    gone = lacking(ledger, data.known_rows)
    report = number_report(
        Examined(
            target=_target(data),
            assessment=assessment,
            numbers=measured,
            gate=gate,
            memory=memory,
            before=base_part,
            after=_part(made.parts.get(INTERVAL)),
            cost=context.cost(base, replace(learned, checkpoint=made), data),
            exact=exact is not None and weights.whole,
            unlabelled=len(data.unlabelled),
            new_values=data.new_values(base),
        ),
        learned.details,
        [*learned.notes, *note, *_notes(made, data, first=base is None), *gone],
    )
    digest = data.grown(space).digest if exact is not None else None
    run.progress("judging", 1, 1)
    return Candidate(checkpoint=made, report=report, bits=memory, space=space, ledger_digest=digest)


@dataclass(frozen=True, eq=False)
class _Answered:
    """Who answers which rows; same: see `NumberAssessment`. trusted, batch: places of the rows, each of which stands
    once."""

    rows: ExamRows
    after: VersionAnswers
    before: VersionAnswers | None
    same: VersionAnswers | None
    trusted: Ints
    batch: Ints


def _assessment(answered: _Answered, learned: Learned, context: NumberContext) -> NumberAssessment:
    rows, trusted, batch = answered.rows, answered.trusted, answered.batch
    space, grid = rows.space, _grid(rows.space)
    own: FeatureRows = rows.batch.take(batch)
    goals, decay = goals_in_units(own, grid), weights_of(learned.checkpoint).decay
    candidate = candidate_answers(answered.after, learned, grid.size, trusted, batch)
    a = NumberAssessment(
        policy=context.policy,
        grid=grid,
        trusted=rows.trusted.take(trusted),
        batch=own,
        trusted_goals=goals_in_units(rows.trusted.take(trusted), grid),
        batch_goals=goals,
        candidate=candidate,
        base=base_answers(answered.before, trusted, batch) if answered.before is not None else None,
        same=base_answers(answered.same, trusted, batch) if answered.same is not None else None,
        live=context.live,
        alone=own_answers(own, space.features, goals),
        novel=_novel(answered),
        past=context.past,
        stopped=context.stopped,
        challenges=context.challenges,
        sound=not np.isinf(candidate.on_trusted).any() and not np.isinf(candidate.on_batch).any(),
        known=_known(rows.data, len(own), decay),
        fades=decay < 1 and answered.before is not None and weights_of(answered.before.version).decay < 1,
    )
    if a.base is None:
        return a
    return replace(a, usual=usual_errors(recent(a), rows.ledger, space, own))


def _novel(answered: _Answered) -> Bools | None:
    """Which of the update's own rows have a value of a category that the base has not learned; None: no row has."""
    novel = answered.before.novel()[answered.batch] if answered.before is not None else None
    return novel if novel is not None and novel.any() else None


def _known(data: Data, rows: int, decay: float) -> int:
    """Rows that the base has learned, as they count beside so many new ones: with a decay all batches before count no
    more than decay / (1 - decay) such as this one."""
    return data.known_rows if decay == 1 else min(data.known_rows, round(rows * decay / (1 - decay)))


def _still_true(trusted: FeatureRows, counts: Mapping[str, float]) -> Ints:
    """Places of trusted rows, each once, of batches that still count: a version that is meant to forget the others is
    not judged by them. counts: what a row of each batch counts"""
    count = np.array([counts.get(batch, 0.0) >= HALF for batch in trusted.batches], bool)
    places = distinct(trusted)
    return places[count[trusted.batch[places]]] if len(places) else places


def _space(base: Checkpoint | None, candidate: Checkpoint, data: Data) -> Space:
    """The candidate's feature space, see `ledger_space`, with its grid of targets beside it."""
    space = ledger_space(base, candidate, data)
    if space.numbers is not None:
        return space
    target = _target(data)
    fitted = NumberGrid.fitted(target, np.zeros((1, target.size)))
    network = space.network
    network.layout = network.layout.model_copy(update={"numbers": candidate.layout.numbers or fitted})
    return Space.of(network)


def _with_intervals(
    version: Checkpoint, tested: list[Tested], known: frozenset[str], unmade: Callable[[], tuple[Floats, Floats]]
) -> tuple[Checkpoint, list[str]]:
    """The version with its intervals, where errors are enough for them, and a note where they say less than they
    will. unmade: `_unmade_errors` of the known batches"""
    if not version.outputs:
        return version, []
    errors, notes = latest(tested), list[str]()
    made = enough(errors)
    if not made:
        errors = IntervalErrors(*unmade(), known, made=False)
        kind = "a fifth of its rows by the others" if version.layout.exact is not None else "rows kept back"
        notes = [
            f"Intervals are of errors on {kind} until a batch was answered before it was learned: they hold for rows "
            "like these, and less once rows change: see tested.coverage."
        ]
    part = interval_part(errors, levels_due(tested) if made else None)
    if part is None:
        return version, [f"Values have no interval yet: that takes {LEAST_ROWS} rows."]
    parts = {**version.parts, INTERVAL: part}
    return replace(version, parts=parts, learned={**version.learned, INTERVAL: errors.batches}), notes


def _unmade_errors(
    version: Checkpoint, data: Data, space: Space, assessment: NumberAssessment
) -> tuple[Floats, Floats]:
    """Values and errors (goal - value) in units until errors were really made: of an exact head those on fifths of its
    rows, of a net those on rows that it did not learn. -> [n, k], [n, k]"""
    if version.layout.exact is not None:
        return left_out_errors(version, data, space)
    answers = assessment.candidate
    value = np.concatenate([answers.on_trusted, answers.on_batch])
    error = np.concatenate([assessment.trusted_goals, assessment.batch_goals]) - value
    answered = np.isfinite(value).all(1)
    return value[answered], error[answered]


def _part(tensors: Mapping[str, Tensor] | None) -> Part | None:
    """An interval part as arrays."""
    return None if tensors is None else {name: tensor.numpy() for name, tensor in tensors.items()}


def _grid(space: Space) -> NumberGrid:
    assert space.numbers is not None, "the space of numbers has their grid"
    return space.numbers


def _notes(version: Checkpoint, data: Data, first: bool) -> list[str]:
    if not len(data.batch):
        return []
    scale = load_scale(data.input, version.parts["scale"])
    return scale_notes(scale, data.batch.inputs, fitted=first and declared_scale(data.input) is None)


def _target(data: Data) -> NumberTarget:
    assert data.target.kind == "number", "numbers are examined where targets are numbers"
    return data.target
