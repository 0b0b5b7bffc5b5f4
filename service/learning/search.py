"""Choosing a strength: train at each point of a grid, look at rows kept back, leave the usual one for a better one.

Of the points that are as good as the best, the one nearest to the usual strength is taken. As good means: not more than
one standard error of the paired difference below (Breiman et al.: Classification and regression trees, 1984, section
3.4.3). On a hundred rows the best of a few points is chance, and a weaker pull that chance has chosen
forgets for nothing; on five rows the usual strength is all that can be known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import Generic, TypeVar

from torch import Tensor

from service.learning.method import Run

Trained = TypeVar("Trained")

STRENGTHS = (2e-3, 2e-2, 2e-1, 2.0)
USUAL = 0.2
ERRORS = 1.0
"""Standard errors below the best that still count as good as it."""


@dataclass(frozen=True, eq=False)
class Point:
    """Which selecting rows of what was known and of the batch are answered rightly, [n] bool; null: there are none."""

    strength: float
    rights: tuple[Tensor | None, Tensor | None]

    @property
    def old(self) -> float | None:
        """Accuracy on rows of what was known."""
        return _mean(self.rights[0])

    @property
    def new(self) -> float | None:
        """Accuracy on rows of the batch."""
        return _mean(self.rights[1])

    @property
    def score(self) -> float:
        """Mean of those that there are; 0 without any."""
        there = self.accuracies()
        return sum(there) / len(there) if there else 0.0

    def accuracies(self) -> list[float]:
        """Old and new, where there are rows."""
        return [a for a in (self.old, self.new) if a is not None]

    def as_good_as(self, best: Point) -> bool:
        """Not more than one standard error of the difference, paired row by row, below it; one row alone is chance."""
        mine, theirs = self.rights, best.rights
        both = [(a.double(), b.double()) for a, b in zip(mine, theirs, strict=True) if a is not None and b is not None]
        squares = (float((b - a).var(unbiased=False)) / len(a) + len(a) ** -2.0 for a, b in both)
        error: float = sum(squares) ** 0.5 / max(len(both), 1)
        return best.score - self.score <= ERRORS * error

    def told(self) -> dict[str, float | None]:
        """For the report."""
        return {"strength": self.strength, "old": self.old, "new": self.new, "score": self.score}


def _mean(right: Tensor | None) -> float | None:
    return None if right is None or not len(right) else float(right.double().mean())


def preferred(points: Sequence[Point], order: Callable[[Point], float]) -> Point:
    """Of those as good as the best, the first in `order`; of equal means the best has the larger minimum of both."""
    best = max(points, key=lambda p: (p.score, min(p.accuracies(), default=0.0), -order(p)))
    return min((p for p in points if p is best or p.as_good_as(best)), key=order)


@dataclass(frozen=True, eq=False)
class Found(Generic[Trained]):
    """The chosen one of the trained, its strength and all points."""

    best: Trained
    strength: float
    points: tuple[Point, ...]


def search(
    train: Callable[[float, Run], Trained],
    rights: Callable[[Trained], tuple[Tensor | None, Tensor | None]],
    run: Run,
    strengths: Sequence[float] = STRENGTHS,
    usual: float = USUAL,
) -> Found[Trained]:
    """Train at each strength, one after the other, and look which selecting rows (old, new) it answers rightly.

    Of those as good as the best the one nearest to `usual` in orders of magnitude is taken, of two the stronger. Only
    those are held that may be it.
    """
    assert strengths, "a search needs a strength"
    held: dict[float, Trained] = {}
    points: list[Point] = []
    for k, strength in enumerate(strengths):
        trained = train(strength, _part(run, k, len(strengths)))
        points.append(Point(strength, rights(trained)))
        held[strength] = trained
        best = max(points, key=lambda p: p.score)
        held = {p.strength: held[p.strength] for p in points if p.strength in held and p.as_good_as(best)}
    chosen = preferred([p for p in points if p.strength in held], lambda p: _away(p.strength, usual)).strength
    return Found(held[chosen], chosen, tuple(points))


def _away(strength: float, usual: float) -> float:
    """Orders of magnitude from the usual strength; a little less on the stronger side."""
    return abs(log10(strength / usual) - 1e-6)


def _part(run: Run, k: int, parts: int) -> Run:
    """The run of one point: its progress is the k-th part of the whole."""
    return replace(run, progress=lambda _, done, total: run.progress("searching", k * total + done, parts * total))
