"""Choosing a strength: train at each point of a grid, score on fold 2, keep the best; ties go to the stronger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from service.learning.method import Run

Trained = TypeVar("Trained")

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Point:
    """Accuracy on selecting rows of what was known and of the batch; null: there were none."""

    strength: float
    old: float | None
    new: float | None

    @property
    def score(self) -> float:
        """Mean of those that there are; 0 without any."""
        there = [a for a in (self.old, self.new) if a is not None]
        return sum(there) / len(there) if there else 0.0

    def told(self) -> dict[str, float | None]:
        """For the report."""
        return {"strength": self.strength, "old": self.old, "new": self.new, "score": self.score}


@dataclass(frozen=True, eq=False)
class Found(Generic[Trained]):
    """The best of the trained, its strength and all points."""

    best: Trained
    strength: float
    points: tuple[Point, ...]


def search(
    train: Callable[[float, Run], Trained],
    score: Callable[[Trained], tuple[float | None, float | None]],
    run: Run,
    strengths: Sequence[float] = STRENGTHS,
) -> Found[Trained]:
    """Train at each strength (one after the other, only the best is held) and score (old, new)."""
    held: tuple[Trained, Point] | None = None
    points = []
    for k, strength in enumerate(strengths):
        trained = train(strength, _part(run, k, len(strengths)))
        point = Point(strength, *score(trained))
        points.append(point)
        if held is None or (point.score, point.strength) >= (held[1].score, held[1].strength):
            held = trained, point
    assert held is not None, "a search needs a strength"
    return Found(held[0], held[1].strength, tuple(points))


def _part(run: Run, k: int, parts: int) -> Run:
    """The run of one point: its progress is the k-th part of the whole."""
    return replace(run, progress=lambda _, done, total: run.progress("searching", k * total + done, parts * total))
