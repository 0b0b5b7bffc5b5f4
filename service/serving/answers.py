"""What a version says of rows, as every door tells it: classes by name, probabilities, and the JSON of them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from service.errors import NotLive
from service.learning.batch import Array
from service.serving.predictor import Shares, declared_range
from service.serving.shelf import Loaded

PIECE = 256
"""Scores that are written at once: about 0.1 ms."""


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
        return f"{self._head()}{self._rows(top)}{self._tail()}".encode()

    def written(self, top: int) -> Generator[None, None, bytes]:
        """The same; it yields between pieces, so that others have their turn while a long one is written."""
        rows, at_once = len(self.shares.best), max(PIECE // min(top, len(self.loaded.predictor.names)), 1)
        pieces = list[str]()
        for start in range(0, rows, at_once):
            if start:
                yield
            part = Answer(self.loaded, self.shares.part(start, min(start + at_once, rows)))
            pieces.append(part._rows(top))
        return f"{self._head()}{','.join(pieces)}{self._tail()}".encode()

    def _rows(self, top: int) -> str:
        names = self.loaded.predictor.quoted
        if top == 1:
            one = [
                f'{{"class":{names[k]},"score":{told},"top":[{{"class":{names[k]},"score":{told}}}]}}'
                for k, told in zip(self.shares.best, map(repr, self.shares.score), strict=True)
            ]
            return ",".join(one)
        best = np.argsort(-self.shares.shares, axis=1, kind="stable")[:, :top]
        scores = np.take_along_axis(self.shares.shares, best, 1)
        rows = [
            [f'{{"class":{names[k]},"score":{score!r}}}' for k, score in zip(row, told, strict=True)]
            for row, told in zip(best.tolist(), scores.tolist(), strict=True)
        ]
        return ",".join(f'{row[0][:-1]},"top":[{",".join(row)}]}}' for row in rows)

    def _head(self) -> str:
        # a model's name is letters, digits, dots and dashes: nothing in it wants escaping
        return f'{{"model":"{self.loaded.model}","version":{self.loaded.number},"predictions":['

    def _tail(self) -> str:
        """Values outside the range that the model declares are told: no row that it learned should hold any."""
        if not self.shares.outside or (scale := declared_range(self.loaded.input)) is None:
            return "]}"
        low, high = scale.range
        return f'],"notes":["Some values lie outside the range of this model\'s inputs, [{low:g}, {high:g}]."]}}'


def is_long(loaded: Loaded, rows: int, top: int) -> bool:
    """Whether an answer is written in more than one piece."""
    return rows * min(top, len(loaded.predictor.names)) > PIECE


def predict(loaded: Loaded, inputs: Array, source: str | None = None) -> Answer:
    """At once, in this thread, by the head of their source if it has one. Raises NotLive where it knows no class."""
    check_classes(loaded)
    return Answer(loaded, loaded.predictor.answer(inputs, source))


def check_classes(loaded: Loaded) -> None:
    """Raises NotLive where a version knows no class."""
    if not loaded.predictor.names:
        raise NotLive(f"Version {loaded.number} of {loaded.model} knows no class. POST an update with rows first.")
