"""Errors of a version as its report has them: in the targets' own unit, by source and by fifths of the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from service.contract.reports.number_report import Errors, NumberError, Region, SourceError
from service.learning.data.rows import Bools, Floats, Ints, Rows
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.numbers.bounds import bounds
from service.learning.evaluation.numbers.measure_numbers import fifths
from service.learning.evaluation.numbers.number_answers import as_targets

Part = Mapping[str, Floats]
DRAWS, GROUPS, SEED = 500, 1000, 0
"""Bootstrap: draws of rows, of so many groups of rows where these are more; its seed."""


@dataclass(frozen=True, eq=False)
class ErrorRows:
    """Rows that a version answered without having learned them. goals, answers [n, k] in units; part: its intervals,
    None where it has none; level: of these."""

    grid: NumberGrid
    rows: Rows
    goals: Floats
    answers: Floats
    part: Part | None
    level: float

    def take(self, which: Bools | Ints) -> ErrorRows:
        return replace(self, rows=self.rows.take(which), goals=self.goals[which], answers=self.answers[which])

    @property
    def answered(self) -> ErrorRows:
        return self.take(np.flatnonzero(np.isfinite(self.answers).all(1)))

    @property
    def values(self) -> Floats:
        """Answers as targets. [n, k]"""
        return as_targets(self.grid, self.answers, self.goals, self.rows.targets)

    @property
    def error(self) -> Floats:
        """value - target. [n, k]"""
        return np.asarray(self.values - self.rows.targets)

    def report(self, names: Sequence[str], by: Floats | None = None) -> Errors | None:
        """All figures; None without rows. names: of the numbers of a row · by [n]: the values by which fifths are made,
        by default their own."""
        if not len(self.rows):
            return None
        error, size = self.error, np.abs(self.error)
        coverage, width = self._intervals()
        return Errors(
            mae=float(size.mean()),
            rmse=float(np.sqrt((error**2).mean(0)).mean()),
            r2=explained(self.rows.targets, error),
            median_error=float(np.median(size, axis=0).mean()),
            bias=float(error.mean()),
            coverage=coverage,
            width=width,
            rows=len(self.rows),
            sources=self._sources(size),
            numbers=of_each(names, size),
            regions=regions(self.values[:, 0] if by is None else by, size) if self.grid.size == 1 else [],
        )

    def _intervals(self) -> tuple[float | None, float | None]:
        if self.part is None:
            return None, None
        _, low, high = bounds(self.part, self.answers, self.level)
        inside = (low <= self.goals) & (self.goals <= high)
        ends = [as_targets(self.grid, end, self.goals, self.rows.targets) for end in (low, high)]
        return float(inside.mean()), float((ends[1] - ends[0]).mean())

    def _sources(self, size: Floats) -> dict[str, SourceError]:
        """Errors by source, of those that have a name."""
        masks = {name: self.rows.source == k for k, name in enumerate(self.rows.sources) if name}
        return {
            name: SourceError(mae=float(size[mask].mean()), rows=int(mask.sum()))
            for name, mask in masks.items()
            if mask.any()
        }


def of_each(names: Sequence[str], size: Floats) -> list[NumberError]:
    """The mean of each of several numbers by name; empty where a row has one. size [n, k]: |error|"""
    means = size.mean(0).tolist()
    return [NumberError(name=name, mae=mae) for name, mae in zip(names, means, strict=True)] if len(means) > 1 else []


def explained(targets: Floats, error: Floats) -> float | None:
    """Share of the targets' variance that is explained, mean over the numbers of a row; None where there is none."""
    spread = ((targets - targets.mean(0)) ** 2).sum(0)
    return float((1 - (error**2).sum(0) / spread).mean()) if (spread > 0).all() else None


def regions(values: Floats, size: Floats) -> list[Region]:
    """Fifths of rows by a value [n]; size [n, 1]: their |error|. Those without rows are left out."""
    edges, place = fifths(values)
    ends = np.r_[values.min(), edges, values.max()]
    return [
        Region(from_=float(ends[g]), to=float(ends[g + 1]), mae=float(size[place == g].mean()), rows=int(mask.sum()))
        for g in range(len(ends) - 1)
        if (mask := place == g).any()
    ]


def rise(before: Floats, after: Floats) -> tuple[float, tuple[float, float]] | None:
    """Relative rise of the mean |error|, mean over the numbers of a row, and its interval (95 %, bootstrap by row).

    before, after [n, k]: |error| on the same rows. None without rows, or where nothing was off before.
    """
    if not len(before) or not (before.mean(0) > 0).all():
        return None
    group = np.arange(len(before)) % GROUPS
    sums = np.zeros((min(len(before), GROUPS), 2 * before.shape[1]))
    np.add.at(sums, group, np.concatenate([before, after], 1))
    draws = _drawn(len(sums)) @ sums
    k = before.shape[1]
    drawn = (draws[:, k:] / np.maximum(draws[:, :k], np.finfo(float).tiny) - 1).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float((after.mean(0) / before.mean(0) - 1).mean()), (float(low), float(high))


@lru_cache(maxsize=1)
def _drawn(number: int) -> Floats:
    """How often each of so many groups is drawn. [500, number]; kept, since most updates have the same number, and to
    draw takes as long as two heads."""
    counts = np.random.default_rng(SEED).multinomial(number, np.full(number, 1 / number), DRAWS)
    return counts.astype(np.float64)
