"""Choosing a strength: a hill climb on a grid, by rows kept back, that leaves the usual strength only for a better one.

The first point is the usual strength; from there the search goes uphill, so that most points are never tried. Of the
points that are as good as the best, the one nearest to the usual strength is taken. As good means: not more than two
standard errors of the paired difference below (after Breiman et al.: Classification and regression trees, 1984, chapter
3; two, since several points are compared). On a hundred rows the best of a few points is chance, and a weaker pull
that chance has chosen forgets for nothing; on five rows the usual strength is all that can be known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log10

from torch import Tensor

from service.learning.run import Run

ERRORS = 2.0
"""Standard errors below the best that still count as good as it."""


@dataclass(frozen=True, eq=False)
class Point:
    """A strength that was tried. scores: how good the answers to selecting rows of what was known and of the batch are,
    [n], None without rows: whether they are right, or the part of the base's error on numbers that is won · share: how
    much the batch counts beside what was known.
    """

    strength: float
    scores: tuple[Tensor | None, Tensor | None]
    share: float = 0.5

    @property
    def old(self) -> float | None:
        """Mean score on rows of what was known."""
        return _mean(self.scores[0])

    @property
    def new(self) -> float | None:
        """Mean score on rows of the batch."""
        return _mean(self.scores[1])

    @property
    def score(self) -> float:
        """Mean of both by their shares, or the one that there is; 0 without any."""
        if self.old is None or self.new is None:
            return sum(self.means())
        return (1 - self.share) * self.old + self.share * self.new

    def means(self) -> list[float]:
        """Old and new, where there are rows."""
        return [a for a in (self.old, self.new) if a is not None]

    def as_good_as(self, best: Point) -> bool:
        """Whether it is at most two standard errors of the difference, paired row by row, below the best. One row alone
        is chance."""
        sides = zip((1 - self.share, self.share), self.scores, best.scores, strict=True)
        both = [(share, a.double(), b.double()) for share, a, b in sides if a is not None and b is not None]
        squares = (s * s * (float((b - a).var(unbiased=False)) / len(a) + len(a) ** -2.0) for s, a, b in both)
        error: float = sum(squares) ** 0.5 / max(sum(share for share, _, _ in both), 1e-12)
        return best.score - self.score <= ERRORS * error

    def report(self) -> dict[str, float | None]:
        return {"strength": self.strength, "old": self.old, "new": self.new, "score": self.score}


def _mean(scores: Tensor | None) -> float | None:
    return None if scores is None or not len(scores) else float(scores.double().mean())


def preferred(points: Sequence[Point], order: Callable[[Point], float]) -> Point:
    """The first in `order` of those as good as the best, which of equal means has the larger minimum of both."""
    best = max(points, key=lambda p: (p.score, min(p.means(), default=0.0), -order(p)))
    return min((p for p in points if p is best or p.as_good_as(best)), key=order)


def search(
    tried: Callable[[float, Run], Point], run: Run, strengths: Sequence[float], usual: float
) -> tuple[float, tuple[Point, ...]]:
    """Tries the strength nearest to `usual`, then the next stronger ones for as long as each is better than the one
    before; where the first of them is not, the weaker ones in the same way.

    -> the chosen one, and all that were tried, the weakest first. Of those as good as the best the one nearest to
    `usual` in orders of magnitude is taken, of two the stronger.
    """
    assert strengths, "a search needs a strength"
    grid = sorted(strengths)
    first = min(range(len(grid)), key=lambda k: _away(grid[k], usual))
    points: dict[int, Point] = {}

    def point(k: int) -> Point:
        points[k] = tried(grid[k], _part(run, len(points), len(grid)))
        return points[k]

    start = point(first)
    for side in (1, -1):
        k, last = first + side, start
        while 0 <= k < len(grid) and (now := point(k)).score > last.score:
            k, last = k + side, now
        if last is not start:
            break
    by_strength = tuple(points[k] for k in sorted(points))
    return preferred(by_strength, lambda p: _away(p.strength, usual)).strength, by_strength


def _away(strength: float, usual: float) -> float:
    """Orders of magnitude from the usual strength; a little less on the stronger side."""
    return abs(log10(strength / usual) - 1e-6)


def _part(run: Run, k: int, parts: int) -> Run:
    """The run of one point: its progress is the k-th part of the most there can be."""
    return replace(
        run.silent, progress=lambda _, done, total: run.progress("searching", k * total + done, parts * total)
    )
