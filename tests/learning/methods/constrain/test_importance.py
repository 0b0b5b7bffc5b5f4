"""Importances as a version keeps them: by place, outside of any frame, 0 for what is new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, RangeScale
from service.learning.data.serialization import pack_shard, unpack_shard
from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.constrain.importance import LARGEST, Importance, mean_of, trained
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import Learner
from tests.learning.memory_data import Stream
from tests.learning.samples import OLD, digits, stream

PART = "state.test"


def numbered(learner: Learner) -> dict[str, Tensor]:
    """Another number for every weight."""
    values, at = {}, 1
    for name, p in trained(learner.body):
        values[name] = torch.arange(at, at + p.numel(), dtype=torch.float32).reshape(p.shape) / 100
        at += p.numel()
    return values


def base_of(hidden: list[int], classes: str = OLD) -> tuple[Stream, Checkpoint]:
    s, d = stream(hidden), digits().of(classes)
    s.learn(retrain.METHOD, d.X[:150], d.y[:150], epochs=1)
    assert s.checkpoint is not None
    return s, s.checkpoint


def keep(base: Checkpoint, learner: Learner, values: dict[str, Tensor], rows: float = 10.0) -> Checkpoint:
    return replace(base, parts={**base.parts, PART: Importance(values, rows).stored(learner)})


def start(s: Stream, base: Checkpoint, classes: str, rows: slice) -> Learner:
    d = digits().of(classes)
    return Learner.start(base, s.data(d.X[rows], d.y[rows]), Run())


@pytest.mark.parametrize("hidden", [[], [8], [8, 6]])
def test_what_is_kept_comes_back(hidden: list[int]) -> None:
    s, base = base_of(hidden)
    learner = start(s, base, OLD, slice(150, 200))
    values = numbered(learner)
    held = Importance.recalled(start(s, keep(base, learner, values), OLD, slice(150, 200)), PART)
    assert held.rows == 10
    assert held.values.keys() == values.keys()
    for name, value in values.items():
        assert torch.allclose(held.values[name], value, rtol=1e-5), name


def test_it_survives_being_packed() -> None:
    s, base = base_of([8])
    learner = start(s, base, OLD, slice(150, 200))
    part = Importance(numbered(learner), 3.0).stored(learner)
    again = unpack_shard(pack_shard(part))
    assert again.keys() == part.keys()
    assert all(torch.equal(t, again[key]) for key, t in part.items())


def test_another_frame_sees_the_same_penalty() -> None:
    """A weight's unit is the frame's spread: importance x square of a change is the same number in each."""
    s, base = base_of([8])
    one = start(s, base, OLD, slice(150, 200))
    kept = keep(base, one, numbered(one))
    d = digits().of(OLD)
    s.learn(fine_tune.METHOD, d.X[200:500] * 3, d.y[200:500], epochs=1)
    two = Learner.start(kept, s.data(d.X[500:550], d.y[500:550]), Run())
    assert not torch.allclose(one.training_rows.frame.spread, two.training_rows.frame.spread, rtol=0.1)
    held = Importance.recalled(two, PART)
    name = "trunk.layers.0.blocks.0.weight"
    change = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    penalties = [
        (numbered(one)[name] * (change * one.training_rows.frame.spread) ** 2).sum(),
        (held.values[name] * (change * two.training_rows.frame.spread) ** 2).sum(),
    ]
    assert penalties[0].item() == pytest.approx(penalties[1].item(), rel=1e-4)


def test_new_classes_have_no_importance_and_a_merged_head_finds_its_own() -> None:
    s, base = base_of([8])
    learner = start(s, base, "0123456", slice(150, 200))
    assert len(list(learner.network.head)) == 2
    values = numbered(learner)
    kept = keep(base, learner, values)
    assert kept.parts[PART]["head.weight"].shape == (7, 8)
    d = digits().of("0123456")
    merged = fine_tune.update(base, learner.data, fine_tune.Params(epochs=1), Run()).checkpoint
    assert len(merged.layout.head) == 1
    grown = Checkpoint(merged.layout, {**merged.parts, PART: kept.parts[PART]}, merged.learned)
    nine = np.flatnonzero(np.array(digits().y) == "9")[:20]
    data = s.data(np.concatenate([d.X[200:210], digits().X[nine]]), [*d.y[200:210], *["9"] * 20])
    held = Importance.recalled(Learner.start(grown, data, Run()), PART)
    assert torch.equal(
        held.values["head.blocks.0.weight"],
        torch.cat([values["head.blocks.0.weight"], values["head.blocks.1.weight"]]),
    )
    assert not held.values["head.blocks.1.weight"].any()


def test_what_does_not_fit_is_not_recalled() -> None:
    s, base = base_of([8])
    learner = start(s, base, OLD, slice(150, 200))
    kept = keep(base, learner, numbered(learner))
    other, narrow = base_of([4])
    stranger = replace(narrow, parts={**narrow.parts, PART: kept.parts[PART]})
    assert Importance.recalled(start(other, stranger, OLD, slice(150, 200)), PART) is None
    assert Importance.recalled(learner, "state.none") is None


def test_filters_keep_theirs_under_their_own_names() -> None:
    spec = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))
    s, d = Stream(spec, Architecture(backbone=CnnBackbone(name="cnn", channels=[4]))), digits().of(OLD)
    X = d.X.reshape(-1, 1, 8, 8)
    s.learn(retrain.METHOD, X[:100], d.y[:100], epochs=1)
    assert s.checkpoint is not None
    data = s.data(X[100:150], d.y[100:150])
    learner = Learner.start(s.checkpoint, data, Run())
    values = numbered(learner)
    assert {v.ndim for v in values.values()} == {1, 2, 4}
    held = Importance.recalled(Learner.start(keep(s.checkpoint, learner, values), data, Run()), PART)
    assert all(torch.equal(held.values[name], value) for name, value in values.items())


def test_importances_have_mean_one_and_a_largest_value() -> None:
    made = Importance.normalised({"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([[2.0]])}, 5.0)
    assert made.values["a"].tolist() == [0.5, 1.5]
    assert mean_of(made.values) == 1
    assert Importance.normalised({"a": torch.zeros(3)}, 5.0) is None
    assert Importance({"a": torch.tensor([1.0, 1e9])}, 1.0).clipped()["a"].tolist() == [1, LARGEST]


def test_two_are_joined_by_their_rows() -> None:
    one, two = Importance({"a": torch.tensor([1.0])}, 30.0), Importance({"a": torch.tensor([5.0])}, 10.0)
    assert one.joined(two).values["a"].item() == pytest.approx(2.0)
    assert one.joined(two).rows == 40
    assert one.joined(None) is one
