"""Corrects a head that favours new classes after training: three corrections, each folded into its weights.

Weight aligning (Zhao, Xiao, Gan, Zhang, Xia: Maintaining discrimination and fairness in class incremental learning,
CVPR 2020) · bias correction (Wu et al.: Large scale incremental learning, CVPR 2019) · logit adjustment (Menon et al.:
Long-tail learning via logit adjustment, ICLR 2021, eq. 9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from service.learning.data.rows import Floats, Ints
from service.learning.method_params import Balance
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Checkpoint, Tensors
from service.learning.network.growth import matrix
from service.learning.statistics import at_least
from service.learning.training.optimiser import put

ADJUSTED = "state.balance"
"""The part that keeps what was taken off each column, so that it can be given back before the next training."""
LEVEL = "training on a balanced softmax left no class favoured for its rows"
EXACT = "the head goes on from an exact one, whose prior is a parameter of its own"
HELD = "old scores are kept as they are"
NO_OLD = "no row of some old class was learned beside, so its score knows nothing of shares"
TAKEN_OVER = 0.1
"""Share of old rows answered with a new class beyond which a note says so."""
NEWTON_STEPS = 50
LEAST_SCALE, MOST_SCALE = 1 / 16, 16.0
SHOWN = 0.05
"""A correction helps where chance alone would win so many more rows kept back less often than this."""


@dataclass(frozen=True, eq=False)
class Balanced:
    """The correction of a head: for the report, and what was taken off each column (None: nothing)."""

    report: dict[str, Any] = field(default_factory=dict)
    note: str | None = None
    taken: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Trained:
    """A head behind its body as training left it.

    `known`: old columns · `unit` [C]: the factor of each column behind the head, None: 1 · `selecting()`:
    logits [n, C] and columns [n] of rows kept back · `counts()`: rows a class · `prior_free`: why its scores favour no
    class for its rows, None: they do.
    """

    head: GrownLinear
    known: int
    unit: Tensor | None
    selecting: Callable[[], tuple[Tensor, Tensor]]
    counts: Callable[[], Sequence[int]]
    prior_free: str | None = None


@dataclass
class Levelling:
    """What becomes of a head that favours classes for their rows, in one training.

    prior_free: why its scores favour none; None: they do · parts: what was taken off each column, as a version keeps it
    · balance: the correction that the params ask for · lacks_old: some old class was not trained on.
    """

    prior_free: str | None = None
    parts: Mapping[str, Tensors] = field(default_factory=dict)
    balance: Balance = "none"
    lacks_old: bool = False

    @staticmethod
    def going_on(base: Checkpoint, head: GrownLinear, keep_head: bool) -> Levelling:
        """For a head that goes on from the base's: what was taken off is given back, unless the head is kept as it
        is."""
        parts = {ADJUSTED: base.parts[ADJUSTED]} if ADJUSTED in base.parts else {}
        if base.layout.exact is not None:
            return Levelling(EXACT)
        if keep_head:
            return Levelling(HELD, parts)
        if parts:
            give_back(head, parts[ADJUSTED]["columns"])
        return Levelling()

    def trained(self, balance: Balance, level: bool) -> None:
        """Remembers that it was trained, and whether that left no class favoured."""
        self.balance = balance
        if level:
            self.prior_free = LEVEL

    def apply(self, trained: Trained) -> Balanced:
        """Corrects the head, in place."""
        free = self.prior_free or (NO_OLD if self.lacks_old else None)
        done = rebalance(self.balance, replace(trained, prior_free=free))
        if done.taken is not None:
            self.parts = {ADJUSTED: {"columns": done.taken}}
        return done

    def taken_over(self, answers: Tensor, known: int) -> list[str]:
        """A note where new classes have taken old rows. answers [n, C]: to old rows"""
        share = float((answers.argmax(1) >= known).double().mean())
        if share <= TAKEN_OVER:
            return []
        level = ' "balance": "correct" levels them afterwards;' if self.balance == "none" else ""
        return [
            f"{share:.0%} of the old rows kept back are now answered with a new class: nothing held the balance "
            f"between old classes and new ones.{level} ridge, replay and linear_probe hold it."
        ]


def rebalance(balance: Balance, trained: Trained) -> Balanced:
    """Applies one correction to the head, in place; where it cannot be applied, the note says why."""
    if balance == "none":
        return Balanced()
    if balance == "adjust":
        return _adjust(trained)
    head, known = trained.head, trained.known
    if not 0 < known < head.out_features:
        return Balanced(note=f"balance {balance} was not applied: there are no new columns beside old ones.")
    if balance == "align":
        return Balanced({"applied": "align", "gamma": align(head, known, trained.unit)})
    logits, columns = trained.selecting()
    if balance == "correct":
        fitted = fit_correction(logits.double().numpy(), columns.numpy(), known)
        if fitted is None:
            lacking = "no rows of both old and new classes are kept back for choosing"
            return Balanced(note=f"balance correct was not applied: {lacking}.")
        correct(head, known, *fitted)
        return Balanced({"applied": "correct", "alpha": fitted[0], "beta": fitted[1], "rows": len(columns)})
    return _if_shown(trained, logits, columns)


def _adjust(trained: Trained) -> Balanced:
    if trained.prior_free is not None:
        return Balanced(note=f"balance adjust was not applied: {trained.prior_free}.")
    taken = log_priors(trained.counts())
    shift(trained.head, -taken)
    return Balanced({"applied": "adjust", "log_priors": [round(float(v), 4) for v in taken]}, taken=taken)


def _if_shown(trained: Trained, logits: Tensor, columns: Tensor) -> Balanced:
    """Aligns or corrects, whichever helps rows kept back by more than chance; otherwise the head stays as it is."""
    head, known, right = trained.head, trained.known, logits.argmax(1) == columns
    report: dict[str, Any] = {"applied": "none", **crossings(logits, columns, known)}
    fitted = fit_correction(logits.double().numpy(), columns.numpy(), known)
    if fitted is None:
        return Balanced(report)
    report["accuracy"], before = {"none": balanced_accuracy(logits, columns)}, _values(head)
    best: tuple[float, str, list[Tensor]] | None = None
    for name in ("align", "correct"):
        if name == "align":
            report["gamma"] = align(head, known, trained.unit)
        else:
            correct(head, known, *fitted)
            report["alpha"], report["beta"] = fitted
        now = trained.selecting()[0]
        better, score = now.argmax(1) == columns, balanced_accuracy(now, columns)
        report["accuracy"][name] = score
        won, lost = int((better & ~right).sum()), int((right & ~better).sum())
        if at_least(won, won + lost, 0.5) < SHOWN and (best is None or score > best[0]):
            best = score, name, _values(head)
        put(list(head.parameters()), before)
    if best is not None:
        put(list(head.parameters()), best[2])
        report["applied"] = best[1]
    return Balanced(report)


@torch.no_grad()
def align(head: GrownLinear, known: int, unit: Tensor | None = None) -> float:
    """Aligns weights: rows from `known` on times gamma = mean |w_old| / mean |w_new|, in place; biases stay.

    `unit` [C]: the factor of each column behind the head. -> gamma; 1 when done again.
    """
    weight = matrix(head)[0] if unit is None else matrix(head)[0] * unit[:, None]
    norms = weight.double().norm(dim=1)
    old, new = float(norms[:known].mean()), float(norms[known:].mean())
    gamma = old / new if new > 0 else 1.0
    _scale(head, known, gamma)
    return gamma


@torch.no_grad()
def correct(head: GrownLinear, known: int, scale: float, offset: float) -> None:
    """Corrects biases: columns from `known` on become scale z + offset, in place."""
    _scale(head, known, scale, biases=True)
    columns = torch.zeros(head.out_features)
    columns[known:] = offset
    shift(head, columns)


def fit_correction(logits: Floats, columns: Ints, known: int) -> tuple[float, float] | None:
    """Fits (scale, offset) of the new columns with the least cross-entropy on rows weighted alike for each class.

    logits [n, C], columns [n]. Newton's method: the loss is convex in both; a prior worth one row holds them at (1, 0),
    so that rows which are all right do not send them to infinity. None without both old and new rows.
    """
    if not len(columns) or columns.min() >= known or columns.max() < known:
        return None
    rows = np.bincount(columns, minlength=logits.shape[1])
    weight = 1 / rows[columns] / (rows > 0).sum()
    moves = np.stack([logits, np.ones_like(logits)], 2)
    moves[:, :known] = 0
    fixed = np.where(np.arange(logits.shape[1]) < known, logits, 0)
    own, prior, start = moves[np.arange(len(columns)), columns], 1 / len(columns), np.array([1.0, 0.0])

    def loss(at: Floats) -> float:
        z = fixed + moves @ at
        top = z.max(1)
        right = z[np.arange(len(columns)), columns]
        return float(
            weight @ (np.log(np.exp(z - top[:, None]).sum(1)) + top - right) + prior * ((at - start) ** 2).sum()
        )

    at = start
    for _ in range(NEWTON_STEPS):
        z = fixed + moves @ at
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        mean = np.einsum("nc,nck->nk", p, moves)
        slope = weight @ (mean - own) + 2 * prior * (at - start)
        bend = np.einsum("n,nc,nck,ncl->kl", weight, p, moves, moves) - np.einsum("n,nk,nl->kl", weight, mean, mean)
        step = np.linalg.solve(bend + 2 * prior * np.eye(2), slope)
        size, now = 1.0, loss(at)
        while size > 1e-6 and loss(at - size * step) > now:
            size /= 2
        at = at - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return float(np.clip(at[0], LEAST_SCALE, MOST_SCALE)), float(at[1])


def log_priors(counts: Sequence[int]) -> Tensor:
    """log pi of each class from its rows (one at least), their mean taken off. -> [C]"""
    logs = torch.tensor([max(n, 1) for n in counts], dtype=torch.float64).log()
    return (logs - logs.mean()).float()


@torch.no_grad()
def shift(head: GrownLinear, columns: Tensor) -> None:
    """Adds to each column's bias, in place. columns [C]"""
    for block in head:
        if block.bias is not None:
            block.bias.add_(columns[slice(*block.rows)])


def give_back(head: GrownLinear, taken: Tensor) -> None:
    """Undoes a logit adjustment before training goes on: it belongs to answers, not to what is learned. taken [<= C]"""
    columns = torch.zeros(head.out_features)
    columns[: len(taken)] = taken
    shift(head, columns)


def crossings(logits: Tensor, columns: Tensor, known: int) -> dict[str, int]:
    """Counts rows answered on the wrong side: old ones called new, new ones called old. logits [n, C], columns [n]"""
    is_new, called = columns >= known, logits.argmax(1) >= known
    return {"called_new": int((called & ~is_new).sum()), "called_old": int((is_new & ~called).sum())}


def balanced_accuracy(logits: Tensor, columns: Tensor) -> float:
    """Mean accuracy over the classes that have rows."""
    right = (logits.argmax(1) == columns).double()
    rows = columns.bincount()
    hits = torch.zeros(len(rows), dtype=torch.float64).index_add_(0, columns, right)
    return float((hits / rows.clamp(min=1))[rows > 0].mean())


def _values(head: GrownLinear) -> list[Tensor]:
    return [p.detach().clone() for p in head.parameters()]


@torch.no_grad()
def _scale(head: GrownLinear, first: int, by: float, biases: bool = False) -> None:
    for block in head:
        start = max(first - block.rows[0], 0)
        block.weight[start:] *= by
        if biases and block.bias is not None:
            block.bias[start:] *= by
