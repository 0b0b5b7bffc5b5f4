"""Exemplars: the few rows that stand for each class, in the order in which herding chose them, found by keyed hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from service.learning.data.memory import herd
from service.learning.data.rows import Ints, Rows, hash_order
from service.learning.methods.rehearse.stored_logits import places
from service.learning.network.checkpoint import Tensors
from service.learning.training.body import BeforeHead
from service.learning.training.fit import logits
from service.learning.training.learner import Learner

SCALE = 16.0
"""Largest score of a row of usual length: so that a softmax of them says something before a temperature is fitted."""
NEVER = -2 * SCALE
"""Bias of a class of which no row is left."""


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Of each class by name: its rows (raw inputs), the best first."""

    rows: dict[str, Rows]

    def shrunk(self, quota: int) -> Exemplars:
        """The first `quota` of each class."""
        return Exemplars({name: rows.take(np.arange(min(quota, len(rows)))) for name, rows in self.rows.items()})

    def counts(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self.rows.items()}

    def together(self, like: Rows) -> Rows:
        """All of them, class after class; none: no rows shaped as `like`."""
        return Rows.concat([like.take(np.zeros(0, np.int64)), *self.rows.values()])

    def noted(self, classes: Sequence[str]) -> dict[str, Tensor]:
        """Keyed hashes [m] and columns [m] in their order, for a part of a checkpoint."""
        hashes = [rows.hashes.astype(np.int64) for rows in self.rows.values()]
        columns = [np.full(len(rows), classes.index(name)) for name, rows in self.rows.items()]
        none = np.zeros(0, np.int64)
        return {
            "hashes": torch.from_numpy(np.concatenate([none, *hashes])),
            "columns": torch.from_numpy(np.concatenate([none, *columns])),
        }


def recalled(part: Tensors | None, kept: Rows, classes: Sequence[str]) -> Exemplars:
    """Those that a part noted and that are still kept, in their order."""
    if part is None or not len(kept) or not len(part["hashes"]):
        return Exemplars({})
    at, found = places(kept, part["hashes"].numpy())
    columns = part["columns"].numpy()
    mine = np.flatnonzero(found & (kept.codes(classes) == columns[at]))
    first = mine[np.unique(at[mine], return_index=True)[1]]  # in the order noted; a repeated row counts once
    return _by_class(kept, first)


def chosen(learner: Learner, rows: Rows, quota: int) -> Exemplars:
    """Herded among the learning rows of each class, by what the head sees of them now."""
    rows = rows.take(rows.learning)
    rows = rows.take(hash_order(rows))
    return Exemplars(
        {name: mine.take(herd(seen(learner, mine), quota).numpy()) for name, mine in _by_class(rows).rows.items()}
    )


def seen(learner: Learner, rows: Rows) -> Tensor:
    """What the head sees of raw rows. -> [n, M]"""
    return logits(BeforeHead(learner.body), learner.training_rows.of(rows).x, learner.run)


def nearest_mean(features: dict[str, Tensor], classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Nearest mean of exemplars as a linear head: weight [C, M], bias [C].

    argmin_c |x/|x| - m_c| with |m_c| = 1 is argmax_c m_c x/|x|, and |x| > 0 is the same for every class: so the answer
    is argmax_c m_c x, and no row has to be brought to norm 1 for it. features: of the exemplars [n, M], by name.
    """
    there = [name for name in classes if name in features]
    means = {name: F.normalize(F.normalize(features[name], dim=1).mean(0), dim=0) for name in there}
    every = torch.cat([features[name] for name in there])
    usual = float(every.norm(dim=1).mean()) or 1.0
    weight, bias = torch.zeros(len(classes), every.shape[1]), torch.full((len(classes),), NEVER)
    shared = torch.stack(list(means.values())).mean(0)
    for k, name in enumerate(classes):
        if name in means:
            weight[k], bias[k] = (means[name] - shared) * (SCALE / usual), 0.0
    return weight, bias


def _by_class(rows: Rows, order: Ints | None = None) -> Exemplars:
    mine = rows if order is None else rows.take(order)
    return Exemplars({name: mine.take(mine.labels == mine.names.index(name)) for name in sorted(mine.present())})
