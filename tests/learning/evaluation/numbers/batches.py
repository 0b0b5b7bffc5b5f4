"""A stream of numbers as arrays, as base and candidate answer it: without heads, service or data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.contract.number_policy import NumberPolicy
from service.contract.reports.facts import GateReport
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import FeatureRows, Floats
from service.learning.data.target_grid import NumberGrid, goals_of
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.numbers.batch.own_head import cut
from service.learning.evaluation.numbers.batch.recent_batches import ratios
from service.learning.evaluation.numbers.measure_numbers import measure
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.evaluation.numbers.number_memory import kept_figures
from service.learning.gate.numbers.number_gate import judge_numbers
from service.learning.gate.numbers.number_measurements import BatchFigures

ROWS = 96
"""Of a batch that tests look at."""

COLUMNS, GROUPS = 4, 5


class Stream:
    """Targets are `level + spread * (x weights + noise)`, k of them a row; the base knows the weights.

    `level`, `spread`: as sent; with `log` of the logarithm, with `from_` beside column 0, which wanders.
    """

    def __init__(
        self,
        level: float = 100.0,
        spread: float = 20.0,
        noise: float = 0.3,
        target: NumberTarget | None = None,
        batches: int = 6,
        seed: int = 0,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.target = target or NumberTarget(kind="number")
        self.level, self.spread, self.noise = level, spread, noise
        self.weights = self.random.normal(size=(COLUMNS, self.target.size))
        self.weights /= np.sqrt((self.weights**2).sum(0))
        self.policy = NumberPolicy()
        inputs, targets = self.draw(400)
        self.grid = NumberGrid.fitted(self.target, self.goals(targets, inputs))
        self.trusted = inputs, targets
        self.past: list[tuple[int, Tested]] = []
        for version in range(batches):
            self.promote(version + 2, self.assessment(*self.draw(120)))

    def draw(self, n: int, noise: float | None = None) -> tuple[Floats, Floats]:
        """n rows: inputs [n, 4], targets [n, k]."""
        inputs = self.random.normal(size=(n, COLUMNS))
        if self.target.from_ is not None:
            inputs[:, self.target.from_] = 1e6 + 1e5 * self.random.normal(size=n)
        spread = self.noise if noise is None else noise
        goals = self.level + self.spread * (
            self._expected(inputs) + spread * self.random.normal(size=(n, self.target.size))
        )
        if self.target.scale == "log":
            return inputs, np.exp(goals)
        return inputs, goals if self.target.from_ is None else goals + inputs[:, self.target.from_, None]

    def _expected(self, inputs: Floats) -> Floats:
        plain = inputs.copy()
        if self.target.from_ is not None:
            plain[:, self.target.from_] = 0.0
        return np.asarray(plain @ self.weights)

    def goals(self, targets: Floats, inputs: Floats) -> Floats:
        return goals_of(self.target.scale, self.target.from_, targets, inputs)

    def answers(self, inputs: Floats) -> Floats:
        """What the base answers, in units."""
        return self.grid.in_units(self.level + self.spread * self._expected(inputs))

    def alone(self, inputs: Floats, goals: Floats) -> Floats:
        """Out-of-fold least squares of these rows alone, a little shrunk."""
        group, answers = np.arange(len(inputs)) % GROUPS, np.full(goals.shape, np.nan)
        goals = cut(goals)
        for g in np.unique(group):
            rest, own = group != g, group == g
            if rest.sum() > COLUMNS:
                x = inputs - inputs[rest].mean(0)
                gram = x[rest].T @ x[rest] + np.diag(x[rest].var(0)) * rest.sum() * 0.1
                middle = goals[rest].mean(0)
                answers[own] = middle + x[own] @ np.linalg.solve(gram, x[rest].T @ (goals[rest] - middle))
        return answers

    def assessment(self, inputs: Floats, targets: Floats, **changes: object) -> NumberAssessment:
        """An update with these rows on the base; its candidate answers as the base does."""
        old, known = self.trusted
        goals, trusted_goals = (self.grid.in_units(self.goals(t, x)) for x, t in ((inputs, targets), (old, known)))
        answers = ExamAnswers(self.answers(old), self.answers(inputs))
        made = NumberAssessment(
            policy=self.policy,
            grid=self.grid,
            trusted=rows(known, "old"),
            batch=rows(targets, "new"),
            trusted_goals=trusted_goals,
            batch_goals=goals,
            candidate=answers,
            base=answers,
            live=7,
            alone=self.alone(inputs, goals) if len(inputs) else None,
            past=self.past,
        )
        return replace(made, **changes)

    def promote(self, version: int, a: NumberAssessment) -> None:
        """Remembers the update as one that went live."""
        self.past = [*self.past, (version, memory_of(a))]

    def verdict(self, a: NumberAssessment) -> GateReport:
        return judge_numbers(measure(a), a.policy)

    def judged(self, inputs: Floats, targets: Floats, **changes: object) -> GateReport:
        return self.verdict(self.assessment(inputs, targets, **changes))

    def measured(self, inputs: Floats, targets: Floats, **changes: object) -> BatchFigures:
        """What the gate sees of a batch, of its first number."""
        return measure(self.assessment(inputs, targets, **changes)).numbers[0].batch

    def judged_with(self, batch: tuple[Floats, Floats], beyond: str = "", **seen: object) -> GateReport:
        """What the gate says of a batch of which it sees this in the place of what there is."""
        measured = replace(measure(self.assessment(*batch)), beyond=beyond)
        [one] = measured.numbers
        assert one.batch is not None
        return judge_numbers(replace(measured, numbers=[replace(one, batch=replace(one.batch, **seen))]), self.policy)


def rows(
    targets: Floats, batch: str, sources: Sequence[str] = ("",), source: NDArray[np.int64] | None = None
) -> FeatureRows:
    """Rows without features, for what rules ask of rows."""
    n = len(targets)
    none = np.zeros(n, np.int64)
    return FeatureRows(
        inputs=np.zeros((n, 1), np.int16),
        names=("",),
        labels=none,
        folds=np.arange(n) % 10,
        lent=np.zeros(n, bool),
        hashes=np.arange(n).astype(np.uint64),
        batches=(batch,),
        batch=none,
        row=np.arange(n),
        sources=tuple(sources),
        source=none if source is None else source,
        targets=targets,
    )


def memory_of(a: NumberAssessment) -> Tested:
    """What a version remembers of an update, all rows."""
    ratio = ratios(a)
    assert ratio is not None
    n, m = len(a.batch), len(a.trusted)
    return Tested(
        batches=a.batch.batches,
        batch=np.zeros(n, np.int32),
        row=np.arange(n, dtype=np.int32),
        value=a.base.on_batch,
        error=a.batch_goals - a.base.on_batch,
        ratio=ratio,
        figures=kept_figures(a),
        trusted_batches=a.trusted.batches,
        trusted_batch=np.zeros(m, np.int32),
        trusted_row=np.arange(m, dtype=np.int32),
        trusted_error=np.abs(a.trusted_goals - a.candidate.on_trusted),
    )


def fired(report: GateReport) -> dict[str, str]:
    """Rules that fired, by name."""
    return {rule.name: str(rule.severity) for rule in report.rules if rule.severity}


def why(report: GateReport, name: str) -> str:
    """The sentence of a rule."""
    return next(rule.why for rule in report.rules if rule.name == name)


def farther(a: NumberAssessment, times: float) -> Floats:
    """The base's answers to trusted rows, with errors so many times what they are. [m, k]"""
    return a.trusted_goals - times * (a.trusted_goals - a.candidate.on_trusted)


def answers(a: NumberAssessment, trusted: float = 1.0, own: float = 1.0) -> ExamAnswers:
    """The base's, with errors on trusted rows and on those of the batch so many times what they are."""
    return ExamAnswers(farther(a, trusted), a.batch_goals - own * (a.batch_goals - a.candidate.on_batch))
