"""The network of a checkpoint: scale -> backbone -> lifts -> neck -> head.

Backbones here need torch alone: `identity` (the scaled input), `mlp` (dense, ReLU), `cnn` (3x3 convolutions with
GroupNorm, so that no running statistics move behind a frozen extractor's back).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from service.contract.inputs import Architecture, CnnBackbone, InputSpec, MlpBackbone
from service.learning.checkpoint import BlockLayout, Checkpoint, Layout, LiftLayout, Tensors
from service.learning.heads import Block, GrownLinear
from service.learning.lifts import Lift, load_lift
from service.learning.preprocessing import InputScale


class Dense(nn.Module):
    """ReLU layers, each grown by blocks. [n, in] -> [n, out]"""

    def __init__(self, layers: Sequence[GrownLinear], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.in_width = width

    @property
    def width(self) -> int:
        """Features it gives."""
        return cast(GrownLinear, self.layers[-1]).out_features if len(self.layers) else self.in_width

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


class Convolutions(nn.Module):
    """Stages of 3x3 convolution, GroupNorm, ReLU, max-pool; then means over at most 4x4 fields.

    [n, c, h, w] -> [n, width]
    """

    def __init__(self, channels: Sequence[int], shape: tuple[int, ...]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        depth, height, width = shape
        for filters in channels:
            groups = next(g for g in (8, 4, 2, 1) if filters % g == 0)
            stages += [nn.Conv2d(depth, filters, 3, padding=1), nn.GroupNorm(groups, filters), nn.ReLU()]
            if min(height, width) >= 4:
                stages.append(nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            depth = filters
        fields = (min(4, height), min(4, width))
        self.stages = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(fields), nn.Flatten())
        self.width = depth * fields[0] * fields[1]

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.stages(x))


class Network(nn.Module):
    """A version as a module. Raw inputs [n, ...] -> logits [n, C]; probabilities = softmax(logits / temperature)."""

    def __init__(
        self,
        layout: Layout,
        scale: InputScale,
        backbone: nn.Module,
        lifts: Sequence[Lift],
        neck: Dense,
        head: GrownLinear,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.scale, self.backbone, self.neck, self.head = scale, backbone, neck, head
        self.lifts = nn.ModuleList(lifts)

    def features(self, inputs: Tensor) -> Tensor:
        """What the exact head works on: backbone features, or the lifts of them side by side. [n, ...] -> [n, M]"""
        x = self.backbone(self.scale(inputs))
        if not len(self.lifts):
            return cast(Tensor, x.flatten(1))
        return torch.cat([lift(x) for lift in self.lifts], 1)

    def logits(self, features: Tensor) -> Tensor:
        """[n, M] -> [n, C]"""
        return cast(Tensor, self.head(self.neck(features)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits(self.features(inputs))

    def dense_layers(self) -> list[GrownLinear]:
        """Hidden dense layers, in order: those of an mlp backbone, then the neck's."""
        backbone = list(self.backbone.layers) if isinstance(self.backbone, Dense) else []
        return [cast(GrownLinear, layer) for layer in [*backbone, *self.neck.layers]]


def fresh(
    spec: InputSpec, architecture: Architecture, scale: InputScale, classes: Sequence[str], generator: torch.Generator
) -> Network:
    """An untrained network: He initialisation, a head of one block over `classes`."""
    backbone: nn.Module
    layouts: list[list[BlockLayout]] = []
    size = int(torch.tensor(spec.shape).prod())
    if isinstance(architecture.backbone, MlpBackbone):
        widths = [size, *architecture.backbone.hidden]
        layers = [
            GrownLinear([new_block((0, b), (0, a), "backbone.0", f"{k}.", generator)])
            for k, (a, b) in enumerate(pairwise(widths))
        ]
        backbone = Dense(layers, size)
        layouts = [block_layouts(layer) for layer in layers]
        width = widths[-1]
    elif isinstance(architecture.backbone, CnnBackbone):
        backbone = Convolutions(architecture.backbone.channels, spec.shape)
        for layer in backbone.stages:
            if isinstance(layer, nn.Conv2d):
                _he(layer, generator)
        width = backbone.width
    else:
        backbone, width = Dense([], size), size
    head = GrownLinear([new_block((0, len(classes)), (0, width), "head.0", "", generator, gain=1.0)] if classes else [])
    layout = Layout(
        input=spec,
        backbone=architecture.backbone,
        layers=layouts,
        head=block_layouts(head),
        classes=list(classes),
        trained=architecture.backbone.name != "identity",
    )
    return Network(layout, scale, backbone, [], Dense([], width), head)


def new_block(
    rows: tuple[int, int],
    columns: tuple[int, int],
    part: str,
    key: str,
    generator: torch.Generator,
    gain: float = 2.0,
) -> Block:
    """A block with weights ~ N(0, gain / inputs) and a zero bias."""
    n_in = max(columns[1] - columns[0], 1)
    weight = torch.randn(rows[1] - rows[0], columns[1] - columns[0], generator=generator) * (gain / n_in) ** 0.5
    return Block(rows, columns, weight, torch.zeros(rows[1] - rows[0]), part, key)


def _he(layer: nn.Conv2d, generator: torch.Generator) -> None:
    """Both tensors: what torch itself draws comes from a generator that nobody seeded."""
    with torch.no_grad():
        weight = torch.randn(layer.weight.shape, generator=generator)
        layer.weight.copy_(weight * (2.0 / weight[0].numel()) ** 0.5)
        if layer.bias is not None:
            layer.bias.zero_()


def block_layouts(layer: GrownLinear) -> list[BlockLayout]:
    """The layout of a layer as it stands."""
    return [BlockLayout(rows=b.rows, columns=b.columns, part=b.part, key=b.key) for b in layer]


def build(checkpoint: Checkpoint) -> Network:
    """The network of a checkpoint, in eval mode, weights copied: training it leaves the checkpoint as it was."""
    layout, parts = checkpoint.layout, checkpoint.parts
    backbone: nn.Module
    if isinstance(layout.backbone, CnnBackbone):
        backbone = Convolutions(layout.backbone.channels, layout.input.shape)
        backbone.load_state_dict(dict(parts["backbone.0"]))
        width = backbone.width
    else:
        size = int(torch.tensor(layout.input.shape).prod())
        backbone = Dense([_layer(blocks, parts) for blocks in layout.layers], size)
        width = backbone.width
    lifts = [load_lift(lift, parts[f"lift.{k}"]) for k, lift in enumerate(layout.lifts)]
    width = sum(lift.width for lift in layout.lifts) or width
    neck = Dense([_layer(blocks, parts) for blocks in layout.neck], width)
    network = Network(layout, InputScale.load(parts["scale"]), backbone, lifts, neck, _layer(layout.head, parts))
    return network.eval()


def _layer(blocks: Sequence[BlockLayout], parts: dict[str, Tensors] | object) -> GrownLinear:
    shards = cast("dict[str, Tensors]", parts)
    return GrownLinear(
        [
            Block(
                b.rows,
                b.columns,
                shards[b.part][f"{b.key}weight"].clone(),
                bias.clone() if (bias := shards[b.part].get(f"{b.key}bias")) is not None else None,
                b.part,
                b.key,
            )
            for b in blocks
        ]
    )


def parts_of(network: Network) -> dict[str, dict[str, Tensor]]:
    """The served parts of a network, cloned and contiguous, by shard name. Inverse of `build`."""
    parts: dict[str, dict[str, Tensor]] = {"scale": network.scale.tensors()}
    if isinstance(network.backbone, Convolutions):
        parts["backbone.0"] = dict(network.backbone.state_dict())
    for layer in [*network.dense_layers(), network.head]:
        for block in layer:
            parts.setdefault(block.part, {}).update(block.tensors())
    for k, lift in enumerate(network.lifts):
        parts[f"lift.{k}"] = cast(Lift, lift).tensors()
    return {p: {k: t.detach().clone().contiguous() for k, t in ts.items()} for p, ts in parts.items()}


def layout_of(network: Network, classes: Sequence[str], **changes: object) -> Layout:
    """The layout of a network as it stands now (its blocks may have grown), with `changes` to other fields."""
    backbone = network.backbone
    layers = [block_layouts(cast(GrownLinear, x)) for x in backbone.layers] if isinstance(backbone, Dense) else []
    return network.layout.model_copy(
        update={
            "layers": layers,
            "neck": [block_layouts(cast(GrownLinear, x)) for x in network.neck.layers],
            "head": block_layouts(network.head),
            "classes": list(classes),
            **changes,
        }
    )


def lift_layouts(lifts: Sequence[Lift]) -> list[LiftLayout]:
    """Layouts of lifts side by side."""
    return [LiftLayout(kind=lift.kind, width=lift.width) for lift in lifts]
