"""Stored logits: the scores that remembered rows had, found again by the rows' keyed hashes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from service.learning.data.rows import Bools, Ints, Rows
from service.learning.network.checkpoint import Tensors


@dataclass(frozen=True, eq=False)
class Scores:
    """logits [m, C] of m rows, of which the first `width` [m] columns were there when the row was learned."""

    logits: Tensor
    width: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Scores:
        """Scores in which every column counts."""
        return cls(logits, torch.full((len(logits),), logits.shape[1]))

    @property
    def mask(self) -> Tensor:
        """1 where a row had the column, else 0. -> [m, C]"""
        return (torch.arange(self.logits.shape[1]) < self.width[:, None]).float()

    def widened(self, columns: int) -> Scores:
        """Adds zeros up to so many columns."""
        room = torch.zeros(len(self.logits), columns - self.logits.shape[1])
        return Scores(torch.cat([self.logits, room], 1), self.width)

    def stored(self, rows: Rows) -> dict[str, Tensor]:
        """The part of a checkpoint that keeps them, with the keyed hashes of their rows."""
        hashes = torch.from_numpy(rows.hashes.astype(np.int64))
        return {"hashes": hashes, "logits": self.logits.contiguous(), "width": self.width}


def recall(part: Tensors | None, rows: Rows, otherwise: Tensor) -> Scores:
    """The scores that a part stores of these rows; of rows that it does not know, `otherwise` [n, C], all columns."""
    now = Scores.of(otherwise)
    if part is None or not len(rows) or not len(part["hashes"]):
        return now
    at, stored = positions(rows, part["hashes"].numpy())
    before = Scores(part["logits"][at], part["width"][at])
    columns = max(before.logits.shape[1], otherwise.shape[1])
    before, now = before.widened(columns), now.widened(columns)
    known = torch.from_numpy(stored)
    return Scores(torch.where(known[:, None], before.logits, now.logits), torch.where(known, before.width, now.width))


def positions(rows: Rows, hashes: Ints) -> tuple[Ints, Bools]:
    """The position of each row's keyed hash in `hashes` [m >= 1], and whether it is there. -> [n], [n]"""
    order = np.argsort(hashes, kind="stable")
    wanted = rows.hashes.astype(np.int64)
    at = order[np.searchsorted(hashes, wanted, sorter=order).clip(max=len(hashes) - 1)]
    return at, np.asarray(hashes[at] == wanted)
