"""Joint retraining: anew on all rows so far. Boosting and a network, for classes and for numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.learners.learner import Answers, Learner, back, goals
from benchmarks.streams.stream import Floats, Rows, Stream, together
from service.contract.targets.number_target import NumberTarget

LATE = 4
"""Batches from which retraining need not follow each."""

Model = Callable[[Rows], Floats]


class Joint(Learner):
    """Trained after each of the first batches, then after every so many, and after the last; `until`: not later.

    plain: of numbers, the target as it is sent, where the service learns a difference or a logarithm · last: on so many
    batches alone, the latest ones; 0: on all.
    """

    def __init__(
        self, stream: Stream, every: int = 1, plain: bool = False, until: int | None = None, last: int = 0
    ) -> None:
        super().__init__(stream.plain)
        self.target = NumberTarget(kind="number") if plain else stream.numbers
        self._every, self._until, self._last = every, until, last
        self.known: list[Rows] = []
        self._names: list[str] = []
        self._model: Model | None = None

    def learn(self, rows: Rows) -> None:
        self.known.append(rows)
        k = len(self.known)
        if (k < LATE or k % self._every == 0 or k == len(self.stream.parts)) and k <= (self._until or k):
            every_row = together(self.known[-self._last :])
            if self.target is not None:
                self._model = self.trained(every_row, goals(self.target, every_row))
                return
            names, codes = np.unique(every_row.targets, return_inverse=True)
            self._names = [str(name) for name in names]
            many = len(names) > 1
            self._model = self.trained(every_row, codes) if many else lambda asked: np.ones((len(asked), 1))

    def answer(self, rows: Rows) -> Answers:
        assert self._model is not None
        values = self._model(rows)
        return Answers(values, self._names) if self.target is None else Answers(back(self.target, values, rows))

    def trained(self, rows: Rows, goals: Any) -> Model:
        """On codes of classes [n], or on numbers [n]. -> gives rows' probabilities [m, C], or numbers [m]"""
        raise NotImplementedError

    @property
    def bytes(self) -> int:
        return sum(rows.inputs.nbytes for rows in self.known)


class Boosting(Joint):
    """scikit-learn's HistGradientBoosting with its defaults; of tables it takes categories and gaps as they are."""

    def trained(self, rows: Rows, goals: Any) -> Model:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind = HistGradientBoostingClassifier if self.target is None else HistGradientBoostingRegressor
        made = kind(categorical_features=[*self.stream.coded] or None, random_state=0).fit(_trees(rows), goals)
        answer = made.predict_proba if self.target is None else made.predict
        return lambda asked: answer(_trees(asked))


def _trees(rows: Rows) -> Floats:
    return np.asarray(rows.inputs, np.float64).reshape(len(rows), -1) if rows.trees is None else rows.trees
