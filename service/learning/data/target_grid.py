"""The grid of a number model: what is learned of a target, rounded to a step, as two 16-bit limbs.

A target's goal is what the head learns: the target, its logarithm, or its difference to a column of the row. On the
grid it is t = rint((goal - offset) / step) = high 2^15 + low with |low| <= 2^14 and |high| < 2^15. Both limbs are
16-bit integers, as rounded features are: so they stand beside them as columns of a ledger entry, and every sum of
targets is as exact as those of features.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from service.contract.strict import Listed, Strict
from service.contract.targets.number_target import NumberTarget
from service.learning.data.matrices import Floats

Limbs = NDArray[np.int16]

LIMB_BITS = 15
UNIT_STEPS = 2.0**16
"""Steps of a unit, the spread of the targets that the grid was fitted to: what a head answers in."""
REACH = 2**15 - 1
"""Largest high limb: targets up to 16,384 units away fit."""
SMALLEST, LARGEST = 2.0**-1000, 2.0**500
"""Bounds of a fitted unit: a step of the smallest is still a float64 with all of its digits."""
LARGEST_LOGARITHM = float(np.log(np.finfo(np.float64).max))
"""Logarithm of the largest float64."""


class NumberGrid(Strict):
    """The grid of k numbers a row, as a layout keeps it. offset, step: one for each."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    names: Listed[str]
    scale: Literal["linear", "log"] = "linear"
    from_: int | None = Field(default=None, alias="from")
    offset: Listed[float]
    step: Listed[float]

    @classmethod
    def fitted(cls, target: NumberTarget, goals: Floats) -> NumberGrid:
        """The grid that the target declares, else one fitted to the goals of a first batch. goals [n, k], n >= 1

        The unit is a power of two and the offset a multiple of it: two batches of one kind mostly give the same grid.
        Targets that are all equal take their own size as unit, else 1, and are the offset themselves: they stay what
        they are, where a step of such a unit would round them.
        """
        k = target.size
        offset, unit = np.zeros(k), np.ones(k)
        if target.step is not None:
            unit = np.full(k, target.step * UNIT_STEPS)
        elif target.range is not None:
            low, high = np.log(target.range) if target.scale == "log" else np.array(target.range)
            unit = np.full(k, _power_of_two((high - low) / 8))
            offset = np.rint((low + high) / 2 / unit) * unit
        else:
            size = _power_of_two(np.abs(goals).max(0))  # squares of targets below 1e-154 are 0
            mean, spread = goals.mean(0), (goals / size).std(0) * size
            equal = spread <= np.abs(mean) * 2.0**-40
            spread = np.where(equal, np.abs(mean), spread)
            unit = _power_of_two(np.where(spread > 0, spread, 1.0))
            offset = np.where(equal, np.median(goals, 0), np.rint(mean / unit) * unit)
        step = (unit / UNIT_STEPS).tolist()
        return cls(names=list(target.called), scale=target.scale, from_=target.from_, offset=offset.tolist(), step=step)

    @property
    def size(self) -> int:
        """k: numbers a row."""
        return len(self.offset)

    @property
    def unit(self) -> Floats:
        """What an answer of 1 stands for. [k]"""
        return np.array(self.step) * UNIT_STEPS

    def goals(self, targets: Floats, inputs: NDArray[np.generic]) -> Floats:
        """What is learned of targets [n, k] of rows with these raw inputs [n, ...]. -> [n, k]"""
        return goals_of(self.scale, self.from_, targets, inputs)

    def targets(self, goals: Floats, inputs: NDArray[np.generic]) -> Floats:
        """Inverse of `goals`. A target that no float64 holds becomes the largest one, about 1.8e308."""
        if self.scale == "log":
            return np.exp(np.minimum(goals, LARGEST_LOGARITHM))
        return goals if self.from_ is None else goals + _column(inputs, self.from_)

    def value(self, answers: Floats) -> Floats:
        """Goals from answers of a head, in units. [n, k] -> [n, k]"""
        return np.asarray(answers * self.unit + np.array(self.offset))

    def added(self, goals: Floats, targets: Floats) -> Floats:
        """What `from` adds to goals in units, to half a step: 0 without one. All [n, k]"""
        if self.from_ is None:
            return np.zeros_like(goals)
        return np.asarray((targets.reshape(goals.shape) - self.value(goals)) / self.unit)

    def in_units(self, goals: Floats) -> Floats:
        return np.asarray((goals - np.array(self.offset)) / self.unit)

    def fits(self, goals: Floats) -> NDArray[np.bool_]:
        """Which goals the grid reaches. [n, k] -> [n, k]"""
        with np.errstate(over="ignore", invalid="ignore"):
            steps = np.abs(np.rint((goals - np.array(self.offset)) / np.array(self.step)))
        return np.asarray(steps <= REACH << LIMB_BITS)

    @property
    def ends(self) -> tuple[Floats, Floats]:
        """The smallest and the largest goal that fit. -> [k], [k]"""
        reach = float(REACH << LIMB_BITS) * np.array(self.step)
        return np.array(self.offset) - reach, np.array(self.offset) + reach

    def limbs(self, goals: Floats) -> Limbs:
        """Goals that fit, as columns of a ledger entry: k low limbs, then k high ones. [n, k] -> [n, 2 k] int16"""
        steps = np.rint((goals - np.array(self.offset)) / np.array(self.step)).astype(np.int64)
        high = (steps + (1 << (LIMB_BITS - 1))) >> LIMB_BITS
        return np.concatenate([steps - (high << LIMB_BITS), high], 1).astype(np.int16)

    def on_grid(self, limbs: Limbs) -> Floats:
        """Goals as answers in units, from limbs [n, 2 k]. -> [n, k]"""
        low, high = np.split(limbs.astype(np.float64), 2, axis=1)
        return np.asarray((high * 2.0**LIMB_BITS + low) / UNIT_STEPS)


def goals_of(
    scale: Literal["linear", "log"], column: int | None, targets: Floats, inputs: NDArray[np.generic]
) -> Floats:
    """What is learned of targets [n, k]: themselves, their logarithm, or their difference to a column of the rows."""
    if scale == "log":
        return np.log(targets)
    return targets if column is None else targets - _column(inputs, column)


def _column(inputs: NDArray[np.generic], place: int) -> Floats:
    """A column of vectors [n, d]. -> [n, 1]"""
    return inputs[:, place, None].astype(np.float64)


def _power_of_two(spread: Floats | float) -> Floats:
    return np.asarray(np.exp2(np.rint(np.log2(np.clip(spread, SMALLEST, LARGEST)))))
