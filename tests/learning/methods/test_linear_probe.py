"""linear_probe: the trunk stands still, pseudo-features stand in for what was known."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from service.learning.method import Learned, Method
from service.learning.methods import lda, linear_probe, retrain, ridge
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, stream

JOINT = 0.965
"""What a network trained on all rows together reaches on these digits."""


def two_steps(first: Method, backbone: list[int], **params: Any) -> tuple[Stream, Learned]:
    d, s = digits(), stream(backbone)
    s.learn(first, *d.of(OLD)[:2])
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
    d, s = digits(), stream([64])
    s.learn(retrain.METHOD, *d.of(OLD)[:2])
    base = s.checkpoint
    assert base is not None
    got = s.learn(linear_probe.METHOD, *d.of(NEW)[:2]).checkpoint
    for key, tensor in base.parts["backbone.0"].items():
        assert torch.equal(got.parts["backbone.0"][key], tensor)
    assert got.learned["backbone.0"] == base.learned["backbone.0"] == {"bat_000"}
    assert got.learned["head.0"] == {"bat_000", "bat_001"}
    assert got.layout.shift == base.layout.shift


def test_the_lifts_of_an_exact_head_stay() -> None:
    d, s = digits(), stream()
    s.learn(ridge.METHOD, *d.of(OLD)[:2])
    base = s.checkpoint
    assert base is not None
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
    d, s = digits(), stream()
    s.learn(ridge.METHOD, *d.of(OLD)[:2])
    seven = d.of("7")
    s.learn(linear_probe.METHOD, seven.X[:1], seven.y[:1])
    assert accuracy(s.checkpoint, seven.X[:1], ["7"]) == 1
    assert accuracy(s.checkpoint, *d.of(OLD)[2:]) > 0.9
