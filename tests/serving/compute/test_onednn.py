"""Packed matrices meet few numbers of rows, since oneDNN keeps a program for each."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.serving.compute import onednn
from service.serving.compute.onednn import SIZES, PackedLinear, PackedMatrix


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Numbers of rows that oneDNN meets, in whose place a plain product stands."""
    counts = set[int]()

    def product(x: Tensor, weight: Tensor, bias: Tensor | None, after: str, *_: object) -> Tensor:
        counts.add(len(x))
        return F.linear(x, weight, bias).relu_() if after == "relu" else F.linear(x, weight, bias)

    there = SimpleNamespace(_reorder_linear_weight=lambda weight, _: weight, _linear_pointwise=product)
    monkeypatch.setattr(torch.ops, "mkldnn", there, raising=False)
    monkeypatch.setattr(onednn, "available", lambda: True)
    return counts


def relu(weight: Tensor, bias: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    matrix = PackedMatrix(weight, bias, activated=True)
    matrix.pack()
    return matrix, lambda x: F.linear(x, weight, bias).relu()


def tokens(weight: Tensor, bias: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    layer.requires_grad_(False)
    packed = PackedLinear(layer)
    return lambda x: packed(x[:, None, :].expand(-1, 3, -1))[:, 1], layer


@pytest.mark.parametrize("make", [relu, tokens])
def test_whatever_the_number_of_rows_few_programs_are_written(
    make: Callable[[Tensor, Tensor], tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]], met: set[int]
) -> None:
    draw = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(64, 65, generator=draw), torch.randn(64, generator=draw)
    packed, plain = make(weight, bias)
    for n in (2, 3, 5, 33, 63, 64, 65, 200, 300, 600):
        x = torch.randn(n, 65, generator=draw)
        assert torch.allclose(packed(x), plain(x), atol=1e-4)
    assert met <= set(SIZES)
    assert len(met) > 3
