"""Importances: how stiffly ewc, si and mas hold each weight, remembered by a version from update to update.

Every update's importances are brought to mean 1 over the weights before they are joined. Raw ones would let early
batches rule, since a model that is sure of its rows has a Fisher near 0, and one strength would mean ten orders of
magnitude. They are stored outside of any frame, in units of the squared weight, and by place in a layer, so that a head
that grew or was merged finds its own; a new weight has importance 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from service.learning.data.rows import Rows
from service.learning.network.blocks import Block, GrownLinear
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled

LARGEST = 1e3
"""Importances are clipped here: a few weights would else stand still alone."""
MEASURED_ROWS = 500
"""Rows on which importances are measured, at most: near the exact Fisher at a fraction of the passes."""
SAMPLE, LABELS = 7, 8
"""Salts of the run's generators."""
ROWS = "rows"


@dataclass(frozen=True, eq=False)
class Importance:
    """`values`: by name of the body's parameter, in its frame · `rows`: the number of rows that they stand for."""

    values: Mapping[str, Tensor]
    rows: float

    @classmethod
    def alike(cls, learner: Learner) -> Importance:
        """Importances of 1 for every weight, of all rows that were known: the pull is that of l2_sp."""
        ones = {name: torch.ones_like(p, requires_grad=False) for name, p in trained(learner.body)}
        return cls(ones, known_rows(learner))

    @classmethod
    def normalised(cls, values: Mapping[str, Tensor], rows: float) -> Importance | None:
        """Brings importances to mean 1. None where all are 0, or there are none."""
        mean = mean_of(values)
        return cls({name: v / mean for name, v in values.items()}, rows) if mean > 0 else None

    def mixed(self, other: Importance, share: float) -> Importance:
        """Mixes share x these + (1 - share) x the others, of the rows of both."""
        values = {name: share * v + (1 - share) * other.values[name] for name, v in self.values.items()}
        return Importance(values, self.rows + other.rows)

    def joined(self, other: Importance | None) -> Importance:
        """The mean of both, each by its rows: online, sum_t n_t F_t / sum_t n_t."""
        if other is None:
            return self
        return self.mixed(other, self.rows / (self.rows + other.rows))

    def clipped(self) -> dict[str, Tensor]:
        return {name: v.clamp(max=LARGEST) for name, v in self.values.items()}

    def stored(self, learner: Learner) -> dict[str, Tensor]:
        """The part of a version that keeps it: outside of the frame, by place. Call it before `finish`, which leaves
        the frame."""
        units = _units(learner)
        tensors: dict[str, Tensor] = {ROWS: torch.tensor([self.rows], dtype=torch.float64)}
        for name, key, place, shape in _places(learner.body):
            whole = tensors.setdefault(key, torch.zeros(shape))
            whole[place] = self.values[name] * units.get(name, 1.0)
        return tensors

    @classmethod
    def recalled(cls, learner: Learner, part: str) -> Importance | None:
        """What the base remembers, in this update's frame, 0 for new weights. None: it remembers nothing that fits."""
        stored = learner.base.parts.get(part) if learner.base else None
        if stored is None:
            return None
        units, values = _units(learner), {}
        for name, key, place, shape in _places(learner.body):
            whole = _padded(stored.get(key), shape)
            if whole is None:
                return None
            values[name] = (whole[place] / units.get(name, 1.0)).clone()
        return cls(values, float(stored[ROWS]))


class Held(NamedTuple):
    """What holds the weights of a base, and in words where it comes from."""

    importance: Importance
    source: str


Measure = Callable[[Learner], tuple[Held | None, str]]
"""Measures a base that remembers no importances. -> them, None where nothing tells them, and a note"""


def held_by(start: Learner, part: str, source: str, measure: Measure) -> Held:
    """What the base remembers in a part, `source` in words; else what is measured now; else all weights alike."""
    recalled = Importance.recalled(start, part)
    if recalled is not None:
        return Held(recalled, source)
    held, note = measure(start)
    start.notes.append(note)
    return held or Held(Importance.alike(start), "nothing; all weights alike")


def as_state(part: str, importance: Importance | None, learner: Learner) -> dict[str, dict[str, Tensor]] | None:
    """What `finish` stores for the next update."""
    return None if importance is None else {part: importance.stored(learner)}


def known_rows(learner: Learner) -> float:
    """Rows that the base learned, 1 at least."""
    return float(max(learner.data.known_rows, 1))


def trained(body: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in body.named_parameters() if p.requires_grad)


def mean_of(values: Mapping[str, Tensor]) -> float:
    count = sum(v.numel() for v in values.values())
    return sum(float(v.double().sum()) for v in values.values()) / max(count, 1)


def sample_of(learner: Learner, rows: Labelled) -> Labelled:
    """At most 500 of the rows, drawn by the run's seed."""
    return rows.sample(MEASURED_ROWS, learner.run.generator(SAMPLE))


def old_rows(learner: Learner) -> Labelled:
    """At most 500 rows of what was known: kept ones, else pseudo-rows of the exact sums, else none."""
    remembered = learner.training_rows.remembered(MEASURED_ROWS)
    if len(remembered):
        return learner.training_rows.of(remembered)
    return sample_of(learner, learner.stand_ins(learner.batch))


def unlabelled_rows(learner: Learner) -> Labelled:
    inputs = learner.data.unlabelled
    zeros = np.zeros(len(inputs), np.int64)
    false, hashes = np.zeros(len(inputs), bool), np.zeros(len(inputs), np.uint64)
    rows = Rows(inputs, ("",), zeros, zeros, false, hashes, ("",), zeros, zeros, ("",), zeros)
    return learner.training_rows.of(replace(rows, targets=learner.aim.unknown(inputs)))


def _units(learner: Learner) -> dict[str, Tensor]:
    """The square of the frame's unit, [1, in], for the weights of the layer that sees it: d^2 scales so."""
    names = {id(p): name for name, p in trained(learner.body)}
    framed = [b for b in learner.training_rows.first_layer if b.weight.ndim == 2 and id(b.weight) in names]
    return {names[id(b.weight)]: learner.training_rows.frame.spread[None, :] ** 2 for b in framed}


Slices = tuple[slice, ...]


def _places(body: nn.Module) -> Iterator[tuple[str, str, Slices, torch.Size]]:
    """(parameter, key in the part, its place there, shape of the tensor there) of all that trains.

    Dense blocks have a place in their layer's matrix; everything else is stored whole, under its own name.
    """
    within: dict[int, tuple[str, Slices, torch.Size]] = {}
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
    """Fills a tensor up to a shape with zeros. None where it does not fit into that."""
    if tensor is None:
        return torch.zeros(shape)
    if tensor.ndim != len(shape) or any(a > b for a, b in zip(tensor.shape, shape, strict=True)):
        return None
    whole = torch.zeros(shape)
    whole[tuple(slice(n) for n in tensor.shape)] = tensor
    return whole
