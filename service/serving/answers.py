"""What a version says of rows, as every door tells it: classes by name, probabilities, and the JSON of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.errors import KnowsNothing
from service.learning.data.rows import Array
from service.serving.loaded_versions import Loaded
from service.serving.predictor import Columns, Floats, Shares, declared_range, largest

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

    def pieces(self, top: int) -> Iterator[bytes]:
        """The same, one after another, so that others have their turn while a long one is written."""
        rows, at_once = len(self.shares.best), max(PIECE // min(top, len(self.loaded.predictor.names)), 1)
        before = self._head()
        for start in range(0, rows, at_once):
            part = Answer(self.loaded, self.shares.part(start, min(start + at_once, rows)))
            yield f"{before}{part._rows(top)}".encode()
            before = ","
        yield self._tail().encode()

    def _rows(self, top: int) -> str:
        names, shares = self.loaded.predictor.quoted, self.shares
        if top == 1:
            rows = zip(_listed(shares.best), map(repr, _listed(shares.score)), strict=True)
            one = [
                f'{{"class":{names[k]},"score":{told},"top":[{{"class":{names[k]},"score":{told}}}]}}'
                for k, told in rows
            ]
            return ",".join(one)
        if shares.columns is None:
            best = largest(shares.shares, top)
            scores = np.take_along_axis(shares.shares, best, 1)
        else:
            best, scores = shares.columns, shares.shares
        lists = [
            [f'{{"class":{names[k]},"score":{score!r}}}' for k, score in zip(row, told, strict=True)]
            for row, told in zip(best.tolist(), scores.tolist(), strict=True)
        ]
        return ",".join(f'{row[0][:-1]},"top":[{",".join(row)}]}}' for row in lists)

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
    """At once, in this thread, by the head of their source if it has one. Raises KnowsNothing."""
    check_classes(loaded)
    return Answer(loaded, loaded.predictor.answer(inputs, source))


def check_classes(loaded: Loaded) -> None:
    """Raises KnowsNothing where a version knows no class."""
    if not loaded.predictor.names:
        raise KnowsNothing(f"Version {loaded.number} of {loaded.model} knows no class. POST an update with rows first.")


def _listed(numbers: list[Any] | Columns | Floats) -> list[Any]:
    """Numbers as Python has them."""
    return numbers if isinstance(numbers, list) else numbers.tolist()
