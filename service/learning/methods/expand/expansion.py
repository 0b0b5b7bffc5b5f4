"""Adding units to hidden layers beside the old ones: which units moved, copies of them, and taking away what died.

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

from service.learning.methods.expand.growable_layers import Place, growing, passing
from service.learning.network.blocks import Block, GrownLinear, Inserted, Span, new_block
from service.learning.network.convolutions import Filters, Stage
from service.learning.network.growth import matrix, next_part
from service.learning.network.network import Network

LOOKED_AT_ONCE = 512
"""Rows that pass the network together when its units are watched."""


@dataclass(eq=False)
class Expansion:
    """What was added to a network.

    places: the hidden layers that can grow · widths: where each one's new units begin · units: the block of them, null:
    none · inserted: the layer put in behind, null: none · rows: the head's new rows · bridges: blocks from new units to
    old units and old columns.
    """

    network: Network
    places: Sequence[Place]
    widths: list[int]
    units: list[Block | None]
    inserted: list[Inserted | None]
    rows: Block | None
    bridges: list[Block] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block | Inserted]:
        """All that may train."""
        made = [*self.units, *self.inserted, self.rows, *self.bridges]
        return [block for block in made if block is not None]

    @property
    def added(self) -> list[int]:
        """New units a layer."""
        return [0 if block is None else len(block.weight) for block in self.units]

    @property
    def insertion_norms(self) -> list[float | None]:
        """How far the layer put in behind each layer is from none: the norm of V."""
        return [None if inserted is None else float(inserted.up.detach().norm()) for inserted in self.inserted]

    def told(self, **numbers: Sequence[Any]) -> list[dict[str, Any]]:
        """One dict a layer, with its name and its number of each kind."""
        rows = zip(*numbers.values(), strict=True)
        names = [place.name for place in self.places]
        return [{"layer": name, **dict(zip(numbers, row, strict=True))} for name, row in zip(names, rows, strict=True)]

    def consumers(self, layer: int) -> GrownLinear:
        """What comes after a hidden layer."""
        return self.places[layer + 1].layer if layer + 1 < len(self.places) else self.network.head

    @torch.no_grad()
    def firing(self, x: Tensor) -> list[Tensor]:
        """How many of the rows [n, ...] wake each new unit, layer by layer; filters of one norm wake together."""
        counts = [torch.zeros(n, dtype=torch.int64) for n in self.added]
        for start in range(0, len(x), LOOKED_AT_ONCE):
            for k, (_, h) in enumerate(passing(self.network, self.places, x[start : start + LOOKED_AT_ONCE])):
                awake = h[:, self.widths[k] :] > 0
                counts[k] += (awake.flatten(2).any(2) if awake.ndim > 2 else awake).sum(0)
        return [_together(c, place.group) for c, place in zip(counts, self.places, strict=True)]

    @torch.no_grad()
    def revive(self, fired: Sequence[Tensor], generator: torch.Generator) -> list[int]:
        """Draw anew the incoming weights of units that no row wakes. -> how many a layer"""
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
        """Take away new units that no row wakes (units whose weights are all zero among them). -> how many a layer"""
        pruned = []
        for k, counts in enumerate(fired):
            kept = counts > 0
            pruned.append(int((~kept).sum()))
            if pruned[-1]:
                self._keep(k, kept)
        return pruned

    def _keep(self, k: int, kept: Tensor) -> None:
        block, width, place = self.units[k], self.widths[k], self.places[k]
        assert block is not None
        assert block.bias is not None
        stop = width + int(kept.sum())
        _resize(block, block.weight[kept], block.bias[kept], (width, stop), block.columns)
        if isinstance(block, Filters):
            block.norm_weight, block.norm_bias = (
                torch.nn.Parameter(p.detach()[kept].clone()) for p in (block.norm_weight, block.norm_bias)
            )
        if not kept.any():
            _drop(place.layer, block)
            self.units[k] = None
        for user in list(self.consumers(k)):
            start, end = user.columns
            if end > width * place.share:
                old = torch.ones(width * place.share - start, dtype=torch.bool)
                columns = torch.cat([old, kept.repeat_interleave(place.share)])
                _resize(user, user.weight[:, columns], user.bias, user.rows, (start, start + int(columns.sum())))
                if not columns.any():
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
    insert: Sequence[int] = (),
) -> Expansion:
    """Append copies of the probe's units `chosen` [k_l] to each hidden layer, in place.

    A copy takes its weights over old inputs from the probe; where those came from units that were copied below, it
    listens to the copies instead. New head rows `rows` get small random weights on the copies. `insert`: units of the
    layer to put in behind each hidden layer, 0: none; in front of the new units, and in `adapt` for all that follows.
    """
    places = growing(network)
    parts = {kind: next_part(network, kind) for kind in ("backbone", "neck")}
    head_part = next_part(network, "head")
    found = Expansion(network, places, [], [], [], rows)
    below, more, wide = torch.zeros(0, dtype=torch.int64), 0, 0
    for place, trained, mine, inner in zip(places, probe, chosen, insert or [0] * len(places), strict=True):
        layer, part = place.layer, parts[place.of]
        inputs, wide = max(wide, layer.in_features), layer.out_features * place.share
        if adapt:
            found.bridges += _bridges(layer, inputs, more, part, f"{place.number}.")
        found.inserted.append(_insert(layer, inner, part, f"{place.number}.in.", generator, adapt) if inner else None)
        width = layer.out_features
        beside = 0 if adapt or not inner else width // 2
        found.widths.append(width)
        at: tuple[Span, Span] = ((width, width + len(mine)), (0, inputs + more))
        found.units.append(_copies(trained, mine, below, at, part, f"{place.number}.") if len(mine) else None)
        if found.units[-1] is not None:
            if isinstance(layer, Stage):
                found.units[-1].places = layer.places
            layer.blocks.append(found.units[-1])
        below = (mine[:, None] * place.share + torch.arange(place.share)).flatten()
        more = (beside + len(mine)) * place.share
    if adapt:
        found.bridges += _bridges(network.head, wide, more, head_part, "", but=rows)
    if rows is not None and more:
        _widen(rows, more, generator)
    return found


@torch.no_grad()
def _copies(trained: GrownLinear, mine: Tensor, below: Tensor, at: tuple[Span, Span], part: str, key: str) -> Block:
    weight, bias = matrix(trained)
    old, (rows, columns) = weight[mine], at
    copied = old[:, below]
    old[:, below] = 0
    between = columns[1] - old.shape[1] - copied.shape[1]
    weights = torch.cat([old, old.new_zeros(len(mine), between, *old.shape[2:]), copied], 1)
    if not isinstance(trained, Stage):
        return Block(rows, columns, weights, bias[mine], part, key)
    norm = trained.norm()
    return Filters(rows, columns, weights, bias[mine], part, key, (norm[0][mine], norm[1][mine]))


def _insert(
    layer: GrownLinear, inner: int, part: str, key: str, generator: torch.Generator, in_place: bool
) -> Inserted:
    """A layer of `inner` units behind all that the layer gives: U ~ N(0, 2 / width), V = 0."""
    width, kernel = layer.out_features, (1, 1) if isinstance(layer, Stage) else ()
    down = torch.randn(inner, width, *kernel, generator=generator) * (2.0 / width) ** 0.5
    rows = (0, width) if in_place else (width, 2 * width)
    made = Inserted(rows, (0, width), down, torch.zeros(inner), torch.zeros(width, inner, *kernel), part, key)
    made.places = layer.places
    layer.inserted.append(made)
    return made


def _bridges(layer: GrownLinear, inputs: int, new: int, part: str, key: str, but: Block | None = None) -> list[Block]:
    """Zero blocks from `new` more inputs to each group of rows that the layer has, those of block `but` left out."""
    owners = [b for b in layer if b.bias is not None and b is not but] if new else []
    made = []
    for k, b in enumerate(owners):
        weight = torch.zeros(len(b.weight), new, *b.weight.shape[2:])
        made.append(type(b)(b.rows, (inputs, inputs + new), weight, None, part, f"{key}to{k}."))
        made[-1].places = b.places
    layer.blocks.extend(made)
    return made


@torch.no_grad()
def _widen(rows: Block, new: int, generator: torch.Generator) -> None:
    small = (
        new_block((0, len(rows.weight)), (0, new), "", "", generator, gain=1.0).weight * rows.weight.norm(dim=1).mean()
    )
    start, stop = rows.columns
    _resize(rows, torch.cat([rows.weight, small], 1), rows.bias, rows.rows, (start, stop + new))


def _together(counts: Tensor, group: int) -> Tensor:
    """Counts of units, each the largest of its group; a group that is not full is all there is."""
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
