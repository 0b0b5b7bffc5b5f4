"""What every method must keep, whoever adds it: one list of checks over METHODS and the backbones it supports."""

from __future__ import annotations

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
from tests.learning.backbones.made import TINIEST, files_of
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
CASES = [(name, backbone) for name in METHODS for backbone in BACKBONES]
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
    return outcome(name, backbone, BATCHES["a mix"], 30)


@cache
def again(name: str, backbone: str) -> tuple[Learned | str, bool]:
    """What the method makes the second time, and whether that left base and batch as they were."""
    base, data, _ = mixed(name, backbone)
    before, raw = bits(base), data.batch.inputs.copy()
    made = learn(METHODS[name], base, data)
    return made, bits(base) == before and np.array_equal(data.batch.inputs, raw)


def logits(checkpoint: Checkpoint, rows: Rows) -> torch.Tensor:
    with torch.no_grad():
        return build(checkpoint)(torch.from_numpy(np.asarray(rows.inputs)))


TORCH_ALONE = [(name, backbone) for name, backbone in CASES if backbone != "pretrained"]


@pytest.fixture(params=TORCH_ALONE, ids=lambda c: f"{c[0]}-{c[1]}")
def small(request: pytest.FixtureRequest) -> tuple[Method, str]:
    """For what a backbone cannot change: those that cost little."""
    name, backbone = request.param
    return METHODS[name], backbone


@pytest.fixture(params=CASES, ids=lambda c: f"{c[0]}-{c[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Method, str]:
    name, backbone = request.param
    return METHODS[name], backbone


def test_every_kind_of_batch_is_learned_or_refused_with_the_remedy(case: tuple[Method, str]) -> None:
    method, backbone = case
    for kind, classes in BATCHES.items():
        base, data, made = outcome(method.name, backbone, classes, 30 if kind == "a mix" else 12)
        if isinstance(made, str):
            assert any(other in made for other in [*METHODS, *BACKBONES] if other != method.name), (kind, made)
            continue
        got = made.checkpoint
        assert got.classes[: len(base.classes)] == base.classes, "old columns are a prefix of the new"
        assert set(got.classes) == set(base.classes) | set(data.batch.names), kind
        assert torch.isfinite(logits(got, data.batch)).all()
        assert got.layout.temperature > 0


def test_what_it_notes_and_refuses_can_be_said_on_pages_in_japanese(case: tuple[Method, str]) -> None:
    method, backbone = case
    for kind, classes in BATCHES.items():
        *_, made = outcome(method.name, backbone, classes, 30 if kind == "a mix" else 12)
        sentences = [made] if isinstance(made, str) else made.notes
        unsaid = [sentence for sentence in sentences if not said(sentence, "ja")]
        assert unsaid == [], "Each needs a line 'English' = \"日本語\" in service/web/catalogue/said.ja.toml."


def test_one_row_is_enough(small: tuple[Method, str]) -> None:
    method, backbone = small
    for classes in ("2", "7"):
        base, data = offered(backbone, classes, n=1)
        made = learn(method, base, data)
        if isinstance(made, Learned):
            assert set(made.checkpoint.classes) == set(base.classes) | set(classes)


def test_inputs_stay_as_they_were(small: tuple[Method, str]) -> None:
    method, backbone = small
    _, untouched = again(method.name, backbone)
    assert untouched


def test_the_same_seed_gives_the_same_bits(case: tuple[Method, str]) -> None:
    method, backbone = case
    one, (two, _) = mixed(method.name, backbone)[2], again(method.name, backbone)
    assert type(one) is type(two)
    if isinstance(one, Learned) and isinstance(two, Learned):
        assert bits(one.checkpoint) == bits(two.checkpoint)
        assert one.checkpoint.layout == two.checkpoint.layout


def test_saved_loaded_and_predicting_the_same(case: tuple[Method, str]) -> None:
    method, backbone = case
    _, data, made = mixed(method.name, backbone)
    if isinstance(made, Learned):
        again = replace(
            made.checkpoint,
            layout=type(made.checkpoint.layout).model_validate_json(made.checkpoint.layout.model_dump_json()),
            parts={part: unpack_shard(data) for part, data in bits(made.checkpoint).items()},
        )
        assert torch.equal(logits(again, data.batch), logits(made.checkpoint, data.batch))


def test_a_cancelled_update_stops_at_its_next_check(small: tuple[Method, str]) -> None:
    method, backbone = small
    base, data = offered(backbone, "3456")
    checks = count()

    def check() -> None:
        if next(checks) >= 1:
            raise Cancelled("stop")

    if refusal(method, base, data) is None:
        with pytest.raises(Cancelled):
            learn(method, base, data, Run(check=check))
        assert next(checks) <= 3


def test_a_changed_part_says_which_batch_changed_it(case: tuple[Method, str]) -> None:
    method, backbone = case
    base, data, made = mixed(method.name, backbone)
    if isinstance(made, Learned):
        before, after = bits(base), bits(made.checkpoint)
        assert set(made.checkpoint.learned) == set(after)
        for part in after:
            batch = set(data.batch.batches)
            if before.get(part) == after[part]:
                assert not batch & made.checkpoint.learned[part], f"{part} never saw the batch"
            elif part.split(".")[0] != "lift":
                assert batch <= made.checkpoint.learned[part], f"{part} was made of the batch"


def test_the_family_keeps_what_it_promises(case: tuple[Method, str]) -> None:
    method, backbone = case
    base, data, made = outcome(method.name, backbone, BATCHES["only new"])
    if isinstance(made, str):
        return
    got = made.checkpoint
    if method.family is Family.FREEZE:
        frozen = {p: b for p, b in bits(base).items() if p.split(".")[0] in ("scale", "backbone")}
        assert frozen.items() <= bits(got).items()
    if method.family is Family.CONSTRAIN:
        for part, tensors in base.parts.items():
            if part.split(".")[0] == "backbone":
                assert {k: t.shape for k, t in got.parts[part].items()} == {k: t.shape for k, t in tensors.items()}
    if method.family is Family.EXPAND:
        protects = made.details.get("mode") == "protect"
        stand = ("scale", "backbone", "neck", "head") if protects else ("scale", "backbone")
        served = {p: b for p, b in bits(base).items() if p.split(".")[0] in stand}
        assert served.items() <= bits(got).items(), "earlier tensors are bit-equal"
        assert got.parameters > base.parameters
        if protects:
            old = logits(got, data.batch)[:, : len(base.classes)]
            assert torch.equal(old, logits(base, data.batch)), "scores of old classes are bit-identical"
        assert protects or method.name != "den"


def test_a_first_version_is_made_from_nothing(case: tuple[Method, str]) -> None:
    method, backbone = case
    spec, architecture = BACKBONES[backbone]
    X, y = rows_of("012", 20)
    data = Stream(spec, architecture, files(backbone)).data(shaped(X, backbone), y)
    made = learn(method, None, data)
    if isinstance(made, Learned):
        best = logits(made.checkpoint, data.batch).argmax(1).numpy()
        right = np.array(made.checkpoint.classes)[best] == np.array(y)
        assert right.mean() > 0.6
    else:
        assert any(other in made for other in [*METHODS, *BACKBONES] if other != method.name)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "minilm"])
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
