"""Training for numbers: the loss and its delta worked by hand, what it withstands, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from service.contract.inputs import Architecture, MlpBackbone
from service.contract.targets.number_target import NumberTarget
from service.errors import MethodRefused
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import identity_network
from service.learning.methods import METHODS, resolve
from service.learning.methods.constrain.ewc import fisher
from service.learning.network.input_scale import load_scale
from service.learning.number_heads.equations import goals_in_units, number_head
from service.learning.number_heads.strength import choose_strength
from service.learning.run import Run
from service.learning.training.aims.numbers import RobustLoss
from service.learning.training.learner import Learner
from service.learning.update import learn
from tests.learning.memory_data import Stream
from tests.learning.number_streams import Floats, NumberStream, number, values, vector

SPEC = vector(4)
NET = Architecture(backbone=MlpBackbone(name="mlp", hidden=[16]))


def rows(seed: int, n: int = 300) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 4))
    return X, 50 + 10 * X[:, 0] + 6 * np.abs(X[:, 1]) + random.normal(0, 1, n)


def stream(architecture: Architecture | None = NET, **target: Any) -> NumberStream:
    return NumberStream(SPEC, number(**target), architecture)


def trained(**params: Any) -> NumberStream:
    made = stream()
    made.learns_by("retrain", made.offered(*rows(0)), **params)
    return made


def test_the_loss_is_hubers_with_a_delta_for_each_number() -> None:
    outputs, y = torch.tensor([[0.0, 3.0], [1.0, -4.0]]), torch.zeros(2, 2)
    loss = RobustLoss(torch.tensor([0.5, 2.0]), torch.ones(2))
    columns = [F.huber_loss(outputs[:, k], y[:, k], delta=d) for k, d in enumerate((0.5, 2.0))]
    assert float(loss(outputs, y)) == pytest.approx(float(torch.stack(columns).mean()))
    assert loss.right(outputs, y).tolist() == [False, False]
    squared = RobustLoss(torch.full((2,), torch.inf), torch.ones(2))
    assert float(squared(outputs, y)) == pytest.approx(float((outputs**2).mean() / 2))
    assert squared.report() == {"loss": "squared"}


def test_delta_is_the_robust_spread_of_what_the_exact_head_leaves_on_selecting_rows() -> None:
    made = stream()
    data = made.offered(*rows(0))
    learned = made.learns_by("retrain", data, epochs=1)
    version, grid = learned.checkpoint, learned.checkpoint.layout.numbers
    space = Space.of(identity_network(SPEC, load_scale(SPEC, version.parts["scale"]), numbers=grid))
    entry, ledger = data.entry(space), data.grown(space)
    alpha = choose_strength(ledger.learn, ledger.select, 1, space.shift).alpha
    head = number_head(ledger.learn, 1, space.shift, alpha)
    selecting = entry.take(entry.selecting)
    left = head.answers(selecting, space.shift) - goals_in_units(selecting, grid)
    spread = 1.4826 * np.median(np.abs(left - np.median(left)))
    assert learned.details["delta"] == pytest.approx([1.35 * spread * float(grid.unit[0])], rel=1e-5)


def test_two_in_a_hundred_targets_ten_times_too_large_hurt_hubers_loss_less_than_the_squared_one() -> None:
    X, y = rows(1, 600)
    wrong = np.random.default_rng(2).random(len(y)) < 0.02
    held, truth = rows(3)
    missed = {}
    for loss in ("huber", "squared"):
        made = trained(loss=loss)
        made.learns_by("fine_tune", made.offered(X, np.where(wrong, 10 * y, y)), loss=loss)
        missed[loss] = float(np.abs(values(made.checkpoint, held)[:, 0] - truth).mean())
    assert missed["huber"] < 0.8 * missed["squared"], missed


def test_training_goes_on_from_the_exact_head_of_the_learning_rows() -> None:
    made = stream(None)
    made.learns(*rows(0), lift="none", decay=1)
    X, y = rows(1)
    tuned = learn(made.checkpoint, made.offered(X, y), *resolve({"name": "fine_tune", "lr": 1e-9}), Run()).checkpoint
    assert tuned.layout.exact is None
    assert np.abs(values(tuned, X) - values(made.checkpoint, X)).mean() < 1.0
    assert np.abs(values(tuned, X)[:, 0] - y).mean() < 0.6 * np.abs(y - y.mean()).mean()


def test_fisher_information_of_numbers_is_the_mean_square_of_their_gradients() -> None:
    made = stream(NET, size=2)
    X, y = rows(0)
    both = np.stack([y, -y], 1)
    made.learns_by("retrain", made.offered(X, both), epochs=2)
    learner = Learner.start(made.checkpoint, made.offered(X[:7], both[:7]), Run())
    sums = fisher(learner, learner.batch, 2)
    by_hand = {name: torch.zeros_like(p) for name, p in learner.body.named_parameters()}
    for x in learner.batch.x:
        for k in range(2):
            learner.body.zero_grad()
            torch.autograd.backward(learner.body(x[None])[0, k])
            for name, p in learner.body.named_parameters():
                assert p.grad is not None
                by_hand[name] += p.grad**2
    for name, total in sums.items():
        assert torch.allclose(total, by_hand[name], rtol=1e-4), name


@pytest.mark.parametrize("target", [{"scale": "log"}, {"from": 2}])
def test_logarithms_and_differences_are_learned_as_they_are_declared(target: dict[str, Any]) -> None:
    made = stream(NET, **target)
    made.learns_by("retrain", made.offered(*rows(0)), epochs=40)
    X, y = rows(3)
    assert np.abs(values(made.checkpoint, X)[:, 0] - y).mean() < 0.4 * np.abs(y - y.mean()).mean()


@pytest.mark.parametrize("name", ["lda", "icarl", "branch"])
def test_what_sets_classes_apart_says_why_it_learns_no_numbers(name: str) -> None:
    with pytest.raises(MethodRefused, match=METHODS[name].lacks[NumberTarget]):
        learn(None, stream().offered(*rows(0)), *resolve({"name": name}), Run())


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ({"name": "replay", "balance": "auto"}, "balance"),
        ({"name": "linear_probe", "pseudo_features": True}, "pseudo_features"),
        ({"name": "linear_probe", "hidden": [8]}, "hidden"),
        ({"name": "den", "mode": "protect"}, "mode"),
    ],
)
def test_parameters_of_classes_are_refused_by_name(method: dict[str, Any], parameter: str) -> None:
    made = trained(epochs=1)
    with pytest.raises(MethodRefused) as refused:
        learn(made.checkpoint, made.offered(*rows(1, 40)), *resolve(method), Run())
    assert [pointer for pointer, _ in refused.value.errors] == [f"/method/{parameter}"]


def test_a_loss_of_numbers_is_refused_where_targets_are_classes() -> None:
    data = Stream(SPEC).data(rows(0, 20)[0].astype(np.float32), ["a", "b"] * 10)
    with pytest.raises(MethodRefused, match="numbers") as refused:
        learn(None, data, *resolve({"name": "fine_tune", "loss": "huber"}), Run())
    assert [pointer for pointer, _ in refused.value.errors] == ["/method/loss"]
