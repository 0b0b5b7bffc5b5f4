"""The same rows have the same answer, to the bit, wherever they and the weights lie in memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.serving.compute.alignment import BYTES, aligned
from service.serving.compute.forward import Forward
from service.serving.compute.onednn import PackedMatrix


def shifted(x: Tensor, places: int) -> Tensor:
    """A copy that begins so many numbers behind a place that torch aligns."""
    copy = torch.empty(x.numel() + places)[places:].view(x.shape)
    return copy.copy_(x)


def answers(rows: int, width: int, outputs: int) -> set[bytes]:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(rows, width), torch.randn(outputs, width), torch.randn(outputs)
    return {
        Forward([PackedMatrix(shifted(weight, at), bias)])(shifted(x, places)).numpy().tobytes()
        for places in range(BYTES // 4)
        for at in (0, 1, 4, 8)
    }


@pytest.mark.parametrize("rows", [1, 2, 5, 50])
@pytest.mark.parametrize(("width", "outputs"), [(7, 10), (13, 3), (20, 1), (100, 10)])
def test_answers_are_the_same_wherever_rows_and_weights_lie(rows: int, width: int, outputs: int) -> None:
    assert len(answers(rows, width, outputs)) == 1


def test_what_is_aligned_is_not_copied() -> None:
    x = torch.randn(4, 3)
    assert aligned(x) is x
    assert torch.equal(aligned(shifted(x, 1)), x)
    assert aligned(shifted(x, 1)).data_ptr() % BYTES == 0
