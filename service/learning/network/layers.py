"""Layers of blocks, out of a layout and its parts, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import cast

from torch import Tensor, nn

from service.contract.inputs import CnnBackbone
from service.learning.network.blocks import Block, GrownLinear, Inserted
from service.learning.network.checkpoint import BlockLayout, InsertedLayout, Layout, LowRankLayout, Stamp, Tensors
from service.learning.network.convolutions import (
    Convolutions,
    Filters,
    Stage,
    convolutions,
    norm_key,
    sides,
    stage_keys,
)
from service.learning.network.low_rank import LowRank, attach

Parts = Mapping[str, Tensors]


def load_layer(blocks: Sequence[BlockLayout], parts: Parts) -> GrownLinear:
    """A dense layer, weights copied."""
    return GrownLinear([Block(b.rows, b.columns, *_tensors(b, parts, b.key), b.part, b.key) for b in blocks])


def load_stages(layout: Layout, parts: Parts) -> Convolutions:
    """The stages of a cnn, weights copied; a layout without `layers` has one block a stage."""
    assert isinstance(layout.backbone, CnnBackbone)
    found = sides(layout.input.shape, len(layout.backbone.channels))
    stages = layout.layers or _one_block_each(layout.backbone, layout.input.shape)
    return convolutions(
        [Stage([_filters(b, parts) for b in blocks], side) for blocks, side in zip(stages, found[:-1], strict=True)],
        layout.input.shape,
    )


def load_additions(backbone: nn.Module, neck: nn.Module, layout: Layout, parts: Parts) -> nn.ModuleList:
    """Put inserted layers and low-rank branches in their places. -> the branches, in order"""
    owners = {"backbone": backbone, "neck": neck}
    for told in layout.inserted:
        layer = cast(GrownLinear, owners[told.of].get_submodule(f"layers.{told.layer}"))
        down, bias, up = (
            parts[told.part][f"{told.key}{name}"].clone() for name in ("down.weight", "down.bias", "up.weight")
        )
        made = Inserted(told.rows, told.columns, down, bias, up, told.part, told.key)
        made.places = layer.places
        layer.inserted.append(made)
    branches = nn.ModuleList()
    for branch in layout.low_rank:
        down, up, offset = (
            parts[branch.part][f"{branch.key}{name}"].clone() for name in ("down.weight", "up.weight", "down.bias")
        )
        beside = LowRank(branch.at, down, up, branch.scale, branch.part, branch.key, offset)
        branches.append(attach(backbone, beside))
    return branches


def stored(layers: Sequence[GrownLinear], branches: nn.ModuleList) -> Iterator[Block | Inserted | LowRank]:
    """Everything in a network that keeps tensors of its own in a part."""
    for layer in layers:
        yield from layer
        yield from layer.insertions
    yield from (cast(LowRank, branch) for branch in branches)


def block_layouts(layer: GrownLinear) -> list[BlockLayout]:
    """The layout of a layer as it stands."""
    return [BlockLayout(rows=b.rows, columns=b.columns, part=b.part, key=b.key) for b in layer]


def stage_layouts(backbone: Convolutions) -> list[list[BlockLayout]]:
    """The layouts of a cnn's stages; none where no filter was ever added."""
    stages = [block_layouts(stage) for stage in backbone]
    return stages if any(len(blocks) > 1 for blocks in stages) else []


def inserted_layouts(backbone: nn.Module, neck: nn.Module) -> list[InsertedLayout]:
    """Where layers were put in."""
    return [
        InsertedLayout(of=of, layer=k, rows=i.rows, columns=i.columns, part=i.part, key=i.key)
        for of, owner in (("backbone", backbone), ("neck", neck))
        for k, layer in enumerate(getattr(owner, "layers", ()))
        for i in cast(GrownLinear, layer).insertions
    ]


def low_rank_layouts(branches: nn.ModuleList) -> list[LowRankLayout]:
    """Where branches stand."""
    found = [cast(LowRank, branch) for branch in branches]
    return [LowRankLayout(at=b.at, scale=b.scale, part=b.part, key=b.key) for b in found]


def stamps(
    layers: Sequence[GrownLinear], head: GrownLinear, branches: nn.ModuleList, classes: Sequence[str], fields: int
) -> list[Stamp]:
    """Which units each class sees, told from the blocks; none where all see all.

    layers: the hidden ones, in order · fields: features that a unit of the last cnn stage gives, 1 behind dense layers.
    A unit's number is its place in its layer, which no later update changes: only units of the same update are removed.
    """
    if all(len({b.columns for b in layer}) <= 1 and not layer.insertions for layer in [*layers, head]):
        return []
    found: list[Stamp] = []
    for block in head:
        if block.bias is None:
            continue
        seen, above = set(range(*block.rows)), head
        units: list[list[tuple[int, int]]] = []
        for layer in reversed(layers):
            inputs = _inputs(above, branches, seen)
            share = fields if above.in_features != layer.out_features else 1
            seen, above = _with_inserted(layer, {k // share for k in inputs}), layer
            units.insert(0, _runs(seen))
        names = list(classes[slice(*block.rows)])
        if found and found[-1].units == units:
            names = [*found.pop().classes, *names]
        found.append(Stamp(classes=names, units=units))
    return found


def _inputs(layer: GrownLinear, branches: nn.ModuleList, rows: set[int]) -> set[int]:
    """Inputs that reach any of these rows."""
    spans = [(b.rows, b.columns) for b in layer]
    owners = [b for b in layer if b.bias is not None]
    for branch in (cast(LowRank, branch) for branch in branches):
        if layer in branch.layers:
            # what a branch gives is counted in the layer's own units, in order, without what was put in among them
            ends = accumulate(len(b.weight) for b in owners)
            under = [b.rows for b, end in zip(owners, ends, strict=True) if end <= len(branch.up)]
            spans += [(rows, (0, branch.down.shape[1])) for rows in under]
    return {k for reached, inputs in spans if not rows.isdisjoint(range(*reached)) for k in range(*inputs)}


def _with_inserted(layer: GrownLinear, units: set[int]) -> set[int]:
    """And what the inserted layers behind those units look at."""
    found = set(units)
    for inserted in reversed(layer.insertions):
        if not found.isdisjoint(range(*inserted.rows)):
            found |= set(range(*inserted.columns))
    return found


def _runs(numbers: set[int]) -> list[tuple[int, int]]:
    """Runs [start, stop) that hold exactly these numbers."""
    runs: list[tuple[int, int]] = []
    for k in sorted(numbers):
        if runs and runs[-1][1] == k:
            runs[-1] = (runs[-1][0], k + 1)
        else:
            runs.append((k, k + 1))
    return runs


def _one_block_each(backbone: CnnBackbone, shape: tuple[int, ...]) -> list[list[BlockLayout]]:
    depths = [shape[0], *backbone.channels]
    keys = stage_keys(shape, len(backbone.channels))
    return [
        [BlockLayout(rows=(0, filters), columns=(0, depth), part="backbone.0", key=key)]
        for filters, depth, key in zip(backbone.channels, depths, keys, strict=False)
    ]


def _tensors(b: BlockLayout, parts: Parts, key: str) -> tuple[Tensor, Tensor | None]:
    weight, bias = parts[b.part][f"{key}weight"], parts[b.part].get(f"{key}bias")
    return weight.clone(), None if bias is None else bias.clone()


def _filters(b: BlockLayout, parts: Parts) -> Filters:
    weight, bias = _tensors(b, parts, b.key)
    if bias is None:
        return Filters(b.rows, b.columns, weight, None, b.part, b.key)
    norm = [parts[b.part][f"{norm_key(b.key)}{name}"].clone() for name in ("weight", "bias")]
    return Filters(b.rows, b.columns, weight, bias, b.part, b.key, (norm[0], norm[1]))
