"""What the methods that pull converge to: the minimiser of the formula that each of them states, found by L-BFGS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch.nn import functional as F

from service.contract.inputs import VectorInput
from service.learning.method import Method
from service.learning.method_params import GradientParams
from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.constrain import ewc, l2_sp, mas, si
from service.learning.methods.constrain.importance import Importance
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.fit import Hooks, fit
from service.learning.training.learner import Learner
from service.learning.training.losses import GroupLasso, unit_norms
from service.learning.training.optimiser import CLIP
from service.learning.training.training_set import Labelled, TrainingSet
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.samples import OLD, digits, stream

STRENGTHS = [0.01, 0.1, 1.0, 10.0]
CONVERGES = {"epochs": 500, "batch_size": 8192, "lr": 0.3}
"""Whole batches: the gradient of a step is that of the formula, without the noise of a sample."""


def shifted(by: float = 1.5) -> tuple[Checkpoint, MemoryData]:
    """A head on frozen inputs, which makes the problem convex, and rows that want it elsewhere."""
    random = np.random.default_rng(0)
    s = Stream(VectorInput(kind="vector", size=4))
    centres = random.normal(size=(3, 4))

    def rows(n: int, moved: float) -> tuple[NDArray[np.float32], list[str]]:
        labels = random.integers(0, 3, n)
        return (centres[labels] + random.normal(size=(n, 4)) + moved).astype(np.float32), [str(k) for k in labels]

    s.learn(fine_tune.METHOD, *rows(120, 0.0), epochs=5)
    assert s.checkpoint is not None
    return s.checkpoint, s.data(*rows(90, by))


def minimiser(learner: Learner, strength: float, stiffness: dict[str, torch.Tensor] | None) -> list[torch.Tensor]:
    """argmin of the cross-entropy + strength x sum of stiffness (theta - theta*)^2 from where a learner stands."""
    names, stars = zip(*((n, p.detach().double()) for n, p in learner.body.named_parameters()), strict=True)
    stiff = [torch.ones_like(star) if stiffness is None else stiffness[n] for n, star in zip(names, stars, strict=True)]
    x, y = learner.batch.x.double(), learner.batch.y

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = torch.tensor(flat, requires_grad=True)
        parts = [p.view_as(star) for p, star in zip(theta.split([s.numel() for s in stars]), stars, strict=True)]
        pull = sum((k * (p - star) ** 2).sum() for k, p, star in zip(stiff, parts, stars, strict=True))
        total = F.cross_entropy(x @ parts[0].T + parts[1], y) + strength * pull
        torch.autograd.backward(total)
        return float(total.detach()), theta.grad.numpy()

    start = torch.cat([star.flatten() for star in stars]).numpy()
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 10_000})
    return [
        p.view_as(star) for p, star in zip(torch.tensor(best.x).split([s.numel() for s in stars]), stars, strict=True)
    ]


def difference(got: Checkpoint, learner: Learner, weight: torch.Tensor, bias: torch.Tensor) -> float:
    """The largest between a version's head, which takes features, and one that takes rows in the learner's frame."""
    frame, head = learner.training_rows.frame, got.parts["head.0"]
    own = head["weight"].double() * frame.spread
    return max(
        float((own - weight).abs().max()),
        float((head["bias"].double() + head["weight"].double() @ frame.mean.double() - bias).abs().max()),
    )


@pytest.mark.parametrize("strength", STRENGTHS)
def test_l2_sp_ends_at_the_minimiser_of_its_formula(strength: float) -> None:
    base, data = shifted()
    start = Learner.start(base, data, Run())
    assert len(list(start.body.parameters())) == 2  # a head alone: convex
    got = l2_sp.update(base, data, l2_sp.Params(strength=strength, **CONVERGES), Run())
    assert difference(got.checkpoint, start, *minimiser(start, strength, None)) < 1e-4
    assert difference(got.checkpoint, start, *minimiser(start, strength / 10, None)) > 1e-2  # far from any other's


def test_gradients_that_are_clipped_to_the_end_leave_the_minimiser_where_it_is() -> None:
    """Where the pull rests against a gradient beyond the clip: what shortens one shortens the other."""
    base, data = shifted(by=8.0)
    start = Learner.start(base, data, Run())
    weight, bias = minimiser(start, 10.0, None)
    logits = F.linear(start.batch.x.double(), weight, bias).requires_grad_()
    (slope,) = torch.autograd.grad(F.cross_entropy(logits, start.batch.y), logits)
    assert (slope.T @ start.batch.x.double()).norm() > 1.5 * CLIP
    params = l2_sp.Params(strength=10.0, epochs=300, batch_size=8192, lr=0.01)
    got = l2_sp.update(base, data, params, Run())
    assert difference(got.checkpoint, start, weight, bias) < 1e-4


@pytest.mark.parametrize(
    ("method", "strength"),
    [*((ewc.METHOD, strength) for strength in STRENGTHS), (si.METHOD, STRENGTHS[0]), (mas.METHOD, STRENGTHS[-1])],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_stiff_pull_ends_at_the_minimiser_of_its_formula(method: Method, strength: float) -> None:
    base, data = shifted()
    start = Learner.start(base, data, Run())
    generator = torch.Generator().manual_seed(1)
    drawn = {n: torch.rand(p.shape, generator=generator) * 2 for n, p in start.body.named_parameters()}
    part = f"state.{method.name}"
    base = replace(base, parts=base.parts | {part: Importance(drawn, 120.0).stored(start)})
    held = Importance.recalled(start := Learner.start(base, data, Run()), part)
    got = method.update(base, data, method.Params.model_validate({"strength": strength, **CONVERGES}), Run())
    assert difference(got.checkpoint, start, *minimiser(start, strength, held.clipped())) < 1e-4


def test_blocks_that_train_at_a_lower_rate_come_to_rest_where_the_formula_does() -> None:
    """A network: no minimiser is known, but the gradient of loss and penalty is 0 where training ends."""
    s, d = stream([8]), digits().of(OLD)
    s.learn(retrain.METHOD, d.X[:200], d.y[:200], epochs=5)
    base, data = s.checkpoint, s.data(d.X[200:300] * 0.5, d.y[200:300])
    start = Learner.start(base, data, Run(), unfreeze="all")
    assert start.slow
    strength = 0.5
    params = l2_sp.Params(strength=strength, unfreeze="all", epochs=300, batch_size=8192, lr=0.1)
    end = Learner.start(l2_sp.update(base, data, params, Run()).checkpoint, data, Run(), unfreeze="all")
    torch.autograd.backward(F.cross_entropy(end.body(end.batch.x), end.batch.y))
    for p, star in zip(end.body.parameters(), start.body.parameters(), strict=True):
        assert p.grad.norm() > 1e-3
        # beside a kink of a ReLU it rests where no gradient is quite 0; a pull of another rate misses by 0.9
        assert (p.grad + 2 * strength * (p - star)).norm() < 0.2 * p.grad.norm()


def test_the_group_lasso_ends_at_the_minimiser_of_its_formula() -> None:
    """Two units that shall answer c x: 1/2 (w - c)^2 a row + strength |w| has its least at c - strength, or at 0."""
    weight = torch.tensor([[0.1], [0.1]])
    body = GrownLinear([Block((0, 2), (0, 1), weight, None, "head.0", "")])
    block, x = next(iter(body)), torch.ones(8, 1)
    lasso, wanted = GroupLasso([block], 0.25), torch.tensor([1.0, 0.2])
    fit(
        body,
        TrainingSet(Labelled(x, torch.zeros(8, dtype=torch.int64))),
        GradientParams(epochs=200, batch_size=8, lr=0.03),
        Run(),
        hooks=Hooks(lambda module, step: 0.5 * ((module(step.x) - wanted) ** 2).mean(0).sum(), after_step=lasso.step),
    )
    assert unit_norms(block).tolist() == pytest.approx([0.75, 0.0], abs=1e-4)
