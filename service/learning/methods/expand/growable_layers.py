"""Hidden layers that can grow: which there are, what passes through them, and how far their units went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from service.learning.network.blocks import GrownLinear
from service.learning.network.convolutions import GROUP, Convolutions, Stage
from service.learning.network.growth import matrix
from service.learning.network.network import Network

EPSILON = 1e-6


class Place(NamedTuple):
    """A hidden layer that can grow. of, number: where it is · share: numbers that a unit of it is for what follows."""

    of: str
    number: int
    layer: GrownLinear
    share: int

    @property
    def name(self) -> str:
        return f"{self.of} layer {self.number + 1}"

    @property
    def group(self) -> int:
        """Units that are added and taken away together: filters share a norm."""
        return GROUP if isinstance(self.layer, Stage) else 1


def growing(network: Network) -> list[Place]:
    """Hidden layers that can grow: those in front of a lift cannot, the lift has a fixed number of inputs."""
    backbone = [] if len(network.lifts) else network.hidden_layers()[: -len(network.neck.layers) or None]
    fields = network.backbone.fields if isinstance(network.backbone, Convolutions) else 1
    found = [Place("backbone", k, layer, 1) for k, layer in enumerate(backbone)]
    if found:
        found[-1] = found[-1]._replace(share=fields)
    return found + [Place("neck", k, cast(GrownLinear, layer), 1) for k, layer in enumerate(network.neck.layers)]


def drift(before: GrownLinear, after: GrownLinear) -> Tensor:
    """How far each unit's incoming weights and bias went, relative to their norm. -> [outputs], -1: no unit of its own
    but what an inserted layer gives"""
    old, new = (torch.cat([w.flatten(1), b[:, None]], 1) for w, b in (matrix(before), matrix(after)))
    relative: Tensor = (new - old).norm(dim=1) / (old.norm(dim=1) + EPSILON)
    for inserted in before.insertions:
        if inserted.rows != inserted.columns:
            relative[slice(*inserted.rows)] = -1
    return relative


def passing(network: Network, places: Sequence[Place], x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What each of the places takes and gives, one after the other. x: as the first of them takes it, or flat."""
    for k, place in enumerate(places):
        if k and isinstance(places[k - 1].layer, Stage) and not isinstance(place.layer, Stage):
            x = cast(Convolutions, network.backbone).pooled(x)
        elif not isinstance(place.layer, Stage):
            x = x.flatten(1)
        given = x
        x = place.layer.activated(x)
        yield given, x
