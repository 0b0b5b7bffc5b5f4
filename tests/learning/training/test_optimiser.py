"""A step of the training loop against what torch does with more ceremony."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.method_params import GradientParams
from service.learning.run import Run
from service.learning.training import fit as training
from service.learning.training.fit import fit
from service.learning.training.optimiser import CLIP, MOMENTUM, Descent, clip, gathered, memory_layout
from service.learning.training.training_set import Labelled, TrainingSet


def net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def rows(n: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 4, generator=generator), torch.randint(3, (n,), generator=generator)


def test_a_descent_has_the_bits_of_torchs_optimiser() -> None:
    ours, reference, (x, y) = net(), net(), rows()
    descent = Descent(list(ours.parameters()), 0.1)
    optimiser = torch.optim.SGD(reference.parameters(), lr=0.1, momentum=MOMENTUM, fused=True)
    for _ in range(5):
        descent.forget_gradients()
        optimiser.zero_grad()
        for body in (ours, reference):
            torch.autograd.backward(F.cross_entropy(body(x), y))
        descent.step()
        optimiser.step()
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), reference.parameters(), strict=True))


def test_what_has_no_gradient_in_a_step_stands_still() -> None:
    body = net()
    descent = Descent(list(body.parameters()), 0.1)
    before = [p.detach().clone() for p in body.parameters()]
    torch.autograd.backward(body[2](torch.ones(1, 8)).sum())
    descent.step()
    moved = [not torch.equal(p, b) for p, b in zip(body.parameters(), before, strict=True)]
    assert moved == [False, False, True, True]


@pytest.mark.parametrize("scale", [0.001, 1000.0])
def test_clipping_is_torchs_and_short_gradients_keep_their_bits(scale: float) -> None:
    ours, reference, (x, y) = net(), net(), rows()
    for body in (ours, reference):
        torch.autograd.backward(F.cross_entropy(body(x), y) * scale)
    clip(list(ours.parameters()), look=True)
    nn.utils.clip_grad_norm_(reference.parameters(), CLIP)
    for p, q in zip(ours.parameters(), reference.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert torch.equal(p.grad, q.grad) if scale < 1 else torch.allclose(p.grad, q.grad, rtol=1e-6)


def test_a_gradient_that_is_not_finite_is_seen_at_once() -> None:
    body = net()
    torch.autograd.backward(body(torch.full((1, 4), torch.inf)).sum())
    with pytest.raises(FloatingPointError):
        clip(list(body.parameters()), look=True)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_every_row_is_gathered_once_in_the_order(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.learning.training.optimiser.GATHERED", 60)
    x, y = rows()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    places, taken, labels = zip(*gathered(x, y, order, size), strict=True)
    assert torch.equal(torch.cat(places), order)
    assert torch.equal(torch.cat(taken), x[order])
    assert torch.equal(torch.cat(labels), y[order])
    assert {len(p) for p in places[:-1]} <= {size}


def test_wide_convolutions_train_with_channels_last_and_end_as_they_were_laid_out() -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
    assert memory_layout(wide) is torch.channels_last
    assert memory_layout(nn.Conv2d(1, 8, 3)) is torch.contiguous_format
    x, y = torch.randn(8, 3, 6, 6), torch.arange(8) % 2

    def last(tensor: Tensor) -> bool:
        return tensor.is_contiguous(memory_format=torch.channels_last)

    laid_out: list[bool] = []
    wide[0].register_forward_hook(lambda m, args, _: laid_out.append(last(m.weight) and last(args[0])))
    fit(wide, TrainingSet(Labelled(x, y)), GradientParams(epochs=1), Run())
    assert laid_out[-1], "the first look was at the cost"
    assert wide[0].weight.is_contiguous()


def test_lower_precision_leaves_weights_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does, done on a CPU: the products are bfloat16, the weights are not, and it learns."""

    def low(_: torch.device) -> AbstractContextManager[object]:
        return torch.autocast("cpu", torch.bfloat16)

    monkeypatch.setattr(training, "precision", low)
    body, (x, _) = net(), rows(200)
    y = (x[:, 0] > 0).long()
    kinds: set[torch.dtype] = set()
    body[0].register_forward_hook(lambda m, args, out: kinds.add(out.dtype))
    fit(body, TrainingSet(Labelled(x, y)), GradientParams(epochs=5, lr=0.1), Run())
    assert kinds == {torch.bfloat16}
    assert {p.dtype for p in body.parameters()} == {torch.float32}
    right = training.logits(body, x, Run()).argmax(1) == y
    assert float(right.double().mean()) > 0.9
