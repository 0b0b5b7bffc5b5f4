"""Penalties against numbers worked by hand, and their gradients against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from service.learning.network.blocks import Block
from service.learning.training.losses import GroupLasso, Pull, divergence, log_shares, unit_norms
from service.learning.training.optimiser import MOMENTUM


def two_parameters() -> tuple[list[Tensor], Pull]:
    """theta = (3, -1), theta* = (1, 1), strength 0.5."""
    theta = [torch.tensor([3.0], dtype=torch.float64), torch.tensor([-1.0], dtype=torch.float64)]
    stars = [torch.tensor([1.0], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)]
    for p in theta:
        p.requires_grad_(True)
    return theta, Pull(list(zip(theta, stars, strict=True)), 0.5)


def test_the_pull_is_the_sum_of_squares_without_a_half() -> None:
    _, pull = two_parameters()
    assert pull.distance().item() == 8  # 2^2 + 2^2
    assert pull.loss().item() == 4  # 0.5 x 8


def test_the_pulls_gradient_equals_finite_differences() -> None:
    theta, pull = two_parameters()
    torch.autograd.backward(pull.loss())
    for p in theta:
        with torch.no_grad():
            p += 1e-6
            above = pull.loss().item()
            p -= 2e-6
            below = pull.loss().item()
            p += 1e-6
        assert p.grad.item() == pytest.approx((above - below) / 2e-6, rel=1e-6)
        assert p.grad.item() != 0


def test_the_proximal_step_minimises_the_penalty_and_the_distance_travelled() -> None:
    theta, pull = two_parameters()
    pull.step(lr=0.025)
    # theta* + (theta - theta*) / (1 + 2 x 0.025 x 0.5 / (1 - 0.9)) = 1 + 2 / 1.25 and 1 - 2 / 1.25
    assert [p.item() for p in theta] == pytest.approx([2.6, -0.6])


def test_a_small_proximal_step_is_as_far_as_a_gradient_goes_with_momentum() -> None:
    theta, pull = two_parameters()
    pull.step(lr=1e-7)
    assert (3 - theta[0].item()) / (1e-7 / (1 - MOMENTUM)) == pytest.approx(2 * 0.5 * 2, rel=1e-5)


def test_no_strength_touches_no_bit_and_a_huge_one_goes_home() -> None:
    theta, pull = two_parameters()
    free = Pull(pull.pairs, 0.0)
    before = [p.detach().clone() for p in theta]
    free.step(lr=0.1)
    assert all(torch.equal(p, b) for p, b in zip(theta, before, strict=True))
    Pull(pull.pairs, 1e30).step(lr=0.1)
    assert all(torch.equal(p.detach(), star) for p, star in pull.pairs)


def test_rows_that_came_later_are_not_pulled() -> None:
    theta = torch.ones(3, 2)
    Pull([(theta, torch.zeros(2, 2))], 1e12).step(lr=1.0)
    assert theta.sum(1).tolist() == pytest.approx([0, 0, 2], abs=1e-9)


def stiff_pair(strength: float = 0.5) -> tuple[list[Tensor], Pull]:
    """theta = (3, -1), theta* = (1, 1), stiffness (4, 0.25)."""
    theta, pull = two_parameters()
    stiffness = [torch.tensor([4.0], dtype=torch.float64), torch.tensor([0.25], dtype=torch.float64)]
    return theta, Pull(pull.pairs, strength, stiffness)


def test_a_stiff_pull_weighs_each_square() -> None:
    theta, pull = stiff_pair()
    assert pull.distance().item() == 8
    assert pull.loss().item() == 0.5 * (4 * 4 + 0.25 * 4)
    torch.autograd.backward(pull.loss())
    assert [p.grad.item() for p in theta if p.grad is not None] == [2 * 0.5 * 4 * 2, 2 * 0.5 * 0.25 * -2]


def test_its_step_goes_back_weight_by_weight() -> None:
    theta, pull = stiff_pair()
    pull.step(lr=0.025)
    # theta* + (theta - theta*) / (1 + 2 x 0.025 x 0.5 x stiffness / (1 - 0.9)): 1 + 2 / 2 and 1 - 2 / 1.0625
    assert [p.item() for p in theta] == pytest.approx([2.0, 1 - 2 / 1.0625])
    pull.step(lr=0.1)  # another rate has another share: 1 + 1 / 5 and 1 - 1.88 / 1.25
    assert [p.item() for p in theta] == pytest.approx([1.2, 1 - 2 / 1.0625 / 1.25])


def test_a_weight_without_stiffness_keeps_its_bits_and_a_huge_strength_moves_no_number_away() -> None:
    theta = torch.tensor([0.1, 0.7, -3.3])
    before, star = theta.clone(), torch.zeros(3)
    Pull([(theta, star)], 1e12, [torch.tensor([0.0, 1e3, 1e-3])]).step(lr=10.0)
    assert theta[0] == before[0]
    assert theta[1:].tolist() == pytest.approx([0, 0], abs=1e-8)


def units() -> Block:
    """Two units: incoming (3, 0) with bias 4, and (0.01, 0) with bias 0."""
    weight, bias = torch.tensor([[3.0, 0.0], [0.01, 0.0]]), torch.tensor([4.0, 0.0])
    return Block((0, 2), (0, 2), weight, bias, "backbone.1", "0.")


def test_its_step_shortens_each_unit_by_the_same_length_and_ends_at_zero() -> None:
    block = units()
    GroupLasso([block], 0.5).step(lr=0.01)  # 0.05 off each norm
    assert unit_norms(block).tolist() == pytest.approx([4.95, 0])
    assert not block.weight[1].any()
    GroupLasso([block], 0.5).step(lr=0.01)
    assert torch.isfinite(block.weight).all()


def test_shares_are_those_of_a_step_that_takes_as_many_rows_of_each_part() -> None:
    new, old = torch.tensor([2, 2, 2, 2]), torch.tensor([0, 0, 1, 1, 1, 1, 1, 1])
    shares = log_shares(3, new, old).exp()
    assert shares.tolist() == pytest.approx([(0.25 + 0.25) / 2, (0.25 + 0.75) / 2, (1 + 0.125) / 2])  # at least one row
    assert log_shares(2, torch.tensor([0, 1]), torch.zeros(0, dtype=torch.int64)).exp().tolist() == [0.5, 0.5]


def test_the_divergence_is_of_each_row_and_nothing_where_both_say_the_same() -> None:
    """Teacher (ln 3, 0), now (0, 0), T = 1."""
    teacher = torch.tensor([[3.0, 1.0], [1.0, 1.0]], dtype=torch.float64).log()
    apart = divergence(torch.zeros(2, 2, dtype=torch.float64), teacher, 1.0)
    assert apart.tolist() == pytest.approx([0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5), 0.0])


def test_the_size_of_the_divergence_does_not_hang_on_the_temperature() -> None:
    """T^2 KL(teacher / T || now / T): for small differences the same for every T."""
    teacher = torch.tensor([[0.01, 0.0, -0.01]], dtype=torch.float64)
    sizes = [divergence(torch.zeros_like(teacher), teacher, t).item() for t in (1.0, 2.0, 10.0)]
    assert sizes == pytest.approx([sizes[0]] * 3, rel=1e-2)
    assert sizes[0] > 0
