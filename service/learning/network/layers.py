"""Reads layers of blocks from a layout and its parts, and writes their layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from service.contract.inputs import CnnBackbone
from service.learning.network.blocks import Block, Bottleneck, GrownLinear, Inserted
from service.learning.network.checkpoint import BlockLayout, InsertedLayout, Layout, LowRankLayout, Tensors
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
    """Makes a dense layer; weights are copied."""
    return GrownLinear([Block(b.rows, b.columns, *_tensors(b, parts), b.part, b.key) for b in blocks])


def load_stages(layout: Layout, parts: Parts) -> Convolutions:
    """Makes the stages of a cnn; weights are copied. A layout without `layers` has one block a stage."""
    assert isinstance(layout.backbone, CnnBackbone)
    sizes = sides(layout.input.shape, len(layout.backbone.channels))
    stages = layout.layers or _one_block_each(layout.backbone, layout.input.shape)
    return convolutions(
        [Stage([_filters(b, parts) for b in blocks], side) for blocks, side in zip(stages, sizes[:-1], strict=True)],
        layout.input.shape,
    )


def load_additions(backbone: nn.Module, neck: nn.Module, layout: Layout, parts: Parts) -> nn.ModuleList:
    """Attaches inserted layers and low-rank branches. -> the branches, in order"""
    owners = {"backbone": backbone, "neck": neck}
    for i in layout.inserted:
        layer = cast(GrownLinear, owners[i.of].get_submodule(f"layers.{i.layer}"))
        inserted = Inserted(i.rows, i.columns, _bottleneck(i, parts), i.part, i.key)
        inserted.uses = layer.uses
        layer.inserted.append(inserted)
    branches = nn.ModuleList()
    for b in layout.low_rank:
        branches.append(attach(backbone, LowRank(b.at, _bottleneck(b, parts), b.scale, b.part, b.key)))
    return branches


def _bottleneck(addition: InsertedLayout | LowRankLayout, parts: Parts) -> Bottleneck:
    tensors, key = parts[addition.part], addition.key
    return Bottleneck(*(tensors[f"{key}{name}"].clone() for name in ("down.weight", "down.bias", "up.weight")))


def block_layouts(layer: GrownLinear) -> list[BlockLayout]:
    return [BlockLayout(rows=b.rows, columns=b.columns, part=b.part, key=b.key) for b in layer]


def stage_layouts(backbone: Convolutions) -> list[list[BlockLayout]]:
    """Layouts of a cnn's stages; none where no filter was ever added."""
    stages = [block_layouts(stage) for stage in backbone]
    return stages if any(len(blocks) > 1 for blocks in stages) else []


def inserted_layouts(backbone: nn.Module, neck: nn.Module) -> list[InsertedLayout]:
    return [
        InsertedLayout(of=of, layer=k, rows=i.rows, columns=i.columns, part=i.part, key=i.key)
        for of, owner in (("backbone", backbone), ("neck", neck))
        for k, layer in enumerate(getattr(owner, "layers", ()))
        for i in cast(GrownLinear, layer).insertions
    ]


def low_rank_layouts(branches: nn.ModuleList) -> list[LowRankLayout]:
    return [
        LowRankLayout(at=b.at, scale=b.scale, part=b.part, key=b.key)
        for b in (cast(LowRank, branch) for branch in branches)
    ]


def _one_block_each(backbone: CnnBackbone, shape: tuple[int, ...]) -> list[list[BlockLayout]]:
    depths = [shape[0], *backbone.channels]
    keys = stage_keys(shape, len(backbone.channels))
    return [
        [BlockLayout(rows=(0, filters), columns=(0, depth), part="backbone.0", key=key)]
        for filters, depth, key in zip(backbone.channels, depths, keys, strict=False)
    ]


def _tensors(b: BlockLayout, parts: Parts) -> tuple[Tensor, Tensor | None]:
    weight, bias = parts[b.part][f"{b.key}weight"], parts[b.part].get(f"{b.key}bias")
    return weight.clone(), None if bias is None else bias.clone()


def _filters(b: BlockLayout, parts: Parts) -> Filters:
    filters = Filters(b.rows, b.columns, *_tensors(b, parts), b.part, b.key)
    if filters.bias is not None:
        tensors, norm = parts[b.part], norm_key(b.key)
        filters.set_norm(tensors[f"{norm}weight"].clone(), tensors[f"{norm}bias"].clone())
    return filters
