"""Pseudo-rows: features of classes whose rows are gone, drawn from the moments in the exact sums.

Class k is N(mu_k, S_w), the within-class covariance shared by all: prototype augmentation (Zhu et al., CVPR 2021) with
the covariance of linear discriminant analysis in place of a sphere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from service.learning.ledger.ledger import Ledger
from service.learning.ledger.moments import Moments
from service.learning.ledger.sums import Sums
from service.learning.training.frame import Frame
from service.learning.training.training_set import Labelled


@dataclass(frozen=True, eq=False)
class Gaussians:
    """One Gaussian a class. counts: rows seen · means [C, M] · factor [M, M], F F' = S_w · shape: of a row."""

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    means: Tensor
    factor: Tensor
    shape: tuple[int, ...]

    @classmethod
    def of_ledger(cls, ledger: Ledger, frame: Frame, shape: tuple[int, ...]) -> Gaussians:
        """Fits the learning rows in a frame. Rows that judge or select have no part."""
        return cls.of(_learning(ledger), ledger.shift, frame, shape)

    @classmethod
    def of(cls, sums: Sums, shift: int, frame: Frame, shape: tuple[int, ...]) -> Gaussians:
        """Fits sums on the grid 2^-shift: mu_k = q_k / n_k, S_w = (G - sum_k q_k q_k' / n_k) / (N - C)."""
        ordered, step = sums.sorted(), 2.0**-shift
        if not ordered.rows:
            return cls((), (), torch.zeros(0, sums.width), torch.zeros(0, 0), shape)
        moments = Moments.of(ordered, prior=1.0)
        means = torch.from_numpy(moments.means.T * step)
        factor = _factor(torch.from_numpy(moments.within * step**2))
        means, factor = frame.place(means).float(), (factor / frame.spread[:, None]).float()
        return cls(ordered.classes, tuple(int(k) for k in ordered.n), means, factor, shape)

    def draw(self, most: int, classes: Sequence[str], generator: torch.Generator) -> Labelled:
        """Draws at most `most` rows of each of `classes`, never more than were seen; y is the place in `classes`."""
        at = {name: k for k, name in enumerate(classes)}
        x, y = [torch.zeros(0, *self.shape)], [torch.zeros(0, dtype=torch.int64)]
        for name, count, mean in zip(self.classes, self.counts, self.means, strict=True):
            rows = min(count, most if name in at else 0)
            noise = torch.randn(rows, len(mean), generator=generator)
            x.append((mean + noise @ self.factor.T).reshape(rows, *self.shape))
            y.append(torch.full((rows,), at.get(name, -1)))
        return Labelled(torch.cat(x), torch.cat(y))


def _learning(ledger: Ledger) -> Sums:
    """Sums of the learning rows. A class that has none is summed from the rows it lent: all its rows less the bounded
    ones that judge and select. They give its mean alone, since products are not kept by class."""
    learn, other = ledger.learn, ledger.judge + ledger.select
    learned = frozenset(learn.classes)
    small = [name for name in other.classes if name not in learned]
    if not small:
        return learn
    exam, selected = ledger.exam, ledger.selected
    place = {name: k for k, name in enumerate(other.classes)}
    Q = other.Q[:, [place[name] for name in small]]
    for rows in (exam.take(exam.judging), selected.take(selected.selecting)):
        codes = rows.codes(small)
        Q = Q - Sums.of(rows.take(codes >= 0)).aligned(small).Q
    n = Q[-1]
    lent = Sums(tuple(name for name, rows in zip(small, n, strict=True) if rows > 0), learn.G, Q[:, n > 0], n[n > 0])
    return Sums(
        (*learn.classes, *lent.classes),
        learn.G + (lent.Q / lent.n) @ lent.Q.T,
        np.hstack([learn.Q, lent.Q]),
        np.r_[learn.n, lent.n],
    )


def _factor(covariance: Tensor) -> Tensor:
    """Cholesky factor; a covariance of fewer rows than features gets as large a diagonal as it needs. float64"""
    size = covariance.diagonal().mean().clamp(min=1e-12)
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    for power in range(-8, 3):
        factor, info = torch.linalg.cholesky_ex(covariance + size * 10.0**power * identity)
        if not info:
            return cast(Tensor, factor)
    raise ArithmeticError("sums of a ledger gave a covariance that is not one")
