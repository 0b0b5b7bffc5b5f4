"""branch: an extractor an update, old ones as they were, and one of all beyond the bound."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, RangeScale
from service.errors import MethodRefused
from service.learning.data.serialization import pack_shard
from service.learning.method import Method
from service.learning.methods.baseline import retrain
from service.learning.methods.expand import branch, den
from service.learning.methods.expand.branches import add_branch, branches, keep_newest, newest
from service.learning.methods.freeze import linear_probe, ridge
from service.learning.methods.rehearse import replay
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, knowing, logits, stream

IMAGE = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))


def prepared(kind: str) -> Stream:
    """A model that knows 0 to 4: learned once, a stream for each caller."""
    return _prepared(kind).fork()


@cache
def _prepared(kind: str) -> Stream:
    s = stream([48, 32])
    if kind == "cnn":
        s = Stream(IMAGE, Architecture(backbone=CnnBackbone(name="cnn", channels=[8, 12])))
    learn(s, retrain.METHOD, OLD)
    return s


def learn(s: Stream, method: Method, classes: str, rows: int = 400, **params: Any) -> Checkpoint:
    d = digits().of(classes)
    return s.learn(method, d.X[:rows].reshape(-1, *s.input.shape), d.y[:rows], None, **params).checkpoint


def features(checkpoint: Checkpoint, s: Stream) -> torch.Tensor:
    with torch.no_grad():
        return build(checkpoint).features(torch.from_numpy(digits().held_X.reshape(-1, *s.input.shape)))


def extractors(checkpoint: Checkpoint) -> dict[str, bytes]:
    return {part: pack_shard(t) for part, t in checkpoint.parts.items() if part.startswith("backbone")}


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_old_extractors_keep_their_bits_and_what_they_give(kind: str) -> None:
    s = prepared(kind)
    base = s.checkpoint
    middle = learn(s, branch.METHOD, "56", epochs=3)
    last = learn(s, branch.METHOD, "78", epochs=3)
    assert list(extractors(last)) == ["backbone.0", "backbone.1", "backbone.2"]
    assert extractors(base).items() <= extractors(middle).items() <= extractors(last).items()
    wide = features(base, s).shape[1]
    assert torch.equal(features(middle, s)[:, :wide], features(base, s))
    assert torch.equal(features(last, s)[:, : 2 * wide], features(middle, s))
    assert features(last, s).shape[1] == 3 * wide
    assert last.parameters > middle.parameters > base.parameters
    assert last.learned["backbone.0"] == base.learned["backbone.0"]


def test_new_classes_are_learned_and_old_ones_kept() -> None:
    d, s = digits(), prepared("mlp")
    learned = s.learn(branch.METHOD, *d.of(NEW)[:2])
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.92
    assert learned.details["extractors"] == 2
    assert learned.details["units"] == [48, 32]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_beyond_the_bound_all_become_one(kind: str) -> None:
    s = prepared(kind)
    base = s.checkpoint
    assert base is not None
    learn(s, branch.METHOD, "56", most=2, epochs=3)
    d = digits().of("78")
    inputs = d.X[:400].reshape(-1, *s.input.shape)
    learned = s.learn(branch.METHOD, inputs, d.y[:400], most=2, epochs=10)
    got = learned.checkpoint
    assert list(extractors(got)) == ["backbone.0"]
    assert features(got, s).shape == features(base, s).shape
    assert learned.details["distilled"] == 3
    assert learned.details["extractors"] == 1
    assert learned.details["agreement"] > 0.9
    known = digits().of("012345678")
    assert accuracy(got, known.held_X.reshape(-1, *s.input.shape), known.held_y) > 0.8
    again = learn(s, branch.METHOD, "9", most=2, epochs=2)
    assert list(extractors(again)) == ["backbone.0", "backbone.1"]


def test_one_extractor_at_most_is_distilled_each_time() -> None:
    s = prepared("mlp")
    got = learn(s, branch.METHOD, "56", most=1, epochs=5)
    assert list(extractors(got)) == ["backbone.0"]
    known = digits().of("0123456")
    assert accuracy(got, known.held_X, known.held_y) > 0.9


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_a_new_extractor_starts_as_the_newest_was(kind: str) -> None:
    s = prepared(kind)
    assert s.checkpoint is not None
    network = build(s.checkpoint)
    x = torch.from_numpy(digits().held_X.reshape(-1, *s.input.shape))
    with torch.no_grad():
        before = network.features(x)
        add_branch(network)
        both = network.features(x)
        assert torch.equal(both[:, : before.shape[1]], before)
        assert torch.allclose(both[:, before.shape[1] :], before, atol=1e-5)
        scaled = network.scale(x)
        assert torch.allclose(newest(network, scaled), both[:, before.shape[1] :], atol=1e-5)
        assert branches(network) == ["backbone.0", "backbone.1"]
        keep_newest(network)
        assert torch.allclose(network.features(x), before, atol=1e-5)


def test_other_methods_go_on_from_it() -> None:
    d, s = digits(), prepared("mlp")
    learn(s, branch.METHOD, "567", epochs=5)
    for method in (replay.METHOD, ridge.METHOD, linear_probe.METHOD):
        got = learn(s, method, "89")
        assert list(extractors(got)) == ["backbone.0", "backbone.1"], method.name
        assert accuracy(got, d.held_X, d.held_y) > 0.88, method.name


def test_where_no_extractor_was_trained_it_is_refused_with_the_remedy() -> None:
    d, s = digits(), knowing(ridge.METHOD)
    with pytest.raises(MethodRefused, match="mlp"):
        branch.METHOD.check(s.checkpoint, s.data(d.X[:9], d.y[:9]), branch.Params())


def test_a_network_that_den_has_grown_is_refused_with_the_remedy() -> None:
    s = prepared("mlp")
    learn(s, den.METHOD, NEW, epochs=2)
    refused = branch.refuse(s.checkpoint, s.data(digits().X[:9], digits().y[:9]))
    assert "retrain" in (refused or "")


def test_known_classes_alone_train_an_extractor_too() -> None:
    s = prepared("mlp")
    old = digits().of(OLD)
    before = accuracy(s.checkpoint, np.ascontiguousarray(old.held_X[:, ::-1]), old.held_y)
    s.learn(branch.METHOD, np.ascontiguousarray(old.X[:, ::-1]), old.y)
    assert accuracy(s.checkpoint, np.ascontiguousarray(old.held_X[:, ::-1]), old.held_y) > before + 0.2
    assert accuracy(s.checkpoint, *old[2:]) > 0.85
    assert s.checkpoint is not None
    assert logits(s.checkpoint, old.held_X).shape[1] == 5
