"""Classes: the probability of each, the best of them as JSON, and `class` BYTES [n] and `scores` FP32 [n, classes]."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract.targets.class_target import ClassTarget
from service.errors import InvalidContent
from service.learning.data.rows import Array, Floats
from service.learning.network.checkpoint import Checkpoint
from service.serving.kinds.kind import Kind, Listing, PredictOptions
from service.serving.kinds.output_tensors import FloatTensor, NameTensor, OutputShape, OutputTensor
from service.serving.unusual import Marks, joined, of_any, some

Columns = NDArray[np.integer[Any]]

CLASS, SCORES = "class", "scores"
FEWER = {
    False: "Ask for class alone, for scores as bytes (binary_data), or send the rows in several requests.",
    True: "Ask for class alone, or send the rows in several requests.",
}
"""What to do where an answer would have too many scores, by whether they were wanted as bytes."""


class Probabilities(NamedTuple):
    """The probability of each class for each row.

    values: [n, C], columns in order of class names, or [n, k] where only the columns in `columns` were kept.
    best, highest: each row's most probable class, by column, the first of equal ones; and its probability.
    marks: what is unusual of the rows.
    columns: the kept columns of each row, by falling probability [n, k]; None where all were kept.
    """

    values: Floats
    best: list[int] | Columns
    highest: list[float] | Floats
    marks: Marks | None = None
    columns: Columns | None = None

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.values).all())

    def part(self, start: int, stop: int, options: PredictOptions) -> Probabilities:
        if start == 0 and stop == len(self.best):
            return self
        marks = some(self.marks, start, stop)
        columns = None if self.columns is None else self.columns[start:stop]
        return Probabilities(self.values[start:stop], self.best[start:stop], self.highest[start:stop], marks, columns)

    def marked(self, marks: Marks) -> Probabilities:
        return self._replace(marks=marks)

    def kept(self, options: PredictOptions) -> Probabilities:
        """A copy of each row's best `top` classes: 12 bytes a kept class instead of 8 for every class, and 12 a row
        instead of 68."""
        top = options.top or 1
        best, highest = np.array(self.best, np.int32), np.array(self.highest)
        marks = of_any(self.marks)
        if top >= self.values.shape[1]:
            return Probabilities(self.values.copy(), best, highest, marks)
        if top == 1:
            return Probabilities(highest[:, None], best, highest, marks, best[:, None])
        columns = largest(self.values, top)
        values = np.take_along_axis(self.values, columns, 1)
        return Probabilities(values, best, highest, marks, columns.astype(np.int32))

    def room(self, rows: int) -> Probabilities:
        k = self.values.shape[1]
        columns = None if self.columns is None else np.empty((rows, k), np.int32)
        return Probabilities(np.empty((rows, k)), np.empty(rows, np.int32), np.empty(rows), columns=columns)

    def put(self, part: Probabilities, start: int, stop: int) -> Probabilities:
        self.values[start:stop], self.best[start:stop], self.highest[start:stop] = part[:3]
        if self.columns is not None and part.columns is not None:
            self.columns[start:stop] = part.columns
        return self if part.marks is None else self._replace(marks=of_any(self.marks, part.marks))

    @classmethod
    def concat(cls, parts: Sequence[Probabilities]) -> Probabilities:
        """Joins the rows of several parts: either all whole, or all kept in part."""
        if len(parts) == 1:
            return parts[0]
        values = np.concatenate([p.values for p in parts])
        marks = joined((len(p.best), p.marks) for p in parts)
        if isinstance(parts[0].best, list):
            return cls(values, [b for p in parts for b in p.best], [h for p in parts for h in p.highest], marks)
        columns = [p.columns for p in parts if p.columns is not None]
        best, highest = np.concatenate([p.best for p in parts]), np.concatenate([p.highest for p in parts])
        return cls(values, best, highest, marks, np.concatenate(columns) if columns else None)


def largest(values: Floats, top: int) -> Columns:
    """Columns of the `top` largest values of each row, by falling value, equal ones by column. [n, top]

    The same as the head of a stable sort, in a tenth of its time where columns are many and `top` is small."""
    n, columns = values.shape
    if top < columns:
        least = np.partition(values, columns - top, axis=1)[:, columns - top, None]
        chosen, equal = values > least, values == least
        chosen |= equal & (np.cumsum(equal, 1) <= top - chosen.sum(1, keepdims=True))
        if chosen.sum() == n * top:  # a NaN breaks the count
            candidates = np.nonzero(chosen)[1].reshape(n, top)
            order = np.argsort(-np.take_along_axis(values, candidates, 1), axis=1, kind="stable")
            return np.take_along_axis(candidates, order, 1)
    return np.argsort(-values, axis=1, kind="stable")[:, :top]


class ClassKind(Kind[Probabilities]):
    """A version that predicts classes. `quoted`: their names as JSON."""

    outputs = (CLASS, SCORES)
    ignorance = "knows no class"

    def __init__(self, classes: Sequence[str]) -> None:
        self.order = sorted(range(len(classes)), key=lambda k: classes[k])
        self.names = [classes[k] for k in self.order]
        self.quoted = [msgspec.json.encode(name).decode() for name in self.names]
        self.last = partial(torch.softmax, dim=1, dtype=torch.float64)

    @classmethod
    def of(cls, version: Checkpoint) -> Self:
        return cls(version.classes)

    @staticmethod
    def shapes(target: ClassTarget, known: int, parts: Collection[str] | None) -> list[OutputShape]:
        return [OutputShape(CLASS, "BYTES", [-1]), OutputShape(SCORES, "FP32", [-1, known])]

    def answers(self, given: Tensor, inputs: Array, options: PredictOptions) -> Probabilities:
        values = given.numpy()
        return Probabilities(values, values.argmax(1).tolist(), np.maximum.reduce(values, 1).tolist())

    def settled(self, options: PredictOptions, model: str, level: Callable[[], float]) -> PredictOptions:
        if options.level is not None:
            sentence = f"{model} predicts classes, and level is of predicted numbers. Ask for more classes by top."
            raise InvalidContent.at("/level", sentence)
        return options

    def scores(self, options: PredictOptions) -> int:
        return min(options.top or 1, len(self.names))

    def limited(self, scores: int) -> bool:
        return scores > 1  # the best class of each row is always listed

    def listing(self) -> Listing:
        return Listing("classes", "/top", "Ask for fewer (top), or send the rows in several requests.")

    def members(self, options: PredictOptions) -> str:
        return ""

    def rows(self, answers: Probabilities, options: PredictOptions) -> str:
        """{"class", "score", "top"} of each row: the best `top` classes, equal scores by name."""
        names, top = self.quoted, options.top or 1
        if top == 1:
            rows = zip(_listed(answers.best), map(repr, _listed(answers.highest)), strict=True)
            return ",".join(
                [
                    f'{{"class":{names[k]},"score":{score},"top":[{{"class":{names[k]},"score":{score}}}]}}'
                    for k, score in rows
                ]
            )
        if answers.columns is None:
            best = largest(answers.values, top)
            scores = np.take_along_axis(answers.values, best, 1)
        else:
            best, scores = answers.columns, answers.values
        lists = [
            [f'{{"class":{names[k]},"score":{score!r}}}' for k, score in zip(columns, values, strict=True)]
            for columns, values in zip(best.tolist(), scores.tolist(), strict=True)
        ]
        return ",".join(f'{row[0][:-1]},"top":[{",".join(row)}]}}' for row in lists)

    def width(self, output: str) -> int:
        return len(self.names) if output == SCORES else 0

    def for_outputs(self, columns: int, options: PredictOptions) -> PredictOptions:
        return options._replace(top=columns)

    def listing_of_outputs(self, binary: bool) -> Listing:
        return Listing("classes", "/outputs", FEWER[binary])

    def tensor(self, output: str, answers: Probabilities) -> OutputTensor:
        if output == CLASS:
            return NameTensor(CLASS, answers.best, self.names, self.quoted)
        return FloatTensor(SCORES, "FP32", answers.values, {"classes": self.names})


def _listed(numbers: list[Any] | Columns | Floats) -> list[Any]:
    return numbers if isinstance(numbers, list) else numbers.tolist()
