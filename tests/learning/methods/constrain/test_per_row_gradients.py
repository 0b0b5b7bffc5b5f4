"""Sums of per-row gradients against one backward pass a row, and against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.methods.constrain.per_row_gradients import Score, Size, known_blocks, sensitivity
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.convolutions import fresh_stages
from service.learning.run import Run

CLASSES = 3


def linear(rows: int, columns: int, seed: int, start: int = 0) -> Block:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    return Block((start, start + rows), (0, columns), weight, torch.full((rows,), 0.1 * seed), "head.0", "")


class Dense(nn.Module):
    """Two layers, the second of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = GrownLinear([linear(5, 4, 1)])
        self.head = GrownLinear([linear(2, 5, 2), linear(1, 5, 3, start=2)])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(torch.relu(self.first(x)))
        return y


class Images(nn.Module):
    """Two stages of filters with their norms, behind a parameter of its own kind, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = fresh_stages([4, 6], (1, 4, 4), torch.Generator().manual_seed(3))
        self.scale = nn.Parameter(torch.ones(1, 4, 1))
        self.head = GrownLinear([linear(CLASSES, self.stages.width, 1)])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.stages((x.reshape(-1, 4, 4) * self.scale)[:, None]))
        return y


def every_class(logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    scores = F.log_softmax(logits, 1)
    return scores, scores.detach().exp()


def squared_norm(logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    return (logits**2).sum(1, keepdim=True), torch.ones(len(logits), 1)


def by_hand(body: nn.Module, x: Tensor, score: Score, size: Size) -> dict[str, Tensor]:
    """One backward pass a row and score."""
    sums = {name: torch.zeros_like(p) for name, p in body.named_parameters() if p.requires_grad}
    for row in x:
        scores, weights = score(body(row[None]), torch.zeros(1))
        for k in range(scores.shape[1]):
            names = list(sums)
            params = [body.get_parameter(name) for name in names]
            for name, g in zip(names, torch.autograd.grad(scores[0, k], params, retain_graph=True), strict=True):
                sums[name] += weights[0, k] * size(g)
    return sums


@pytest.mark.parametrize("score", [every_class, squared_norm])
@pytest.mark.parametrize("size", [torch.square, torch.abs])
@pytest.mark.parametrize(("made", "width"), [(Dense, 4), (Images, 16)])
def test_it_is_one_backward_pass_a_row(made: type[nn.Module], width: int, score: Score, size: Size) -> None:
    body, x = made(), torch.randn(140, width, generator=torch.Generator().manual_seed(5))
    got, expected = sensitivity(body, x, score, size, Run()), by_hand(body, x, score, size)
    assert got.keys() == expected.keys()
    largest = max(float(value.max()) for value in expected.values())
    for name, value in expected.items():
        assert torch.allclose(got[name], value, rtol=1e-4, atol=1e-5 * largest), name
        assert value.any()


def test_blocks_and_filters_are_known_and_the_rest_goes_row_by_row() -> None:
    assert set(known_blocks(Dense()).values()) == {"first.blocks.0", "head.blocks.0", "head.blocks.1"}
    assert len(known_blocks(Images())) == 3


def test_squares_of_rows_are_not_the_square_of_their_mean() -> None:
    """The shortcut of public code would give 0 here: two rows whose gradients cancel."""
    body = GrownLinear([Block((0, 2), (0, 1), torch.zeros(2, 1), torch.zeros(2), "head.0", "")])
    x = torch.tensor([[1.0], [-1.0]])
    mean = torch.autograd.grad(F.log_softmax(body(x), 1)[:, 0].mean(), next(iter(body)).weight)[0]
    assert not mean.any()
    assert sensitivity(body, x, every_class, torch.square, Run())["blocks.0.weight"].tolist() == [[0.5], [0.5]]


def test_the_fisher_of_logistic_regression_is_its_closed_form() -> None:
    """F of w_k is sum_n p_k (1 - p_k) x x' on its diagonal."""
    body = GrownLinear([linear(CLASSES, 4, 1)])
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
    p = F.softmax(body(x), 1).detach()
    got = sensitivity(body, x, every_class, torch.square, Run())
    assert torch.allclose(got["blocks.0.weight"], (p * (1 - p)).T @ x**2, rtol=1e-4)
    assert torch.allclose(got["blocks.0.bias"], (p * (1 - p)).sum(0), rtol=1e-4)


def test_chance_comes_row_by_row_and_what_stands_still_is_left_out() -> None:
    body = Dense()
    body.first.requires_grad_(False)
    seen: list[Tensor] = []

    def score(logits: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(chance)
        return logits[:, :1], torch.ones(len(logits), 1)

    got = sensitivity(body, torch.ones(200, 4), score, torch.square, Run(), torch.arange(200.0))
    assert torch.cat(seen).tolist() == list(range(200))
    assert {name.split(".")[0] for name in got} == {"head"}
    assert all(p.grad is None for p in body.parameters())
