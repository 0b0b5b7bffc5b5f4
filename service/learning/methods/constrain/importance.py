"""How stiff each weight is held: importances that a version remembers, in the frame in which its network trains.

Every update's importances are brought to mean 1 over the weights before they are joined: a model that is sure of its
rows has a Fisher near 0, so that sums of raw ones would let early batches rule, and one strength would mean ten orders
of magnitude. They are kept outside of any frame, as the square of a weight's unit demands, and by place in a layer, so
that a head which grew or was merged finds its own; what is new has importance 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from service.learning.data.memory import remember
from service.learning.data.rows import Rows
from service.learning.network.blocks import Block, GrownLinear
from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner

LARGEST = 1e3
"""Importances are clipped there: a few weights would else stand still alone."""
MEASURED_ROWS = 500
"""Rows on which importances are measured, at most: near the exact Fisher at a fraction of the passes."""
SAMPLE, LABELS = 7, 8
"""Salts of the run's generators."""
ROWS = "rows"


@dataclass(frozen=True, eq=False)
class Importance:
    """`values`: by name of the body's parameter, in its frame · `rows`: how many rows they speak for."""

    values: Mapping[str, Tensor]
    rows: float

    @classmethod
    def alike(cls, body: nn.Module, rows: float) -> Importance:
        """1 for every weight: nothing is known of their worth, which makes the pull that of l2_sp."""
        return cls({name: torch.ones_like(p, requires_grad=False) for name, p in trained(body)}, rows)

    @classmethod
    def normalised(cls, values: Mapping[str, Tensor], rows: float) -> Importance | None:
        """Brought to mean 1; null where all are 0."""
        mean = mean_of(values)
        return cls({name: v / mean for name, v in values.items()}, rows) if mean > 0 else None

    def mixed(self, other: Importance, share: float) -> Importance:
        """share x these + (1 - share) x the others, of the rows of both."""
        values = {name: share * v + (1 - share) * other.values[name] for name, v in self.values.items()}
        return Importance(values, self.rows + other.rows)

    def joined(self, other: Importance | None) -> Importance:
        """The mean of both, each by its rows: online, sum_t n_t F_t / sum_t n_t."""
        if other is None:
            return self
        return self.mixed(other, self.rows / (self.rows + other.rows))

    def clipped(self) -> dict[str, Tensor]:
        """What the pull takes."""
        return {name: v.clamp(max=LARGEST) for name, v in self.values.items()}

    def stored(self, learner: Learner) -> dict[str, Tensor]:
        """For a part of the version: outside of the frame, by place. Before `finish`, which leaves the frame."""
        units = _units(learner)
        found: dict[str, Tensor] = {ROWS: torch.tensor([self.rows], dtype=torch.float64)}
        for name, key, place, shape in _places(learner.body):
            whole = found.setdefault(key, torch.zeros(shape))
            whole[place] = self.values[name] * units.get(name, 1.0)
        return found

    @classmethod
    def recalled(cls, learner: Learner, part: str) -> Importance | None:
        """What the base remembers, in this update's frame, 0 for all that is new; null: it remembers none."""
        told = learner.base.parts.get(part) if learner.base else None
        if told is None:
            return None
        units, values = _units(learner), {}
        for name, key, place, shape in _places(learner.body):
            whole = _padded(told.get(key), shape)
            if whole is None:
                return None
            values[name] = (whole[place] / units.get(name, 1.0)).clone()
        return cls(values, float(told[ROWS]))


def trained(body: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that train."""
    return ((name, p) for name, p in body.named_parameters() if p.requires_grad)


def mean_of(values: Mapping[str, Tensor]) -> float:
    """Over all weights."""
    count = sum(v.numel() for v in values.values())
    return sum(float(v.double().sum()) for v in values.values()) / max(count, 1)


def sample_of(learner: Learner, rows: Labelled) -> Labelled:
    """At most 500 of the rows, drawn by the run's seed."""
    if rows.rows <= MEASURED_ROWS:
        return rows
    at = torch.randperm(rows.rows, generator=learner.run.generator(SAMPLE))[:MEASURED_ROWS]
    return Labelled(rows.x[at], rows.y[at])


def old_rows(learner: Learner) -> Labelled:
    """Rows of what was known, at most 500: kept ones, else pseudo-rows of the exact sums; none where neither is."""
    kept = learner.training_rows.kept
    learning = kept.take(kept.learning)
    if len(learning):
        return learner.training_rows.of(remember(learning, MEASURED_ROWS))
    return sample_of(learner, learner.stand_ins(learner.batch))


def unlabelled_rows(learner: Learner) -> Labelled:
    """The update's rows without a label; their column is -1."""
    inputs = learner.data.unlabelled
    none = np.zeros(len(inputs), np.int64)
    false, empty = np.zeros(len(inputs), bool), np.zeros(len(inputs), np.uint64)
    return learner.training_rows.of(Rows(inputs, ("",), none, none, false, empty, ("",), none, none, ("",), none))


def _units(learner: Learner) -> dict[str, Tensor]:
    """The square of the frame's unit, [1, in], for the weights of the layer that sees it: d^2 scales so."""
    names = {id(p): name for name, p in trained(learner.body)}
    framed = [b for b in learner.training_rows.first_layer if b.weight.ndim == 2 and id(b.weight) in names]
    return {names[id(b.weight)]: learner.training_rows.frame.spread[None, :] ** 2 for b in framed}


Place = tuple[slice, ...]


def _places(body: nn.Module) -> Iterator[tuple[str, str, Place, torch.Size]]:
    """(parameter, key in the part, its place there, shape of what is kept there) of all that trains.

    Dense blocks have a place in their layer's matrix; everything else is kept whole, under its own name.
    """
    within: dict[int, tuple[str, Place, torch.Size]] = {}
    for prefix, layer in body.named_modules():
        if type(layer) is GrownLinear and all(type(block) is Block for block in layer):
            shape = torch.Size((layer.out_features, layer.in_features))
            for block in layer:
                rows, columns = slice(*block.rows), slice(*block.columns)
                within[id(block.weight)] = f"{prefix}.weight", (rows, columns), shape
                within[id(block.bias)] = f"{prefix}.bias", (rows,), shape[:1]
    for name, p in trained(body):
        yield name, *within.get(id(p), (name, (), p.shape))


def _padded(tensor: Tensor | None, shape: torch.Size) -> Tensor | None:
    """With zeros up to a shape; null where it does not fit into that."""
    if tensor is None:
        return torch.zeros(shape)
    if tensor.ndim != len(shape) or any(a > b for a, b in zip(tensor.shape, shape, strict=True)):
        return None
    whole = torch.zeros(shape)
    whole[tuple(slice(n) for n in tensor.shape)] = tensor
    return whole
