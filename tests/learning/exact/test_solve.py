"""Closed-form heads: equal to textbook solutions on the rows, the same bits for any order, right at the edges."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.contract.tables import TableInput
from service.errors import MethodRefused
from service.learning.data.rows import FeatureRows
from service.learning.exact.ridge_solver import ALPHAS, DEFAULT_ALPHA, OF_TABLES, Alphas, alphas_of, choose_alpha
from service.learning.exact.solve import ABSENT, Head, RidgeEquations, solve_lda, solve_ridge
from service.learning.ledger import moments, sums
from service.learning.ledger.moments import Moments
from service.learning.ledger.sums import Sums
from tests.learning.exact_help import entry_of, labelled

SHIFT = 10
PRIORS = (0.0, 0.25, 1.0)


def rows_of(n: int = 200, width: int = 8, classes: int = 5, seed: int = 0) -> FeatureRows:
    """Rounded features around class centres, rarer classes first."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n) * rng.integers(0, 2, n)
    x = rng.normal(size=(classes, width))[y] + rng.normal(size=(n, width))
    return entry_of(np.rint(x * 2**SHIFT), [f"class {k}" for k in y])


def features(rows: FeatureRows) -> np.ndarray:
    return rows.inputs.astype(np.float64) * 2.0**-SHIFT


def textbook_ridge(rows: FeatureRows, alpha: float, prior: float) -> Head:
    """The definition, on the rows: W = (G_b + alpha D)^-1 [pi_c mu_c] with a bias column that D leaves alone."""
    classes = tuple(sorted(rows.counts()))
    y, h = rows.codes(classes), np.c_[features(rows), np.ones(len(rows))]
    n = np.bincount(y)
    means = np.array([h[y == k].mean(0) for k in range(len(classes))])
    centred = h - means[y]
    within = centred.T @ centred / max(len(rows) - len(classes), 1)
    pi = n**prior / (n**prior).sum()
    variance = h.var(0)
    D = np.r_[np.maximum(variance[:-1], 1e-6 * variance[:-1].mean()), 0]
    W = np.linalg.solve(within + (means.T * pi) @ means + alpha * np.diag(D), means.T * pi)
    return Head(classes, W[:-1].T, W[-1])


def test_ridge_is_the_textbook_solution() -> None:
    rows = rows_of()
    for prior in PRIORS:
        for alpha in ALPHAS:
            head, expected = solve_ridge(Sums.of(rows), SHIFT, alpha, prior), textbook_ridge(rows, alpha, prior)
            assert np.allclose(head.aligned(expected.classes).weight, expected.weight, rtol=0, atol=1e-9), (
                prior,
                alpha,
            )
            assert np.allclose(head.aligned(expected.classes).bias, expected.bias, rtol=0, atol=1e-9), (prior, alpha)


def test_the_counted_prior_is_plain_ridge_on_all_rows_but_for_the_freedom_of_the_spread() -> None:
    rows = rows_of(4000)
    classes = tuple(sorted(rows.counts()))
    h, y = np.c_[features(rows), np.ones(len(rows))], np.eye(len(classes))[rows.codes(classes)]
    D = np.diag(np.r_[features(rows).var(0), 0])
    plain = np.linalg.solve(h.T @ h + 1e-2 * len(rows) * D, h.T @ y)
    assert np.allclose(solve_ridge(Sums.of(rows), SHIFT, 1e-2, 1.0).aligned(classes).weight, plain[:-1].T, atol=1e-3)


@given(order=st.permutations(range(40)), cut=st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_columns_have_the_same_bits_however_the_rows_arrived(order: list[int], cut: int) -> None:
    rows = rows_of(40)
    moved = rows.take(np.array(order))
    parts = Sums.of(moved.take(np.arange(cut))) + Sums.of(moved.take(np.arange(cut, 40)))
    for solve in (lambda s: solve_ridge(s, SHIFT, 1e-2, 0.25), lambda s: solve_lda(s, SHIFT)):
        one, two = solve(Sums.of(rows)), solve(parts)
        assert two.classes == parts.classes, "columns as they arrived"
        again = two.aligned(one.classes)
        assert again.weight.tobytes() == one.weight.tobytes()
        assert again.bias.tobytes() == one.bias.tobytes()


def test_a_tempered_prior_lets_rare_classes_answer() -> None:
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(0, 1, (1000, 4)), rng.normal(1.2, 1, (15, 4))]
    sums = Sums.of(entry_of(np.rint(x * 2**SHIFT), ["common"] * 1000 + ["rare"] * 15))
    fresh = rng.normal(1.2, 1, (300, 4))

    def recall(prior: float) -> float:
        head = solve_ridge(sums, SHIFT, 1e-2, prior)
        return float((head.logits(fresh).argmax(1) == head.classes.index("rare")).mean())

    assert recall(0.0) > recall(0.25) > recall(1.0)


def test_lda_is_the_textbook_solution_with_oas_shrinkage() -> None:
    from sklearn.covariance import oas
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rows = rows_of(600)
    head = solve_lda(Sums.of(rows), SHIFT)
    classes = tuple(sorted(head.classes))
    h, y = features(rows), rows.codes(classes)
    means = np.array([h[y == k].mean(0) for k in range(len(classes))])
    _, shrinkage = oas(h - means[y], assume_centered=True)
    uniform = np.full(len(classes), 1 / len(classes))
    known = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=uniform).fit(h, y)
    answers = head.aligned(classes).logits(h)
    assert (answers.argmax(1) == known.predict(h)).mean() > 0.99
    counted = solve_lda(Sums.of(rows), SHIFT, 1.0)
    assert np.ptp(counted.bias - head.bias - np.log(np.bincount(rows.codes(head.classes)))) < 1e-9


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_few_rows_are_enough(n: int) -> None:
    x, _ = labelled(n)
    labels = [f"class {k % 3}" for k in range(n)]
    for classes in (labels, ["alone"] * n):
        rows = entry_of(np.rint(x * 2**SHIFT), classes)
        for head in (solve_ridge(Sums.of(rows), SHIFT, 1e-2, 0.25), solve_lda(Sums.of(rows), SHIFT)):
            answers = head.logits(features(rows))
            assert np.isfinite(answers).all()
            if n <= 3 or classes[0] == "alone":
                assert (np.array(head.classes)[answers.argmax(1)] == np.array(classes)).all()


def test_constant_and_empty_features_do_no_harm() -> None:
    x = np.zeros((9, 3))
    x[:, 1] = 5
    rows = entry_of(x, list("aabbbbccc"))
    for head in (solve_ridge(Sums.of(rows), SHIFT, 1e-2, 0.25), solve_lda(Sums.of(rows), SHIFT)):
        assert np.isfinite(head.weight).all()
        assert np.isfinite(head.bias).all()
    assert solve_ridge(Sums.empty(3), SHIFT, 1e-2, 0.25).classes == ()
    assert solve_lda(Sums.empty(3), SHIFT).classes == ()


def test_an_alpha_too_small_for_float64_is_refused_with_the_remedy() -> None:
    x = np.random.default_rng(0).integers(-9, 9, (5, 40))
    with pytest.raises(MethodRefused, match="larger"):
        solve_ridge(Sums.of(entry_of(x, list("aabbc"))), SHIFT, 1e-30, 0.25)


def split(rows: FeatureRows) -> tuple[FeatureRows, FeatureRows]:
    return rows.take(rows.folds > 2), rows.take(rows.folds == 2)


@pytest.mark.parametrize("prior", PRIORS)
def test_the_score_of_an_alpha_is_the_weighted_squared_error_of_the_selecting_rows(prior: float) -> None:
    learn, select = split(rows_of(1500, classes=3))
    head = solve_ridge(Sums.of(learn), SHIFT, 1e-2, prior)
    y = select.codes(head.classes)
    error = ((head.logits(features(select)) - np.eye(len(head.classes))[y]) ** 2).sum(1)
    n = np.bincount(y)
    pi = n**prior / (n**prior).sum()
    # the spread within classes is pooled, as in the head's own equations: equal where that holds, so nearly here
    expected = sum(pi[k] * error[y == k].mean() for k in range(len(n)))
    score = choose_alpha(Sums.of(learn), Sums.of(select), SHIFT, prior).scores[1e-2]
    assert score == pytest.approx(expected, rel=0.05)
    grid = Head(head.classes, head.weight * 2.0**-SHIFT, head.bias)
    assert Moments.of(Sums.of(select), prior).squared_error(grid.weight, grid.bias, grid.classes) == pytest.approx(
        score
    )


def test_noise_asks_for_a_larger_alpha_than_a_clear_rule() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 60))
    rule = ["yes" if v > 0 else "no" for v in x[:, 0]]
    noise = ["yes" if v > 0 else "no" for v in rng.normal(size=300)]
    clear, noisy = (split(entry_of(np.rint(x * 2**SHIFT), y)) for y in (rule, noise))
    low = choose_alpha(Sums.of(clear[0]), Sums.of(clear[1]), SHIFT, 0.25)
    high = choose_alpha(Sums.of(noisy[0]), Sums.of(noisy[1]), SHIFT, 0.25)
    assert low.alpha < high.alpha == max(ALPHAS)
    assert min(high.scores) == 1e-3, "where it starts, of many rows; smaller ones only get worse"
    few = Sums.of(noisy[0].take(np.arange(100)))
    assert min(choose_alpha(few, Sums.of(noisy[1]), SHIFT, 0.25).scores) == DEFAULT_ALPHA
    assert list(low.scores) == sorted(low.scores)


def test_without_selecting_rows_alpha_is_the_default_and_ties_go_to_the_larger() -> None:
    learn, select = split(rows_of(100))
    nothing = choose_alpha(Sums.of(learn), Sums.empty(8), SHIFT, 0.25)
    assert (nothing.alpha, nothing.scores) == (DEFAULT_ALPHA, {})
    assert choose_alpha(Sums.empty(8), Sums.of(select), SHIFT, 0.25).head.classes == ()
    assert choose_alpha(Sums.of(learn), Sums.of(select), SHIFT, 0.25, Alphas((0.5,))).alpha == 0.5
    alone = Sums.of(entry_of(np.ones((4, 8)), ["a"] * 4))
    assert choose_alpha(alone, alone, SHIFT, 0.25).alpha == max(ALPHAS)


def test_on_tables_the_least_error_wins_without_leniency() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 60))
    labels = ["yes" if v > 0 else "no" for v in x[:, 0] + 2 * rng.normal(size=400)]
    learn, select = (Sums.of(part) for part in split(entry_of(np.rint(x * 2**SHIFT), labels)))
    choice = choose_alpha(learn, select, SHIFT, 0.25, OF_TABLES)
    assert choice.scores[choice.alpha] == min(choice.scores.values())
    assert choice.alpha > choose_alpha(learn, select, SHIFT, 0.25).alpha
    table = TableInput.model_validate({"kind": "table", "columns": [{"name": "a", "kind": "number"}]})
    assert alphas_of(table) is OF_TABLES


def test_a_head_can_be_aligned_to_other_columns() -> None:
    head = Head(("a", "b"), np.array([[1.0], [2.0]]), np.array([3.0, 4.0]))
    moved = head.aligned(("b", "c"))
    assert moved.weight.tolist() == [[2], [0]]
    assert moved.bias.tolist() == [4, ABSENT]
    assert head.aligned(["a", "b"]) is head


def test_thousands_of_classes_take_no_square_of_their_number() -> None:
    classes, width = 3000, 8
    rng = np.random.default_rng(0)
    labels = [f"c{k}" for k in np.repeat(np.arange(classes), 4)]
    entry = entry_of(np.rint(rng.normal(size=(len(labels), width)) * 2**SHIFT), labels)
    tracemalloc.start()
    learn = Sums.of(entry)
    choose_alpha(learn, learn, SHIFT, 0.25)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * classes**2, "one matrix of classes by classes"


def test_sums_of_classes_and_the_squared_error_are_the_same_where_classes_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = rows_of(100)
    few = Sums.of(entry)
    monkeypatch.setattr(sums, "WIDE", 10_000)
    many = Sums.of(entry)
    assert np.array_equal(few.Q, many.Q)
    head = RidgeEquations(Moments.of(few, 0.25)).solve(0.1)
    truth, columns = Moments.of(few, 0.25), head.classes[1:]
    whole = truth.squared_error(head.weight[1:], head.bias[1:], columns)
    monkeypatch.setattr(moments, "MANY", 1)
    assert truth.squared_error(head.weight[1:], head.bias[1:], columns) == pytest.approx(whole, rel=1e-12)
