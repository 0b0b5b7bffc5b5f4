"""How a course of updates is scored on rows kept aside: accuracy, what was forgotten, who intrudes.

*Masked*: rows of a class that was known before an update are scored over the classes known before it: what was
forgotten, apart from the question having become harder. *Intrusion*: share of those rows that are answered with a class
which the update brought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class Course:
    """Answers after each update, class by class."""

    known: list[str] = field(default_factory=list)
    accuracy: float = 0.0
    plain: list[dict[str, float]] = field(default_factory=list)
    masked: list[dict[str, float]] = field(default_factory=list)
    intrusions: list[float] = field(default_factory=list)

    def after(
        self, new: Sequence[str], columns: Sequence[str], probabilities: NDArray[np.float64], labels: NDArray[np.str_]
    ) -> None:
        """One more update, which brought the classes `new`. probabilities [n, C] of the rows of all classes so far."""
        names = np.array(columns)
        old = np.isin(names, self.known)
        answers = names[probabilities.argmax(1)]
        self.accuracy = float((answers == labels).mean())
        self.plain.append(_by_class(answers, labels))
        if self.known:
            within = names[old][probabilities[:, old].argmax(1)]
            mine = np.isin(labels, self.known)
            self.masked.append(self.plain[-1] | _by_class(within[mine], labels[mine]))
            self.intrusions.append(float(np.isin(answers[mine], list(new)).mean()))
        else:
            self.masked.append(self.plain[-1])
        self.known += new

    @property
    def forgetting(self) -> float:
        """Mean over the classes known before the last update of (best accuracy before it - accuracy now)."""
        return _lost(self.plain)

    @property
    def masked_forgetting(self) -> float:
        """The same of masked accuracy."""
        return _lost(self.masked)

    @property
    def intrusion(self) -> float:
        """Mean over the updates."""
        return float(np.mean(self.intrusions)) if self.intrusions else 0.0


def _by_class(answers: NDArray[np.str_], labels: NDArray[np.str_]) -> dict[str, float]:
    return {str(name): float((answers[labels == name] == name).mean()) for name in np.unique(labels)}


def _lost(course: Sequence[Mapping[str, float]]) -> float:
    *before, now = course
    if not before:
        return 0.0
    return float(np.mean([max(then[c] for then in before if c in then) - now[c] for c in before[-1]]))
