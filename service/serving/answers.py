"""A version's answer to rows, written as JSON: classes by name and their probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.errors import KnowsNothing
from service.learning.data.rows import Array
from service.serving.loaded_versions import Loaded
from service.serving.predictor import Columns, Floats, Probabilities, declared_range, largest

PIECE = 256
"""Scores that are written at once: about 0.1 ms."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The probabilities that one version gives to the classes of n rows."""

    loaded: Loaded
    probabilities: Probabilities

    @property
    def version(self) -> int:
        """The number of the version."""
        return self.loaded.number

    def json(self, top: int) -> bytes:
        """{"model", "version", "predictions": [{"class", "score", "top"}]}: the best `top` classes of each row, equal
        scores by name; "notes" where there are any."""
        return f"{self._head()}{self._rows(top)}{self._tail()}".encode()

    def pieces(self, top: int) -> Iterator[bytes]:
        """Yields the same JSON in pieces, so that other requests have their turn while a long answer is written."""
        rows, at_once = len(self.probabilities.best), max(PIECE // min(top, len(self.loaded.predictor.names)), 1)
        before = self._head()
        for start in range(0, rows, at_once):
            part = Answer(self.loaded, self.probabilities.part(start, min(start + at_once, rows)))
            yield f"{before}{part._rows(top)}".encode()
            before = ","
        yield self._tail().encode()

    def _rows(self, top: int) -> str:
        names, probabilities = self.loaded.predictor.quoted, self.probabilities
        if top == 1:
            rows = zip(_listed(probabilities.best), map(repr, _listed(probabilities.highest)), strict=True)
            return ",".join(
                [
                    f'{{"class":{names[k]},"score":{score},"top":[{{"class":{names[k]},"score":{score}}}]}}'
                    for k, score in rows
                ]
            )
        if probabilities.columns is None:
            best = largest(probabilities.values, top)
            scores = np.take_along_axis(probabilities.values, best, 1)
        else:
            best, scores = probabilities.columns, probabilities.values
        lists = [
            [f'{{"class":{names[k]},"score":{score!r}}}' for k, score in zip(columns, values, strict=True)]
            for columns, values in zip(best.tolist(), scores.tolist(), strict=True)
        ]
        return ",".join(f'{row[0][:-1]},"top":[{",".join(row)}]}}' for row in lists)

    def _head(self) -> str:
        # a model's name has letters, digits, dots and dashes: nothing to escape
        return f'{{"model":"{self.loaded.model}","version":{self.loaded.number},"predictions":['

    def _tail(self) -> str:
        """The end of the JSON, with a note if rows have values outside the range that the model declares."""
        if not self.probabilities.outside or (scale := declared_range(self.loaded.input)) is None:
            return "]}"
        low, high = scale.range
        return f'],"notes":["Some values lie outside the range of this model\'s inputs, [{low:g}, {high:g}]."]}}'


def is_long(loaded: Loaded, rows: int, top: int) -> bool:
    """Whether an answer is written in more than one piece."""
    return rows * min(top, len(loaded.predictor.names)) > PIECE


def predict(loaded: Loaded, inputs: Array, source: str | None = None) -> Answer:
    """Computes an answer in this thread, by the source's head if it has one. Raises KnowsNothing."""
    check_classes(loaded)
    return Answer(loaded, loaded.predictor.answer(inputs, source))


def check_classes(loaded: Loaded) -> None:
    """Raises KnowsNothing for a version without classes."""
    if not loaded.predictor.names:
        raise KnowsNothing(f"Version {loaded.number} of {loaded.model} knows no class. POST an update with rows first.")


def _listed(numbers: list[Any] | Columns | Floats) -> list[Any]:
    return numbers if isinstance(numbers, list) else numbers.tolist()
