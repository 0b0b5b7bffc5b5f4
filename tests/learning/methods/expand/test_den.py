"""den: five steps, and what each promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, RangeScale
from service.errors import MethodRefused
from service.learning.data.serialization import pack_shard
from service.learning.method import Learned
from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.expand import den, probe
from service.learning.methods.freeze import linear_probe, ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, Floats, accuracy, digits, knowing, logits, stream


def prepared(hidden: list[int]) -> tuple[Stream, Checkpoint]:
    s = knowing(retrain.METHOD, hidden)
    assert s.checkpoint is not None
    return s, s.checkpoint


def served(checkpoint: Checkpoint) -> dict[str, bytes]:
    return {p: pack_shard(ts) for p, ts in checkpoint.parts.items() if p.split(".")[0] in ("scale", "backbone", "head")}


def steps(learned: Learned) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in learned.details["steps"]}


def test_protect_keeps_old_bytes_and_old_scores_and_learns_the_new_classes() -> None:
    d = digits()
    s, base = prepared([256])
    learned = s.learn(den.METHOD, *d.of(NEW)[:2])
    got = learned.checkpoint
    assert served(base).items() <= served(got).items()
    assert torch.equal(logits(got, d.held_X)[:, :5], logits(base, d.held_X))
    assert got.parameters > base.parameters
    assert accuracy(got, d.held_X, d.held_y) > 0.85
    assert {"backbone.1", "head.1"} <= set(got.parts)
    assert got.learned["backbone.0"] == {"bat_000"}
    assert got.learned["backbone.1"] == {"bat_000", "bat_001"}


@pytest.mark.long
def test_rows_of_known_classes_that_the_base_gets_wrong_are_learned_beside_new_ones() -> None:
    """Old ones upside down beside a new class: protect could only leave them wrong, and says so."""
    d, learned = digits(), {}
    new, three = d.of("5"), d.of("3")
    X, y = np.concatenate([16 - three.X, new.X]), [*three.y, *new.y]
    for mode in ("auto", "protect"):
        s, _ = prepared([64])
        learned[mode] = s.learn(den.METHOD, X[::2], y[::2], mode=mode, epochs=12)
        right = accuracy(learned[mode].checkpoint, 16 - three.held_X, three.held_y)
        assert right > 0.8 if mode == "auto" else right < 0.5
    assert learned["auto"].details["mode"] == "adapt"
    [note], [kept] = ([n for n in learned[m].notes if "rows of known classes" in n] for m in ("auto", "protect"))
    assert "were adapted" in note
    assert "still are" in kept


def test_it_tells_its_five_steps_with_numbers_for_each_layer() -> None:
    s, _ = prepared([32, 24])
    report = steps(s.learn(den.METHOD, *digits().of(NEW)[:2], epochs=3))
    assert list(report) == ["probe", "detect", "add", "initialise", "train"]
    detected = report["detect"]["layers"]
    assert isinstance(detected, list)
    assert [layer["layer"] for layer in detected] == ["backbone layer 1", "backbone layer 2"]
    assert all(layer["largest"] >= layer["drift"] > 0 for layer in detected)
    added = report["add"]["layers"]
    assert isinstance(added, list)
    assert all(0 < layer["added"] <= 32 for layer in added)
    assert report["initialise"]["mode"] == "protect"
    trained = report["train"]["layers"]
    assert isinstance(trained, list)
    assert set(trained[0]) == {"layer", "dead", "pruned", "insertion"}


def test_updates_go_on_from_a_grown_network() -> None:
    """Twice expanded, then fine-tuned."""
    d = digits()
    s, base = prepared([64])
    middle = s.learn(den.METHOD, *d.of("567")[:2], epochs=5).checkpoint
    last = s.learn(den.METHOD, *d.of("89")[:2], epochs=5).checkpoint
    assert torch.equal(logits(last, d.held_X)[:, :8], logits(middle, d.held_X))
    assert torch.equal(logits(last, d.held_X)[:, :5], logits(base, d.held_X))
    assert served(middle).items() <= served(last).items()
    tuned = s.learn(fine_tune.METHOD, d.X[:300], d.y[:300]).checkpoint
    assert accuracy(tuned, d.held_X, d.held_y) > 0.9


def test_adapt_moves_old_scores_and_no_old_weight() -> None:
    d = digits()
    s, base = prepared([64])
    old = d.of(OLD)
    darker, held = old.X * 0.5, old.held_X * 0.5
    before = accuracy(base, held, old.held_y)
    learned = s.learn(den.METHOD, darker[:200], old.y[:200])
    got = learned.checkpoint
    assert learned.details["mode"] == "adapt"
    assert got.classes == base.classes
    assert served(base).items() <= served(got).items()
    if before < 0.95:
        assert accuracy(got, held, old.held_y) > before


def test_protect_without_a_new_class_is_refused_with_the_remedy() -> None:
    s, base = prepared([16])
    old = digits().of(OLD)
    with pytest.raises(MethodRefused, match="adapt"):
        den.METHOD.check(base, s.data(old.X[:20], old.y[:20]), den.Params(mode="protect"))


def test_without_a_layer_that_could_grow_it_is_refused_with_the_remedy() -> None:
    d, s = digits(), stream()
    data = s.data(d.X[:20], d.y[:20])
    with pytest.raises(MethodRefused, match="mlp"):
        den.METHOD.check(None, data, den.Params())
    s.learn(ridge.METHOD, d.X[:60], d.y[:60], lift="none")
    with pytest.raises(MethodRefused, match="mlp"):
        den.METHOD.check(s.checkpoint, data, den.Params())
    exact = stream([16])
    exact.learn(ridge.METHOD, d.X[:60], d.y[:60], lift="none")
    with pytest.raises(MethodRefused, match="retrain"):
        den.METHOD.check(exact.checkpoint, exact.data(d.X[:20], d.y[:20]), den.Params())


def images(channels: list[int]) -> Stream:
    spec = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))
    return Stream(spec, Architecture(backbone=CnnBackbone(name="cnn", channels=channels)))


def as_images(X: Floats) -> Floats:
    return X.reshape(-1, 1, 8, 8)


def test_filters_grow_beside_the_old_ones_which_keep_their_bytes() -> None:
    d, s = digits(), images([8, 16])
    old, new, held = d.of(OLD), d.of(NEW), as_images(d.held_X)
    base = s.learn(retrain.METHOD, as_images(old.X[::2]), old.y[::2], epochs=8).checkpoint
    learned = s.learn(den.METHOD, as_images(new.X[::2]), new.y[::2], epochs=6, memory_rows=100)
    got = learned.checkpoint
    assert served(base).items() <= served(got).items()
    assert torch.equal(logits(got, held)[:, :5], logits(base, held))
    assert got.parameters > base.parameters
    assert accuracy(got, held, d.held_y) > 0.8
    assert [[b.part for b in stage] for stage in got.layout.layers] == [["backbone.0", "backbone.1"]] * 2
    assert [layer["layer"] for layer in steps(learned)["add"]["layers"]] == ["backbone layer 1", "backbone layer 2"]


@pytest.mark.long
def test_remembered_rows_are_learned_beside_pseudo_rows() -> None:
    d, old = digits(), digits().of(OLD)
    results = []
    for rows in (0, 200):
        s, _ = prepared([32])
        learned = s.learn(den.METHOD, *d.of(NEW)[:2], epochs=10, memory_rows=rows)
        results.append((steps(learned)["train"]["negatives"], accuracy(learned.checkpoint, old.held_X, old.held_y)))
    assert results[1][0] >= results[0][0] + 200
    assert results[1][1] >= results[0][1]


def test_a_crowded_layer_gets_a_layer_behind_it_and_old_scores_keep_their_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "CROWDED", 0.0)
    d = digits()
    s, base = prepared([24])
    learned = s.learn(den.METHOD, *d.of(NEW)[:2], epochs=5)
    got = learned.checkpoint
    assert steps(learned)["add"]["layers"][0]["inserted"] == probe.MOST_UNITS
    assert steps(learned)["train"]["layers"][0]["insertion"] > 0
    assert [(i.rows, i.columns) for i in got.layout.inserted] == [((24, 48), (0, 24))]
    assert torch.equal(logits(got, d.held_X)[:, :5], logits(base, d.held_X))
    again = s.learn(den.METHOD, d.X[:200], ["z" if y == "0" else y for y in d.y[:200]], epochs=2)
    assert again.checkpoint.layout.inserted == got.layout.inserted, "once a layer"
    assert torch.equal(logits(again.checkpoint, d.held_X)[:, :10], logits(got, d.held_X))


@pytest.mark.long
def test_hidden_layers_of_a_head_can_grow_too() -> None:
    d, s = digits(), knowing(ridge.METHOD)
    s.learn(linear_probe.METHOD, d.of(OLD).X[:300], d.of(OLD).y[:300], hidden=[48])
    base = s.checkpoint
    assert base is not None
    data = s.data(*d.of(NEW)[:2])
    params = den.Params(epochs=8)
    den.METHOD.check(base, data, params)
    got = den.update(base, data, params, Run()).checkpoint
    assert torch.equal(logits(got, d.held_X)[:, :5], logits(base, d.held_X))
    assert got.parts.keys() >= {"neck.0", "head.1"}
    assert accuracy(got, d.held_X, d.held_y) > 0.85


@pytest.mark.long
def test_an_exact_head_on_a_trained_trunk_keeps_its_bits() -> None:
    d = digits()
    s, _ = prepared([64])
    base = s.learn(ridge.METHOD, d.of(OLD).X[:100], d.of(OLD).y[:100]).checkpoint
    got = s.learn(den.METHOD, *d.of(NEW)[:2]).checkpoint
    assert torch.equal(logits(got, d.held_X)[:, :5], logits(base, d.held_X))
    assert accuracy(got, d.held_X, d.held_y) > 0.85
