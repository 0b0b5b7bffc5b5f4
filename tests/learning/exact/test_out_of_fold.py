"""Answers out of fold from one factor of all rows: those of heads that were solved without each group."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.data.rows import FeatureRows
from service.learning.exact import out_of_fold
from service.learning.exact.out_of_fold import (
    judged_out_of_fold,
    lda_out_of_fold,
    out_of_fold_logits,
    ridge_out_of_fold,
)
from service.learning.exact.solve import ABSENT, Head, solve_lda, solve_ridge
from service.learning.ledger.sums import Sums
from tests.learning.exact_help import entry_of

SHIFT, WIDTH = 10, 40


def rows_of(n: int, classes: int, seed: int, batch: str) -> FeatureRows:
    """Rounded features around class centres, of very different sizes; rarer classes first."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n) * rng.integers(0, 2, n)
    x = np.random.default_rng(9).normal(size=(classes, WIDTH))[y] + rng.normal(size=(n, WIDTH))
    return entry_of(np.rint(x * 2**SHIFT * np.geomspace(1, 0.01, WIDTH)), [f"class {k}" for k in y], batch)


def by_rows(total: FeatureRows, rest: FeatureRows, form: str | float, prior: float) -> Head:
    """From the rows that are left, the shrinkage over their scatter that of all: the definition."""

    def moments(rows: FeatureRows) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, float]:
        classes = tuple(sorted(rows.counts()))
        h, y = rows.inputs.astype(float) * 2.0**-SHIFT, rows.codes(classes)
        means = np.array([h[y == k].mean(0) for k in range(len(classes))])
        apart_ = h - means[y]
        return classes, np.bincount(y) ** prior, means, apart_.T @ apart_, max(len(h) - len(classes), 1)

    _, _, _, everything, all_freedom = moments(total)
    classes, pi, means, scatter, freedom = moments(rest)
    pi = pi / pi.sum()
    if isinstance(form, float):
        variance = (total.inputs.astype(float) * 2.0**-SHIFT).var(0)
        D = form * np.maximum(variance, 1e-6 * variance.mean()) * all_freedom
        away = means - pi @ means
        left = (scatter + np.diag(D)) / freedom + (away.T * pi) @ away
        weight = np.linalg.solve(left, away.T * pi).T
        return Head(classes, weight, pi - weight @ (pi @ means))
    S, size = everything / all_freedom, WIDTH
    trace, square = np.trace(S), (S * S).sum()
    eps = min(1, ((1 - 2 / size) * square + trace**2) / ((all_freedom + 1 - 2 / size) * (square - trace**2 / size)))
    left = ((1 - eps) * scatter + eps * trace / size * all_freedom * np.eye(size)) / freedom
    weight = np.linalg.solve(left, means.T).T
    return Head(classes, weight, np.log(pi) - 0.5 * (weight * means).sum(1))


@pytest.mark.parametrize("few", [2, 10**9])
@pytest.mark.parametrize("form", [1e-4, 1e-1, "lda"])
@pytest.mark.parametrize(("before", "after"), [(300, 60), (0, 50)])
def test_both_ways_are_the_definition(
    few: int, form: str | float, before: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold, "FEW", few)
    entry = rows_of(after, 5, 2, "bat_1")
    total = FeatureRows.concat([rows_of(before, 4, 1, "bat_0"), entry]) if before else entry
    sums, prior = Sums.of(total), 0.25
    if isinstance(form, float):
        (head, answers), expected = (
            ridge_out_of_fold(sums, entry, SHIFT, form, prior),
            solve_ridge(sums, SHIFT, form, prior),
        )
    else:
        (head, answers), expected = lda_out_of_fold(sums, entry, SHIFT, prior), solve_lda(sums, SHIFT, prior)
    assert head.classes == expected.classes
    assert (head.weight == expected.weight).all()
    assert (head.bias == expected.bias).all()
    logits = out_of_fold_logits(answers, len(entry), sums.classes)
    for k in range(5):
        group = entry.folds // 2 == k
        rest = total.take(~np.isin(total.hashes, entry.hashes[group]))
        alone = by_rows(total, rest, form, prior)
        wanted = alone.aligned(sums.classes).logits(entry.inputs[group].astype(float) * 2.0**-SHIFT)
        assert logits[group] == pytest.approx(wanted, rel=1e-9, abs=1e-9 * np.abs(wanted[wanted > ABSENT / 2]).max())


def test_a_class_without_rows_is_absent_and_a_group_that_is_all_there_is_stays_unanswered() -> None:
    entry = rows_of(40, 2, 3, "bat_0")
    first = entry.folds // 2 == 0
    lonely = entry.take(first)
    _, answers = ridge_out_of_fold(Sums.of(lonely), lonely, SHIFT, 0.1, 0.25)
    assert np.isnan(out_of_fold_logits(answers, len(lonely), lonely.present())).all()
    known = entry_of(lonely.inputs, ["class 9"] * len(lonely))
    together = FeatureRows.concat([entry.take(~first), known])
    _, answers = ridge_out_of_fold(Sums.of(together), known, SHIFT, 0.1, 0.25)
    logits = out_of_fold_logits(answers, len(known), ("class 9", "class 0", "class 1"))
    assert (logits[:, 0] == ABSENT).all()
    assert np.isfinite(logits).all()


def test_of_many_rows_those_of_the_smallest_hashes_are_left_out_and_asked() -> None:
    entry = rows_of(700, 2, 4, "bat_0")
    total = Sums.of(entry)
    _, logits = judged_out_of_fold(
        lambda judged: ridge_out_of_fold(total, judged, SHIFT, 0.1, 0.25), entry, ("class 0", "class 1")
    )
    answered = ~np.isnan(logits).any(1)
    assert entry.take(answered).counts() == {name: min(n, 200) for name, n in entry.counts().items()}
    assert entry.counts()["class 0"] > 400
    for name in entry.counts():
        of_class = entry.codes([name]) == 0
        assert (entry.hashes[of_class & ~answered].min(initial=2**64 - 1) > entry.hashes[of_class & answered]).all()
