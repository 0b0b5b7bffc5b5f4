"""The gate's tests and intervals against brute force and published numbers."""

from itertools import product
from math import comb, prod

import numpy as np
import pytest

from service.learning.statistics import (
    Agreement,
    Narrowed,
    Paired,
    at_least,
    auc,
    auc_at_most,
    holm,
    one_more,
    ordered_by_chance,
    rank_correlation,
    same_shares,
    signed_rank,
    step_up,
    wilson,
)


def test_tail_equals_the_sum_over_all_outcomes() -> None:
    for p in [0.0, 0.03, 0.5, 0.97, 1.0]:
        for n in [0, 1, 7]:
            for k in range(-1, n + 2):
                brute = sum(
                    prod(p if hit else 1 - p for hit in outcome)
                    for outcome in product((0, 1), repeat=n)
                    if sum(outcome) >= k
                )
                assert at_least(k, n, p) == pytest.approx(brute)


def test_a_share_that_few_rows_show_makes_more_no_wonder() -> None:
    """Polya's urn, by hand: 2 red and 18 black balls, each drawn one returned with another of its colour."""
    assert at_least(2, 2, 0.1, tested=20) == pytest.approx(2 / 20 * 3 / 21)
    assert at_least(1, 2, 0.1, tested=20) == pytest.approx(1 - 18 / 20 * 19 / 21)
    assert at_least(5, 12, 0.05, tested=26) > 0.003 > 5 * at_least(5, 12, 0.05)
    assert at_least(30, 100, 0.2, tested=1e9) == pytest.approx(at_least(30, 100, 0.2), rel=1e-4)
    assert at_least(0, 5, 0.1, 20) == 1
    assert at_least(6, 5, 0.1, 20) == 0


def test_tail_stays_exact_far_out() -> None:
    assert at_least(40, 40, 0.03) == pytest.approx(0.03**40)


def test_wilson_equals_the_published_numbers() -> None:
    """Newcombe (1998), Table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    table = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
    for k, n, low, high in table:
        assert wilson(k, n) == pytest.approx((low, high), abs=1e-4)
    assert wilson(0, 0) is None


def test_holm_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_of_tests_that_agree_all_prove_as_much_as_one() -> None:
    assert step_up([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert step_up([0.01, 0.01, 0.01]) == pytest.approx([0.01] * 3)
    assert step_up([0.01, 0.9]) == pytest.approx([0.02, 0.9])
    assert step_up([]) == []


def test_margins_fall_long_before_rows_are_lost() -> None:
    """Of 20 rows one is lost, and all come nearer to the edge; or one is lost and no other moves."""
    before = np.linspace(0.1, 2, 20)
    all_fell, one_fell = before - 0.15, np.where(np.arange(20) < 1, -0.05, before)
    right = np.ones(20, bool)
    fell, lost = (Narrowed.of(Paired.of(right, after > 0), before, after) for after in (all_fell, one_fell))
    assert fell.paired == lost.paired == Paired(20, 1, 0)
    assert (fell.drop, fell.p) == (pytest.approx(0.0364, abs=1e-4), pytest.approx(3.5e-5, rel=0.1))
    assert (lost.drop, lost.p) == (pytest.approx(0.003, abs=1e-4), 1.0), "one change is no sign"
    assert (fell.before, fell.after) == (pytest.approx(1.05), pytest.approx(0.9))


def test_sign_test_counts_discordant_rows_alone() -> None:
    assert Paired(1000, 5, 0).p_harm == pytest.approx(1 / 32)
    assert Paired(10, 5, 0).p_harm == pytest.approx(1 / 32)
    assert Paired(1180, 61, 8).p_harm == pytest.approx(sum(comb(69, k) for k in range(61, 70)) / 2**69)
    assert Paired(7, 0, 0).p_harm == 1.0


def test_agresti_min_equals_its_formula_and_the_published_example() -> None:
    """Prime Minister's ratings (Agresti): 1,600 rows, 150 lost and 86 gained: 4.0 points lost, 2.1 to 5.9."""
    low, high = Paired(1600, 150, 86).interval or (0, 0)
    assert (low, high) == pytest.approx((-0.0587, -0.0212), abs=2e-4)
    assert Paired(0, 0, 0).interval is None
    low, high = Paired(1, 1, 0).interval or (0, 0)
    assert low == -1.0


def test_agresti_min_covers_the_truth_about_as_often_as_it_says() -> None:
    n, lost, gained = 60, 0.08, 0.03
    covered = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            chance = comb(n, b) * comb(n - b, c) * lost**b * gained**c * (1 - lost - gained) ** (n - b - c)
            low, high = Paired(n, b, c).interval or (0, 0)
            covered += chance * (low <= gained - lost <= high)
    assert 0.94 <= covered <= 0.99


def test_paired_counts_from_right_and_wrong() -> None:
    before, after = np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool)
    assert Paired.of(before, after) == Paired(5, 2, 1)
    assert Paired.of(before, after).drop == pytest.approx(0.2)


def test_agreement_is_not_impressed_by_the_commonest_class() -> None:
    labels = np.array([0] * 95 + [1] * 5)
    assert Agreement.of(np.zeros(100, int), labels).p > 0.4
    answers = labels.copy()
    answers[:6] = 1
    assert Agreement.of(answers, labels).p < 0.05
    assert Agreement.of(labels[:0], labels[:0]).p == 1.0


def test_auc_is_the_share_of_pairs_in_order_and_ties_count_half() -> None:
    higher, lower = np.array([3.0, 1.0, 2.0]), np.array([2.0, 0.0])
    pairs = [1.0 if h > low else 0.5 if h == low else 0.0 for h, low in product(higher, lower)]
    assert auc(higher, lower) == pytest.approx(sum(pairs) / 6) == pytest.approx(4.5 / 6)
    assert auc(lower, higher) == pytest.approx(1 - 4.5 / 6)


def test_the_chance_of_a_small_area_agrees_with_simulation() -> None:
    """Two normal columns sqrt(2) * 1.2816 apart have an area of 0.9."""
    random = np.random.default_rng(0)
    drawn = [auc(random.normal(1.8124, 1, 20), random.normal(0, 1, 12)) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(0.9, abs=0.005)
    for value in (0.8, 0.85, 0.9):
        assert auc_at_most(value, 20, 12, 0.9) == pytest.approx(np.mean(np.array(drawn) <= value), abs=0.04)


@pytest.mark.parametrize("n", [6, 30, 400])
def test_ranks_equal_those_of_scipy_with_ties(n: int) -> None:
    from scipy import stats

    random = np.random.default_rng(n)
    differences = np.round(random.normal(0.3, 1, n), 1)
    differences[0] = 0
    expected = stats.wilcoxon(differences, alternative="greater", method="asymptotic").pvalue
    assert signed_rank(differences) == pytest.approx(expected)
    a, b = np.round(random.normal(size=(2, n)), 1)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b)[0])


def test_unrelated_columns_are_seldom_ordered() -> None:
    random = np.random.default_rng(0)
    chances = np.array([ordered_by_chance(*random.normal(size=(2, 40))) for _ in range(1000)])
    assert 0.03 < (chances < 0.05).mean() < 0.07
    same = random.normal(size=40)
    assert ordered_by_chance(same, same) < 1e-12 < 1 - 1e-12 < ordered_by_chance(same, -same)
    assert ordered_by_chance(same[:4], same[:4]) == 1.0


def test_too_few_differences_and_one_value_prove_nothing() -> None:
    assert signed_rank(np.ones(4)) == signed_rank(np.zeros(100)) == signed_rank(np.zeros(0)) == 1.0
    assert rank_correlation(np.ones(5), np.arange(5.0)) == rank_correlation(np.zeros(1), np.zeros(1)) == 0.0


def test_other_shares_of_classes_are_told_from_chance() -> None:
    from scipy import stats

    before, now = {"a": 210, "b": 90, "c": 40}, {"a": 290, "b": 110, "c": 20}
    expected = stats.chi2_contingency([list(before.values()), list(now.values())], correction=False).pvalue
    assert same_shares(before, now) == pytest.approx(expected)
    assert same_shares({"a": 290, "b": 110}, {"a": 400}) < 1e-20
    assert same_shares({"a": 400}, {"a": 7}) == 1.0
    rare = {f"rare {k}": 1 for k in range(40)}
    assert same_shares({"a": 9000, **rare}, {"a": 90, "rare 0": 1}) > 0.5


def test_one_more_draw_is_judged_by_the_spread_of_those_before() -> None:
    """Before there are two, by the prior: Student's t of 4 degrees, 4.604 for one in two hundred."""
    once = np.array([1.0])
    assert one_more(1 + 4.604 * 0.5 * np.sqrt(2), once, prior=0.5, noise=0.0) == pytest.approx(0.005, abs=1e-5)
    assert one_more(1 + 4.604 * np.sqrt(0.5 + 2), once, prior=0.5, noise=2.0) == pytest.approx(0.005, abs=1e-5)
    calm, wild = np.array([0.9, 1.0, 1.1] * 6), np.array([-2.0, 1.0, 4.0] * 6)
    assert one_more(3.0, calm, 0.35, 0.01) < 1e-6 < 0.1 < one_more(3.0, wild, 0.35, 0.01)
