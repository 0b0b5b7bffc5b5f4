"""lora: a branch an update beside every layer, of which the old weights know nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from efficientnet_lite_pytorch.utils import Conv2dStaticSamePadding

from service.contract.inputs import Architecture, CnnBackbone, ImageInput, RangeScale
from service.errors import MethodRefused
from service.learning.data.serialization import pack_shard
from service.learning.ledger.feature_space import Space
from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.expand import den, lora
from service.learning.methods.freeze import ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.growth import next_part
from service.learning.network.low_rank import LowRank, attach, fold, new_branch, targets
from service.learning.network.network import build
from service.learning.run import Run
from service.learning.training.learner import Learner
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, Floats, accuracy, digits, logits, stream

KINDS = pytest.mark.parametrize("kind", ["mlp", "cnn"])


def shaped(X: Floats, kind: str) -> Floats:
    return X.reshape(-1, 1, 8, 8) if kind == "cnn" else X


def prepared(kind: str = "mlp") -> tuple[Stream, Checkpoint]:
    """A network that knows the old classes: learned once, a stream for each caller."""
    s = _prepared(kind).fork()
    assert s.checkpoint is not None
    return s, s.checkpoint


@cache
def _prepared(kind: str) -> Stream:
    d = digits().of(OLD)
    spec = ImageInput(kind="image", channels=1, height=8, width=8, scale=RangeScale(range=(0, 16)))
    cnn = Architecture(backbone=CnnBackbone(name="cnn", channels=[8, 16]))
    s = Stream(spec, cnn) if kind == "cnn" else stream([48, 32])
    s.learn(retrain.METHOD, shaped(d.X, kind), d.y, epochs=6)
    return s


def learned(s: Stream, kind: str, classes: str, **params: Any) -> Checkpoint:
    d = digits().of(classes)
    return s.learn(lora.METHOD, shaped(d.X, kind), d.y, **params).checkpoint


def branches(checkpoint: Checkpoint) -> dict[str, bytes]:
    return {part: pack_shard(ts) for part, ts in checkpoint.parts.items() if part.startswith("backbone")}


@KINDS
def test_a_new_branch_starts_as_the_base_bit_for_bit(kind: str) -> None:
    _, base = prepared(kind)
    network, x = build(base), torch.from_numpy(shaped(digits().held_X, kind))
    before = network(x)
    layers = list(targets(network.backbone))
    assert [name for name, _ in layers] == ["layers.0", "layers.1"]
    for name, layer in layers:
        attach(network.backbone, new_branch(name, layer, 4, 8.0, "backbone.1", torch.Generator().manual_seed(0)))
    assert torch.equal(network(x), before)


@KINDS
def test_the_trunk_and_earlier_branches_keep_their_bytes_and_the_new_classes_are_learned(kind: str) -> None:
    d = digits()
    s, base = prepared(kind)
    middle = learned(s, kind, "567", epochs=8)
    last = learned(s, kind, "89", epochs=8)
    assert branches(base).items() < branches(middle).items() < branches(last).items()
    assert set(branches(last)) == {"backbone.0", "backbone.1", "backbone.2"}
    assert last.learned["backbone.0"] == {"bat_000"}
    assert last.learned["backbone.1"] == {"bat_000", "bat_001"}
    assert last.parameters > middle.parameters > base.parameters
    assert accuracy(last, shaped(d.held_X, kind), d.held_y) > 0.75
    assert not torch.equal(logits(last, shaped(d.held_X, kind))[:, :5], logits(base, shaped(d.held_X, kind)))


@KINDS
def test_the_feature_space_is_another_one(kind: str) -> None:
    s, base = prepared(kind)
    got = learned(s, kind, NEW, epochs=1)
    assert Space.of(got).id != Space.of(base).id
    again = s.learn(ridge.METHOD, shaped(digits().X[:200], kind), digits().y[:200]).checkpoint
    assert again.layout.low_rank == got.layout.low_rank, "an exact head stands on what lora left"
    assert branches(again) == branches(got)


@pytest.mark.long
@KINDS
def test_folded_it_answers_the_same_and_nothing_has_grown(kind: str) -> None:
    d = digits()
    s, base = prepared(kind)
    t, _ = prepared(kind)
    beside, folded = (learned(u, kind, NEW, epochs=3, fold=f) for u, f in ((s, False), (t, True)))
    x = shaped(d.held_X, kind)
    assert torch.allclose(
        logits(beside, x), logits(folded, x), rtol=1e-4, atol=1e-5 * float(logits(beside, x).abs().max())
    )
    assert set(branches(folded)) == {"backbone.0"}
    assert branches(folded) != branches(base)
    assert folded.layout.low_rank == []


@KINDS
def test_folding_a_branch_is_the_sum_to_rounding(kind: str) -> None:
    _, base = prepared(kind)
    network, x = build(base), torch.from_numpy(shaped(digits().held_X, kind))
    generator = torch.Generator().manual_seed(0)
    for name, layer in list(targets(network.backbone)):
        branch = new_branch(name, layer, 4, 1.0, next_part(network, "backbone"), generator)
        branch.up.data.normal_(0, 0.02, generator=generator)
        network.low_rank.append(attach(network.backbone, branch))
    before = network.features(x)
    fold(network.backbone, network.low_rank)
    assert len(network.low_rank) == 0
    assert torch.allclose(network.features(x), before, atol=1e-5)


def test_branches_of_pretrained_layers_are_those_of_the_formula() -> None:
    """Of a dense layer on tokens and of a strided convolution: y = W x + (alpha / r) B A x."""
    generator = torch.Generator().manual_seed(0)
    body = torch.nn.ModuleDict(
        {"dense": torch.nn.Linear(6, 5), "filters": torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)}
    )
    tokens, images = torch.randn(2, 7, 6, generator=generator), torch.randn(2, 3, 8, 8, generator=generator)
    made = {
        name: attach(body, new_branch(name, layer, 2, 6.0, "backbone.1", generator)) for name, layer in targets(body)
    }
    assert set(made) == {"dense", "filters"}
    for branch in made.values():
        branch.up.data.normal_(generator=generator)
    dense, filters = body["dense"], body["filters"]
    assert isinstance(dense, torch.nn.Linear)
    assert isinstance(filters, torch.nn.Conv2d)
    whole = dense.weight + 3 * made["dense"].up @ made["dense"].down
    assert torch.allclose(dense(tokens), torch.nn.functional.linear(tokens, whole, dense.bias), atol=1e-5)
    kernel = filters.weight + made["filters"].product
    expected = torch.nn.functional.conv2d(images, kernel, filters.bias, 2, 1)
    assert torch.allclose(filters(images), expected, atol=1e-4)


@pytest.mark.parametrize("side", [7, 8, 9])
def test_a_branch_sees_the_border_that_its_layer_sees(side: int) -> None:
    """As TensorFlow's "same" pads: by a module of EfficientNet-Lite's, by hand in timm's."""
    from timm.layers import Conv2dSame  # it takes seconds

    static = Conv2dStaticSamePadding(3, 4, 3, stride=2, image_size=side)
    body = torch.nn.ModuleDict({"static": static, "by_hand": Conv2dSame(3, 4, 3, stride=2)})
    generator, images = torch.Generator().manual_seed(0), torch.randn(2, 3, side, side)
    for name, layer in targets(body):
        before = layer(images)
        branch = attach(body, new_branch(name, layer, 2, 6.0, "backbone.1", generator))
        branch.up.data.normal_(generator=generator)
        beside = layer(images)
        assert not torch.allclose(beside, before)
        fold(body, torch.nn.ModuleList([branch]))
        assert torch.allclose(layer(images), beside, atol=1e-4)


def test_layers_that_torch_never_calls_get_no_branch() -> None:
    body = torch.nn.TransformerEncoderLayer(8, 2, 16)
    assert [name for name, _ in targets(body)] == ["linear1", "linear2"]


def test_the_penalty_keeps_branches_apart() -> None:
    overlaps = []
    for strength in (0.0, 50.0):
        s, _ = prepared()
        learned(s, "mlp", "56", epochs=2)
        d = digits().of("78")
        overlaps.append(s.learn(lora.METHOD, d.X, d.y, epochs=6, orthogonality=strength).details["overlap"])
    assert overlaps[1] < 0.5 * overlaps[0]


def test_other_methods_go_on_from_a_branched_network() -> None:
    d = digits()
    s, base = prepared()
    got = learned(s, "mlp", NEW, epochs=6)
    assert base.classes == got.classes[:5]
    tuned = s.learn(fine_tune.METHOD, d.X[:400], d.y[:400]).checkpoint
    assert tuned.layout.low_rank == got.layout.low_rank
    assert accuracy(tuned, d.held_X, d.held_y) > 0.9
    parity = ["odd" if int(y) % 2 else "even" for y in d.y[400:700]]
    expanded = s.learn(den.METHOD, d.X[400:700, ::-1].copy(), parity, epochs=2)
    grown = expanded.checkpoint
    assert any(layer["added"] for layer in expanded.details["steps"][2]["layers"])
    assert torch.equal(logits(grown, d.held_X)[:, :10], logits(tuned, d.held_X))
    again = s.learn(lora.METHOD, d.X[:100], d.y[:100], epochs=1).checkpoint
    assert len(again.layout.low_rank) == 4
    with pytest.raises(MethodRefused, match="grown"):
        s.learn(lora.METHOD, d.X[:100], d.y[:100], fold=True)


def test_nothing_changes_where_nothing_is_trained() -> None:
    """In the frame of the first layer and back: an earlier branch keeps its bits, offset and all."""
    s, _ = prepared()
    got = learned(s, "mlp", NEW, epochs=1)
    d = digits()
    learner = Learner.start(got, s.data(d.X[:50], d.y[:50]), Run())
    first, before = learner.network.low_rank[0], build(got).low_rank[0]
    assert isinstance(first, LowRank)
    assert isinstance(before, LowRank)
    assert not torch.equal(first.down, before.down)
    learner.training_rows.leave()
    for now, before in zip(learner.network.low_rank, build(got).low_rank, strict=True):
        assert isinstance(now, LowRank)
        assert isinstance(before, LowRank)
        assert all(torch.equal(a, b) for a, b in zip(now.tensors().values(), before.tensors().values(), strict=True))


def test_remembered_rows_are_rehearsed() -> None:
    d = digits()
    s, _ = prepared()
    new = d.of(NEW)
    learned = s.learn(lora.METHOD, new.X, new.y, memory_rows=100, orthogonality=1.0)
    assert learned.details["memory"] == 100
    assert accuracy(learned.checkpoint, d.held_X, d.held_y) > 0.85


def test_without_layers_it_is_refused_with_what_would_work() -> None:
    d, s = digits(), stream()
    data = s.data(d.X[:20], d.y[:20])
    with pytest.raises(MethodRefused, match="ridge"):
        lora.METHOD.check(None, data, lora.Params())
    exact = stream([16])
    exact.learn(ridge.METHOD, d.X[:60], d.y[:60], lift="none")
    with pytest.raises(MethodRefused, match="retrain"):
        lora.METHOD.check(exact.checkpoint, exact.data(d.X[:20], d.y[:20]), lora.Params())
