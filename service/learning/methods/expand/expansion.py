"""Adding units to hidden layers: copies of the units that moved go beside the old ones, and what dies is taken away.

A unit is a row of a dense layer or a filter of a convolution. Old blocks are never written to. Added units see
everything below them; old units and old outputs do not see them, unless `adapt` adds blocks from the new units to the
old. Those start at zero, so nothing changes before training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from service.learning.methods.expand.growable_layers import GrowableLayer, growable, inputs_and_outputs
from service.learning.network.blocks import Block, Bottleneck, GrownLinear, Inserted, Span, new_block
from service.learning.network.convolutions import Filters, Stage
from service.learning.network.growth import matrix, next_part
from service.learning.network.network import Network

LOOKED_AT_ONCE = 512
"""Rows that pass the network together when its units are watched."""


@dataclass(eq=False)
class Expansion:
    """What was added to a network.

    layers: the hidden layers that can grow · widths: where each one's new units begin · units: the block of them, or
    None · inserted: the layer inserted behind it, or None · rows: the head's new rows · bridges: blocks from new units
    to old units and old columns.
    """

    network: Network
    layers: Sequence[GrowableLayer]
    widths: list[int]
    units: list[Block | None]
    inserted: list[Inserted | None]
    rows: Block | None
    bridges: list[Block] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block | Inserted]:
        blocks = [*self.units, *self.inserted, self.rows, *self.bridges]
        return [block for block in blocks if block is not None]

    @property
    def added(self) -> list[int]:
        """New units a layer."""
        return [0 if block is None else len(block.weight) for block in self.units]

    @property
    def insertion_norms(self) -> list[float | None]:
        """How far each inserted layer is from the identity: the norm of V."""
        return [None if inserted is None else float(inserted.up.detach().norm()) for inserted in self.inserted]

    def report(self, **numbers: Sequence[Any]) -> list[dict[str, Any]]:
        """One dict a layer, with its name and its number of each kind."""
        rows = zip(*numbers.values(), strict=True)
        return [
            {"layer": layer.name, **dict(zip(numbers, row, strict=True))}
            for layer, row in zip(self.layers, rows, strict=True)
        ]

    def consumers(self, layer: int) -> GrownLinear:
        return self.layers[layer + 1].layer if layer + 1 < len(self.layers) else self.network.head

    @torch.no_grad()
    def firing(self, x: Tensor) -> list[Tensor]:
        """How many of the rows [n, ...] wake each new unit, layer by layer; filters of one norm wake together."""
        counts = [torch.zeros(n, dtype=torch.int64) for n in self.added]
        for start in range(0, len(x), LOOKED_AT_ONCE):
            part = x[start : start + LOOKED_AT_ONCE]
            for k, (_, h) in enumerate(inputs_and_outputs(self.network, self.layers, part)):
                awake = h[:, self.widths[k] :] > 0
                counts[k] += (awake.flatten(2).any(2) if awake.ndim > 2 else awake).sum(0)
        return [_together(c, layer.group) for c, layer in zip(counts, self.layers, strict=True)]

    @torch.no_grad()
    def revive(self, fired: Sequence[Tensor], generator: torch.Generator) -> list[int]:
        """Draws anew the incoming weights of units that no row wakes. -> how many a layer"""
        revived = []
        for block, counts in zip(self.units, fired, strict=True):
            dead = counts == 0
            if block is not None and block.bias is not None and bool(dead.any()):
                norm = block.weight.flatten(1).norm(dim=1).mean()
                scale = (float(norm) or 1.0) / block.weight[0].numel() ** 0.5
                shape = (int(dead.sum()), *block.weight.shape[1:])
                block.weight[dead] = torch.randn(shape, generator=generator) * scale
                block.bias[dead] = 0
                if isinstance(block, Filters):
                    block.norm_weight[dead], block.norm_bias[dead] = 1.0, 0.0
            revived.append(int(dead.sum()))
        return revived

    def prune(self, fired: Sequence[Tensor]) -> list[int]:
        """Takes away new units that no row wakes, those whose weights are all zero among them. -> how many a layer"""
        pruned = []
        for k, counts in enumerate(fired):
            kept = counts > 0
            pruned.append(int((~kept).sum()))
            if pruned[-1]:
                self._keep(k, kept)
        return pruned

    def _keep(self, k: int, kept: Tensor) -> None:
        """Takes away the other new units of a layer, and the columns of whatever sees them."""
        block, width, growing = self.units[k], self.widths[k], self.layers[k]
        assert block is not None
        assert block.bias is not None
        stop = width + int(kept.sum())
        _resize(block, block.weight[kept], block.bias[kept], (width, stop), block.columns)
        if isinstance(block, Filters):
            norm = block.norm_weight, block.norm_bias
            block.norm_weight, block.norm_bias = (torch.nn.Parameter(p.detach()[kept].clone()) for p in norm)
        if not kept.any():
            _drop(growing.layer, block)
            self.units[k] = None
        for user in list(self.consumers(k)):
            start, end = user.columns
            if end > width * growing.fan_out:
                old = torch.ones(width * growing.fan_out - start, dtype=torch.bool)
                columns = torch.cat([old, kept.repeat_interleave(growing.fan_out)])
                _resize(user, user.weight[:, columns], user.bias, user.rows, (start, start + int(columns.sum())))
                if not columns.any():
                    _drop(self.consumers(k), user)
                    self.bridges.remove(user)


@dataclass(frozen=True, eq=False)
class GrowthPlan:
    """What to add to each hidden layer: copies of the units `copied` [k] of the probe's layer, and units of a layer to
    insert behind it, 0: none."""

    probe: Sequence[GrownLinear]
    copied: Sequence[Tensor]
    inserted: Sequence[int] = ()


def expand(
    network: Network, plan: GrowthPlan, rows: Block | None, generator: torch.Generator, *, adapt: bool
) -> Expansion:
    """Adds what is planned to the hidden layers, in place.

    A copy takes its weights over old inputs from the probe; where those came from units that were copied below, it
    listens to the copies instead. New head rows `rows` get small random weights on the copies. Only the new units see
    an inserted layer, in `adapt` all that follows.
    """
    layers = growable(network)
    insert = plan.inserted or [0] * len(layers)
    parts = {kind: next_part(network, kind) for kind in ("backbone", "neck")}
    head_part = next_part(network, "head")
    expansion = Expansion(network, layers, [], [], [], rows)
    below, more, wide = torch.zeros(0, dtype=torch.int64), 0, 0
    for growing, trained, moved, inner in zip(layers, plan.probe, plan.copied, insert, strict=True):
        layer, part, key = growing.layer, parts[growing.section], f"{growing.number}."
        inputs, wide = max(wide, layer.in_features), layer.out_features * growing.fan_out
        if adapt:
            expansion.bridges += _bridges(layer, inputs, more, part, key)
        expansion.inserted.append(_insert(layer, inner, part, f"{key}in.", generator, adapt) if inner else None)
        width = layer.out_features
        beside = 0 if adapt or not inner else width // 2
        expansion.widths.append(width)
        at: tuple[Span, Span] = ((width, width + len(moved)), (0, inputs + more))
        block = _copies(trained, moved, below, at, part, key) if len(moved) else None
        expansion.units.append(block)
        if block is not None:
            if isinstance(layer, Stage):
                block.uses = layer.uses
            layer.blocks.append(block)
        below = (moved[:, None] * growing.fan_out + torch.arange(growing.fan_out)).flatten()
        more = (beside + len(moved)) * growing.fan_out
    if adapt:
        expansion.bridges += _bridges(network.head, wide, more, head_part, "", but=rows)
    if rows is not None and more:
        _widen(rows, more, generator)
    return expansion


@torch.no_grad()
def _copies(trained: GrownLinear, moved: Tensor, below: Tensor, at: tuple[Span, Span], part: str, key: str) -> Block:
    """A block of copies of the units `moved`, whose inputs from units copied `below` come from those copies."""
    weight, bias = matrix(trained)
    old, (rows, columns) = weight[moved], at
    copied = old[:, below]
    old[:, below] = 0
    between = columns[1] - old.shape[1] - copied.shape[1]
    weights = torch.cat([old, old.new_zeros(len(moved), between, *old.shape[2:]), copied], 1)
    if not isinstance(trained, Stage):
        return Block(rows, columns, weights, bias[moved], part, key)
    scale, shift = trained.norm()
    return Filters(rows, columns, weights, bias[moved], part, key).set_norm(scale[moved], shift[moved])


def _insert(
    layer: GrownLinear, inner: int, part: str, key: str, generator: torch.Generator, in_place: bool
) -> Inserted:
    """Inserts h + V relu(U h) of `inner` units behind a layer: U ~ N(0, 2 / width), V = 0, at first the identity."""
    width, kernel = layer.out_features, (1, 1) if isinstance(layer, Stage) else ()
    down = torch.randn(inner, width, *kernel, generator=generator) * (2.0 / width) ** 0.5
    rows = (0, width) if in_place else (width, 2 * width)
    weights = Bottleneck(down, torch.zeros(inner), torch.zeros(width, inner, *kernel))
    inserted = Inserted(rows, (0, width), weights, part, key)
    inserted.uses = layer.uses
    layer.inserted.append(inserted)
    return inserted


def _bridges(layer: GrownLinear, inputs: int, new: int, part: str, key: str, but: Block | None = None) -> list[Block]:
    """Appends zero blocks from `new` more inputs to each group of rows that the layer has, but those of block `but`."""
    owners = [b for b in layer if b.bias is not None and b is not but] if new else []
    bridges = []
    for k, b in enumerate(owners):
        weight = torch.zeros(len(b.weight), new, *b.weight.shape[2:])
        bridges.append(type(b)(b.rows, (inputs, inputs + new), weight, None, part, f"{key}to{k}."))
        bridges[-1].uses = b.uses
    layer.blocks.extend(bridges)
    return bridges


@torch.no_grad()
def _widen(rows: Block, new: int, generator: torch.Generator) -> None:
    """Gives the head's new rows small random weights on `new` more inputs."""
    small = (
        new_block((0, len(rows.weight)), (0, new), "", "", generator, gain=1.0).weight * rows.weight.norm(dim=1).mean()
    )
    start, stop = rows.columns
    _resize(rows, torch.cat([rows.weight, small], 1), rows.bias, rows.rows, (start, stop + new))


def _together(counts: Tensor, group: int) -> Tensor:
    """Counts of units, each the largest of its group. Units that fill no whole groups are one group."""
    if not len(counts):
        return counts
    size = group if len(counts) % group == 0 else len(counts)
    return counts.view(-1, size).max(1).values.repeat_interleave(size)


def _resize(block: Block, weight: Tensor, bias: Tensor | None, rows: Span, columns: Span) -> None:
    block.weight = torch.nn.Parameter(weight.detach().clone())
    block.bias = None if bias is None else torch.nn.Parameter(bias.detach().clone())
    block.rows, block.columns = rows, columns


def _drop(layer: GrownLinear, block: Block) -> None:
    layer.blocks = torch.nn.ModuleList([b for b in layer if b is not block])
