"""The input scale maps raw inputs to numbers near [-1, 1]; it is declared, or fitted once on the first batch.

The rows of a table have one of their own kind; see `table_scale`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.contract.inputs import ImageInput, InputSpec, MomentsScale, RangeScale, TextInput, VectorInput
from service.contract.tables import NumberColumn, TableInput
from service.errors import InvalidContent
from service.learning.data.rows import Array
from service.learning.network.table_scale import CLIP as CLIP
from service.learning.network.table_scale import STILL, STILL_ROWS, TableScale

IMAGE_RANGE = (0.0, 255.0)
"""The range of images that declare none."""
SMALLEST = 2.0**-100
"""Smallest fitted std: float32 divides by it without overflow."""

ROUNDING = 1e-6
"""A column whose spread is at most this part of its mean is constant but for rounding."""


class InputScale(nn.Module):
    """x -> clip((x - mean) / std, -8, 8). `mean` and `std` broadcast over one row: [], [d] or [c, 1, 1], float32."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.detach().to(torch.float32).clone())
        self.register_buffer("std", std.detach().to(torch.float32).clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """Scales raw inputs [n, ...] of any dtype. -> float32 of the same shape"""
        return ((inputs.to(torch.float32) - self.mean) / self.std).clamp(-CLIP, CLIP)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the part `scale`."""
        return {"mean": self.mean.detach().clone(), "std": self.std.detach().clone()}

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor]) -> InputScale:
        return cls(tensors["mean"], tensors["std"])


AnyScale = InputScale | TableScale


def load_scale(spec: InputSpec, tensors: Mapping[str, Tensor]) -> AnyScale:
    """The scale of such inputs, by the tensors of the part `scale`."""
    return TableScale.load(spec, tensors) if isinstance(spec, TableInput) else InputScale.load(tensors)


def scaled_shape(spec: InputSpec) -> tuple[int, ...]:
    return (spec.features,) if isinstance(spec, TableInput) else spec.shape


def declared_scale(spec: InputSpec) -> InputScale | None:
    """The scale that the model declares; None for a vector input without one, and for tables.

    Texts have none: theirs is 0 and 1, and is never applied.

    Raises InvalidContent where `mean` or `std` lists another number of values than the input has columns (channels).
    """
    if isinstance(spec, TextInput):
        return InputScale(torch.tensor(0.0), torch.tensor(1.0))
    if isinstance(spec, TableInput):
        return None
    scale = spec.scale
    if scale is None:
        if not isinstance(spec, ImageInput):
            return None
        scale = RangeScale(range=IMAGE_RANGE)
    if isinstance(scale, MomentsScale):
        return InputScale(_along(spec, scale.mean, "mean"), _along(spec, scale.std, "std"))
    low, high = scale.range
    return InputScale(torch.tensor((low + high) / 2), torch.tensor((high - low) / 2))


def _along(spec: VectorInput | ImageInput, values: float | list[float], name: str) -> Tensor:
    if not isinstance(values, list):
        return torch.tensor(values)
    columns, unit = (spec.channels, "channels") if isinstance(spec, ImageInput) else (spec.size, "numbers")
    if len(values) != columns:
        raise InvalidContent.at(
            f"/input/scale/{name}",
            f"{name} lists {len(values)} values; the input has {columns} {unit}. Give one or {columns}.",
        )
    return torch.tensor(values).reshape((-1, 1, 1) if isinstance(spec, ImageInput) else (-1,))


def input_reach(spec: InputSpec) -> float:
    """The largest scaled value that the model expects: 1 for a declared range, else the clip at 8."""
    ranged = isinstance(spec.scale, RangeScale) or (spec.scale is None and isinstance(spec, ImageInput))
    return 1.0 if ranged else CLIP


def fit_scale(inputs: Array) -> InputScale:
    """Fits the scale to a first batch, one mean and std a column. [n, d], n >= 1

    std is rounded to a power of two and mean to a multiple of std: two batches of one kind mostly give the same scale,
    and little of the batch itself stays in it. Each column has its own spread, whatever its unit. A constant one, which
    may wake up later, has a quarter of the median of the others; where none varies (one row), the size of the values
    stands in for their spread.
    """
    x = np.asarray(inputs, np.float64)
    mean, std = x.mean(0), x.std(0)
    varies = _varying(mean, std)
    if not varies.any():
        std, varies = np.abs(mean), mean != 0
    std = np.where(varies, std, np.median(std[varies]) / 4 if varies.any() else 1.0)
    std = np.exp2(np.rint(np.log2(np.clip(std, SMALLEST, 1 / SMALLEST))))
    return InputScale(_tensor(np.rint(mean / std) * std), _tensor(std))


def fit_number_scale(inputs: Array) -> InputScale:
    """Fits the scale where targets are numbers: as `fit_scale`, but for a constant column. That has the size of its
    values where this is less, and else four times as much, see `STILL`. [n, d], n >= 1

    When a column of small values wakes up and varies little, a head of numbers learns a large weight for it, and
    follows it in a straight line as far as the clip. Their size puts the clip where the weight was learned: with four
    sizes, one week of spot prices was off by 58 thousandths, in place of 17.
    """
    x, fitted = np.asarray(inputs, np.float64), fit_scale(inputs)
    mean, std = x.mean(0), fitted.std.numpy().astype(np.float64)
    size = np.exp2(np.rint(np.log2(np.maximum(np.abs(mean), SMALLEST))))
    still = std * (STILL if len(x) >= STILL_ROWS else 1)
    constant = np.where((mean != 0) & (np.abs(mean) < std), size, still)
    std = np.where(_varying(mean, x.std(0)), std, constant)
    return InputScale(_tensor(np.rint(mean / std) * std), _tensor(std))


def scale_for(spec: InputSpec, inputs: Array, numbers: bool = False) -> tuple[AnyScale, bool]:
    """The scale of a first version, and whether it was declared (then it owes nothing to these inputs). numbers: of a
    model whose targets are numbers."""
    if isinstance(spec, TableInput):
        return TableScale.fitted(spec, inputs), declares_scale(spec)
    declared = declared_scale(spec)
    fit = fit_number_scale if numbers else fit_scale
    return (declared, True) if declared is not None else (fit(inputs), False)


def declares_scale(spec: InputSpec) -> bool:
    """Whether the scale of such inputs owes nothing to a first batch: then every service has the same."""
    if isinstance(spec, TableInput):
        ranged = all(column.scale is not None for column in spec.columns if isinstance(column, NumberColumn))
        return ranged and not spec.growing
    return declared_scale(spec) is not None


def _varying(mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns vary by more than the rounding of float32."""
    return std > ROUNDING * np.abs(mean)


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
