"""Temperature: one number that makes the probabilities of a closed-form head honest.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. A regression on one-hot targets is never sure at
temperature 1, and discriminants are surer than they are right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.learning.data.rows import FeatureRows, Floats, Ints, smallest
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


def fit_temperature(logits: Floats, columns: Ints, steps: int = STEPS) -> float:
    """Fits the temperature in [2^-8, 2^8] with the least log loss. logits [n, C], columns [n]: each row's own class.

    Targets are smoothed by 1 / (n + 2) over the classes that the head knows: a few rows that are all right do not show
    that none will be wrong. The loss is convex in 1 / temperature, so its range of 16 octaves is halved `steps` times.
    """
    enough = max(MOST_CELLS // logits.shape[1], ENOUGH_ROWS)
    logits, columns = logits[:enough], columns[:enough]
    answerable = logits > ABSENT / 2
    smooth = 1 / (len(columns) + 2)
    target = answerable * (smooth / answerable.sum(1, keepdims=True))
    target[np.arange(len(columns)), columns] += 1 - smooth
    target_mean = np.where(answerable, target * logits, 0).sum(1)
    relative = logits - logits.max(1, keepdims=True)

    def slope(inverse: float) -> float:
        weight = np.exp(relative * inverse)
        expected = np.where(answerable, weight * logits, 0).sum(1) / weight.sum(1)
        return float((expected - target_mean).mean())

    low, high = np.log2(1 / HOTTEST), np.log2(1 / COLDEST)
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(2.0**middle) < 0 else (low, middle)
    return float(2.0 ** -((low + high) / 2))


def temperature_of(
    ledger: Ledger, head: Head, entry: FeatureRows, out_of_fold: Floats, classes: Sequence[str], inherited: float | None
) -> tuple[float, str | None]:
    """Returns the temperature of a version, and a note where it rests on thin evidence.

    It is fitted on fold 2 by `head`, which learned folds 3-9 (at most 200 rows a class and source), once that has 50
    rows and two classes; else on as many out-of-fold answers to the update's own rows; else inherited; else fitted on
    ten such answers.
    """
    selected = smallest(ledger.selected, MOST_ROWS)
    logits = head.aligned(classes).logits(selected.values(ledger.shift))
    fitted = _fit(logits, selected.codes(classes), ENOUGH_ROWS)
    if fitted is not None:
        return fitted, None
    columns = entry.codes(classes)
    fitted = _fit(out_of_fold, columns, ENOUGH_ROWS)
    if fitted is None and inherited is not None:
        return inherited, None
    fitted = fitted or _fit(out_of_fold, columns, FEW_ROWS)
    if fitted is None:
        return 1.0, "Scores are no probabilities yet: there are too few rows to tune them on."
    return fitted, (
        "Scores are rough probabilities for now: fewer than 50 rows are kept back to tune them, so they are tuned on "
        "cross-validated answers."
    )


def _fit(logits: Floats, columns: Ints, least: int) -> float | None:
    """Fits on the rows whose class the head knows; None where those are too few or of one class."""
    known = columns >= 0
    known[known] = logits[known, columns[known]] > ABSENT / 2
    rows = np.flatnonzero(known)
    if len(rows) < least or len(np.unique(columns[rows])) < 2:
        return None
    rows = rows[:MOST_ROWS]
    return fit_temperature(np.asarray(logits[rows], np.float64), columns[rows])
