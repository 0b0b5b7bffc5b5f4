"""The input scale: declared, or fitted once and rounded so that little of the batch stays in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.contract.inputs import ImageInput, MomentsScale, RangeScale, VectorInput
from service.errors import InvalidContent
from service.learning.preprocessing import (
    InputScale,
    declared_scale,
    fit_scale,
    input_reach,
    leaves_scale,
    scale_for,
)

VECTOR = VectorInput(kind="vector", size=2)
RANGED = VectorInput(kind="vector", size=2, scale=RangeScale(range=(0, 16)))
IMAGE = ImageInput(kind="image", channels=3, height=2, width=2)


def scaled(scale: InputScale, rows: object) -> np.ndarray:
    return scale(torch.as_tensor(rows)).numpy()


def test_a_declared_range_is_mapped_to_minus_one_and_one() -> None:
    scale, declared = scale_for(RANGED, np.zeros((1, 2), np.float32))
    assert declared
    assert scaled(scale, [[0.0, 16.0], [8.0, 12.0]]).tolist() == [[-1, 1], [0, 0.5]]
    assert input_reach(RANGED) == 1


def test_images_have_bytes_unless_they_say_otherwise() -> None:
    scale = declared_scale(IMAGE)
    assert scale is not None
    pixels = torch.tensor([0, 255], dtype=torch.uint8).repeat(6).reshape(1, 3, 2, 2)
    assert set(scale(pixels).flatten().tolist()) == {-1.0, 1.0}
    assert input_reach(IMAGE) == 1


def test_moments_are_given_once_or_a_column() -> None:
    one = declared_scale(VECTOR.model_copy(update={"scale": MomentsScale(mean=1, std=2)}))
    each = declared_scale(IMAGE.model_copy(update={"scale": MomentsScale(mean=[0, 1, 2], std=1)}))
    assert one is not None
    assert each is not None
    assert scaled(one, [[3.0, 1.0]]).tolist() == [[1, 0]]
    assert each(torch.zeros(1, 3, 2, 2))[0, :, 0, 0].tolist() == [0, -1, -2]


def test_moments_of_another_length_are_refused_with_the_field() -> None:
    with pytest.raises(InvalidContent, match="2") as refused:
        declared_scale(VECTOR.model_copy(update={"scale": MomentsScale(mean=[0, 1, 2], std=1)}))
    assert refused.value.errors[0][0] == "/input/scale/mean"


def test_a_fitted_scale_is_a_power_of_two_around_a_multiple_of_it() -> None:
    rows = np.random.default_rng(0).normal([1000, -3], [5, 0.3], (500, 2))
    scale = fit_scale(rows.astype(np.float32))
    assert scale.std.tolist() == [4, 0.5]  # 0.3 has its floor at a quarter of the median, 0.66
    assert (np.log2(scale.std.numpy()) % 1 == 0).all()
    assert (scale.mean.numpy() % scale.std.numpy() == 0).all()
    assert np.abs(scaled(scale, rows)).max() < 8


def test_a_constant_column_has_a_floor_and_one_row_is_enough() -> None:
    flat = fit_scale(np.array([[1.0, 7], [3, 7], [5, 7], [9, 7]], np.float32))
    assert flat.std[1] > 0
    single = fit_scale(np.array([[100.0, 0.0]], np.float32))
    assert torch.isfinite(single(torch.tensor([[120.0, 1.0]]))).all()
    zero = fit_scale(np.zeros((3, 2), np.float32))
    assert zero.std.tolist() == [1, 1]
    huge = fit_scale(np.array([[1e-44, 1e38], [0, -1e38]], np.float32))
    assert torch.isfinite(huge(torch.tensor([[1e-44, 1e38], [3e38, 0]]))).all()


def test_rows_are_clipped_and_leaving_the_scale_is_told_with_the_remedy() -> None:
    scale = InputScale(torch.tensor(0.0), torch.tensor(1.0))
    assert scaled(scale, [[100.0, -100.0]]).tolist() == [[8, -8]]
    rows = np.zeros((100, 2), np.float32)
    assert leaves_scale(scale, rows) is None
    rows[:5] = 50
    note = leaves_scale(scale, rows)
    assert note is not None
    assert note.startswith("5 of 100 rows")
    assert "declares a scale" in note
    assert leaves_scale(scale, rows / 25, reach=1) is not None
    assert leaves_scale(scale, rows[:0]) is None


def test_a_scale_is_loaded_as_it_was_stored() -> None:
    scale = InputScale(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    again = InputScale.load(scale.tensors())
    rows = torch.randn(4, 2)
    assert torch.equal(scale(rows), again(rows))
