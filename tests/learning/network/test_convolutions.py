"""Stages that grow by filters: what the old ones give keeps its bits, and checkpoints from before load as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from service.contract.inputs import Architecture, CnnBackbone, ImageInput
from service.learning.ledger.feature_space import Space
from service.learning.network.checkpoint import LAYOUT, Checkpoint, Layout
from service.learning.network.convolutions import Convolutions, Filters, Stage, stage_keys
from service.learning.network.input_scale import InputScale
from service.learning.network.network import build, fresh, layout_of, parts_of

SPEC = ImageInput(kind="image", channels=2, height=12, width=12)
X = torch.randn(20, 2, 12, 12, generator=torch.Generator().manual_seed(1))


def plain(channels: list[int]) -> nn.Sequential:
    """The same stages as one list of torch's own layers, as earlier versions were stored."""
    stages: list[nn.Module] = []
    depth, side = 2, 12
    for filters in channels:
        groups = next(g for g in (8, 4, 2, 1) if filters % g == 0)
        stages += [nn.Conv2d(depth, filters, 3, padding=1), nn.GroupNorm(groups, filters), nn.ReLU()]
        if side >= 4:
            stages.append(nn.MaxPool2d(2))
            side //= 2
        depth = filters
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for layer in stages:
            for p in layer.parameters():
                nn.init.normal_(p)
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(min(4, side)), nn.Flatten())


def stored(channels: list[int]) -> Checkpoint:
    """A version as it was stored before filters could grow: a layout without the fields of growth."""
    body = plain(channels)
    layout = {
        "input": SPEC.model_dump(),
        "backbone": {"name": "cnn", "channels": channels},
        "shift": 10,
        "classes": [],
        "trained": True,
    }
    parts = {
        "scale": InputScale(torch.zeros(()), torch.ones(())).tensors(),
        "backbone.0": {f"stages.{name}": t for name, t in body.state_dict().items()},
    }
    return Checkpoint(Layout.model_validate(layout), parts)


@pytest.mark.parametrize("channels", [[8], [16, 12], [4, 6, 8, 3]])
def test_versions_from_before_load_and_answer_with_the_same_bits(channels: list[int]) -> None:
    old = stored(channels)
    network = build(old)
    with torch.no_grad():
        assert torch.equal(network.features(X), plain(channels)(X))
    again = parts_of(network)["backbone.0"]
    assert again.keys() == old.parts["backbone.0"].keys()
    assert all(torch.equal(again[name], t) for name, t in old.parts["backbone.0"].items())
    assert layout_of(network, []).layers == []
    assert LAYOUT.as_stored({**old.layout.model_dump(), "stamps": []}).layers == []


def test_a_feature_space_from_before_has_the_same_id() -> None:
    old = stored([8])
    for tensor in old.parts["backbone.0"].values():
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) / 64)
    assert Space.of(old).id == "54c4b25facb2f5d8946d934461b287b7e46ec0fd5e96d5d2097a3aaae72d4c30"


def test_names_of_the_first_blocks_count_the_layers_that_were_there() -> None:
    assert stage_keys((1, 28, 28), 2) == ["stages.0.", "stages.4."]
    assert stage_keys((1, 5, 5), 3) == ["stages.0.", "stages.4.", "stages.7."]


def test_a_fresh_network_is_drawn_from_the_seed_alone() -> None:
    scale = InputScale(torch.zeros(()), torch.ones(()))
    made = [
        fresh(
            SPEC,
            Architecture(backbone=CnnBackbone(name="cnn", channels=[8])),
            scale,
            ["a"],
            torch.Generator().manual_seed(3),
        )
        for _ in range(2)
    ]
    one, two = (parts_of(network)["backbone.0"] for network in made)
    assert all(torch.equal(one[name], two[name]) for name in one)
    weight = one["stages.0.weight"]
    assert weight.std().item() == pytest.approx((2 / 18) ** 0.5, rel=0.2)
    assert not one["stages.0.bias"].any()


def grown(more: int) -> tuple[Stage, Stage]:
    """A stage of 8 filters alone, and with others beside them."""
    generator = torch.Generator().manual_seed(0)

    def filters(rows: tuple[int, int], key: str) -> Filters:
        n = rows[1] - rows[0]
        norm = torch.rand(n, generator=generator) + 0.5, torch.randn(n, generator=generator)
        weight, bias = torch.randn(n, 2, 3, 3, generator=generator), torch.randn(n, generator=generator)
        return Filters(rows, (0, 2), weight, bias, "backbone.0", key).set_norm(*norm)

    old = filters((0, 8), "stages.0.")
    return Stage([old], (12, 12)), Stage([old, filters((8, 8 + more), "0.")], (12, 12))


@pytest.mark.parametrize("more", [1, 2, 5, 90])
def test_old_filters_keep_their_bits_beside_any_number_of_new_ones(more: int) -> None:
    alone, beside = grown(more)
    assert torch.equal(beside.activated(X)[:, :8], alone.activated(X))
    assert beside.activated(X).shape == (20, 8 + more, 6, 6)


def test_new_filters_do_not_look_at_the_old_ones_in_their_norm() -> None:
    _, beside = grown(8)
    before = beside.activated(X)
    with torch.no_grad():
        old = next(iter(beside))
        old.weight.mul_(3)
    assert torch.equal(beside.activated(X)[:, 8:], before[:, 8:])
    assert not torch.equal(beside.activated(X)[:, :8], before[:, :8])


def test_features_of_new_filters_come_behind_those_of_the_old() -> None:
    alone, beside = grown(4)
    narrow, wide = Convolutions([alone], (4, 4)), Convolutions([beside], (4, 4))
    assert (narrow.width, wide.width) == (8 * 16, 12 * 16)
    assert torch.equal(wide(X)[:, : narrow.width], narrow(X))
