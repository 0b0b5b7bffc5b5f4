"""Out-of-fold answers of closed-form heads from the equations of all rows, not from a head for each group of folds.

Taking n_k rows out changes scatter and means by a matrix of rank n_k + C. So with A = L L' of all rows, what the head
without a group answers follows from inner products of that group's rows in the metric of L^-1 (Woodbury, "Inverting
modified matrices", 1950). One triangular solution serves all groups: n M^2 for n rows, where heads of their own take
M^3 / 3 each. Shrinkage is that of all rows, alpha D and (1 - eps, eps tr / M) over the scatter that is left: it says
nothing of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from service.learning.data.rows import FeatureRows, Ints, places_in_bounds
from service.learning.data.sides import near, parted
from service.learning.exact.solve import ABSENT, Head, RidgeEquations, in_features, lda_factor, lda_head, lda_shrinkage
from service.learning.ledger.batch_weights import weighted_sums
from service.learning.ledger.moments import Moments, freedom_of
from service.learning.ledger.sums import Floats, Sums
from service.learning.run import no_check
from service.learning.tables import blank, parts, table

FEW = 2
"""Groups of so many times fewer rows than there are features are cheaper by this way."""


class Equations(Protocol):
    """Those of all rows, A w_k = r_k. `spread`: what S_w counts in A."""

    moments: Moments
    spread: float

    def factor(self) -> Floats:
        """L of A = L L', its lower triangle. Raises MethodRefused."""
        ...

    def head(self, factor: Floats) -> Head:
        """In grid units."""
        ...

    def alone(self, rest: Sums) -> Equations:
        """Of some of the rows, with the shrinkage of all."""
        ...

    def without(self, n: Floats, means: Floats, scale: float) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
        """In coordinates of V, for classes that have n [C] rows left and the coordinates `means` [v, C]: by how much A
        changes but for S_w, [v, v]; the right side [v, C], both times `scale`; and the bias, from V' w."""
        ...


class RidgeApart:
    """Ridge: A = S_w + sum_k pi_k (mu_k - mu)(mu_k - mu)' + alpha D."""

    spread = 1.0

    def __init__(self, moments: Moments, alpha: float, prior: float) -> None:
        self.moments, self._alpha, self._prior = moments, alpha, prior
        self._equations = RidgeEquations(moments)

    def factor(self) -> Floats:
        return self._equations.factor(self._alpha, last=True)

    def head(self, factor: Floats) -> Head:
        return self._equations.head(factor)

    def alone(self, rest: Sums) -> RidgeApart:
        moments = Moments.of(rest, self._prior)
        kept = self.moments.variance * (self.moments.freedom / moments.freedom)
        return RidgeApart(replace(moments, variance=kept), self._alpha, self._prior)

    def without(self, n: Floats, means: Floats, scale: float) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
        prior = n**self._prior / (n**self._prior).sum()
        centre = means @ prior
        away = means - centre[:, None]
        right = scale * away * prior
        change = right @ away.T
        classes = slice(-1 - len(self.moments.classes), -1)
        change[classes, classes] -= np.diag(self.moments.prior)
        return change, right, lambda answers: prior - centre @ answers


class LdaApart:
    """Discriminants: A = a S_w + d I."""

    def __init__(self, moments: Moments, prior: float, spread: float, diagonal: float) -> None:
        self.moments, self._prior, self.spread, self._diagonal = moments, prior, spread, diagonal

    def factor(self) -> Floats:
        return lda_factor(self.moments, self.spread, self._diagonal)

    def head(self, factor: Floats) -> Head:
        return lda_head(self.moments, factor)

    def alone(self, rest: Sums) -> LdaApart:
        moments = Moments.of(rest, self._prior)
        return LdaApart(moments, self._prior, self.spread, self._diagonal * self.moments.freedom / moments.freedom)

    def without(self, n: Floats, means: Floats, scale: float) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
        prior = np.log(n**self._prior / (n**self._prior).sum())
        change = np.zeros((len(means), len(means)))
        return change, scale * means, lambda answers: prior - 0.5 * np.einsum("vk,vk->k", means, answers)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What the head without one group of folds answers.

    rows [n_k]: places in the entry · classes: those that have rows without it · logits [n_k, C] of those rows ·
    apart: how far it sets the classes apart, at their means without the group; computed where it is asked for.
    """

    rows: Ints
    classes: tuple[str, ...]
    logits: Floats
    apart: Callable[[], float]


def ridge_apart(
    total: Sums,
    entry: FeatureRows,
    shift: int,
    alpha: float,
    prior: float,
    check: Callable[[], None] = no_check,
) -> tuple[Head, Iterator[LeftOut]]:
    """The ridge head of all rows, as `solve_ridge` has it, and the answers to the entry's; some row must be there."""
    return _apart(RidgeApart(Moments.of(total, prior), alpha, prior), total, entry, shift, check)


def lda_apart(
    total: Sums,
    entry: FeatureRows,
    shift: int,
    prior: float,
    check: Callable[[], None] = no_check,
) -> tuple[Head, Iterator[LeftOut]]:
    """The same of discriminants, as `solve_lda` has them."""
    moments = Moments.of(total, prior)
    return _apart(LdaApart(moments, prior, *lda_shrinkage(total, moments)), total, entry, shift, check)


def _apart(
    equations: Equations, total: Sums, entry: FeatureRows, shift: int, check: Callable[[], None]
) -> tuple[Head, Iterator[LeftOut]]:
    factor = equations.factor()
    head = in_features(equations.head(factor), total, shift)
    check()
    return head, left_out(equations, factor, total, entry, check)


def left_out(
    equations: Equations, factor: Floats, total: Sums, entry: FeatureRows, check: Callable[[], None] = no_check
) -> Iterator[LeftOut]:
    """For each group of folds k = fold // 2 of the entry (rounded features), which `total` holds, and behind which
    `equations` and their `factor` are. A group without which nothing is left is not answered."""
    moments, group = equations.moments, entry.folds // 2
    groups = [np.flatnonzero(group == k) for k in np.unique(group)]
    groups = [places for places in groups if len(places) < total.rows]
    if FEW * max(map(len, groups), default=0) + len(total.classes) > total.width:
        yield from (_by_itself(equations, total, entry, places, check) for places in groups)
        return
    labels, centre = entry.codes(moments.classes), moments.means @ moments.prior
    centred = np.vstack([entry.inputs.astype(np.float64) - moments.means.T[labels], moments.means.T - centre, centre])
    from scipy.linalg.blas import dtrsm  # of no use to a process that only serves

    inner = np.asarray(dtrsm(1.0, factor, centred.T, lower=True, overwrite_b=True))
    always = np.arange(len(entry), len(centred))
    for places in groups:
        check()
        yield _by_rows(equations, places, labels[places], inner[:, np.concatenate([places, always])])


def judged_apart(
    apart: Callable[[FeatureRows], tuple[Head, Iterable[LeftOut]]], entry: FeatureRows, classes: Sequence[str]
) -> tuple[Head, Floats]:
    """Of at most 200 rows a class, as of trusted rows: those are left out by `apart`, with all that is nearly the same
    or of their group, and more would tell little more. Rows with a near-duplicate in another fold are not asked.
    -> its head, logits [n, C], NaN in the other rows"""
    single = np.flatnonzero(~parted(entry.marks, entry.folds))
    judged = np.zeros(len(entry), bool)
    judged[single[places_in_bounds(entry.take(single))]] = True
    left = np.flatnonzero(near(entry.marks, entry.kin, judged))
    head, answers = apart(entry.take(left))
    logits = blank(len(entry), len(classes))
    _fill(logits, answers, classes, left)
    logits[~judged] = np.nan
    return head, logits


def out_of_fold_logits(answers: Iterable[LeftOut], rows: int, classes: Sequence[str]) -> Floats:
    """-> [rows, C]; -1e9 in the column of a class that a head has not seen, NaN in rows that none answers."""
    logits = blank(rows, len(classes))
    _fill(logits, answers, classes, np.arange(rows))
    return logits


def _fill(logits: Floats, answers: Iterable[LeftOut], classes: Sequence[str], places: Ints) -> None:
    """Write what was answered without each group. places: of the entry's rows in `logits`"""
    column = {name: k for k, name in enumerate(classes)}
    for group in answers:
        rows, columns = places[group.rows], np.array([column[name] for name in group.classes])
        for place in parts(len(rows), len(classes)):
            block = np.full((len(rows[place]), len(classes)), ABSENT)
            block[:, columns] = group.logits[place]
            logits[rows[place]] = block


def set_apart(head: Head, means: Floats) -> float:
    """How far a head sets the classes apart: at each of their means [C, M], its own score less the next best; of that
    the root mean square. 0 where nothing is apart: one class, or means that are equal."""
    return _between(len(means), lambda place: head.logits(means[place]))


def _between(classes: int, scores: Callable[[slice], Floats]) -> float:
    """The same from the scores of each class mean, one a row, a few rows at a time."""
    if classes < 2:
        return 0.0
    margins = []
    for place in parts(classes, classes):
        block = scores(place)
        own = (np.arange(len(block)), np.arange(classes)[place])
        own_scores = block[own]
        block[own] = -np.inf
        margins.append(own_scores - block.max(1))
    return float(np.sqrt(np.mean(np.concatenate(margins) ** 2)))


def _by_itself(
    equations: Equations, total: Sums, entry: FeatureRows, places: Ints, check: Callable[[], None]
) -> LeftOut:
    check()
    rows = entry.take(places)
    alone = equations.alone(total - Sums.of(rows))
    head, means = alone.head(alone.factor()), alone.moments.means.T
    logits = table(len(places), len(head.classes), lambda place: head.logits(rows.inputs[place]))
    return LeftOut(places, head.classes, logits, lambda: set_apart(head, means))


def _by_rows(equations: Equations, places: Ints, labels: Ints, z: Floats) -> LeftOut:
    """z [M, n_k + C + 1] = L^-1 V, V the group's rows less their class means, the class means less the centre, and the
    centre. Without the group, and times (its freedom / that of all), the equations are A + V S V', right V R."""
    moments, size, C = equations.moments, len(labels), len(equations.moments.classes)
    belongs = np.eye(C)[labels]
    n = moments.n - belongs.sum(0)
    left = np.flatnonzero(n)
    shared = np.divide(belongs, n, out=np.zeros_like(belongs), where=n > 0)
    means = np.vstack([-shared, np.eye(C), np.ones(C)])[:, left]  # a class mean moves away from the rows that leave
    S, right, bias = equations.without(n[left], means, freedom_of(n[left]) / moments.freedom)
    S[:size, :size] -= equations.spread * (np.eye(size) + shared @ belongs.T) / moments.freedom
    from scipy.linalg.blas import dsyrk  # of no use to a process that only serves

    K = dsyrk(1.0, z, trans=True, lower=True)
    K = np.tril(K) + np.tril(K, -1).T
    answers = K @ np.linalg.solve(np.eye(len(K)) + S @ K, right)
    rows_in_z = np.hstack([np.eye(size), belongs, np.ones((size, 1))])
    constant = bias(answers)
    classes = tuple(moments.classes[c] for c in left)

    def apart() -> float:
        return _between(len(left), lambda place: means.T[place] @ answers + constant)

    return LeftOut(places, classes, rows_in_z @ answers + constant, apart)


def out_of_fold_weighted(
    others: Sums,
    entry: FeatureRows,
    weight: Mapping[str, float],
    shift: int,
    classes: Sequence[str],
    solve: Callable[[Sums], Head],
    check: Callable[[], None] = no_check,
) -> Floats:
    """Of weighted rows: logits of the entry by heads without each group of folds k = fold // 2. -> [n, C]

    `others`: weighted sums of everything but the entry · `weight`: of each batch, its age included. Nothing is taken
    out of sums: a class that only the group itself has is truly unknown to its head. Rows with a near-duplicate in
    another fold are not answered.
    """
    group = entry.folds // 2
    sums = {k: weighted_sums(entry.take(group == k), weight) for k in np.unique(group)}
    logits = np.full((len(entry), len(classes)), np.nan)
    near_duplicates = parted(entry.marks, entry.folds)
    for k in sums:
        check()
        rest = others
        for other, more in sums.items():
            rest = rest + more if other != k else rest
        if rest.mass:
            features = entry.take(group == k).values(shift)
            logits[group == k] = solve(rest).aligned(classes).logits(features)
    logits[near_duplicates] = np.nan  # a head has learned what is nearly the same
    return logits
