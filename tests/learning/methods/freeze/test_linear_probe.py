"""linear_probe: the trunk stands still, pseudo-features stand in for what was known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, RangeScale
from service.errors import MethodRefused
from service.learning.ledger.feature_space import Space
from service.learning.method import Learned, Method
from service.learning.methods.baseline import retrain
from service.learning.methods.freeze import lda, linear_probe, ridge
from service.learning.training import learner
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, knowing, stream

JOINT = 0.965
"""What a network trained on all rows together reaches on these digits."""


def two_steps(first: Method, backbone: list[int], **params: Any) -> tuple[Stream, Learned]:
    d, s = digits(), knowing(first, backbone)
    return s, s.learn(linear_probe.METHOD, *d.of(NEW)[:2], **params)


@pytest.mark.parametrize(
    ("first", "backbone"),
    [(retrain.METHOD, []), (retrain.METHOD, [64]), (ridge.METHOD, []), (lda.METHOD, [])],
    ids=["linear head", "frozen mlp", "ridge on lifts", "lda on lifts"],
)
def test_new_classes_are_learned_without_a_stored_row(first: Method, backbone: list[int]) -> None:
    s, learned = two_steps(first, backbone)
    d = digits()
    assert learned.details["pseudo_features"] > 0
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.95 * JOINT


def test_without_pseudo_features_more_of_the_old_classes_is_lost() -> None:
    held = digits().of(OLD)[2:]
    bare, _ = two_steps(retrain.METHOD, [64], pseudo_features=False)
    kept, _ = two_steps(retrain.METHOD, [64])
    assert accuracy(bare.checkpoint, *held) < accuracy(kept.checkpoint, *held) - 0.03


def test_the_trunk_keeps_its_bits_and_the_feature_space_its_grid() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    base = s.checkpoint
    got = s.learn(linear_probe.METHOD, *d.of(NEW)[:2]).checkpoint
    for key, tensor in base.parts["backbone.0"].items():
        assert torch.equal(got.parts["backbone.0"][key], tensor)
    assert got.learned["backbone.0"] == base.learned["backbone.0"] == {"bat_000"}
    assert got.learned["head.0"] == {"bat_000", "bat_001"}
    assert got.layout.shift == base.layout.shift


def test_the_lifts_of_an_exact_head_stay() -> None:
    d, s = digits(), knowing(ridge.METHOD)
    base = s.checkpoint
    got = s.learn(linear_probe.METHOD, *d.of(NEW)[:2]).checkpoint
    assert got.layout.lifts == base.layout.lifts
    assert torch.equal(got.parts["lift.0"]["weight"], base.parts["lift.0"]["weight"])
    assert got.layout.exact is None
    assert "judge" not in got.parts


def test_hidden_layers_make_an_mlp_head_that_later_updates_keep() -> None:
    s, learned = two_steps(retrain.METHOD, [], hidden=[64])
    d = digits()
    assert [[b.part for b in layer] for layer in learned.checkpoint.layout.neck] == [["neck.0"]]
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.9
    again = s.learn(linear_probe.METHOD, d.X[:50], d.y[:50])
    assert again.checkpoint.layout.neck == learned.checkpoint.layout.neck


def test_a_new_head_without_stand_ins_is_refused() -> None:
    with pytest.raises(ValueError, match="pseudo_features"):
        linear_probe.Params(hidden=[8], pseudo_features=False)


def test_one_row_of_a_new_class_is_learned_beside_the_others() -> None:
    d, s = digits(), knowing(ridge.METHOD)
    seven = d.of("7")
    s.learn(linear_probe.METHOD, seven.X[:1], seven.y[:1])
    assert accuracy(s.checkpoint, seven.X[:1], ["7"]) == 1
    assert accuracy(s.checkpoint, *d.of(OLD)[2:]) > 0.9


@pytest.mark.parametrize(("count", "moved"), [(1, {"layers.1"}), (2, {"layers.0", "layers.1"})])
def test_the_last_layers_can_train_too_and_the_others_keep_their_bits(count: int, moved: set[str]) -> None:
    d, s = digits(), stream([48, 32])
    base = s.learn(retrain.METHOD, *d.of(OLD)[:2]).checkpoint
    learned = s.learn(linear_probe.METHOD, *d.of(NEW)[:2], unfreeze=count)
    got = learned.checkpoint
    changed = {
        name.split(".weight")[0]
        for name, tensor in got.parts["backbone.0"].items()
        if not torch.equal(tensor, base.parts["backbone.0"][name]) and "weight" in name
    }
    assert {f"layers.{name}" for name in changed} == moved
    assert len(learned.details["unfrozen"]) == count
    assert Space.of(got).id != Space.of(base).id
    assert accuracy(got, d.held_X, d.held_y) > 0.84


def test_unfrozen_blocks_move_a_tenth_as_far_as_at_the_heads_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step without clipping: the change is the rate times the gradient."""
    d, moves = digits(), []
    for rate in (1.0, 0.1):
        monkeypatch.setattr(learner, "SLOWER", rate)
        s = stream([16])
        base = s.learn(retrain.METHOD, *d.of(OLD)[:2]).checkpoint
        old = d.of(OLD)
        got = s.learn(
            linear_probe.METHOD, old.X[:60], old.y[:60], unfreeze=1, pseudo_features=False, epochs=1, batch_size=64
        ).checkpoint
        part = "backbone.0"
        moves.append(got.parts[part]["0.weight"] - base.parts[part]["0.weight"])
    assert moves[0].norm() > 0
    assert torch.allclose(moves[1], moves[0] / 10, atol=float(moves[0].abs().max()) * 1e-2)


def test_stages_of_a_cnn_can_train_too() -> None:
    spec = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))
    s = Stream(spec, Architecture(backbone=CnnBackbone(name="cnn", channels=[8, 8])))
    d = digits().of(OLD)
    images = d.X.reshape(-1, 1, 8, 8)
    base = s.learn(retrain.METHOD, images[:300], d.y[:300], epochs=3).checkpoint
    learned = s.learn(linear_probe.METHOD, images[300:500], d.y[300:500], unfreeze=1, epochs=2)
    assert learned.details["unfrozen"] == ["stage 2"]
    before, after = base.parts["backbone.0"], learned.checkpoint.parts["backbone.0"]
    assert {name for name in before if not torch.equal(before[name], after[name])} <= {
        name for name in before if name.startswith(("stages.4", "stages.5"))
    }


def test_without_blocks_to_unfreeze_it_is_refused_with_what_would_work() -> None:
    d, s = digits(), stream()
    s.learn(ridge.METHOD, d.X[:60], d.y[:60], lift="none")
    with pytest.raises(MethodRefused, match="retrain"):
        s.learn(linear_probe.METHOD, d.X[:60], d.y[:60], unfreeze=1)
