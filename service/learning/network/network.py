"""The network of a checkpoint: scale -> backbone -> lifts -> neck -> head.

Pretrained backbones are those of `backbones`; the others need torch alone: `identity` (the scaled input), `mlp` (dense,
ReLU), `cnn` (3x3 convolutions with GroupNorm, so that no running statistics move behind a frozen extractor's back).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from service.contract.inputs import Architecture, CnnBackbone, InputSpec, MlpBackbone, PretrainedBackbone, TextInput
from service.learning.backbones import load, resolved
from service.learning.backbones.extractor import Extractor, SharedWeights
from service.learning.data.rows import Array
from service.learning.network.blocks import Block, Bottleneck, GrownLinear, Inserted, new_block
from service.learning.network.checkpoint import (
    BlockLayout,
    Checkpoint,
    InsertedLayout,
    Layout,
    LiftLayout,
    LowRankLayout,
    Tensors,
)
from service.learning.network.convolutions import (
    Convolutions,
    Filters,
    Stage,
    convolutions,
    fresh_stages,
    norm_key,
    sides,
    stage_keys,
)
from service.learning.network.input_scale import AnyScale, load_scale, scaled_shape
from service.learning.network.lifts import Lift, load_lift
from service.learning.network.low_rank import LowRank, attach

TRAINED_HERE = (MlpBackbone, CnnBackbone)
"""Backbones whose weights are learned here."""
Parts = Mapping[str, Tensors]


class Dense(nn.Module):
    """ReLU layers, each grown by blocks. [n, in] -> [n, out]"""

    def __init__(self, layers: Sequence[GrownLinear], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.in_width = width

    def __iter__(self) -> Iterator[GrownLinear]:
        return (cast(GrownLinear, layer) for layer in self.layers)

    @property
    def width(self) -> int:
        return [self.in_width, *(layer.out_features for layer in self)][-1]

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self:
            x = layer.activated(x)
        return x


class Network(nn.Module):
    """A version as a module. Raw inputs [n, ...] -> logits [n, C]; probabilities = softmax(logits / temperature). Where
    targets are numbers, columns are answers in units of their grid [n, k]."""

    def __init__(
        self,
        layout: Layout,
        scale: AnyScale,
        backbone: nn.Module,
        lifts: Sequence[Lift],
        neck: Dense,
        head: GrownLinear,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.scale, self.backbone, self.neck, self.head = scale, backbone, neck, head
        self.lifts = nn.ModuleList(lifts)
        self.low_rank = nn.ModuleList()

    def prepare(self, inputs: Array) -> Tensor:
        """Raw rows as a tensor: numbers as they are, texts as token ids. [n, ...]"""
        if isinstance(self.backbone, Extractor):
            return self.backbone.prepare(inputs)
        return torch.from_numpy(np.ascontiguousarray(inputs))

    def features(self, prepared: Tensor) -> Tensor:
        """The features that the exact head sees: the backbone's, or lifts side by side. [n, ...] -> [n, M]

        Random convolutions see the scaled image, any other lift the backbone's features.
        """
        return self.features_of(self.scaled(prepared))

    def scaled(self, prepared: Tensor) -> Tensor:
        """The rows as the backbone takes them. [n, ...]"""
        return prepared if isinstance(self.layout.input, TextInput) else cast(Tensor, self.scale(prepared))

    def features_of(self, scaled: Tensor) -> Tensor:
        """The features of scaled rows. [n, ...] -> [n, M]"""
        x = self.backbone(scaled)
        if not len(self.lifts):
            return cast(Tensor, x.flatten(1))
        return torch.cat([lift(scaled if lift.kind == "conv" else x) for lift in self.lifts], 1)

    def answer(self, inputs: Array) -> Tensor:
        """Answers raw rows; texts of one length pass together. [n, ...] -> logits [n, C]"""
        prepared = self.prepare(inputs)
        if not isinstance(self.backbone, Extractor):
            return cast(Tensor, self(prepared))
        logits = prepared.new_empty(len(prepared), self.head.out_features, dtype=torch.float32)
        companions = self.backbone.companions(prepared)
        for group in set(companions.tolist()):
            logits[companions == group] = self(prepared[companions == group])
        return logits

    def logits(self, features: Tensor) -> Tensor:
        """Features [n, M] -> logits [n, C]"""
        return cast(Tensor, self.head(self.neck(features)))

    def forward(self, prepared: Tensor) -> Tensor:
        return self.logits(self.features(prepared))

    def hidden_layers(self) -> list[GrownLinear]:
        """Layers of blocks in order: those of an mlp or cnn backbone, then the neck's."""
        return [*(self.backbone if isinstance(self.backbone, Dense | Convolutions) else ()), *self.neck]

    def stored(self) -> Iterator[Block | Inserted | LowRank]:
        """Yields blocks, inserted layers and branches, each with the part that keeps its tensors."""
        for layer in [*self.hidden_layers(), self.head]:
            yield from layer
            yield from layer.insertions
        yield from (cast(LowRank, branch) for branch in self.low_rank)


def forward_cost(body: nn.Module) -> int:
    """Counts multiply-adds of one row on its way through a module."""
    return sum(m.multiply_adds for m in body.modules() if isinstance(m, Block | Inserted | LowRank | Extractor))


def fresh(
    spec: InputSpec,
    architecture: Architecture,
    scale: AnyScale,
    classes: Sequence[str],
    generator: torch.Generator,
    pretrained: Tensors | None = None,
) -> Network:
    """Draws an untrained network: He initialisation, a head of one block over `classes`. `pretrained`: the weights that
    a pretrained backbone needs."""
    backbone: Dense | Convolutions | Extractor
    named = architecture.backbone
    layers: list[GrownLinear] = []
    if isinstance(named, CnnBackbone):
        backbone = fresh_stages(named.channels, spec.shape, generator)
    elif isinstance(named, PretrainedBackbone):
        assert pretrained is not None, "a pretrained backbone needs its weights"
        named = resolved(spec, named, pretrained)
        backbone = load(named, pretrained)
    else:
        widths = [prod(scaled_shape(spec)), *(named.hidden if isinstance(named, MlpBackbone) else [])]
        layers = [
            GrownLinear([new_block((0, b), (0, a), "backbone.0", f"{k}.", generator)])
            for k, (a, b) in enumerate(pairwise(widths))
        ]
        backbone = Dense(layers, widths[0])
    width = backbone.width
    head = GrownLinear([new_block((0, len(classes)), (0, width), "head.0", "", generator, gain=1.0)] if classes else [])
    layout = Layout(
        input=spec,
        backbone=named,
        layers=[block_layouts(layer) for layer in layers],
        head=block_layouts(head),
        classes=list(classes),
        trained=isinstance(named, TRAINED_HERE),
    )
    return Network(layout, scale, backbone, [], Dense([], width), head)


def build(checkpoint: Checkpoint, served: Extractor | None = None) -> Network:
    """Builds the network of a checkpoint, in eval mode. Weights are copied, so training leaves the checkpoint as it is;
    those of a pretrained backbone are shared, and copied by `thaw`. `served`: the backbone, where it is loaded."""
    layout, parts = checkpoint.layout, checkpoint.parts
    backbone: Dense | Convolutions | Extractor
    if served is not None:
        backbone = served
    elif isinstance(layout.backbone, CnnBackbone):
        backbone = load_stages(layout, parts)
    elif isinstance(layout.backbone, PretrainedBackbone):
        backbone = load(layout.backbone, parts["backbone.0"])
    else:
        backbone = Dense([load_layer(blocks, parts) for blocks in layout.layers], prod(scaled_shape(layout.input)))
    lifts = [load_lift(lift, parts[f"lift.{k}"]) for k, lift in enumerate(layout.lifts)]
    width = sum(lift.width for lift in layout.lifts) or backbone.width
    neck = Dense([load_layer(blocks, parts) for blocks in layout.neck], width)
    network = Network(
        layout, load_scale(layout.input, parts["scale"]), backbone, lifts, neck, load_layer(layout.head, parts)
    )
    network.low_rank = load_additions(backbone, neck, layout, parts)
    return network.eval()


def parts_of(network: Network) -> dict[str, Tensors]:
    """The served parts of a network, cloned and contiguous but for the weights that a frozen pretrained backbone
    shares. Inverse of `build`."""
    parts: dict[str, dict[str, Tensor]] = {"scale": network.scale.tensors()}
    shared: dict[str, Tensors] = {}
    if isinstance(network.backbone, Extractor):
        weights = network.backbone.tensors()
        if isinstance(weights, SharedWeights):
            shared["backbone.0"] = weights
        else:
            parts["backbone.0"] = dict(weights)
    for owner in network.stored():
        parts.setdefault(owner.part, {}).update(owner.tensors())
    for k, lift in enumerate(network.lifts):
        parts[f"lift.{k}"] = cast(Lift, lift).tensors()
    return shared | {p: {k: t.detach().clone().contiguous() for k, t in ts.items()} for p, ts in parts.items()}


def layout_of(network: Network, classes: Sequence[str], **changes: object) -> Layout:
    """The layout of a network as it is now (its blocks may have grown), with `changes` to other fields."""
    backbone = network.backbone
    layers = [block_layouts(layer) for layer in backbone] if isinstance(backbone, Dense) else []
    return network.layout.model_copy(
        update={
            "layers": stage_layouts(backbone) if isinstance(backbone, Convolutions) else layers,
            "inserted": inserted_layouts(backbone, network.neck),
            "low_rank": [
                LowRankLayout(at=b.at, scale=b.scale, part=b.part, key=b.key)
                for b in (cast(LowRank, branch) for branch in network.low_rank)
            ],
            "neck": [block_layouts(layer) for layer in network.neck],
            "head": block_layouts(network.head),
            "classes": list(classes),
            **changes,
        }
    )


def lift_layouts(lifts: Sequence[Lift]) -> list[LiftLayout]:
    return [LiftLayout(kind=lift.kind, width=lift.width) for lift in lifts]


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
