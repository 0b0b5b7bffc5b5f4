"""Growing heads by blocks, merging them, and the frame that features train in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from service.learning.ledger.sums import Sums
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.growth import grow_head, matrix, merge, new_neck, next_part
from service.learning.network.input_scale import InputScale
from service.learning.network.network import Network, fresh
from service.learning.training.frame import NORM, Frame, Framed
from tests.learning.memory_data import SECRET
from tests.learning.samples import digits
from tests.updating import make_rows


def network(classes: int = 5, inputs: int = 17) -> Network:
    scale = InputScale(torch.zeros(()), torch.ones(()))
    architecture = Architecture(backbone=MlpBackbone(name="mlp", hidden=[33]))
    names = [str(k) for k in range(classes)]
    return fresh(VectorInput(kind="vector", size=inputs), architecture, scale, names, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("columns", [2, 5, 90])
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_old_logits_keep_every_bit_when_the_head_grows(columns: int, rows: int) -> None:
    grown, x = network(), torch.randn(rows, 17)
    before = grown(x)
    block = grow_head(grown, columns, torch.Generator().manual_seed(1))
    after = grown(x)
    assert after.shape == (rows, 5 + columns)
    assert torch.equal(after[:, :5], before)
    assert block.part == "head.1"
    assert block.weight.std() > 0
    grow_head(grown, 3, torch.Generator().manual_seed(2))
    assert torch.equal(grown(x)[:, : 5 + columns], after)


def test_no_new_class_adds_no_block() -> None:
    assert grow_head(network(), 0, torch.Generator()) is None


def test_new_rows_are_no_louder_than_the_old_ones() -> None:
    grown = network()
    for p in grown.head.parameters():
        p.data *= 1000
    block = grow_head(grown, 4, torch.Generator().manual_seed(0))
    assert block.weight.std() < 0.2


def test_merged_blocks_give_the_same_scores() -> None:
    grown, x = network(), torch.randn(50, 17)
    grow_head(grown, 4, torch.Generator().manual_seed(1))
    before = grown(x)
    merge(grown.head)
    assert len(list(grown.head)) == 1
    assert torch.allclose(grown(x), before, atol=1e-6)


def test_blocks_that_see_different_inputs_stay_apart() -> None:
    blocks = [
        Block((0, 2), (0, 3), torch.ones(2, 3), torch.zeros(2), "head.0", ""),
        Block((2, 3), (0, 5), torch.ones(1, 5), torch.zeros(1), "head.1", ""),
    ]
    layer = GrownLinear(blocks)
    merge(layer)
    assert len(list(layer)) == 2
    assert matrix(layer)[0].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    whole = network()
    whole.head = layer
    assert next_part(whole, "head") == "head.2"


def test_a_new_neck_comes_with_a_new_head() -> None:
    grown = network()
    new_neck(grown, [8, 4], 6, torch.Generator().manual_seed(0))
    assert grown(torch.randn(3, 17)).shape == (3, 6)
    assert [layer.out_features for layer in grown.hidden_layers()] == [33, 8, 4]


def framed() -> tuple[GrownLinear, Frame]:
    d = digits()
    rows = make_rows("a", (d.X[:200] * 100).astype("int16"), d.y[:200], SECRET)
    weight = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    layer = GrownLinear([Block((0, 3), (0, 64), weight, torch.ones(3), "head.0", "")])
    return layer, Frame.of(Sums.of(rows), shift=6)


def test_in_the_frame_features_are_centred_and_of_one_size() -> None:
    _, frame = framed()
    d = digits()
    x = frame.features((d.X[:200] * 100).astype("int16"))
    assert x.mean(0).abs().max() < 1e-4
    assert float((x**2).sum(1).mean()) <= NORM * 1.01


def test_rows_before_a_hidden_layer_keep_their_width_and_the_rate_makes_up_for_it() -> None:
    x = np.random.default_rng(0).normal(0, 50, (100, 256)).astype("int16")
    frame = Frame.of(Sums.of(make_rows("a", x, ["0"] * 100, SECRET)), shift=6, common=True)
    assert float((frame.features(x) ** 2).sum(1).mean()) == pytest.approx(256, rel=1e-3)
    assert frame.rate == 0.5
    assert framed()[1].rate == 1


def test_a_layer_gives_in_its_frame_what_it_gave_outside() -> None:
    layer, frame = framed()
    h = torch.from_numpy((digits().X[:50] * 100).astype("int16")).float() / 64
    before = layer(h)
    inside = Framed(frame, layer, torch.nn.ModuleList())
    assert torch.allclose(layer(frame.place(h)), before, atol=1e-2)
    with torch.no_grad():
        next(iter(layer)).weight[1] += 1
        framed_after = layer(frame.place(h))
    inside.leave()
    assert torch.allclose(layer(h), framed_after, atol=1e-2)


def test_weights_that_stood_still_come_back_with_their_bits() -> None:
    layer, frame = framed()
    block = next(iter(layer))
    block.weight.data[0, 0] = -0.0
    before = [p.detach().clone() for p in layer.parameters()]
    inside = Framed(frame, layer, torch.nn.ModuleList())
    with torch.no_grad():
        block.weight[2, 5] += 1
    inside.leave()
    after = [p.detach().clone() for p in layer.parameters()]
    assert after[0].numpy().tobytes()[: 2 * 64 * 4] == before[0].numpy().tobytes()[: 2 * 64 * 4]
    assert torch.equal(after[1][:2], before[1][:2])
    assert not torch.equal(after[0][2], before[0][2])
