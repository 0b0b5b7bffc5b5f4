"""Out-of-fold answers of closed-form heads from the equations of all rows, without a head for each group of folds.

Taking n_k rows out changes scatter and means by a matrix of rank n_k + C. So with A = L L' of all rows, the answers of
the head without a group follow from inner products of that group's rows in the metric of L^-1 (Woodbury, "Inverting
modified matrices", 1950). One triangular solution serves all groups: n M^2 for n rows, where heads of their own take
M^3 / 3 each. Shrinkage is that of all rows, alpha D and (1 - eps, eps tr / M) over the scatter that is left: it carries
nothing of labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.learning.data.matrices import blank, matrix, parts
from service.learning.data.near_duplicates import near, parted
from service.learning.data.rows import Bools, FeatureRows, Floats, Ints, places_in_bounds
from service.learning.exact.solve import ABSENT, Head, RidgeEquations, in_features, lda_factor, lda_head, lda_shrinkage
from service.learning.ledger.moments import Moments, freedom_of
from service.learning.ledger.sums import Sums
from service.learning.run import UNWATCHED, Run

FEW = 2
"""Groups with so many times fewer rows than features are answered cheaper by Woodbury's identity."""


class RidgeDowndate:
    """The equations of all rows, A w_k = r_k, of ridge: A = S_w + sum_k pi_k (mu_k - mu)(mu_k - mu)' + alpha D.

    spread: the factor of S_w in A.
    """

    spread = 1.0

    def __init__(self, moments: Moments, alpha: float, prior: float) -> None:
        self.moments, self._alpha, self._prior = moments, alpha, prior
        self._equations = RidgeEquations(moments)

    def factor(self) -> Floats:
        """Returns L of A = L L', its lower triangle. Raises MethodRefused."""
        return self._equations.factor(self._alpha, last=True)

    def head(self, factor: Floats) -> Head:
        """Returns the head in grid units."""
        return self._equations.head(factor)

    def alone(self, rest: Sums) -> RidgeDowndate:
        """Returns the equations of some of the rows, with the shrinkage of all."""
        moments = Moments.of(rest, self._prior)
        kept = self.moments.variance * (self.moments.freedom / moments.freedom)
        return RidgeDowndate(replace(moments, variance=kept), self._alpha, self._prior)

    def without(self, n: Floats, means: Floats, scale: float) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
        """Returns, in coordinates of V, for classes with n [C] rows left at coordinates `means` [v, C]: the change of A
        apart from S_w [v, v] and the right side [v, C], both times `scale`; and the bias, a function of V' w."""
        prior = n**self._prior / (n**self._prior).sum()
        centre = means @ prior
        away = means - centre[:, None]
        right = scale * away * prior
        change = right @ away.T
        classes = slice(-1 - len(self.moments.classes), -1)
        change[classes, classes] -= np.diag(self.moments.prior)
        return change, right, lambda answers: prior - centre @ answers


class LdaDowndate:
    """The equations of all rows, A w_k = r_k, of discriminants: A = a S_w + d I."""

    def __init__(self, moments: Moments, prior: float, spread: float, diagonal: float) -> None:
        self.moments, self._prior, self.spread, self._diagonal = moments, prior, spread, diagonal

    def factor(self) -> Floats:
        return lda_factor(self.moments, self.spread, self._diagonal)

    def head(self, factor: Floats) -> Head:
        return lda_head(self.moments, factor)

    def alone(self, rest: Sums) -> LdaDowndate:
        moments = Moments.of(rest, self._prior)
        return LdaDowndate(moments, self._prior, self.spread, self._diagonal * self.moments.freedom / moments.freedom)

    def without(self, n: Floats, means: Floats, scale: float) -> tuple[Floats, Floats, Callable[[Floats], Floats]]:
        prior = np.log(n**self._prior / (n**self._prior).sum())
        change = np.zeros((len(means), len(means)))
        return change, scale * means, lambda answers: prior - 0.5 * np.einsum("vk,vk->k", means, answers)


Equations = RidgeDowndate | LdaDowndate


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Answers of the head without one group of folds.

    rows [n_k]: places in the entry · classes: those that have rows without it · logits [n_k, C] of those rows ·
    separation: how far it sets the classes apart, at their means without the group; computed on demand.
    """

    rows: Ints
    classes: tuple[str, ...]
    logits: Floats
    separation: Callable[[], float]


def ridge_out_of_fold(
    total: Sums, entry: FeatureRows, shift: int, alpha: float, prior: float, run: Run = UNWATCHED
) -> tuple[Head, Iterator[LeftOut]]:
    """Returns the ridge head of all rows, at least one, as `solve_ridge` does, and out-of-fold answers to the entry."""
    return _apart(RidgeDowndate(Moments.of(total, prior), alpha, prior), total, entry, shift, run)


def lda_out_of_fold(
    total: Sums, entry: FeatureRows, shift: int, prior: float, run: Run = UNWATCHED
) -> tuple[Head, Iterator[LeftOut]]:
    """Returns the discriminants of all rows, as `solve_lda` does, and out-of-fold answers to the entry."""
    moments = Moments.of(total, prior)
    return _apart(LdaDowndate(moments, prior, *lda_shrinkage(total, moments)), total, entry, shift, run)


def _apart(
    equations: Equations, total: Sums, entry: FeatureRows, shift: int, run: Run
) -> tuple[Head, Iterator[LeftOut]]:
    factor = equations.factor()
    head = in_features(equations.head(factor), total, shift)
    run.check()
    return head, left_out(equations, factor, total, entry, run)


def left_out(equations: Equations, factor: Floats, total: Sums, entry: FeatureRows, run: Run) -> Iterator[LeftOut]:
    """Answers each group of folds k = fold // 2 of the entry, which is in `total`, whose `equations` have the `factor`.
    A group is not answered where nothing is left without it."""
    moments, group = equations.moments, entry.folds // 2
    groups = [np.flatnonzero(group == k) for k in np.unique(group)]
    groups = [places for places in groups if len(places) < total.rows]
    if FEW * max(map(len, groups), default=0) + len(total.classes) > total.width:
        yield from (_by_itself(equations, total, entry, places, run) for places in groups)
        return
    labels, centre = entry.codes(moments.classes), moments.means @ moments.prior
    centred = np.vstack([entry.inputs.astype(np.float64) - moments.means.T[labels], moments.means.T - centre, centre])
    from scipy.linalg.blas import dtrsm  # of no use to a process that only serves

    inner = np.asarray(dtrsm(1.0, factor, centred.T, lower=True, overwrite_b=True))
    always = np.arange(len(entry), len(centred))
    for places in groups:
        run.check()
        yield _by_rows(equations, places, labels[places], inner[:, np.concatenate([places, always])])


def judged_rows(entry: FeatureRows) -> tuple[Bools, Ints]:
    """Finds the rows of an update that are answered out of fold: as many as trusted rows, at most 200 a class, of
    numbers 2,000 a source, since more would show little more; none with a near-duplicate in another fold. -> [n], and
    the places of those with their near-duplicates and groups"""
    single = np.flatnonzero(~parted(entry.marks, entry.folds))
    judged = np.zeros(len(entry), bool)
    judged[single[places_in_bounds(entry.bare().take(single))]] = True
    return judged, np.flatnonzero(near(entry.marks, entry.kin, judged))


def judged_out_of_fold(
    out_of_fold: Callable[[FeatureRows], tuple[Head, Iterable[LeftOut]]], entry: FeatureRows, classes: Sequence[str]
) -> tuple[Head, Floats]:
    """Answers rows that are judged; `out_of_fold` leaves them out with their near-duplicates and groups. -> the head,
    logits [n, C], NaN in the other rows"""
    judged, left = judged_rows(entry)
    head, answers = out_of_fold(entry.take(left))
    logits = blank(len(entry), len(classes))
    _fill(logits, answers, classes, left)
    logits[~judged] = np.nan
    return head, logits


def out_of_fold_logits(answers: Iterable[LeftOut], rows: int, classes: Sequence[str]) -> Floats:
    """Collects answers: -1e9 for a class that a head has not seen, NaN in rows without an answer. -> [rows, C]"""
    logits = blank(rows, len(classes))
    _fill(logits, answers, classes, np.arange(rows))
    return logits


def _fill(logits: Floats, answers: Iterable[LeftOut], classes: Sequence[str], places: Ints) -> None:
    """Writes the answers of each group. places: of the entry's rows in `logits`"""
    column = {name: k for k, name in enumerate(classes)}
    for group in answers:
        rows, columns = places[group.rows], np.array([column[name] for name in group.classes])
        for place in parts(len(rows), len(classes)):
            block = np.full((len(rows[place]), len(classes)), ABSENT)
            block[:, columns] = group.logits[place]
            logits[rows[place]] = block


def separation(head: Head, means: Floats) -> float:
    """Returns how far a head separates classes: the root mean square over their means [C, M] of the own score less the
    next best. 0 for one class or equal means."""
    return _between(len(means), lambda place: head.logits(means[place]))


def _between(classes: int, scores: Callable[[slice], Floats]) -> float:
    """Returns the separation from the scores of the class means, one mean a row, a few rows at a time."""
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


def _by_itself(equations: Equations, total: Sums, entry: FeatureRows, places: Ints, run: Run) -> LeftOut:
    run.check()
    rows = entry.take(places)
    alone = equations.alone(total - Sums.of(rows))
    head, means = alone.head(alone.factor()), alone.moments.means.T
    logits = matrix(len(places), len(head.classes), lambda place: head.logits(rows.inputs[place]))
    return LeftOut(places, head.classes, logits, lambda: separation(head, means))


def _by_rows(equations: Equations, places: Ints, labels: Ints, z: Floats) -> LeftOut:
    """Answers a group by Woodbury's identity.

    z [M, n_k + C + 1] = L^-1 V, V the group's rows less their class means, the class means less the centre, and the
    centre. Without the group, and times (its freedom / that of all), the equations are A + V S V', right side V R.
    """
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

    def separation_at_means() -> float:
        return _between(len(left), lambda place: means.T[place] @ answers + constant)

    return LeftOut(places, classes, rows_in_z @ answers + constant, separation_at_means)
