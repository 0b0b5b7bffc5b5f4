"""What needs no learning, and says how hard a stream is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.learners.learner import Answers, Learner
from benchmarks.streams.stream import Rows, Stream
from service.contract.targets.number_target import ColumnYardstick

MEAN, LAST, COLUMN = "mean so far", "mean of the last batch", "same as the column"
COMMONEST, LAST_LABEL, SAME_PLACE = "commonest label so far", "last known label", "same place in the last batch"
AT_ONCE = "the label before, were it known at once"
Targets = NDArray[Any]


def _commonest(known: list[Targets], asked: Rows) -> Targets:
    names, counts = np.unique(np.concatenate(known), return_counts=True)
    return np.repeat(names[counts.argmax()], len(asked))


LABELS: dict[str, Callable[[list[Targets], Rows], Targets]] = {
    AT_ONCE: lambda known, asked: np.concatenate([known[-1][-1:], asked.targets[:-1]]),
    LAST_LABEL: lambda known, asked: np.repeat(known[-1][-1:], len(asked)),
    SAME_PLACE: lambda known, asked: np.resize(known[-1], len(asked)),
    COMMONEST: _commonest,
}
"""The first is what no batch can tell: why some streams look easy."""
RULES = (MEAN, LAST, COLUMN, *LABELS)


def rules_of(stream: Stream) -> list[str]:
    """The rules that there are on a stream."""
    if stream.numbers is None:
        return [*LABELS]
    return [MEAN, COLUMN if isinstance(stream.numbers.usual, ColumnYardstick) else LAST]


class Rule(Learner):
    """Answers from the targets of the batches so far, or from a column of the row."""

    def __init__(self, stream: Stream, name: str) -> None:
        super().__init__(stream)
        self._name, self._known = name, list[Targets]()

    def learn(self, rows: Rows) -> None:
        self._known.append(rows.targets)

    def answer(self, rows: Rows) -> Answers:
        if self._name in LABELS:
            names, codes = np.unique(LABELS[self._name](self._known, rows), return_inverse=True)
            return Answers(np.eye(len(names))[codes], [str(name) for name in names])
        if self._name == COLUMN:
            assert self.stream.numbers is not None
            usual = self.stream.numbers.usual
            assert isinstance(usual, ColumnYardstick)
            return Answers(np.asarray(rows.inputs[:, usual.column], np.float64))
        known = self._known[-1] if self._name == LAST else np.concatenate(self._known)
        return Answers(np.full(len(rows), known.mean()))
