"""Exemplars: the few rows that stand for each class, in the order of herding (Rebuffi et al., 2017, algorithm 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from service.learning.data.memory import herd
from service.learning.data.rows import Rows, hash_order
from service.learning.methods.rehearse.stored_logits import positions
from service.learning.network.checkpoint import Tensors
from service.learning.training.body import BeforeHead
from service.learning.training.fit import logits
from service.learning.training.learner import Learner

SCALE = 16.0
"""Largest score of a row of usual length, so that a softmax tells classes apart before a temperature is fitted."""
NEVER = -2 * SCALE
"""Bias of a class of which no row is left."""


@dataclass(frozen=True, eq=False)
class Exemplars:
    """The rows of each class by name, raw inputs, the best first."""

    rows: dict[str, Rows]

    def shrunk(self, quota: int) -> Exemplars:
        return Exemplars({name: rows.take(np.arange(min(quota, len(rows)))) for name, rows in self.rows.items()})

    def counts(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self.rows.items()}

    def together(self, like: Rows) -> Rows:
        """All exemplars, class after class. Without any: no rows, shaped as `like`."""
        return Rows.concat([like.take(np.zeros(0, np.int64)), *self.rows.values()])

    def stored(self, classes: Sequence[str]) -> dict[str, Tensor]:
        """The part of a checkpoint that keeps them: keyed hashes [m] and columns [m], in their order."""
        hashes = [rows.hashes.astype(np.int64) for rows in self.rows.values()]
        columns = [np.full(len(rows), classes.index(name)) for name, rows in self.rows.items()]
        empty = np.zeros(0, np.int64)
        return {
            "hashes": torch.from_numpy(np.concatenate([empty, *hashes])),
            "columns": torch.from_numpy(np.concatenate([empty, *columns])),
        }


def recalled(part: Tensors | None, kept: Rows, classes: Sequence[str]) -> Exemplars:
    """The exemplars that a part stores and whose rows are still kept, in their order."""
    if part is None or not len(kept) or not len(part["hashes"]):
        return Exemplars({})
    at, stored = positions(kept, part["hashes"].numpy())
    columns = part["columns"].numpy()
    rows = np.flatnonzero(stored & (kept.codes(classes) == columns[at]))
    first = rows[np.unique(at[rows], return_index=True)[1]]  # in their order; a repeated row counts once
    return Exemplars(_by_class(kept.take(first)))


def herded(learner: Learner, rows: Rows, quota: int) -> dict[str, Rows]:
    """At most `quota` of the learning rows of each class, chosen by herding on the features that the head sees now."""
    rows = rows.take(rows.learning)
    rows = rows.take(hash_order(rows))
    by_class = _by_class(rows).items()
    return {name: own.take(herd(features_of(learner, own), quota).numpy()) for name, own in by_class}


def features_of(learner: Learner, rows: Rows) -> Tensor:
    """The features of raw rows that the head sees. -> [n, M]"""
    return logits(BeforeHead(learner.body), learner.training_rows.of(rows).x, learner.run)


def nearest_mean(features: dict[str, Tensor], classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The nearest mean of exemplars as a linear head: weight [C, M], bias [C]. features: [n, M] by name of the class.

    argmin_c |x/|x| - m_c| with |m_c| = 1 is argmax_c m_c x/|x|, and |x| > 0 is the same for every class. So the answer
    is argmax_c m_c x, and no row has to be brought to norm 1 for it.
    """
    present = [name for name in classes if name in features]
    means = {name: F.normalize(F.normalize(features[name], dim=1).mean(0), dim=0) for name in present}
    every = torch.cat([features[name] for name in present])
    usual = float(every.norm(dim=1).mean()) or 1.0
    weight, bias = torch.zeros(len(classes), every.shape[1]), torch.full((len(classes),), NEVER)
    shared = torch.stack(list(means.values())).mean(0)
    for k, name in enumerate(classes):
        if name in means:
            weight[k], bias[k] = (means[name] - shared) * (SCALE / usual), 0.0
    return weight, bias


def _by_class(rows: Rows) -> dict[str, Rows]:
    return {name: rows.take(rows.labels == rows.names.index(name)) for name in sorted(rows.present())}
