"""Adding units to dense layers beside the old ones: which units moved, copies of them, and taking away what died.

Old blocks are never written to. Added units see everything below them; old units and old outputs do not see them,
unless `adapt` adds blocks from the new units to the old. Those start at zero, so nothing changes before training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from service.learning.architectures import Network, new_block
from service.learning.growth import matrix, next_part
from service.learning.heads import Block, GrownLinear

EPSILON = 1e-6


def drift(before: GrownLinear, after: GrownLinear) -> Tensor:
    """How far each unit's incoming weights and bias went, relative to their norm. -> [units]"""
    old, new = (torch.cat([w, b[:, None]], 1) for w, b in (matrix(before), matrix(after)))
    relative: Tensor = (new - old).norm(dim=1) / (old.norm(dim=1) + EPSILON)
    return relative


@dataclass(eq=False)
class Expansion:
    """What was added to a network.

    names: of the hidden layers that can grow · widths: their old ones · units: the block of each one's new units, null:
    none · rows: the head's new rows · bridges: blocks from new units to old units and old columns.
    """

    names: Sequence[str]
    layers: Sequence[GrownLinear]
    head: GrownLinear
    widths: Sequence[int]
    units: list[Block | None]
    rows: Block | None
    bridges: list[Block] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block]:
        """All that may train."""
        return [*(b for b in self.units if b is not None), *([self.rows] if self.rows else []), *self.bridges]

    @property
    def added(self) -> list[int]:
        """New units a layer."""
        return [0 if block is None else len(block.weight) for block in self.units]

    def consumers(self, layer: int) -> GrownLinear:
        """What comes after a hidden layer."""
        return self.layers[layer + 1] if layer + 1 < len(self.layers) else self.head

    @torch.no_grad()
    def firing(self, x: Tensor) -> list[Tensor]:
        """How many of the rows [n, ...] wake each new unit, layer by layer."""
        x, counts = x.flatten(1), []
        for layer, width in zip(self.layers, self.widths, strict=True):
            x = torch.relu(layer(x))
            counts.append((x[:, width:] > 0).sum(0))
        return counts

    @torch.no_grad()
    def revive(self, fired: Sequence[Tensor], generator: torch.Generator) -> list[int]:
        """Draw anew the incoming weights of units that no row wakes. -> how many a layer"""
        revived = []
        for block, counts in zip(self.units, fired, strict=True):
            dead = counts == 0
            if block is not None and block.bias is not None and bool(dead.any()):
                scale = (block.weight.norm(dim=1).mean() or 1.0) / block.weight.shape[1] ** 0.5
                block.weight[dead] = torch.randn(int(dead.sum()), block.weight.shape[1], generator=generator) * scale
                block.bias[dead] = 0
            revived.append(int(dead.sum()))
        return revived

    def prune(self, fired: Sequence[Tensor]) -> list[int]:
        """Take away new units that no row wakes (units whose weights are all zero among them). -> how many a layer"""
        pruned = []
        for k, counts in enumerate(fired):
            kept = counts > 0
            pruned.append(int((~kept).sum()))
            if pruned[-1]:
                self._keep(k, kept)
        return pruned

    def _keep(self, k: int, kept: Tensor) -> None:
        block, width = self.units[k], self.widths[k]
        assert block is not None
        assert block.bias is not None
        stop = width + int(kept.sum())
        _resize(block, block.weight[kept], block.bias[kept], (width, stop), block.columns)
        if not kept.any():
            _drop(self.layers[k], block)
            self.units[k] = None
        for user in list(self.consumers(k)):
            start, end = user.columns
            if end > width:
                columns = torch.cat([torch.ones(width - start, dtype=torch.bool), kept])
                _resize(user, user.weight[:, columns], user.bias, user.rows, (start, stop))
                if start == stop:
                    _drop(self.consumers(k), user)
                    self.bridges.remove(user)


def expand(
    network: Network,
    chosen: Sequence[Tensor],
    probe: Sequence[GrownLinear],
    rows: Block | None,
    generator: torch.Generator,
    *,
    adapt: bool,
) -> Expansion:
    """Append copies of the probe's units `chosen` [k_l] to each hidden layer, in place.

    A copy takes its weights over old inputs from the probe; where those came from units that were copied below, it
    listens to the copies instead. New head rows `rows` get small random weights on the copies.
    """
    layers = growing(network)
    kinds = _kinds(network)
    names = [f"{kind} layer {k + 1}" for kind, k in kinds]
    parts = {kind: next_part(network.dense_layers(), kind) for kind in ("backbone", "neck")}
    units: list[Block | None] = []
    found = Expansion(names, layers, network.head, [layer.out_features for layer in layers], units, rows)
    below = torch.zeros(0, dtype=torch.int64)
    for (kind, key), layer, trained, mine in zip(kinds, layers, probe, chosen, strict=True):
        inputs, outputs = layer.in_features, layer.out_features
        if adapt:
            found.bridges += _bridges(layer, len(below), parts[kind], f"{key}.")
        units.append(_copies(trained, mine, below, (outputs, inputs), parts[kind], f"{key}.") if len(mine) else None)
        if units[-1] is not None:
            layer.blocks.append(units[-1])
        below = mine
    if adapt:
        found.bridges += _bridges(network.head, len(below), next_part(network.head, "head"), "", but=rows)
    if rows is not None and len(below):
        _widen(rows, len(below), generator)
    return found


def growing(network: Network) -> list[GrownLinear]:
    """Hidden dense layers that can grow: those in front of a lift cannot, the lift has a fixed number of inputs."""
    layers = network.dense_layers()
    return layers[len(layers) - len(network.neck.layers) :] if len(network.lifts) else layers


def _kinds(network: Network) -> list[tuple[str, int]]:
    """Shard kind and number of each growing layer."""
    neck = [("neck", k) for k in range(len(network.neck.layers))]
    return [("backbone", k) for k in range(len(growing(network)) - len(neck))] + neck


@torch.no_grad()
def _copies(trained: GrownLinear, mine: Tensor, below: Tensor, at: tuple[int, int], part: str, key: str) -> Block:
    weight, bias = matrix(trained)
    old = weight[mine]
    copied = old[:, below]
    old[:, below] = 0
    outputs, inputs = at
    rows, columns = (outputs, outputs + len(mine)), (0, inputs + len(below))
    return Block(rows, columns, torch.cat([old, copied], 1), bias[mine], part, key)


def _bridges(layer: GrownLinear, new: int, part: str, key: str, but: Block | None = None) -> list[Block]:
    """Zero blocks from `new` more inputs to each group of rows that the layer has, those of block `but` left out."""
    owners = [b for b in layer if b.bias is not None and b is not but] if new else []
    inputs = layer.in_features
    made = [
        Block(b.rows, (inputs, inputs + new), torch.zeros(len(b.weight), new), None, part, f"{key}to{k}.")
        for k, b in enumerate(owners)
    ]
    layer.blocks.extend(made)
    return made


@torch.no_grad()
def _widen(rows: Block, new: int, generator: torch.Generator) -> None:
    small = (
        new_block((0, len(rows.weight)), (0, new), "", "", generator, gain=1.0).weight * rows.weight.norm(dim=1).mean()
    )
    start, stop = rows.columns
    _resize(rows, torch.cat([rows.weight, small], 1), rows.bias, rows.rows, (start, stop + new))


def _resize(block: Block, weight: Tensor, bias: Tensor | None, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    block.weight = torch.nn.Parameter(weight.detach().clone())
    block.bias = None if bias is None else torch.nn.Parameter(bias.detach().clone())
    block.rows, block.columns = rows, columns


def _drop(layer: GrownLinear, block: Block) -> None:
    layer.blocks = torch.nn.ModuleList([b for b in layer if b is not block])
