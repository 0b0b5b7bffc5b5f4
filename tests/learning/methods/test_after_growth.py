"""Whatever a network has grown by, every method goes on from it or refuses."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, Backbone, CnnBackbone, ImageInput, MlpBackbone, RangeScale
from service.learning.method import Method
from service.learning.methods import METHODS
from service.learning.methods.baseline import retrain
from service.learning.methods.expand import den, lora, probe
from service.learning.methods.freeze import linear_probe
from service.learning.run import Run
from tests.learning.every_method import each
from tests.learning.memory_data import Stream
from tests.learning.samples import Floats, digits, logits

BACKBONES: dict[str, Backbone] = {
    "mlp": MlpBackbone(name="mlp", hidden=[24, 16]),
    "cnn": CnnBackbone(name="cnn", channels=[8, 8]),
}
SPEC = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))


def batch(classes: str, rows: int) -> tuple[Floats, list[str]]:
    d = digits().of(classes)
    return d.X[:rows].reshape(-1, 1, 8, 8), d.y[:rows]


@cache
def grown(backbone: str) -> Stream:
    """A branch, then new units and a layer put in behind each hidden layer."""
    s = Stream(SPEC, Architecture(backbone=BACKBONES[backbone]))
    s.learn(retrain.METHOD, *batch("0123", 200), epochs=2)
    s.learn(lora.METHOD, *batch("45", 60), epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "CROWDED", -1.0)
        s.learn(den.METHOD, *batch("67", 60), epochs=1)
    assert s.checkpoint.layout.low_rank
    assert len(s.checkpoint.layout.inserted) == 2
    return s


@pytest.mark.parametrize("name", each())
def test_a_method_goes_on_from_a_grown_network_or_refuses(name: str) -> None:
    method = METHODS[name]
    for backbone in BACKBONES:
        s = grown(backbone)
        base, data = s.checkpoint, s.data(*batch("0678", 40))
        if method.refuse is not None and method.refuse(base, data):
            continue
        given = {"epochs": 1} if "epochs" in method.Params.model_fields else {}
        got = method.update(base, data, method.Params.model_validate(given), Run()).checkpoint
        answer = logits(got, np.asarray(data.batch.inputs))
        assert answer.shape == (40, 9), backbone
        assert torch.isfinite(answer).all(), backbone


@pytest.mark.long
@pytest.mark.parametrize("method", [den.METHOD, lora.METHOD, linear_probe.METHOD], ids=lambda m: m.name)
def test_a_batch_of_very_unequal_classes_is_learned(method: Method) -> None:
    """80 rows of one new class, 2 of another, 1 of a known one."""
    pieces = [batch("8", 80), batch("9", 2), batch("0", 1)]
    X, y = np.concatenate([x for x, _ in pieces]), [label for _, labels in pieces for label in labels]
    for backbone in BACKBONES:
        s = grown(backbone)
        base, data = s.checkpoint, s.data(X, y)
        got = method.update(base, data, method.Params.model_validate({"epochs": 3}), Run()).checkpoint
        answer = logits(got, np.asarray(data.batch.inputs))
        assert got.classes == (*base.classes, "8", "9"), backbone
        assert torch.isfinite(answer).all(), backbone
        if method is den.METHOD:
            assert torch.equal(answer[:, : len(base.classes)], logits(base, np.asarray(data.batch.inputs))), backbone
