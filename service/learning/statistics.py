"""The tests and intervals that the gate rests on, exact where rows are few.

Counts are small and shares lie near 0 or 1, so nothing assumes a normal distribution but the two intervals, which are
the ones that keep their coverage there: Agresti-Min for a paired difference, Wilson for a single share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Interval = tuple[float, float]

Z95 = 1.96
SURELY = 0.05
"""Chance below which something is no luck, where no policy sets another."""


def at_least(k: int, n: int, p: float, tested: float = 0) -> float:
    """P(Bin(n, p) >= k): how likely chance alone gives k or more of n.

    tested: rows on which p was measured, if it is not known better than that; then any share that those rows might show
    as p is as likely as its density (beta-binomial): of few rows many more are no wonder.
    """
    from scipy.special import bdtrc, betaln, gammaln  # a process that only serves does without it

    if k <= 0:
        return 1.0
    if k > n or p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    if not tested:
        return float(bdtrc(k - 1, n, p))
    some, a, b = np.arange(k, n + 1), p * tested, (1 - p) * tested
    ways = gammaln(n + 1) - gammaln(some + 1) - gammaln(n - some + 1)
    return float(np.exp(ways + betaln(some + a, n - some + b) - betaln(a, b)).sum())


def wilson(k: int, n: int) -> Interval | None:
    """Interval of a share k of n (Wilson 1927); None without rows."""
    if n == 0:
        return None
    share, room = k / n, Z95 * Z95 / n
    centre = (share + room / 2) / (1 + room)
    half = Z95 * math.sqrt(share * (1 - share) / n + room / (4 * n)) / (1 + room)
    return max(0.0, centre - half), min(1.0, centre + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests, in the given order (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, k in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[k]))
        adjusted[k] = reached
    return adjusted


def step_up(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of tests of nearly one thing, in the given order (Benjamini and Hochberg 1995).

    The k-th smallest of n counts n / k times: one among many proves little, all together as much as one alone.
    """
    adjusted, reached = [1.0] * len(p_values), 1.0
    for rank, k in sorted(enumerate(sorted(range(len(p_values)), key=p_values.__getitem__), 1), reverse=True):
        reached = min(reached, len(p_values) / rank * p_values[k])
        adjusted[k] = reached
    return adjusted


def same_shares(before: Mapping[str, float], now: Mapping[str, float]) -> float:
    """Chance that counts by class of two draws from one population differ so much (Pearson's chi-square).

    before, now: class -> rows, of which each has some. Classes that are too rare for it are taken together.
    """
    from scipy.special import chdtrc

    names = sorted({*before, *now})
    table = np.array([[counts.get(name, 0) for name in names] for counts in (before, now)], np.float64)
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    rare = expected.min(0) < FEWEST_EXPECTED
    table, expected = (np.column_stack([t[:, ~rare], t[:, rare].sum(1)]) for t in (table, expected))
    off = ((table - expected) ** 2 / np.maximum(expected, FEWEST_EXPECTED)).sum()
    return float(chdtrc(max(len(names) - rare.sum() + rare.any() - 1, 1), off))


FEWEST_EXPECTED = 5
"""Rows of a class for which chi-square holds (Cochran 1954)."""


def auc(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """Share of pairs in which the number from `higher` [m] exceeds that from `lower` [k]; ties count half."""
    ranked = np.sort(lower)
    below, upto = np.searchsorted(ranked, higher, "left"), np.searchsorted(ranked, higher, "right")
    return float((below + upto).mean() / (2 * len(lower)))


def auc_at_most(value: float, higher: int, lower: int, usual: float) -> float:
    """Chance that so many rows show no larger an area where it is `usual` (normal; Hanley and McNeil 1982, eq. 1)."""
    q1, q2 = usual / (2 - usual), 2 * usual**2 / (1 + usual)
    spread = usual * (1 - usual) + (higher - 1) * (q1 - usual**2) + (lower - 1) * (q2 - usual**2)
    return 0.5 * math.erfc((usual - value) / math.sqrt(2 * spread / (higher * lower)))


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Chance that differences about 0 lie so far above it (one-sided; Wilcoxon 1945, normal with ties). [n]

    Zeros are left out. 1.0 of fewer than five differences.
    """
    from scipy.special import ndtr

    signed = differences[differences != 0]
    n = len(signed)
    if n < 5:
        return 1.0
    ranks, counts = _ranks(np.abs(signed))
    spread = n * (n + 1) * (2 * n + 1) / 24 - float((counts**3 - counts).sum()) / 48
    return float(ndtr(-(ranks[signed > 0].sum() - n * (n + 1) / 4) / math.sqrt(spread)))


def high_by_chance(values: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """Chance that values of each group lie so high among those of all (one-sided; Mann and Whitney 1947, normal with
    ties). values, group [n] -> [groups]; 1.0 where a group has none or all of them"""
    from scipy.special import ndtr

    n = len(values)
    ranks, counts = _ranks(values)
    own = np.bincount(group, minlength=groups)
    spread = own * (n - own) * (n + 1 - (counts**3 - counts).sum() / max(n * (n - 1), 1)) / 12
    beyond = np.bincount(group, ranks, groups) - own * (n + 1) / 2
    return np.where(spread > 0, ndtr(-beyond / np.sqrt(np.where(spread > 0, spread, 1))), 1.0)


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's rank correlation of a [n] and b [n]; 0 where one of them has but one value."""
    if len(a) < 2 or np.ptp(a) <= ONE_VALUE or np.ptp(b) <= ONE_VALUE:
        return 0.0
    return float(np.corrcoef(_ranks(a)[0], _ranks(b)[0])[0, 1])


def ordered_by_chance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Chance that a [n] and b [n], unrelated, have so great a rank correlation (Fisher's z). 1.0 of fewer than five."""
    from scipy.special import ndtr

    if len(a) < 5:
        return 1.0
    return float(ndtr(-math.atanh(0.999999 * rank_correlation(a, b)) * math.sqrt(len(a) - 3)))


def fisher_z(correlation: NDArray[np.float64] | float, most: float = 0.999) -> NDArray[np.float64]:
    """A correlation, cut at ± `most`, as Fisher's z, whose spread hardly depends on it. Shaped as `correlation`."""
    return np.asarray(np.arctanh(np.clip(correlation, -most, most)))


ONE_VALUE = 1e-9
"""Numbers closer than this are one value: what is left of their difference is rounding."""


def one_more(value: float, before: NDArray[np.float64], prior: float, noise: float) -> float:
    """Chance that one more draw lies so far above the ones before (Student's t). before [k], k >= 1

    Their spread is drawn toward `prior` as if by four more draws. `noise`: variance of this draw alone.
    """
    from scipy.special import stdtr

    k = len(before)
    spread = (PRIOR_DRAWS * prior**2 + (float(before.var(ddof=1)) * (k - 1) if k > 1 else 0.0)) / (PRIOR_DRAWS + k - 1)
    t = (value - float(before.mean())) / math.sqrt(spread * (1 + 1 / k) + noise)
    return float(stdtr(PRIOR_DRAWS + k - 1, -t))


PRIOR_DRAWS = 4
"""Draws that the usual spread is worth before there are any."""


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Ranks from 1, those of ties their mean, and how many share each value. [n] -> [n], [values]"""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place], counts


@dataclass(frozen=True)
class Paired:
    """Before and after on the same n rows: `worse` were right and are wrong now, `better` the reverse."""

    rows: int
    worse: int
    better: int

    @staticmethod
    def of(before: Bools, after: Bools) -> Paired:
        """Counts rows by whether they are right. before, after [n]"""
        return Paired(len(before), int((before & ~after).sum()), int((~before & after).sum()))

    @property
    def drop(self) -> float:
        """Share of rows lost on balance: accuracy before minus accuracy after; 0 without rows."""
        return (self.worse - self.better) / self.rows if self.rows else 0.0

    @property
    def p_harm(self) -> float:
        """Chance that two equally good versions differ at least this much for the worse (one-sided sign test)."""
        return at_least(self.worse, self.worse + self.better, 0.5)

    @property
    def gain(self) -> float:
        """Accuracy after minus accuracy before; 0 of what may be luck."""
        sure = min(self.p_harm, at_least(self.better, self.worse + self.better, 0.5)) < SURELY
        return -self.drop if sure else 0.0

    @property
    def interval(self) -> Interval | None:
        """95 % interval of after minus before (Agresti and Min 2005); None without rows."""
        if not self.rows:
            return None
        n, worse, better = self.rows + 2, self.worse + 0.5, self.better + 0.5
        change = (better - worse) / n
        half = Z95 * math.sqrt(worse + better - (worse - better) ** 2 / n) / n
        return max(-1.0, change - half), min(1.0, change + half)


def outweighs(lost: Paired, won: Paired) -> float:
    """Chance that the drop on some rows is so much more than the gain on others, were both equal (normal, one side)."""
    variance = sum((p.worse + p.better - (p.worse - p.better) ** 2 / p.rows) / p.rows**2 for p in (lost, won))
    net = lost.drop + won.drop
    return 0.5 * math.erfc(net / math.sqrt(2 * variance)) if variance else float(net <= 0)


@dataclass(frozen=True)
class Narrowed:
    """How far the margins of the same n rows fell: of each row, its own class's score above the best other, as a
    multiple of what is usual.

    `paired`: which of them are wrong now, and were before · `before`, `after`: the middle margin · `drop`: how much
    smaller the mean of Phi(margin) is, which is a share of right rows with soft edges: one just lost or won counts
    little, and rows that come near to the edge count, too · `p`: the chance of such a fall (signed ranks).
    """

    paired: Paired
    before: float
    after: float
    drop: float
    p: float

    @staticmethod
    def of(paired: Paired, before: NDArray[np.float64], after: NDArray[np.float64]) -> Narrowed:
        """Compares margins row by row; at least one. before, after [n]"""
        from scipy.special import ndtr

        drop = float((ndtr(before) - ndtr(after)).mean())
        return Narrowed(paired, float(np.median(before)), float(np.median(after)), drop, signed_rank(before - after))


@dataclass(frozen=True)
class Agreement:
    """How often answers equal labels, and how often two unrelated columns with the same counts would (`chance`)."""

    rows: int
    right: int
    chance: float

    @staticmethod
    def of(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> Agreement:
        """Counts equal codes, which are >= 0, row by row. answers, labels [n]"""
        size = int(max(answers.max(initial=-1), labels.max(initial=-1))) + 1
        answered, labelled = np.bincount(answers, minlength=size), np.bincount(labels, minlength=size)
        chance = float(answered @ labelled) / len(labels) ** 2 if len(labels) else 1.0
        return Agreement(len(labels), int((answers == labels).sum()), chance)

    @property
    def p(self) -> float:
        """Chance that unrelated answers agree this often; small: the labels can be predicted from the inputs."""
        return at_least(self.right, self.rows, self.chance)
