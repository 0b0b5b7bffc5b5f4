"""What every method that learns numbers must keep: one list of checks over those methods and the backbones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import pytest

from service.contract.enums import Family
from service.contract.targets.number_target import NumberTarget
from service.errors import Cancelled, MethodRefused
from service.learning.data.rows import Array
from service.learning.data.serialization import unpack_shard
from service.learning.method import Learned
from service.learning.methods import METHODS, resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.every_method import each
from tests.learning.memory_data import MemoryData
from tests.learning.number_streams import Floats, NumberStream, number, values
from tests.learning.samples import load_digits
from tests.learning.test_conformance import BACKBONES, bits, files, shaped

LEARN_NUMBERS = [name for name, method in METHODS.items() if method.learns(NumberTarget)]
UNFIT = [("den", "identity"), ("den", "pretrained"), ("lora", "identity")]
"""Methods on backbones that have nothing of what they change."""
TARGET = number(size=2, names=["ink", "digit"])


@cache
def ink() -> tuple[Floats, Floats]:
    """Digits, and of each how dark it is and which it is."""
    data = load_digits()
    return data.data, np.stack([data.data.mean(1), data.target], 1)


def rows_of(backbone: str, start: int, n: int) -> tuple[Array, Floats]:
    X, y = ink()
    return shaped(X[start : start + n].astype(np.float32), backbone), y[start : start + n]


@cache
def first(backbone: str) -> NumberStream:
    """A model that knows 200 rows: a trained net, or an exact head where nothing trains."""
    spec, architecture = BACKBONES[backbone]
    stream = NumberStream(spec, TARGET, architecture, files(backbone))
    data = stream.offered(*rows_of(backbone, 0, 200))
    if backbone in ("mlp", "cnn"):
        stream.learns_by("retrain", data, epochs=10)
    else:
        stream.learns_by("ridge", data, lift="none")
    return stream


def offered(backbone: str, n: int = 60, scale: float = 1.0) -> tuple[Checkpoint, MemoryData]:
    X, y = rows_of(backbone, 200, n)
    stream = first(backbone)
    assert stream.checkpoint is not None
    return stream.checkpoint, stream.offered(X, scale * y)


def learned(name: str, base: Checkpoint | None, data: MemoryData, run: Run | None = None, **params: Any) -> Learned:
    """What a method makes by its defaults; few epochs where a base is there, or a dear backbone."""
    method, brief = METHODS[name], {"epochs": 2} if base is not None or data.files else {}
    allowed = {key: value for key, value in (brief | params).items() if key in method.Params.model_fields}
    return learn(base, data, *resolve({"name": name, **allowed}), run or Run(seed=1))


@cache
def made(name: str, backbone: str) -> tuple[Checkpoint, MemoryData, Learned]:
    """What a method makes of 60 rows: base, data, and the outcome."""
    base, data = offered(backbone)
    return base, data, learned(name, base, data)


EVERY_METHOD = pytest.mark.parametrize("name", each(LEARN_NUMBERS))


def fitting(name: str, among: Iterable[str] = BACKBONES) -> list[str]:
    """Those of these backbones that have something of what the method changes."""
    return [backbone for backbone in among if (name, backbone) not in UNFIT]


def cheap(name: str) -> list[str]:
    """Those that cost little: for what a backbone cannot change."""
    return fitting(name, ("identity", "mlp"))


def test_a_backbone_without_what_a_method_changes_is_refused_with_the_remedy() -> None:
    for name, backbone in UNFIT:
        base, data = offered(backbone, 1)
        with pytest.raises(MethodRefused, match=r"[Uu]se a model"):
            METHODS[name].check(base, data, resolve({"name": name})[1])


@EVERY_METHOD
def test_a_batch_is_learned_on_every_backbone(name: str) -> None:
    for backbone in fitting(name):
        _check(*made(name, backbone))


@EVERY_METHOD
def test_every_kind_of_batch_is_learned(name: str) -> None:
    for backbone in cheap(name):
        for n, scale in ((1, 1.0), (60, 10.0), (60, -1.0)):
            base, data = offered(backbone, n, scale)
            _check(base, data, learned(name, base, data))


def _check(base: Checkpoint, data: MemoryData, outcome: Learned) -> None:
    got = outcome.checkpoint
    assert got.outputs == ("ink", "digit")
    assert got.classes == ()
    assert got.layout.numbers == base.layout.numbers, "the grid stands"
    assert np.isfinite(values(got, data.batch.inputs)).all()
    assert outcome.out_of_fold is None or outcome.out_of_fold.shape == (len(data.batch), 2)


@EVERY_METHOD
def test_inputs_stay_as_they_were_and_the_same_seed_gives_the_same_bits(name: str) -> None:
    for backbone in fitting(name):
        base, data, one = made(name, backbone)
        before, raw, targets = bits(base), data.batch.inputs.copy(), data.batch.targets.copy()
        two = learned(name, base, data)
        assert bits(base) == before, backbone
        assert np.array_equal(data.batch.inputs, raw), backbone
        assert np.array_equal(data.batch.targets, targets), backbone
        assert bits(one.checkpoint) == bits(two.checkpoint), backbone
        assert one.checkpoint.layout == two.checkpoint.layout, backbone


@EVERY_METHOD
def test_saved_loaded_and_predicting_the_same(name: str) -> None:
    for backbone in fitting(name):
        _, data, outcome = made(name, backbone)
        got = outcome.checkpoint
        again = replace(
            got,
            layout=type(got.layout).model_validate_json(got.layout.model_dump_json()),
            parts={part: unpack_shard(packed) for part, packed in bits(got).items()},
        )
        assert np.array_equal(values(again, data.batch.inputs), values(got, data.batch.inputs)), backbone


@EVERY_METHOD
def test_a_cancelled_update_stops_at_its_next_check(name: str) -> None:
    for backbone in cheap(name):
        base, data = offered(backbone)
        checks = count()

        def check(checks: Iterator[int] = checks) -> None:
            if next(checks) >= 1:
                raise Cancelled("stop")

        with pytest.raises(Cancelled):
            learned(name, base, data, Run(check=check))
        assert next(checks) <= 3, backbone


@EVERY_METHOD
def test_a_changed_part_says_which_batch_changed_it(name: str) -> None:
    for backbone in fitting(name):
        base, data, outcome = made(name, backbone)
        got = outcome.checkpoint
        before, after = bits(base), bits(got)
        assert set(got.learned) == set(after)
        for part in after:
            if before.get(part) == after[part]:
                assert not set(data.batch.batches) & got.learned[part], f"{part} never saw the batch"
            elif part.split(".")[0] != "lift":
                assert set(data.batch.batches) <= got.learned[part], f"{part} was made of the batch"
        if METHODS[name].family is Family.FREEZE:
            frozen = {part: packed for part, packed in before.items() if part.split(".")[0] in ("scale", "backbone")}
            assert frozen.items() <= after.items()


@EVERY_METHOD
def test_a_first_version_is_made_from_nothing_and_beats_the_mean(name: str) -> None:
    for backbone in cheap(name):
        spec, architecture = BACKBONES[backbone]
        stream = NumberStream(spec, TARGET, architecture, files(backbone))
        first_version = learned(name, None, stream.offered(*rows_of(backbone, 0, 200)))
        X, y = rows_of(backbone, 200, 100)
        missed = np.abs(values(first_version.checkpoint, X) - y).mean(0)
        assert (missed < np.abs(y.mean(0) - y).mean(0)).all(), backbone


def test_the_others_refuse_with_the_remedy() -> None:
    base, data = offered("identity")
    for name in [name for name in METHODS if name not in LEARN_NUMBERS]:
        with pytest.raises(MethodRefused, match="ridge"):
            learned(name, base, data)
