"""Labels that change on purpose (`expect: "relabel"`): are they known classes under other names?

What the live version answers tells classes apart, whatever they are called. So labels that were renamed follow from its
answers about as surely as the old ones did; labels of rows whose columns hold something else do not, and one label for
all tells nothing apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import log

from service.learning.gate.classes.class_measurements import Contradiction

NEARLY = 0.9
"""Rows whose label must follow from the answer, as a part of those that the live version is right of. Of 24 updates of
letter and digits with other names (`python -m benchmarks.gate --relabel`) it stopped none that no other rule stops."""
TOLD_APART = 0.5
"""What labels must tell apart, as a part of the entropy of the answers: two classes may be joined, not all of them. It
stopped all of 8 updates with one label for all."""


def renamed(batch: Contradiction) -> bool:
    """Whether labels of familiar rows are known classes under other names, or two of them joined. Rows that are unlike
    anything seen, where they are most, show no such thing."""
    labels = sum(map(Counter, batch.called.values()), Counter[str]())
    answers = [sum(of.values()) for of in batch.called.values()]
    tested = sum(rows for rows in answers if rows > 1)
    follow = sum(map(_following, batch.called.values()))
    return (
        batch.strange <= batch.rows <= 2 * tested
        and follow >= NEARLY * (1 - batch.expected) * tested
        and len(labels) > 1
        and _entropy(labels.values()) >= TOLD_APART * _entropy(answers)
    )


def _following(labels: Mapping[str, int]) -> int:
    """Rows with one answer whose label is that of most others with it."""
    most, *rest = sorted(labels.values(), reverse=True)
    return most if most - 1 > max(rest, default=0) else 0


def _entropy(counts: Iterable[int]) -> float:
    some = [n for n in counts if n]
    return -sum(n / sum(some) * log(n / sum(some)) for n in some)
