"""Ridge and discriminants in one head: the sum of both scores, each in units of how far apart it sets the classes.

Both are linear and come from the same sums, so their sum is a head like any other, and as exact. Ridge weighs every
direction by all rows, discriminants by the spread within classes alone; where one errs the other often does not.
Measured on ten feature sets of 100 to 18,000 rows: 1.5 points above ridge on average, above it in 27 of 35 cases and
never more than 0.7 points below; discriminants alone gain 1.2, and lose up to 4; the better of the two, chosen by rows
kept back, gains 1.0. Where rows are many the classes' spread is no longer one, and ridge alone may be better: then the
discriminants are left out, once rows kept back show it beyond luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from service.learning.data.rows import FeatureRows, Ints
from service.learning.exact.calibration import fit_temperature
from service.learning.exact.out_of_fold import LeftOut, set_apart
from service.learning.exact.solve import Head, solve_lda
from service.learning.ledger.sums import Floats, Sums
from service.learning.statistics import Paired

TESTED_ROWS = 200
"""Rows kept back for choosing below which the discriminants stay: fewer tell too little."""
DOUBT = 0.05
"""Largest chance that a difference is luck, for it to decide."""
HALVINGS = 12
"""Of the temperature of each head: to half a percent, which is as good as exact here."""


@dataclass(frozen=True)
class Compared:
    """Ridge alone and with discriminants on the same rows, each at its own temperature.

    alone, both: accuracy · gain: by how much alone is better in its Brier score, row by row on average · p: the chance
    that it gains as much where there is no difference; 1 where both are surely right more often.
    """

    rows: int
    alone: float
    both: float
    gain: float
    p: float

    @property
    def surely(self) -> bool:
        """Whether ridge alone is surely better."""
        return self.p < DOUBT


def compared(alone: Head, both: Head, rows: FeatureRows, shift: int) -> Compared | None:
    """Two heads of the learning rows on rows kept back for choosing (rounded features); null: those are too few.

    Right answers alone tell too little: where ridge was 0.4 points better on rows of a test, none of six such tests on
    1,800 rows showed it, and four of them by the Brier score: the squared error of probabilities, which is proper, and
    bounded, so that no few rows decide. On seven other feature sets it agreed with right answers.
    """
    rows = rows.take(rows.codes(alone.classes) >= 0)
    if len(rows) < TESTED_ROWS:
        return None
    features, truth = rows.values(shift), rows.codes(alone.classes)
    logits = [head.aligned(alone.classes).logits(features) for head in (alone, both)]
    right = [scores.argmax(1) == truth for scores in logits]
    gain, p = 0.0, 1.0
    if Paired.of(right[1], right[0]).p_harm >= DOUBT:
        alone_error, both_error = (_brier(scores, truth) for scores in logits)
        gain, p = float((both_error - alone_error).mean()), _luck(both_error - alone_error)
    return Compared(len(rows), float(right[0].mean()), float(right[1].mean()), gain, p)


def _brier(logits: Floats, truth: Ints) -> Floats:
    """Squared error of the probabilities of each row, at the temperature that suits these rows best. -> [n]"""
    from scipy.special import softmax  # of no use to a process that only serves

    errors = softmax(logits / fit_temperature(logits, truth, HALVINGS), axis=1)
    errors[np.arange(len(truth)), truth] -= 1
    return np.asarray((errors**2).sum(1))


def _luck(gains: Floats) -> float:
    """Chance of so large a mean where the true one is 0; of many rows. gains [n]"""
    error = float(gains.std()) / math.sqrt(len(gains))
    return 0.5 * math.erfc(float(gains.mean()) / error / math.sqrt(2)) if error > 0 else 1.0


def with_discriminants(ridge: Head, sums: Sums, shift: int) -> Head:
    """The ridge head of these rows plus their discriminants with a uniform prior, in the unit of the ridge head."""
    return blended(ridge, solve_lda(sums, shift), sums, shift)


def blended(ridge: Head, discriminants: Head, sums: Sums, shift: int) -> Head:
    """Both heads of these rows in one, in the unit of the ridge head (`unit_of`)."""
    ordered = sums.sorted()  # one order of classes, so that a mean over them has the same bits however rows arrived
    means = ordered.Q[:-1].T / ordered.n[:, None] * 2.0**-shift
    heads = (head.aligned(ordered.classes) for head in (ridge, discriminants))
    unit, added = unit_of(*(set_apart(head, means) for head in heads)), discriminants.aligned(ridge.classes)
    return Head(ridge.classes, ridge.weight + unit * added.weight, ridge.bias + unit * added.bias)


def blended_apart(ridge: Iterable[LeftOut], discriminants: Iterable[LeftOut]) -> Iterator[LeftOut]:
    """The same of what both answer without each group of folds."""
    for mine, other in zip(ridge, discriminants, strict=True):
        yield replace(mine, logits=mine.logits + unit_of(mine.apart(), other.apart()) * other.logits)


def unit_of(ridge: float, discriminants: float) -> float:
    """What one unit of the discriminants' scores is in ridge's, from how far each sets classes apart; 0 where one of
    the two sets nothing apart."""
    return ridge / discriminants if discriminants else 0.0
