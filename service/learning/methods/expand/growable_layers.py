"""Hidden layers that can grow: which there are, what passes through them, and how far their units went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor

from service.learning.network.blocks import GrownLinear
from service.learning.network.convolutions import GROUP, Convolutions, Stage
from service.learning.network.growth import matrix
from service.learning.network.network import Network

EPSILON = 1e-6


class GrowableLayer(NamedTuple):
    """A hidden layer that can grow: the layer `number` of backbone or neck. `fan_out`: inputs that one unit of it is to
    the layer after it, several for a filter that is pooled to fields."""

    section: Literal["backbone", "neck"]
    number: int
    layer: GrownLinear
    fan_out: int

    @property
    def name(self) -> str:
        return f"{self.section} layer {self.number + 1}"

    @property
    def group(self) -> int:
        """Units that are added and taken away together: filters share a norm."""
        return GROUP if isinstance(self.layer, Stage) else 1


def growable(network: Network) -> list[GrowableLayer]:
    """The hidden layers that can grow. Those in front of a lift cannot, since it has a fixed number of inputs."""
    backbone = [] if len(network.lifts) else network.hidden_layers()[: -len(network.neck.layers) or None]
    fields = network.backbone.fields if isinstance(network.backbone, Convolutions) else 1
    layers = [GrowableLayer("backbone", k, layer, 1) for k, layer in enumerate(backbone)]
    if layers:
        layers[-1] = layers[-1]._replace(fan_out=fields)
    return layers + [GrowableLayer("neck", k, layer, 1) for k, layer in enumerate(network.neck)]


def drift(before: GrownLinear, after: GrownLinear) -> Tensor:
    """How far each unit's incoming weights and bias went, relative to their norm. -> [outputs], -1 for outputs that are
    no units of the layer's own but those of an inserted one"""
    old, new = (torch.cat([w.flatten(1), b[:, None]], 1) for w, b in (matrix(before), matrix(after)))
    relative: Tensor = (new - old).norm(dim=1) / (old.norm(dim=1) + EPSILON)
    for inserted in before.insertions:
        if inserted.rows != inserted.columns:
            relative[slice(*inserted.rows)] = -1
    return relative


def inputs_and_outputs(network: Network, layers: Sequence[GrowableLayer], x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What each layer takes and gives, one after the other. x: as the first of them takes it, or flat."""
    for k, growable_layer in enumerate(layers):
        layer = growable_layer.layer
        if k and isinstance(layers[k - 1].layer, Stage) and not isinstance(layer, Stage):
            x = cast(Convolutions, network.backbone).pooled(x)
        elif not isinstance(layer, Stage):
            x = x.flatten(1)
        before = x
        x = layer.activated(x)
        yield before, x
