"""Ridge and discriminants in one head: exact as either, and right where one of them is not."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.data.rows import FeatureRows
from service.learning.exact.discriminants import TESTED_ROWS, compared, unit_of, with_discriminants
from service.learning.exact.out_of_fold import out_of_fold_logits, separation
from service.learning.exact.ridge_solver import Alphas, Ridge
from service.learning.exact.solve import Head, solve_lda, solve_ridge
from service.learning.ledger.sums import Sums
from service.learning.run import UNWATCHED
from tests.learning.exact_help import entry_of

SHIFT = 8


def in_a_row(rows: int = 300, seed: int = 0) -> FeatureRows:
    """Five classes side by side, of which one-hot regression cannot answer the middle ones."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 5, rows)
    x = np.c_[y + 0.1 * random.standard_normal(rows), random.standard_normal((rows, 5))]
    return entry_of(np.rint(x * 2**SHIFT), [f"class {k}" for k in y], "bat_1")


def test_it_is_right_where_one_hot_regression_masks_the_middle() -> None:
    learned, held = in_a_row(), in_a_row(seed=1)
    x, sums = held.inputs * 2.0**-SHIFT, Sums.of(learned)
    ridge = solve_ridge(sums, SHIFT, 1e-3, 0.25)
    share = [
        float((head.logits(x).argmax(1) == held.codes(head.classes)).mean())
        for head in (ridge, with_discriminants(ridge, sums, SHIFT))
    ]
    assert share[0] < 0.8
    assert share[1] > share[0] + 0.1


def test_it_is_the_sum_of_both_in_one_unit_and_owes_nothing_to_the_order_of_arrival() -> None:
    rows = in_a_row()
    sums, other = Sums.of(rows), Sums.of(rows.take(np.arange(len(rows))[::-1]))
    assert sums.classes != other.classes
    ridge, lda = solve_ridge(sums, SHIFT, 0.1, 0.25), solve_lda(sums, SHIFT)
    means = (sums.Q[:-1] / sums.n).T * 2.0**-SHIFT
    unit = unit_of(separation(ridge, means), separation(lda, means))
    both = with_discriminants(ridge, sums, SHIFT)
    assert np.allclose(both.weight, ridge.weight + unit * lda.weight)
    assert np.allclose(both.bias, ridge.bias + unit * lda.bias)
    again = with_discriminants(solve_ridge(other, SHIFT, 0.1, 0.25), other, SHIFT).aligned(both.classes)
    assert np.array_equal(both.weight, again.weight)


def test_out_of_fold_it_is_what_heads_without_the_group_answer() -> None:
    rows = in_a_row(60)
    total, solver = Sums.of(rows), Ridge(0.25, Alphas((0.1,)), discriminants=True)
    head, answers = solver.out_of_fold(total, rows, SHIFT, 0.1, UNWATCHED)
    assert np.allclose(head.weight, solver.solve(total, SHIFT, 0.1).weight)
    mine = out_of_fold_logits(answers, len(rows), total.classes)
    alone = np.zeros_like(mine)
    for k in range(5):
        group = rows.folds // 2 == k
        without = solver.solve(Sums.of(rows.take(~group)), SHIFT, 0.1).aligned(total.classes)
        alone[group] = without.logits(rows.inputs[group] * 2.0**-SHIFT)
    assert np.mean(mine.argmax(1) == alone.argmax(1)) > 0.97
    assert np.corrcoef(mine.ravel(), alone.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("labels", ["aaaaaa", "abcabc"])
def test_where_one_sets_nothing_apart_the_ridge_stands_alone(labels: str) -> None:
    rows = entry_of(np.ones((6, 4)), labels, "bat_1")
    sums = Sums.of(rows)
    ridge = solve_ridge(sums, SHIFT, 0.1, 0.25)
    assert np.allclose(with_discriminants(ridge, sums, SHIFT).weight, ridge.weight)


def test_ridge_alone_is_surely_better_where_what_is_added_is_noise_and_never_on_few_rows() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 600)
    x = np.c_[(2 * y - 1 + random.standard_normal(600)), random.standard_normal(600)]
    rows = entry_of(np.rint(x * 2**SHIFT), list(np.array(["a", "b"])[y]), "bat_1")
    alone, noisy = (Head(("a", "b"), np.array([[-1.0, -w], [1.0, w]]), np.zeros(2)) for w in (0.0, 0.5))
    test = compared(alone, noisy, rows, SHIFT)
    assert test.surely
    assert test.alone > test.both
    assert test.gain > 0
    for better in (compared(noisy, alone, rows, SHIFT), compared(alone, alone, rows, SHIFT)):
        assert not better.surely
    few = rows.take(np.arange(TESTED_ROWS - 1))
    assert compared(alone, noisy, few, SHIFT) is None
