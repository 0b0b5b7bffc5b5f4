"""Learning on pretrained backbones: what stands still, what is stored, which lifts go beside, when none is needed."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, MlpBackbone, VectorInput
from service.errors import MethodRefused
from service.learning.backbones.extractor import SharedWeights
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.ledger.feature_space import Space
from service.learning.method import Learned
from service.learning.methods import METHODS, resolve
from service.learning.network.network import build
from service.learning.retraction import blank
from service.learning.run import Run
from service.serving.predictor import Predictor
from tests.learning.backbones.weight_files import IMAGE, LITE, TEXT, TINY, files_of
from tests.learning.memory_data import Stream
from tests.learning.samples import load_digits
from tests.updating import run_update

RIDGE = METHODS["ridge"]
PHRASES = {
    "weather": "will it rain tomorrow in the city or is it sunny",
    "music": "play the new song of the band loud and again",
    "bank": "send money from my account to the other card",
}


def pictures(classes: str, n: int, spec: ImageInput = IMAGE) -> tuple[np.ndarray, list[str]]:
    """Each class is a colour pattern under noise. -> uint8 [n x classes, c, h, w]"""
    draw = np.random.default_rng(len(classes) + n)
    labels = [c for c in classes for _ in range(n)]
    patterns = {c: np.random.default_rng(ord(c)).integers(40, 215, (spec.channels, 4, 4)) for c in classes}
    grow = (spec.height // 4, spec.width // 4)
    X = np.stack([np.kron(patterns[c], np.ones(grow)) for c in labels]) + draw.normal(0, 30, (len(labels), *spec.shape))
    order = draw.permutation(len(labels))
    return np.clip(X, 0, 255).astype(np.uint8)[order], [labels[k] for k in order]


def sentences(classes: list[str], n: int) -> tuple[np.ndarray, list[str]]:
    draw = np.random.default_rng(n)
    labels = [c for c in classes for _ in range(n)]
    return np.array([" ".join(draw.permutation(PHRASES[c].split())[:6]) for c in labels], object), labels


def tiny() -> Stream:
    return Stream(IMAGE, Architecture(backbone=TINY), files_of("resnet18"))


def figures(classes: str, n: int) -> tuple[np.ndarray, list[str]]:
    """scikit-learn's digits, twice as large, in three channels. -> uint8 [n x classes, 3, 16, 16]"""
    digits = load_digits()
    rows = np.concatenate([np.flatnonzero(digits.target == int(c))[:n] for c in classes])
    images = np.kron(digits.data[rows].reshape(-1, 8, 8), np.ones((2, 2))) * 15
    return np.repeat(images[:, None], 3, 1).astype(np.uint8), [str(c) for c in digits.target[rows]]


@cache
def first() -> tuple[Stream, Learned]:
    stream = tiny()
    return stream, stream.learn(RIDGE, *pictures("abc", 20))


def test_a_first_version_stores_the_weights_and_owes_them_to_no_batch() -> None:
    stream, learned = first()
    made = learned.checkpoint
    assert set(made.parts) == {"scale", "backbone.0", "head.0", "judge"}
    assert made.learned["backbone.0"] == made.learned["scale"] == frozenset()
    assert made.learned["head.0"] == {"bat_000"}
    assert made.layout.backbone == TINY
    assert not made.layout.trained
    assert isinstance(made.parts["backbone.0"], SharedWeights)
    assert stream.checkpoint is made


@pytest.mark.long
def test_convolutions_go_beside_where_rows_kept_back_show_that_they_help() -> None:
    stream = tiny()
    learned = stream.learn(RIDGE, *figures("0123456789", 25))
    alone, both = learned.details["lifts_tried"].values()
    assert both > alone + 0.01
    assert [lift.kind for lift in learned.checkpoint.layout.lifts] == ["none", "conv"]
    assert learned.checkpoint.learned["lift.1"] == {"bat_000"}
    again = stream.learn(RIDGE, *figures("01", 10)).checkpoint
    assert Space.of(again).id == Space.of(learned.checkpoint).id, "it is asked again once rows have doubled"
    assert "lifts_tried" not in stream.learn(RIDGE, *figures("2", 5)).details


@pytest.mark.long
def test_retraining_from_nothing_stands_on_the_same_features() -> None:
    for name in ("retrain", "linear_probe", "fine_tune"):
        stream = tiny()
        made = stream.learn(METHODS[name], *pictures("ab", 12), epochs=2).checkpoint
        assert made.learned["backbone.0"] == frozenset()
        assert made.layout.shift is not None
        again = stream.learn(RIDGE, *pictures("bc", 12)).checkpoint
        assert Space.of(again).id == Space.of(made).id, "the ledger of a trained head serves an exact one"


@pytest.mark.long
def test_conv_goes_beside_the_features_and_others_behind_them() -> None:
    stream, learned = first()
    data = stream.data(*pictures("ab", 10))
    both = RIDGE.update(learned.checkpoint, data, resolve({"name": "ridge", "lift": ["none", "conv"]})[1], Run())
    layout, network = both.checkpoint.layout, build(both.checkpoint)
    assert [lift.kind for lift in layout.lifts] == ["none", "conv"]
    assert layout.lifts[0].width == 512
    assert any("How rows are prepared for the head was chosen anew" in note for note in both.notes)
    assert both.checkpoint.parts["backbone.0"] is learned.checkpoint.parts["backbone.0"]
    x = torch.from_numpy(data.batch.inputs[:4])
    with torch.no_grad():
        h = network.features(x)
        assert torch.equal(h[:, :512], network.backbone(network.scale(x)))
        assert torch.equal(h[:, 512:], network.lifts[1](network.scale(x)))
    relu = RIDGE.update(learned.checkpoint, data, resolve({"name": "ridge", "lift": "relu", "width": 64})[1], Run())
    assert relu.checkpoint.parts["lift.0"]["weight"].shape == (64, 512)
    same = RIDGE.update(learned.checkpoint, data, resolve({"name": "ridge", "lift": "none"})[1], Run())
    assert Space.of(same.checkpoint).id == Space.of(learned.checkpoint).id


@pytest.mark.long
def test_a_text_gets_random_features_beside_once_rows_are_as_many_and_show_that_they_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.learning.exact.frozen_features.WIDE", 18)
    stream, tried = Stream(TEXT, Architecture.usual(TEXT)), []

    def helps(_: object, both: Space, alone: int, *__: object) -> tuple[bool, dict[str, float]]:
        tried.append((alone, both.width))
        return True, {"384 features": 0.5, "402 features": 0.6}

    monkeypatch.setattr("service.learning.exact.lift_choice.ByAccuracy.beside", helps)
    few, many = (stream.learn(RIDGE, *sentences(["weather", "music"], n)).checkpoint for n in (3, 6))
    assert [lift.kind for lift in few.layout.lifts] == []
    assert [lift.kind for lift in many.layout.lifts] == ["none", "relu"]
    stream.learn(RIDGE, *sentences(["bank"], 18))
    assert tried == [(384, 402)], "not of few rows; what helped stays when rows have doubled"


def test_texts_learn_new_classes_are_served_and_taken_back() -> None:
    stream = Stream(TEXT, Architecture.usual(TEXT))
    for classes in (["weather", "music"], ["bank"]):
        data = stream.data(*sentences(classes, 8))
        done = run_update(stream.checkpoint, data, RIDGE, resolve({"name": "ridge"})[1], Run(), ClassContext())
        stream.history.append(data.batch)
        stream.checkpoint = done.checkpoint
    predictor = Predictor(done.checkpoint)
    texts = np.array(["is there rain", "play a song of this band", "money on my card", "sunny " * 50], object)
    answers = [predictor.names[k] for k in predictor.answer(texts).values.argmax(1)]
    assert answers == ["weather", "music", "bank", "weather"]
    with pytest.raises(MethodRefused, match="conv"):
        RIDGE.update(None, data, resolve({"name": "ridge", "lift": ["none", "conv"]})[1], Run())
    nothing = stream.data(*sentences([], 0))
    nothing.base_rows, nothing.batch = [], nothing.batch.take(np.zeros(0, np.int64))
    left = ClassContext().examine(done.checkpoint, blank(TEXT, done.checkpoint), nothing, Run())
    assert left.checkpoint.classes == ()


@pytest.mark.long
def test_the_report_says_when_a_backbone_does_not_help() -> None:
    data = tiny().data(*pictures("abcd", 90))
    done = run_update(None, data, RIDGE, resolve({"name": "ridge"})[1], Run(), ClassContext())
    [note] = [n for n in done.report.notes if "does not help" in n]
    assert "resnet18" in note, "random weights are no better than random convolutions"
    assert "random convolutions of the images" in note
    few = tiny().data(*pictures("ab", 20))
    done = run_update(None, few, RIDGE, resolve({"name": "ridge"})[1], Run(), ClassContext())
    assert not any("does not help" in n for n in done.report.notes), "too few rows can tell"


def test_a_backbone_that_helps_is_not_reported() -> None:
    """Nested squares have no value of a pixel in common, but a network that was trained in sums of them tells them."""
    spec = VectorInput(kind="vector", size=8)
    X = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    y = ["in" if inside else "out" for inside in (X[:, :2] ** 2).sum(1) < 1.4]
    stream = Stream(spec, Architecture(backbone=MlpBackbone(name="mlp", hidden=[64])))
    done = run_update(
        None, stream.data(X, y), METHODS["retrain"], resolve({"name": "retrain"})[1], Run(), ClassContext()
    )
    assert not any("does not help" in n for n in done.report.notes)


@pytest.mark.long
def test_a_cnn_learns_images_of_more_numbers_than_exact_sums_take() -> None:
    spec = ImageInput(kind="image", channels=3, height=64, width=64)
    stream = Stream(spec, Architecture(backbone=CnnBackbone(name="cnn", channels=[8])))
    for name, classes in (("retrain", "abc"), ("linear_probe", "d"), ("replay", "cd")):
        data, method = stream.data(*pictures(classes, 8, spec)), METHODS[name]
        params = resolve({"name": name, "epochs": 3})[1]
        done = run_update(stream.checkpoint, data, method, params, Run(), ClassContext())
        stream.history.append(data.batch)
        stream.checkpoint = done.checkpoint
        assert done.space.width == 1152 or name == "linear_probe", "examined behind random convolutions"
    assert set(done.checkpoint.classes) == set("abcd")


def test_stand_ins_of_images_are_kept_rows() -> None:
    from service.learning.training.learner import Learner

    stream = Stream(IMAGE, Architecture(backbone=CnnBackbone(name="cnn", channels=[4])))
    stream.learn(METHODS["retrain"], *pictures("ab", 15), epochs=1)
    learner = Learner.start(stream.checkpoint, stream.data(*pictures("c", 10)), Run())
    stand_ins = learner.stand_ins(learner.batch)
    kept = learner.training_rows.kept
    scaled = learner.network.scale(torch.from_numpy(kept.take(kept.learning).inputs))
    assert stand_ins.rows == int(kept.learning.sum())
    assert {x.numpy().tobytes() for x in stand_ins.x} == {x.numpy().tobytes() for x in scaled}
    assert learner.training_rows.selected.rows == int(kept.selecting.sum())
    assert LITE.backbone.name == "efficientnet_lite0"
