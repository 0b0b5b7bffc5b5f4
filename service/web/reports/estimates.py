"""How good a version is: a number with its interval and the rows it stands on; by class or range, beside another's."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from service.contract.figures import amount
from service.web.words import Words

Z95 = 1.96
SAME = 0.0005
"""Differences below this are none to people who read percent with one digit."""


@dataclass(frozen=True)
class Estimate:
    """A share, or an error in the unit of the targets. `low`, `high`: its 95 % interval, None where there is none.
    `start`: where its range of values begins, if it is of one."""

    value: float
    low: float | None
    high: float | None
    rows: int
    start: float = 0.0


@dataclass(frozen=True)
class Pair:
    """A class, or a range of values, of two versions; None where one was not judged by it. `is_new`: the second brought
    the class."""

    name: str
    first: Estimate | None
    second: Estimate | None
    of_errors: bool = False
    is_new: bool = False

    @property
    def change(self) -> float | None:
        """second - first"""
        return None if self.first is None or self.second is None else self.second.value - self.first.value

    @property
    def start(self) -> float:
        """Where its range of values begins."""
        return next((of.start for of in (self.first, self.second) if of is not None), 0.0)

    @property
    def better(self) -> bool | None:
        """Whether the second is better; None where they are the same, or one is not known."""
        change = self.change
        if change is None or change == 0 or (not self.of_errors and abs(change) < SAME):
            return None
        return (change > 0) != self.of_errors

    def said(self, words: Words, alone: str) -> str:
        """ "+7.0 points"; the sentence `alone` where one is not known."""
        change = self.change
        if change is None:
            return words(alone)
        if self.better is None:
            return words("version.unchanged")
        if self.of_errors:
            return f"{'+' if change > 0 else ''}{amount(change)}"
        return words("version.points", points=f"{100 * change:+.1f}".replace("-", "−"))


@dataclass(frozen=True)
class Side:
    """How good a version was. `trusted`: on trusted rows; None: it was not judged on any. `own`: those of the groups
    that were judged on rows of its own batch."""

    trusted: Estimate | None
    groups: Mapping[str, Estimate]
    own: Collection[str] = ()


def share(value: float, rows: int) -> Estimate:
    """A share of rows, with Wilson's interval (1927)."""
    room = Z95**2 / rows
    centre = (value + room / 2) / (1 + room)
    half = Z95 * math.sqrt(value * (1 - value) / rows + room / (4 * rows)) / (1 + room)
    return Estimate(value, max(0.0, centre - half), min(1.0, centre + half), rows)


def interval(estimate: Estimate, words: Words) -> str:
    """ "95.6 to 97.7" of a share, in percent; empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return words("good.interval", low=f"{100 * estimate.low:.1f}", high=f"{100 * estimate.high:.1f}")
