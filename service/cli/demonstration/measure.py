"""Measures a version, over HTTP, on rows that the service never learned from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from service.cli.demonstration.data import Rows
from service.client import RemoteModel


@dataclass(frozen=True)
class Answers:
    """One version's answers to some rows: classes [n], and the score of each class a row."""

    labels: tuple[str, ...]
    answers: list[str]
    scores: list[dict[str, float]]

    @property
    def accuracy(self) -> float:
        return float(np.mean([a == b for a, b in zip(self.answers, self.labels, strict=True)]))

    def of(self, classes: Collection[str]) -> Answers:
        which = [k for k, label in enumerate(self.labels) if label in classes]
        return Answers(
            tuple(self.labels[k] for k in which), [self.answers[k] for k in which], [self.scores[k] for k in which]
        )

    def answered_with(self, classes: Sequence[str]) -> float:
        """Share of the rows that were given one of these classes."""
        return float(np.mean([answer in classes for answer in self.answers]))

    def masked(self, classes: Sequence[str]) -> dict[str, float]:
        """Accuracy of each class when only these classes may be answered."""
        best = [max(classes, key=lambda name: row.get(name, 0.0)) for row in self.scores]
        hits: dict[str, list[bool]] = {}
        for answer, label in zip(best, self.labels, strict=True):
            hits.setdefault(label, []).append(answer == label)
        return {label: float(np.mean(right)) for label, right in hits.items()}


def ask(model: RemoteModel, version: int, rows: Rows) -> Answers:
    predictions = model.predict(rows.inputs, top=1000, version=version).predictions
    scores = [{share.class_: share.score for share in prediction.top} for prediction in predictions]
    return Answers(rows.labels, [prediction.class_ for prediction in predictions], scores)


def forgetting(before: Answers, after: Answers, classes: Sequence[str]) -> float:
    """Mean over the old classes of the accuracy lost, old classes against one another."""
    then, now = before.masked(classes), after.masked(classes)
    return float(np.mean([then[name] - now[name] for name in then]))
