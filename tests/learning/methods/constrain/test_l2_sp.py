"""l2_sp: from fine-tuning at no strength to standing still at a great one."""

from __future__ import annotations

import pytest
import torch

from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.constrain import l2_sp
from service.learning.methods.constrain.anchored import USUAL
from service.learning.methods.freeze import ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, knowing


def prepared(hidden: list[int]) -> tuple[Stream, Checkpoint, MemoryData]:
    d, s = digits(), knowing(retrain.METHOD if hidden else ridge.METHOD, hidden)
    new = d.of(NEW)
    assert s.checkpoint is not None
    return s, s.checkpoint, s.data(new.X[:200], new.y[:200])


def weights(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {f"{part}/{key}": t for part, ts in checkpoint.parts.items() for key, t in ts.items()}


@pytest.mark.parametrize("hidden", [[], [32]])
def test_without_strength_it_is_fine_tuning_bit_for_bit(hidden: list[int]) -> None:
    _, base, data = prepared(hidden)
    free = l2_sp.update(base, data, l2_sp.Params(strength=0, masked=False), Run(seed=5)).checkpoint
    tuned = fine_tune.update(base, data, fine_tune.Params(), Run(seed=5)).checkpoint
    assert free.layout == tuned.layout
    assert weights(free).keys() == weights(tuned).keys()
    assert all(torch.equal(t, weights(tuned)[name]) for name, t in weights(free).items())


@pytest.mark.parametrize("hidden", [[], [32]])
def test_a_huge_strength_leaves_shared_weights_where_they_were(hidden: list[int]) -> None:
    _, base, data = prepared(hidden)
    learned = l2_sp.update(base, data, l2_sp.Params(strength=1e9), Run())
    got = learned.checkpoint
    assert learned.details["distance"] < 1e-12
    assert all(torch.isfinite(t).all() for t in weights(got).values())
    if hidden:
        for key, tensor in base.parts["backbone.0"].items():
            assert torch.allclose(got.parts["backbone.0"][key], tensor, atol=1e-7)
        assert torch.allclose(got.parts["head.0"]["weight"][:5], base.parts["head.0"]["weight"], atol=1e-7)


def test_the_penalty_is_not_zero_after_one_step_of_a_real_run() -> None:
    _, base, data = prepared([32])
    params = l2_sp.Params(strength=0.5, epochs=1, batch_size=8192)
    details = l2_sp.update(base, data, params, Run()).details
    assert details["penalty"] == pytest.approx(0.5 * details["distance"])
    assert details["penalty"] > 0


def test_the_stronger_the_pull_the_nearer_the_weights_stay() -> None:
    _, base, data = prepared([32])
    distances = [
        l2_sp.update(base, data, l2_sp.Params(strength=s), Run()).details["distance"] for s in (0.01, 0.1, 1, 10)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 4 * distances[-1]


def test_the_search_tells_its_points_and_keeps_the_best() -> None:
    _, base, data = prepared([32])
    learned = l2_sp.update(base, data, l2_sp.Params(epochs=3), Run())
    points = learned.details["points"]
    assert USUAL in (tried := [p["strength"] for p in points])
    assert 2 <= len(tried) <= len(l2_sp.STRENGTHS)
    chosen = next(p for p in points if p["strength"] == learned.details["strength"])
    assert chosen["score"] > max(p["score"] for p in points) - 0.1
    alone = l2_sp.update(base, data, l2_sp.Params(epochs=3, strength=chosen["strength"]), Run())
    assert all(torch.equal(t, weights(alone.checkpoint)[n]) for n, t in weights(learned.checkpoint).items())
    brief = l2_sp.update(base, data, l2_sp.Params(epochs=1, strength=chosen["strength"]), Run())
    assert learned.multiply_adds == alone.multiply_adds + len(points) * brief.multiply_adds


def test_new_classes_under_a_pull_leave_old_ones_their_rows() -> None:
    _, base, data = prepared([32])
    old = digits().of(OLD)
    asked = (l2_sp.Params(strength=s, masked=masked) for masked in (True, False) for s in (0.1, 0))
    held, masked, pulled, free = (
        accuracy(l2_sp.update(base, data, params, Run()).checkpoint, old.held_X, old.held_y) for params in asked
    )
    assert held >= masked > free + 0.3, "most of it is kept by the mask"
    assert pulled >= free


def test_the_anchor_base_is_where_training_first_ended() -> None:
    """Two updates on: a huge pull to the base goes back to the weights of version 1."""
    s, first, _ = prepared([32])
    new = digits().of(NEW)
    s.learn(fine_tune.METHOD, new.X[:200], new.y[:200])
    second = s.checkpoint
    data = s.data(new.X[200:400], new.y[200:400])
    home = l2_sp.update(second, data, l2_sp.Params(strength=1e9, anchor="base"), Run()).checkpoint
    stay = l2_sp.update(second, data, l2_sp.Params(strength=1e9), Run()).checkpoint
    for key, tensor in first.parts["backbone.0"].items():
        assert torch.allclose(home.parts["backbone.0"][key], tensor, atol=1e-6)
        assert torch.allclose(stay.parts["backbone.0"][key], second.parts["backbone.0"][key], atol=1e-6)
    assert torch.allclose(home.parts["head.0"]["weight"][:5], first.parts["head.0"]["weight"], atol=1e-6)


def test_the_backbone_keeps_names_and_shapes() -> None:
    _, base, data = prepared([32])
    got = l2_sp.update(base, data, l2_sp.Params(strength=0.1), Run()).checkpoint
    assert {k: t.shape for k, t in got.parts["backbone.0"].items()} == {
        k: t.shape for k, t in base.parts["backbone.0"].items()
    }


def test_a_strength_that_is_none_is_refused() -> None:
    for strength in [-1, float("nan"), float("inf"), "strong"]:
        with pytest.raises(ValueError, match="strength"):
            l2_sp.Params.model_validate({"strength": strength})
