"""What every method must keep, whoever adds it: one list of checks over METHODS and the backbones it supports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import count

import numpy as np
import pytest
import torch

from service.contract.enums import Family
from service.contract.inputs import (
    Architecture,
    CnnBackbone,
    IdentityBackbone,
    ImageInput,
    MlpBackbone,
    PretrainedBackbone,
    RangeScale,
    TextInput,
    VectorInput,
)
from service.contract.strict import Strict
from service.errors import Cancelled, MethodRefused
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_shard, unpack_shard
from service.learning.method import Learned, Method
from service.learning.methods import METHODS, resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from service.learning.run import Run
from service.web.catalogue.said import said
from tests.learning.backbones.weight_files import TINIEST, files_of
from tests.learning.every_method import each
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.samples import load_digits

SCALE = RangeScale(range=(0, 16))
VECTOR = VectorInput(kind="vector", size=64, scale=SCALE)
IMAGE = ImageInput(kind="image", channels=1, height=8, width=8, scale=SCALE)
COLOUR = ImageInput(kind="image", channels=3, height=8, width=8, scale=SCALE)
BACKBONES = {
    "identity": (VECTOR, Architecture(backbone=IdentityBackbone())),
    "mlp": (VECTOR, Architecture(backbone=MlpBackbone(name="mlp", hidden=[32]))),
    "cnn": (IMAGE, Architecture(backbone=CnnBackbone(name="cnn", channels=[8]))),
    "pretrained": (COLOUR, Architecture(backbone=TINIEST)),
}
BATCHES = {"only new": "5678", "only old": "0123", "a mix": "3456", "one new class": "7", "one old class": "2"}


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return data.data.astype(np.float32), data.target.astype(str)


def rows_of(classes: str, n: int, skip: int = 0) -> tuple[np.ndarray, list[str]]:
    """n rows of each class, shuffled."""
    X, y = digits()
    chosen = np.concatenate([np.flatnonzero(y == c)[skip : skip + n] for c in classes])
    chosen = np.random.default_rng(0).permutation(chosen)
    return X[chosen], list(y[chosen])


def shaped(X: np.ndarray, backbone: str) -> np.ndarray:
    shape = BACKBONES[backbone][0].shape
    return X.reshape(-1, *shape) if backbone != "pretrained" else np.repeat(X.reshape(-1, 1, *shape[1:]), 3, 1)


def files(backbone: str) -> dict[str, str]:
    """What the operator would have to name."""
    return files_of(TINIEST.name) if backbone == "pretrained" else {}


@cache
def first(backbone: str) -> Stream:
    """A model that knows 0-4: a trained net, or an exact head where nothing trains."""
    spec, architecture = BACKBONES[backbone]
    stream = Stream(spec, architecture, files(backbone))
    X, y = rows_of("01234", 40)
    if backbone == "identity":
        stream.learn(METHODS["ridge"], shaped(X, backbone), y, lift="none")
    elif backbone == "pretrained":
        stream.learn(METHODS["linear_probe"], shaped(X, backbone), y, epochs=5)
    else:
        stream.learn(METHODS["retrain"], shaped(X, backbone), y)
    return stream


def offered(backbone: str, classes: str, n: int = 30) -> tuple[Checkpoint, MemoryData]:
    X, y = rows_of(classes, n, skip=60)
    stream = first(backbone)
    assert stream.checkpoint is not None
    return stream.checkpoint, stream.data(shaped(X, backbone), y)


def params_for(method: Method, base: Checkpoint | None, data: MemoryData) -> Strict:
    """The defaults; few epochs where a pretrained backbone makes them dear."""
    brief = {"epochs": 2} if base is not None and "epochs" in method.Params.model_fields else {}
    return resolve({"name": method.name, **brief})[1]


def refusal(method: Method, base: Checkpoint | None, data: MemoryData) -> str | None:
    """The sentence that the method refuses this base and batch with, if it does."""
    try:
        method.check(base, data, params_for(method, base, data))
    except MethodRefused as refused:
        return str(refused)
    return None


def learn(method: Method, base: Checkpoint | None, data: MemoryData, run: Run | None = None) -> Learned | str:
    """What the method made, or the sentence it refuses with."""
    if sentence := refusal(method, base, data):
        return sentence
    return method.update(base, data, params_for(method, base, data), run or Run(seed=1))


def bits(parts: Checkpoint) -> dict[str, bytes]:
    return {part: pack_shard(tensors) for part, tensors in parts.parts.items()}


Outcome = tuple[Checkpoint, MemoryData, Learned | str]


@cache
def outcome(name: str, backbone: str, classes: str, n: int = 12) -> Outcome:
    """What a method makes of a batch: base, data, and what it made."""
    base, data = offered(backbone, classes, n)
    return base, data, learn(METHODS[name], base, data)


def mixed(name: str, backbone: str) -> Outcome:
    """The same of a batch of known and new classes."""
    return outcome(name, backbone, BATCHES["a mix"])


def logits(checkpoint: Checkpoint, rows: Rows) -> torch.Tensor:
    with torch.no_grad():
        return build(checkpoint)(torch.from_numpy(np.asarray(rows.inputs)))


CHEAP = [backbone for backbone in BACKBONES if backbone != "pretrained"]
"""For what a backbone cannot change."""
EVERY_METHOD = pytest.mark.parametrize("name", each())


def outcomes(name: str) -> Iterator[tuple[str, Outcome]]:
    """What a method makes of every kind of batch, by backbone: of dear ones only what is new to them."""
    for backbone in BACKBONES:
        for kind, classes in BATCHES.items():
            if kind == "a mix":
                yield backbone, mixed(name, backbone)
            elif kind == "only new" or backbone in ("identity", "mlp"):
                yield backbone, outcome(name, backbone, classes)


@EVERY_METHOD
def test_every_kind_of_batch_is_learned_or_refused_with_the_remedy(name: str) -> None:
    for backbone, (base, data, made) in outcomes(name):
        if isinstance(made, str):
            assert any(other in made for other in [*METHODS, *BACKBONES] if other != name), (backbone, made)
            continue
        got = made.checkpoint
        assert got.classes[: len(base.classes)] == base.classes, "old columns are a prefix of the new"
        assert set(got.classes) == set(base.classes) | set(data.batch.names), backbone
        assert torch.isfinite(logits(got, data.batch)).all()
        assert got.layout.temperature > 0


@EVERY_METHOD
def test_what_it_notes_and_refuses_can_be_said_on_pages_in_japanese(name: str) -> None:
    for _, (_, _, made) in outcomes(name):
        sentences = [made] if isinstance(made, str) else made.notes
        unsaid = [sentence for sentence in sentences if not said(sentence, "ja")]
        assert unsaid == [], "Each needs a line 'English' = \"日本語\" in service/web/catalogue/said.ja.toml."


@EVERY_METHOD
def test_one_row_is_enough(name: str) -> None:
    for backbone in CHEAP:
        for classes in ("2", "7"):
            base, data = offered(backbone, classes, n=1)
            made = learn(METHODS[name], base, data)
            if isinstance(made, Learned):
                assert set(made.checkpoint.classes) == set(base.classes) | set(classes), backbone


@EVERY_METHOD
def test_inputs_stay_as_they_were_and_the_same_seed_gives_the_same_bits(name: str) -> None:
    for backbone in BACKBONES:
        base, data, one = mixed(name, backbone)
        before, raw = bits(base), data.batch.inputs.copy()
        two = learn(METHODS[name], base, data)
        assert bits(base) == before, backbone
        assert np.array_equal(data.batch.inputs, raw), backbone
        assert type(one) is type(two)
        if isinstance(one, Learned):
            assert bits(one.checkpoint) == bits(two.checkpoint), backbone
            assert one.checkpoint.layout == two.checkpoint.layout, backbone


@EVERY_METHOD
def test_saved_loaded_and_predicting_the_same(name: str) -> None:
    for backbone in BACKBONES:
        _, data, made = mixed(name, backbone)
        if isinstance(made, Learned):
            again = replace(
                made.checkpoint,
                layout=type(made.checkpoint.layout).model_validate_json(made.checkpoint.layout.model_dump_json()),
                parts={part: unpack_shard(packed) for part, packed in bits(made.checkpoint).items()},
            )
            assert torch.equal(logits(again, data.batch), logits(made.checkpoint, data.batch)), backbone


@EVERY_METHOD
def test_a_cancelled_update_stops_at_its_next_check(name: str) -> None:
    for backbone in CHEAP:
        base, data = offered(backbone, "3456")
        checks = count()

        def check(checks: Iterator[int] = checks) -> None:
            if next(checks) >= 1:
                raise Cancelled("stop")

        if refusal(METHODS[name], base, data) is None:
            with pytest.raises(Cancelled):
                learn(METHODS[name], base, data, Run(check=check))
            assert next(checks) <= 3, backbone


@EVERY_METHOD
def test_a_changed_part_says_which_batch_changed_it(name: str) -> None:
    for backbone in BACKBONES:
        base, data, made = mixed(name, backbone)
        if isinstance(made, Learned):
            before, after = bits(base), bits(made.checkpoint)
            assert set(made.checkpoint.learned) == set(after)
            for part in after:
                batch = set(data.batch.batches)
                if before.get(part) == after[part]:
                    assert not batch & made.checkpoint.learned[part], f"{part} never saw the batch"
                elif part.split(".")[0] != "lift":
                    assert batch <= made.checkpoint.learned[part], f"{part} was made of the batch"
            if backbone == "pretrained":
                assert before["backbone.0"] == after["backbone.0"], "it stands still, statistics of its norms included"


@EVERY_METHOD
def test_the_family_keeps_what_it_promises(name: str) -> None:
    family = METHODS[name].family
    for backbone in BACKBONES:
        base, data, made = outcome(name, backbone, BATCHES["only new"])
        if isinstance(made, str):
            continue
        got = made.checkpoint
        if family is Family.FREEZE:
            frozen = {p: b for p, b in bits(base).items() if p.split(".")[0] in ("scale", "backbone")}
            assert frozen.items() <= bits(got).items()
        if family is Family.CONSTRAIN:
            for part, tensors in base.parts.items():
                if part.split(".")[0] == "backbone":
                    assert {k: t.shape for k, t in got.parts[part].items()} == {k: t.shape for k, t in tensors.items()}
        if family is Family.EXPAND:
            protects = made.details.get("mode") == "protect"
            stand = ("scale", "backbone", "neck", "head") if protects else ("scale", "backbone")
            served = {p: b for p, b in bits(base).items() if p.split(".")[0] in stand}
            assert served.items() <= bits(got).items(), "earlier tensors are bit-equal"
            assert got.parameters > base.parameters
            if protects:
                old = logits(got, data.batch)[:, : len(base.classes)]
                assert torch.equal(old, logits(base, data.batch)), "scores of old classes are bit-identical"
            assert protects or name != "den"


@EVERY_METHOD
def test_a_first_version_is_made_from_nothing(name: str) -> None:
    X, y = rows_of("012", 20)
    for backbone, (spec, architecture) in BACKBONES.items():
        data = Stream(spec, architecture, files(backbone)).data(shaped(X, backbone), y)
        made = learn(METHODS[name], None, data)
        if isinstance(made, Learned):
            best = logits(made.checkpoint, data.batch).argmax(1).numpy()
            right = np.array(made.checkpoint.classes)[best] == np.array(y)
            assert right.mean() > 0.6, backbone
        else:
            assert any(other in made for other in [*METHODS, *BACKBONES] if other != name), (backbone, made)


@pytest.mark.parametrize("name", ["efficientnet_lite0", pytest.param("minilm", marks=pytest.mark.long)])
def test_a_pretrained_trunk_moves_whatever_its_layers_pad(name: str) -> None:
    """Convolutions whose border is no number of theirs; texts of unlike length, in one step."""
    spec, side = (COLOUR, 32) if name == "efficientnet_lite0" else (TextInput(kind="text"), None)
    stream = Stream(spec, Architecture(backbone=PretrainedBackbone(name=name, side=side)))
    X, y = rows_of("01", 6)
    if spec is COLOUR:
        inputs = shaped(X, "pretrained")
    else:
        inputs = np.array(["good news " * (12 if k == 2 else 1 + int(c)) for k, c in enumerate(y)], object)
    stream.learn(METHODS["ridge"], inputs[:6], y[:6], lift="none")
    made = stream.learn(METHODS["lora"], inputs[6:], y[6:], epochs=1)
    assert made.details["norm"] > 0
    assert made.details["stand_ins"] > 0


def test_a_method_says_what_it_is() -> None:
    for method in METHODS.values():
        for text in (method.summary, method.paper, method.good_when, method.limits):
            assert len(text) > 10
        assert method.needs <= {"base", "kept", "ledger", "dense", "frozen", "path"}, method
        for name, described in method.Params.model_fields.items():
            assert described.description, name
