"""river's learners, each row once with their defaults, for classes and numbers: `pip install -e '.[peers]'`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.learners.learner import Answers, Learner, back, goals
from benchmarks.learners.network import encoder
from benchmarks.streams.stream import Floats, Rows, Stream

LINEAR, TREE, FOREST = "river linear", "river tree", "river forest"
RIVER = (LINEAR, TREE, FOREST)


class River(Learner):
    """Rows and numbers are scaled by the first batch, as networks get them."""

    def __init__(self, stream: Stream, name: str) -> None:
        super().__init__(stream.plain)
        self._model = _model(name, self.stream.numbers is not None)
        self._names: list[str] = []
        self._scale: tuple[float, float] | None = None

    def learn(self, rows: Rows) -> None:
        target = self.stream.numbers
        learned = rows.targets if target is None else goals(target, rows)
        if self._scale is None:
            self._encode = encoder(self.stream, rows)
            self._scale = (0.0, 1.0) if target is None else (float(learned.mean()), float(learned.std()) or 1.0)
        if target is not None:
            learned = (learned - self._scale[0]) / self._scale[1]
        self._names += sorted({*rows.targets.tolist()} - {*self._names}) if target is None else []
        for row, goal in zip(self._rows(rows), learned.tolist(), strict=True):
            self._model.learn_one(row, goal)

    def answer(self, rows: Rows) -> Answers:
        assert self._scale is not None
        if self.stream.numbers is None:
            given = [self._model.predict_proba_one(row) for row in self._rows(rows)]
            return Answers(np.array([[g.get(name, 0.0) for name in self._names] for g in given]), self._names)
        values: Floats = np.array([self._model.predict_one(row) for row in self._rows(rows)], np.float64)
        return Answers(back(self.stream.numbers, self._scale[0] + self._scale[1] * values, rows))

    def _rows(self, rows: Rows) -> list[dict[int, float]]:
        return [dict(enumerate(row)) for row in self._encode(rows).astype(np.float64).tolist()]


def _model(name: str, number: bool) -> Any:
    from river import forest, linear_model, optim, tree

    if name == LINEAR:
        adam = optim.Adam(0.01)
        return (
            linear_model.LinearRegression(optimizer=adam, intercept_lr=0.01)
            if number
            else linear_model.SoftmaxRegression(optimizer=adam)
        )
    if name == TREE:
        return tree.HoeffdingTreeRegressor() if number else tree.HoeffdingTreeClassifier()
    return (forest.ARFRegressor if number else forest.ARFClassifier)(n_models=10, seed=0)
