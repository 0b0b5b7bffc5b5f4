"""What ewc, si and mas promise alike: no strength is fine-tuning, a huge one holds, and the usual one forgets less."""

from __future__ import annotations

import pytest
import torch

from service.learning.method import Method
from service.learning.methods.baseline import fine_tune
from service.learning.methods.constrain import ewc, mas, si
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, stream

HOLDING = pytest.mark.parametrize("method", [ewc.METHOD, si.METHOD, mas.METHOD], ids=lambda method: method.name)


def prepared(method: Method) -> tuple[Stream, Checkpoint]:
    """A network that the method trained from its first version on."""
    s, d = stream([16]), digits().of(OLD)
    s.learn(method, d.X[:200], d.y[:200], epochs=3)
    assert s.checkpoint is not None
    return s, s.checkpoint


def weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    served = ("backbone", "head", "neck")
    return {
        f"{part}/{key}": t
        for part, ts in checkpoint.parts.items()
        if part.split(".")[0] in served
        for key, t in ts.items()
    }


@HOLDING
def test_without_strength_it_is_fine_tuning_bit_for_bit(method: Method) -> None:
    s, base = prepared(method)
    d = digits().of(NEW)
    data = s.data(d.X[:100], d.y[:100])
    free = method.update(
        base, data, method.Params.model_validate({"strength": 0, "masked": False}), Run(seed=5)
    ).checkpoint
    tuned = fine_tune.update(base, data, fine_tune.Params(), Run(seed=5)).checkpoint
    assert free.layout == tuned.layout
    assert weights(free).keys() == weights(tuned).keys()
    assert all(torch.equal(t, weights(tuned)[name]) for name, t in weights(free).items())


@pytest.mark.parametrize(("method", "least"), [(si.METHOD, 0.3), (mas.METHOD, 0.5)], ids=["si", "mas"])
def test_a_huge_strength_leaves_every_weight_that_matters_where_it_was(method: Method, least: float) -> None:
    s, base = prepared(method)
    d = digits().of(OLD)
    data = s.data(d.X[200:300], d.y[200:300])
    got = method.update(base, data, method.Params.model_validate({"strength": 1e9}), Run()).checkpoint
    matters = base.parts[f"state.{method.name}"]["trunk.layers.0.weight"] > 1e-3
    moved = (got.parts["backbone.0"]["0.weight"] - base.parts["backbone.0"]["0.weight"]).abs()
    assert matters.double().mean() > least
    assert float(moved[matters].max()) < 1e-4


@HOLDING
def test_it_forgets_less_than_fine_tuning_on_a_shifted_input(method: Method) -> None:
    """Digits upside down: known classes in another style."""
    d, s = digits(), stream([32])
    s.learn(method, d.X[:500], d.y[:500])
    data = s.data(d.X[500:700, ::-1].copy(), d.y[500:700])
    held = method.update(s.checkpoint, data, method.Params(), Run()).checkpoint
    free = fine_tune.update(s.checkpoint, data, fine_tune.Params(), Run()).checkpoint
    assert accuracy(held, d.held_X, d.held_y) > accuracy(free, d.held_X, d.held_y)


@pytest.mark.parametrize("method", [ewc.METHOD, si.METHOD], ids=lambda method: method.name)
def test_a_base_of_one_class_is_not_said_to_be_of_another_method(method: Method) -> None:
    s, d = stream([16]), digits()
    s.learn(method, *d.of("5")[:2], epochs=1)
    made = s.learn(method, *d.of("6")[:2], epochs=1, strength=1.0)
    assert any("knows one class" in note for note in made.notes)
    assert not any(f"not made by {method.name}" in note for note in made.notes)
