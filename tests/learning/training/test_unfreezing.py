"""Every gradient method can train blocks of a backbone, by number or by name; what is not named keeps its bits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from service.contract.enums import Retention
from service.contract.inputs import Architecture, Backbone, CnnBackbone, ImageInput, MlpBackbone, PretrainedBackbone
from service.errors import MethodRefused
from service.learning.absent_rows import refused
from service.learning.backbones.block_names import layers_within, unknown_names
from service.learning.backbones.extractor import Blocks
from service.learning.backbones.residual import SmallResNet
from service.learning.ledger.feature_space import Space
from service.learning.method import Learned, Method
from service.learning.method_params import TrunkParams
from service.learning.methods import METHODS, UNFREEZE, as_learned, resolve
from service.learning.methods.constrain import l2_sp
from service.learning.methods.expand import lora
from service.learning.methods.freeze import linear_probe, ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.update_data import Setting
from tests.learning.backbones.weight_files import classifier
from tests.learning.every_method import each
from tests.learning.memory_data import Stream

SPEC = ImageInput(kind="image", channels=3, height=16, width=16)
SMALL = PretrainedBackbone(name="small_resnet/4-8x1")
FILTERS = PretrainedBackbone(name="timm/test_efficientnet", side=32)
TRUNKS = [name for name, m in METHODS.items() if issubclass(m.Params, TrunkParams)]
COLOURS = np.array([[30, 30, 200], [200, 30, 30], [30, 200, 30], [200, 200, 30]])


def images(classes: str, n: int = 16, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Noise around one colour a class."""
    rng = np.random.default_rng(seed)
    y = [name for name in classes for _ in range(n)]
    X = np.stack([COLOURS["abcd".index(name)] for name in y])[:, :, None, None] + rng.normal(0, 25, (len(y), 3, 16, 16))
    order = rng.permutation(len(y))
    return np.clip(X, 0, 255).astype(np.uint8)[order], [y[k] for k in order]


@cache
def file_of(name: str) -> str:
    """Random weights, as an operator would name them."""
    file = str(Path(mkdtemp(prefix="weights-")) / "weights.safetensors")
    if name.startswith("timm/"):
        save_file({k: t.contiguous() for k, t in classifier(name).state_dict().items()}, file)
    else:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            save_file(SmallResNet((4, 8), 1).state_dict(), file)
    return file


@cache
def prepared(backbone: PretrainedBackbone = SMALL) -> Stream:
    """An exact head on frozen features."""
    s = Stream(SPEC, Architecture(backbone=backbone), files={backbone.name: file_of(backbone.name)})
    s.learn(ridge.METHOD, *images("abc"), lift="none")
    return s


def learn(name: str, s: Stream, **params: Any) -> Learned:
    """What a method makes of a batch of known and new classes; the stream stays as it is."""
    method, parsed = resolve({"name": name, "epochs": 1, **params})
    return method.update(s.checkpoint, s.data(*images("bcd", seed=1)), parsed, Run(seed=1))


def moved(before: Checkpoint, after: Checkpoint) -> set[str]:
    """Tensors of the backbone whose bits changed."""
    old, new = before.parts["backbone.0"], after.parts["backbone.0"]
    return {key for key, t in old.items() if not torch.equal(t, new[key])}


@pytest.mark.parametrize("name", each(TRUNKS))
def test_the_named_layers_train_and_all_others_keep_their_bits(name: str) -> None:
    s = prepared()
    base = s.checkpoint
    before = {key: t.clone() for key, t in base.parts["backbone.0"].items()}
    still = learn(name, s).checkpoint
    assert moved(base, still) == set(), "by default a pretrained backbone stands still"
    for unfreeze, stems in (
        (1, ("layer2",)),
        (["layer2.0.conv2"], ("layer2.0.conv2",)),
        ("all", ("conv1", "bn1", "layer")),
    ):
        learned = learn(name, s, unfreeze=unfreeze)
        changed = moved(base, learned.checkpoint)
        assert changed
        assert all(key.startswith(stems) for key in changed)
        assert not any("running" in key for key in changed), "statistics of batch norms stand still"
        assert learned.details["unfrozen"]
        assert Space.of(learned.checkpoint).id != Space.of(base).id
    assert all(torch.equal(t, base.parts["backbone.0"][key]) for key, t in before.items()), "the base is left as it is"


@pytest.mark.parametrize("name", each(TRUNKS))
def test_the_network_goes_on_from_what_was_unfrozen(name: str) -> None:
    first = Stream(SPEC, Architecture(backbone=SMALL), files={SMALL.name: file_of(SMALL.name)})
    first.learn(ridge.METHOD, *images("abc"), lift="none")
    base = first.learn(METHODS[name], *images("bcd", seed=1), epochs=1, unfreeze=1).checkpoint
    again = first.learn(METHODS[name], *images("abcd", seed=2), epochs=1).checkpoint
    if name != "retrain":
        assert moved(base, again) == set()
    assert moved(prepared().checkpoint or base, again) or name == "retrain"


@pytest.mark.long
@pytest.mark.parametrize("name", each(["l2_sp", "ewc", "mas", "si", "replay"]))
def test_it_works_on_networks_of_others(name: str) -> None:
    s = prepared(FILTERS)
    assert s.checkpoint is not None
    assert moved(s.checkpoint, learn(name, s, epochs=1, unfreeze=1).checkpoint)


@pytest.mark.parametrize("backbone", [MlpBackbone(name="mlp", hidden=[8, 8]), CnnBackbone(name="cnn", channels=[8, 8])])
def test_of_a_backbone_that_was_trained_here_part_can_stand_still(backbone: Backbone) -> None:
    s = Stream(SPEC, Architecture(backbone=backbone))
    base = s.learn(METHODS["retrain"], *images("abc"), epochs=2).checkpoint
    kind = "layer" if backbone.name == "mlp" else "stage"
    whole, none, last = (
        moved(base, learn("l2_sp", s, strength=0.1, **more).checkpoint)
        for more in ({}, {"unfreeze": 0}, {"unfreeze": [f"{kind} 2"]})
    )
    assert none == set()
    assert set() < last < whole


def test_a_strength_that_holds_everything_holds_unfrozen_blocks() -> None:
    s = prepared()
    got = learn("l2_sp", s, unfreeze="all", strength=1e9).checkpoint
    old, new = s.checkpoint.parts["backbone.0"], got.parts["backbone.0"]
    assert max(float((new[key] - t).abs().max()) for key, t in old.items()) < 1e-6


@pytest.mark.parametrize("name", each(TRUNKS))
def test_what_cannot_be_unfrozen_is_refused_with_the_names_that_can(name: str) -> None:
    method = METHODS[name]
    setting = Setting(SPEC, Architecture(backbone=SMALL))
    refusal = method.Params.model_validate({"unfreeze": ["layer9"]}).unfit(setting)
    assert refusal[0] == "unfreeze"
    assert "layer2.0" in refusal[1]
    on_identity = method.Params.model_validate({"unfreeze": 1}).unfit(Setting(SPEC, Architecture()))
    assert "Leave unfreeze out" in on_identity[1]
    assert method.Params.model_validate({"unfreeze": ["stem", "layer2.0.conv1"]}).unfit(setting) is None


def test_words_that_name_no_blocks_are_refused() -> None:
    for wrong in [-1, 65, True, "some", [], [""], ["x"] * 65, 1.5, "block 15"]:
        for name in ["l2_sp", "linear_probe"]:
            with pytest.raises(MethodRefused) as caught:
                resolve({"name": name, "unfreeze": wrong})
            assert caught.value.errors == [("/method/unfreeze", f"{name}: {UNFREEZE}")], (wrong, name)


def numbered(count: int) -> tuple[Blocks, nn.Module]:
    """Blocks that the body calls otherwise, each with a layer in it."""
    blocks = [nn.Sequential(nn.Linear(1, 1)) for _ in range(count)]
    return [(f"block {k}", block) for k, block in enumerate(blocks)], nn.ModuleDict({"own": nn.ModuleList(blocks)})


def test_a_layer_is_named_behind_its_block_or_as_the_network_names_it() -> None:
    blocks, body = numbered(3)
    assert unknown_names(blocks, body, ["block 1", "block 1.0", "own.1.0", "own"]) is None
    within = layers_within(blocks, body)
    assert within["block 1.0"] is within["own.1.0"]
    assert unknown_names(blocks, body, ["block 1.1"]) is not None


def test_a_refusal_lists_blocks_from_input_to_output() -> None:
    sentence = unknown_names(*numbered(18), ["nope", "nada"])
    assert sentence is not None
    assert 'no layer "nope" or "nada"' in sentence
    assert f"are {', '.join(f'block {k}' for k in range(18))};" in sentence
    sentence = unknown_names(*numbered(40), ["nope"])
    assert sentence is not None
    assert "are block 0, block 1, block 2, block 3, block 4, block 5, …, block 34, " in sentence


def test_where_rows_are_deleted_features_may_not_move() -> None:
    def reason(method: Method, **params: Any) -> str | None:
        return refused(method, method.Params(**params), Retention.NONE, Architecture(backbone=SMALL), None)

    assert reason(linear_probe.METHOD) is None
    assert reason(l2_sp.METHOD) is None
    for sentence in (
        reason(linear_probe.METHOD, unfreeze=1),
        reason(l2_sp.METHOD, unfreeze="all"),
        reason(lora.METHOD),
    ):
        assert sentence is not None
        assert "moves the backbone" in sentence


def test_a_lineage_from_before_schedules_is_replayed_at_a_constant_rate() -> None:
    stored = l2_sp.Params().model_dump(mode="json")
    assert stored["schedule"] == "cosine"
    del stored["schedule"]
    assert as_learned({"name": "l2_sp", **stored})["schedule"] == "constant"
    assert as_learned({"name": "l2_sp", **stored, "schedule": "cosine"})["schedule"] == "cosine"
    assert "schedule" not in as_learned({"name": "ridge"})
