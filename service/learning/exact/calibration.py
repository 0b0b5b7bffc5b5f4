"""Two numbers that make the probabilities of a closed-form head honest: its temperature, and what shares count.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. A regression on one-hot targets is never sure at
temperature 1, and discriminants are surer than they are right. Neither knows how common a class is: what the logarithm
of its share counts (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021) is fitted, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.learning.data.rows import Bools, FeatureRows, Floats, Ints, smallest
from service.learning.exact.solve import ABSENT, Head
from service.learning.ledger.ledger import Ledger

COLDEST, HOTTEST = 2.0**-8, 2.0**8
ENOUGH_ROWS = 50
"""Rows, of two classes or more, on which a temperature is fitted."""
FEW_ROWS = 10
"""Out-of-fold answers that have to do until there are enough, where no temperature is inherited."""
MOST_ROWS = 2000
"""Rows beyond which the fit does not improve."""
MOST_CELLS = 2**22
"""Scores, one a row and class, beyond which it does not either: fewer rows where classes are thousands."""
STEPS = 30
DRAWN = 4.0
"""On 50 rows kept back what shares count is drawn to nothing as by a normal prior of standard deviation 1 / 2, this
being 1 / variance, and on n rows as by one of sqrt(n / 50) times that.

50 rows hardly show it, and common classes were answered too often. On churn in its own order with 600 rows, 50 of them
kept back, the log loss of test rows is 0.463 and without this 0.466, and accuracy 0.786 and 0.761."""
NEWTON_STEPS, FARTHEST = 8, 8.0
"""Steps of the fit of both, and the most times that its 1 / temperature may be that of the temperature alone."""


@dataclass(frozen=True)
class Calibration:
    """Probabilities are softmax(scores / temperature), where a class's score has gained `log_share` times the logarithm
    of its share of all rows."""

    temperature: float
    log_share: float = 0.0


def fit_temperature(
    logits: Floats, columns: Ints, steps: int = STEPS, weight: Floats | None = None, gains: Floats | None = None
) -> float:
    """Fits the temperature in [2^-8, 2^8] with the least log loss. logits [n, C], columns [n]: each row's own class.

    weight [n]: how many rows each stands for · gains [C]: what is added to logits / temperature. Targets are smoothed
    by 1 / (n + 2) over the classes that the head knows: a few rows that are all right do not show that none will be
    wrong. The loss is convex in 1 / temperature, so its range of 16 octaves is halved `steps` times.
    """
    rows = _Rows.of(logits, columns, weight)
    added = np.zeros(rows.relative.shape[1]) if gains is None else gains

    def slope(inverse: float) -> float:
        excess = rows.probabilities(rows.relative * inverse + added) - rows.target
        return float(rows.weight @ (excess * rows.relative).sum(1))

    low, high = np.log2(1 / HOTTEST), np.log2(1 / COLDEST)
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(2.0**middle) < 0 else (low, middle)
    return float(2.0 ** -((low + high) / 2))


def fit(logits: Floats, columns: Ints, weight: Floats, shares: Floats) -> Calibration:
    """Fits both, with log_share / temperature in [0, 1], where few rows draw it to 0 (`DRAWN`). weight [n]: how many
    rows each stands for · shares [C]: of all rows, by class. Newton's method from the temperature alone: the loss is
    convex in 1 / temperature and the other."""
    rows, logs = _Rows.of(logits, columns, weight), np.log(np.where(shares > 0, shares, 1.0))
    alone = rows.relative / fit_temperature(logits, columns, STEPS, weight)
    moves, at = np.stack([alone, np.broadcast_to(logs, alone.shape)]), np.array([1.0, 0.0])
    drawn = np.array([0.0, DRAWN * ENOUGH_ROWS / len(columns) ** 2])
    for _ in range(NEWTON_STEPS):
        p = rows.probabilities(at[0] * moves[0] + at[1] * moves[1])
        slope, means = ((p - rows.target) * moves).sum(2) @ rows.weight, (p * moves).sum(2)
        curve = np.einsum("nc,inc,jnc,n->ij", p, moves, moves, rows.weight, optimize=True)
        curve += np.diag(drawn) - (means * rows.weight) @ means.T
        step = np.linalg.lstsq(curve, slope + drawn * at, rcond=1e-9)[0]
        at = np.clip(at - step, (1 / FARTHEST, 0), (FARTHEST, 1))
    temperature = fit_temperature(logits, columns, STEPS, weight, at[1] * logs)
    return Calibration(temperature, temperature * float(at[1]))


@dataclass(frozen=True, eq=False)
class _Rows:
    """What a calibration is fitted to: logits below the best [n, C], 0 where a class has none; targets [n, C]; weights
    [n], 1 in all."""

    answerable: Bools
    relative: Floats
    target: Floats
    weight: Floats

    @classmethod
    def of(cls, logits: Floats, columns: Ints, weight: Floats | None) -> _Rows:
        enough = max(MOST_CELLS // logits.shape[1], ENOUGH_ROWS)
        logits, columns = logits[:enough], columns[:enough]
        weight = np.ones(len(columns)) if weight is None else weight[:enough]
        answerable = logits > ABSENT / 2
        smooth = 1 / (len(columns) + 2)
        target = answerable * (smooth / answerable.sum(1, keepdims=True))
        target[np.arange(len(columns)), columns] += 1 - smooth
        relative = np.where(answerable, logits - logits.max(1, keepdims=True), 0.0)
        return cls(answerable, relative, target, weight / weight.sum())

    def probabilities(self, scores: Floats) -> Floats:
        scores = np.where(self.answerable, scores, -np.inf)
        raised = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(raised / raised.sum(1, keepdims=True))


def on_selecting_rows(ledger: Ledger, head: Head, by_share: bool) -> Calibration | None:
    """Fits on fold 2 by `head`, which learned folds 3-9; None with fewer than 50 rows or two classes. A function of the
    ledger. by_share: whether shares may count."""
    selected = smallest(ledger.selected, MOST_ROWS)
    classes = tuple(sorted(head.classes))  # one order of columns, so that the bits do not depend on that of the rows
    logits = head.aligned(classes).logits(selected.values(ledger.shift))
    learned = dict(zip(ledger.all.classes, ledger.all.n, strict=True))
    counts = np.array([learned[name] for name in classes])
    return _fit(logits, selected.codes(classes), counts, ENOUGH_ROWS, by_share)


def temperature_of(
    entry: FeatureRows, out_of_fold: Floats, classes: Sequence[str], inherited: float | None
) -> tuple[float, str | None]:
    """Returns the temperature of a version that has too few selecting rows, and a note where it rests on thin evidence.

    It is fitted on 50 out-of-fold answers to the update's own rows; else inherited; else fitted on ten such answers.
    """
    columns = entry.codes(classes)
    counts = np.bincount(columns[columns >= 0], minlength=len(classes)).astype(np.float64)
    fitted = _fit(out_of_fold, columns, counts, ENOUGH_ROWS)
    if fitted is None and inherited is not None:
        return inherited, None
    fitted = fitted or _fit(out_of_fold, columns, counts, FEW_ROWS)
    if fitted is None:
        return 1.0, "Scores are no probabilities yet: there are too few rows to tune them on."
    return fitted.temperature, (
        "Scores are rough probabilities for now: fewer than 50 rows are kept back to tune them, so they are tuned on "
        "cross-validated answers."
    )


def _fit(logits: Floats, columns: Ints, counts: Floats, least: int, by_share: bool = False) -> Calibration | None:
    """Fits on the rows whose class the head knows, each standing for its part of the rows of its class, since
    at most 200 are kept of one; None where rows are too few or of one class. counts [C]: rows that these stand for"""
    known = columns >= 0
    known[known] = (logits[known, columns[known]] > ABSENT / 2) & (counts[columns[known]] > 0)
    rows = np.flatnonzero(known)[:MOST_ROWS]
    kept = np.bincount(columns[rows], minlength=len(counts))
    if len(rows) < least or np.count_nonzero(kept) < 2:
        return None
    logits, columns = np.asarray(logits[rows], np.float64), columns[rows]
    weight = (counts / np.maximum(kept, 1))[columns]
    if by_share:
        return fit(logits, columns, weight, counts / counts.sum())
    return Calibration(fit_temperature(logits, columns, STEPS, weight))
