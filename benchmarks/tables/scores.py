"""How a course of updates is scored on rows kept aside: accuracy, what was forgotten, who intrudes.

Rows are scored in groups that are learned together: the classes of a step, or a domain. *Masked*: rows that were asked
before an update are scored within the classes known before it alone, so that the question has not become harder; tables
call what is forgotten then *within*. *Intrusion*: share of those rows that are answered with a class which the update
brought.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Group:
    """Test rows that are asked once all of `keys` (classes, or a domain) have arrived. places [m]"""

    keys: frozenset[str]
    places: Places


@dataclass
class Course:
    """Answers after each update, group by group. targets [n] of all test rows.

    alike: groups weigh alike in the accuracy (domains); otherwise rows do. Of numbers, accuracy is skill: 1 - mean
    error / that of the median of all test rows.
    """

    targets: NDArray[Any]
    groups: Sequence[Group]
    alike: bool = False
    seen: set[str] = field(default_factory=set)
    classes: list[list[str]] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    plain: list[dict[int, float]] = field(default_factory=list)
    masked: list[dict[int, float]] = field(default_factory=list)
    intrusions: list[float] = field(default_factory=list)

    def asked(self, arrived: Collection[str]) -> Places:
        """Keys that an update brings -> the test rows to answer after it."""
        self.seen |= set(arrived)
        return np.concatenate([self.groups[k].places for k in self._open()] or [np.zeros(0, np.int64)])

    def after(self, columns: Sequence[str], values: NDArray[np.float64]) -> None:
        """The update was made. values: of the rows asked numbers [m], or probabilities [m, C] of classes `columns`."""
        if values.ndim == 1:
            self._after_numbers(values)
        else:
            self._after_classes(columns, values)
        weights = [1 if self.alike else len(self.groups[k].places) for k in self.plain[-1]]
        scores = list(self.plain[-1].values())
        self.accuracies.append(float(np.average(scores, weights=weights)) if scores else 0.0)

    def _after_numbers(self, values: NDArray[np.float64]) -> None:
        usual, start, plain = np.abs(self.targets - np.median(self.targets)).mean(), 0, dict[int, float]()
        for k in self._open():
            places = self.groups[k].places
            errors = np.abs(values[start : start + len(places)] - self.targets[places])
            start += len(places)
            plain[k] = 1 - float(errors.mean() / usual)
        self.plain.append(plain)

    def _after_classes(self, columns: Sequence[str], probabilities: NDArray[np.float64]) -> None:
        names = np.array(columns)
        before = self.classes[-1] if self.classes else []
        old, answers = np.isin(names, before), names[probabilities.argmax(1)]
        within = names[old][probabilities[:, old].argmax(1)] if old.any() else answers
        plain, masked, strange, asked_before, start = dict[int, float](), dict[int, float](), 0, 0, 0
        for k in self._open():
            places = self.groups[k].places
            here, truth = slice(start, start + len(places)), self.targets[places]
            start += len(places)
            plain[k] = masked[k] = float((answers[here] == truth).mean())
            if self.plain and k in self.plain[-1]:
                known = np.isin(truth, before)
                masked[k] = float((np.where(known, within[here], answers[here]) == truth).mean())
                strange += int((~np.isin(answers[here], before)).sum())
                asked_before += len(places)
        if asked_before:
            self.intrusions.append(strange / asked_before)
        self.plain.append(plain)
        self.masked.append(masked)
        self.classes.append(list(columns))

    def _open(self) -> list[int]:
        return [k for k, group in enumerate(self.groups) if group.keys <= self.seen]

    @property
    def accuracy(self) -> float:
        """After the last update, of every group that has arrived."""
        return self.accuracies[-1]

    @property
    def average(self) -> float:
        """Accuracy after an update, mean over the updates."""
        return float(np.mean(self.accuracies))

    @property
    def forgetting(self) -> float:
        """Mean over the groups known before the last update of (best accuracy before it - accuracy now)."""
        return _lost(self.plain)

    @property
    def masked_forgetting(self) -> float | None:
        """The same of masked accuracy; None of numbers."""
        return _lost(self.masked) if self.masked else None

    @property
    def backward(self) -> float:
        """Backward transfer: mean over the same groups of (accuracy now - accuracy when it was new)."""
        *before, now = self.plain
        first = {k: then[k] for then in reversed(before) for k in then}
        return float(np.mean([now[k] - first[k] for k in first])) if first else 0.0

    @property
    def intrusion(self) -> float | None:
        """Mean over the updates; None of numbers."""
        return float(np.mean(self.intrusions or [0.0])) if self.masked else None


def _lost(course: Sequence[Mapping[int, float]]) -> float:
    *before, now = course
    if not before:
        return 0.0
    return float(np.mean([max(then[k] for then in before if k in then) - now[k] for k in before[-1]]))
