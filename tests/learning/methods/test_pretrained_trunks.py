"""Pretrained trunks that move: branches beside their layers, their last blocks unfrozen; what is shared stays whole."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from service.contract.inputs import Architecture, ImageInput, PretrainedBackbone
from service.learning.ledger.feature_space import Space
from service.learning.methods.expand import lora
from service.learning.methods.freeze import lda, linear_probe
from service.learning.network.checkpoint import Checkpoint, Layout, LiftLayout
from service.learning.network.network import build
from service.learning.update_data import Setting
from tests.learning.memory_data import Stream

VIT, FILTERS = "timm/test_vit", "timm/test_efficientnet"
SPEC = ImageInput(kind="image", channels=3, height=16, width=16)


def images(classes: str, n: int = 24) -> tuple[np.ndarray, list[str]]:
    """Noise around one colour a class."""
    rng, X, y = np.random.default_rng(0), [], []
    for name in classes:
        colour = np.array([[30, 30, 200], [200, 30, 30], [30, 200, 30], [200, 200, 30]]["abcd".index(name)])
        X.append(np.clip(colour[:, None, None] + rng.normal(0, 25, (n, 3, 16, 16)), 0, 255).astype(np.uint8))
        y += [name] * n
    order = rng.permutation(len(y))
    return np.concatenate(X)[order], [y[k] for k in order]


@pytest.fixture(params=[pytest.param(VIT, marks=pytest.mark.long), FILTERS])
def prepared(request: pytest.FixtureRequest) -> tuple[Stream, Checkpoint]:
    """An exact head on the frozen features of a network with random weights: learned once, a stream for each test."""
    s = _prepared(request.param).fork()
    assert s.checkpoint is not None
    return s, s.checkpoint


@cache
def _prepared(name: str) -> Stream:
    import timm

    file = Path(mkdtemp(prefix="weights-")) / "weights.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = timm.create_model(name.removeprefix("timm/"), pretrained=False, num_classes=0)
    save_file({k: t.contiguous() for k, t in body.state_dict().items()}, file)
    side = 160 if name == VIT else 32
    s = Stream(
        SPEC,
        Architecture(backbone=PretrainedBackbone(name=name, side=side)),
        files={name: str(file)},
    )
    X, y = images("abc", rows(s))
    s.learn(lda.METHOD, X, y)
    return s


def rows(s: Stream) -> int:
    """Rows a class: a transformer at 160 x 160 pixels is slow."""
    return 6 if s.architecture.backbone.name == VIT else 24


def accuracy(checkpoint: Checkpoint, classes: str) -> float:
    X, y = images(classes)
    with torch.no_grad():
        best = build(checkpoint).answer(X).argmax(1).numpy()
    return float((np.array(checkpoint.classes)[best] == np.array(y)).mean())


def bytes_of(checkpoint: Checkpoint) -> dict[str, bytes]:
    return {k: t.numpy().tobytes() for k, t in checkpoint.parts["backbone.0"].items()}


@pytest.mark.long
def test_branches_stand_beside_the_layers_and_the_shared_weights_stay(prepared: tuple[Stream, Checkpoint]) -> None:
    s, base = prepared
    before = bytes_of(base)
    learned = s.learn(lora.METHOD, *images("abcd", rows(s)), epochs=4 if s.architecture.backbone.name == FILTERS else 1)
    got = learned.checkpoint
    assert got.parts["backbone.0"] is base.parts["backbone.0"]
    assert bytes_of(base) == before
    assert learned.details["norm"] > 0
    assert any("qkv" in branch.at or "conv" in branch.at for branch in got.layout.low_rank)
    assert Space.of(got).id != Space.of(base).id
    if s.architecture.backbone.name == FILTERS:
        assert accuracy(got, "abcd") > 0.8


def test_folding_copies_what_is_shared(prepared: tuple[Stream, Checkpoint]) -> None:
    s, base = prepared
    before = bytes_of(base)
    got = s.learn(lora.METHOD, *images("abcd", rows(s)), epochs=1, fold=True).checkpoint
    assert bytes_of(base) == before
    assert bytes_of(got) != before
    assert got.layout.low_rank == []
    again = s.learn(lora.METHOD, *images("abd", rows(s)), epochs=1).checkpoint
    assert bytes_of(again) == bytes_of(got)


def test_the_last_blocks_can_train_and_the_others_stay(prepared: tuple[Stream, Checkpoint]) -> None:
    s, base = prepared
    before = bytes_of(base)
    learned = s.learn(linear_probe.METHOD, *images("abcd", rows(s)), unfreeze=1, epochs=4)
    after = bytes_of(learned.checkpoint)
    assert bytes_of(base) == before
    blocks = build(base).backbone.blocks()  # type: ignore[operator]
    opened = dict(blocks[-len(learned.details["unfrozen"]) :])
    assert learned.details["unfrozen"] == list(opened)
    assert any(p.ndim > 1 for block in opened.values() for p in block.parameters()), "a norm alone is no block"
    assert 0 < sum(before[k] != after[k] for k in before) <= sum(1 for b in opened.values() for _ in b.parameters())
    if s.architecture.backbone.name == FILTERS:
        assert accuracy(learned.checkpoint, "abcd") > 0.7


@pytest.mark.parametrize(("keeps", "remedy"), [(True, 'ridge {"lift": "none"} first'), (False, "Stay with ridge")])
def test_on_lifts_beside_the_features_neither_trains_the_trunk_and_the_remedy_is_named(
    keeps: bool, remedy: str
) -> None:
    backbone = PretrainedBackbone(name=VIT)
    live = Layout(
        input=SPEC,
        backbone=backbone,
        lifts=[LiftLayout(kind="none", width=4), LiftLayout(kind="conv", width=8)],
        classes=["a", "b"],
    )
    setting = Setting(SPEC, Architecture(backbone=backbone), live, keeps)
    for method, params in ((lora.METHOD, {}), (linear_probe.METHOD, {"unfreeze": 1})):
        refusal = method.Params.model_validate(params).unfit(setting)
        assert remedy in refusal[1]
