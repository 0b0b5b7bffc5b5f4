"""What a version says of rows, as every door tells it: classes by name, probabilities, and the JSON of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.errors import NotLive
from service.learning.batch import Array
from service.serving.predictor import Shares, declared_range
from service.serving.shelf import Loaded


@dataclass(frozen=True, eq=False)
class Answer:
    """What one version says of n rows: the shares of all its classes."""

    loaded: Loaded
    shares: Shares

    @property
    def version(self) -> int:
        """Its number."""
        return self.loaded.number

    def json(self, top: int) -> bytes:
        """{"model", "version", "predictions": [{"class", "score", "top"}]}: the best `top` classes of each row, equal
        scores by name; "notes" where there are any."""
        names = self.loaded.predictor.quoted
        if top == 1:
            one = [
                f'{{"class":{names[k]},"score":{score!r},"top":[{{"class":{names[k]},"score":{score!r}}}]}}'
                for k, score in zip(self.shares.best, self.shares.score, strict=True)
            ]
            return f"{self._head()}{','.join(one)}]{self._notes()}}}".encode()
        best = np.argsort(-self.shares.shares, axis=1, kind="stable")[:, :top]
        scores = np.take_along_axis(self.shares.shares, best, 1)
        rows = [
            [f'{{"class":{names[k]},"score":{score!r}}}' for k, score in zip(row, told, strict=True)]
            for row, told in zip(best.tolist(), scores.tolist(), strict=True)
        ]
        told = ",".join(f'{row[0][:-1]},"top":[{",".join(row)}]}}' for row in rows)
        return f"{self._head()}{told}]{self._notes()}}}".encode()

    def _head(self) -> str:
        # a model's name is letters, digits, dots and dashes: nothing in it wants escaping
        return f'{{"model":"{self.loaded.model}","version":{self.loaded.number},"predictions":['

    def _notes(self) -> str:
        """Values outside the range that the model declares are told: no row that it learned should hold any."""
        scale = declared_range(self.loaded.input)
        if not self.shares.outside or scale is None:
            return ""
        low, high = scale.range
        return f',"notes":["Some values lie outside the range of this model\'s inputs, [{low:g}, {high:g}]."]'


def predict(loaded: Loaded, inputs: Array, source: str | None = None) -> Answer:
    """At once, in this thread, by the head of their source if it has one. Raises NotLive where it knows no class."""
    check_classes(loaded)
    return Answer(loaded, loaded.predictor.answer(inputs, source))


def check_classes(loaded: Loaded) -> None:
    """Raises NotLive where a version knows no class."""
    if not loaded.predictor.names:
        raise NotLive(f"Version {loaded.number} of {loaded.model} knows no class. POST an update with rows first.")
