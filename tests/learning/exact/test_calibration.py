"""Temperature and what shares count: found where they are known, and inherited or flagged where rows are few."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.data.rows import FeatureRows
from service.learning.exact.calibration import COLDEST, HOTTEST, fit, fit_temperature, on_selecting_rows, temperature_of
from service.learning.exact.out_of_fold import out_of_fold_logits, ridge_out_of_fold
from service.learning.exact.solve import ABSENT, Head, solve_ridge
from service.learning.ledger.ledger import Ledger
from tests.learning.exact_help import entry_of, space

CLASSES = ("class 0", "class 1", "class 2")


def sampled(temperature: float, n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and classes drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) * temperature * 2
    noisy = logits / temperature + rng.gumbel(size=logits.shape)
    return logits, noisy.argmax(1)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 6.0])
def test_a_planted_temperature_is_found(temperature: float) -> None:
    assert fit_temperature(*sampled(temperature)) == pytest.approx(temperature, rel=0.07)


def test_what_shares_count_is_found_on_rows_of_which_rare_classes_keep_more() -> None:
    rng, shares = np.random.default_rng(0), np.array([0.9, 0.07, 0.03])
    logits = rng.normal(size=(40_000, 3)) * 3
    classes = (logits / 2 + 0.5 * np.log(shares) + rng.gumbel(size=logits.shape)).argmax(1)
    kept = np.concatenate([np.flatnonzero(classes == k)[:600] for k in range(3)])
    weight = np.bincount(classes)[classes[kept]]
    found = fit(logits[kept], classes[kept], weight, shares)
    assert found.temperature == pytest.approx(2, rel=0.07)
    assert found.log_share == pytest.approx(2 * 0.5, rel=0.15)
    with_absent = fit(np.c_[logits[kept], np.full(len(kept), ABSENT)], classes[kept], weight, np.append(shares, 0))
    assert with_absent.log_share == pytest.approx(found.log_share)


def test_few_rows_do_not_make_shares_count_in_full() -> None:
    rng, shares = np.random.default_rng(0), np.array([0.7, 0.3])
    logits = rng.normal(size=(4000, 2))
    classes = (logits + 0.8 * np.log(shares) + rng.gumbel(size=logits.shape)).argmax(1)

    def counts(rows: int) -> float:
        some = slice(None, rows)
        found = fit(logits[some], classes[some], np.ones(rows), shares)
        return found.log_share / found.temperature

    # of 60 rows each stands for 60 copies: they say the same, but are no more evidence of another order
    copies = np.tile(np.arange(60), 60)
    sure = fit(logits[copies], classes[copies], np.ones(3600), shares)
    assert 0 < counts(60) < 0.8 * sure.log_share / sure.temperature
    assert counts(4000) == pytest.approx(0.8, rel=0.15)


def test_a_few_rows_that_are_all_right_do_not_make_it_sure() -> None:
    right = np.arange(60) % 3
    temperature = fit_temperature(np.eye(3)[right], right)
    score = np.exp(1 / temperature) / (np.exp(1 / temperature) + 2)
    assert score == pytest.approx(1 - 2 / 3 / 62, abs=1e-4)


def test_it_stays_within_its_bounds() -> None:
    wrong = np.arange(60) % 2
    assert fit_temperature(np.eye(2)[1 - wrong], wrong) == pytest.approx(HOTTEST)
    assert fit_temperature(np.eye(2)[wrong] * 1e-5, wrong) == pytest.approx(COLDEST)


def test_columns_without_a_head_count_for_nothing() -> None:
    logits, right = sampled(0.5)
    with_absent = np.c_[logits, np.full(len(logits), ABSENT)]
    assert fit_temperature(with_absent, right) == pytest.approx(fit_temperature(logits, right))


def case(n: int, classes: int = 3) -> tuple[Ledger, Head, FeatureRows, np.ndarray]:
    rng = np.random.default_rng(n)
    y = rng.integers(0, classes, n)
    x = rng.normal(size=(3, 12))[y] + rng.normal(size=(n, 12))
    entry = entry_of(np.rint(x * 256), [CLASSES[k] for k in y])
    ledger = Ledger.empty(space()).with_entry(entry)

    _, answers = ridge_out_of_fold(ledger.all, entry, ledger.shift, 1e-2, 0.25)
    head = solve_ridge(ledger.learn, ledger.shift, 1e-2, 0.25)
    return ledger, head, entry, out_of_fold_logits(answers, len(entry), CLASSES)


def test_with_enough_selecting_rows_they_alone_decide_in_any_order() -> None:
    ledger, head, entry, _ = case(900)
    fitted = on_selecting_rows(ledger, head, by_share=True)
    assert fitted is not None
    assert fitted.temperature < 1
    order = np.random.default_rng(0).permutation(900)
    parts = [entry.take(order[:300]), entry.take(order[300:])]
    moved = Ledger.empty(space()).with_entry(parts[0]).with_entry(parts[1])
    again = on_selecting_rows(moved, head.aligned(head.classes[::-1]), by_share=True)
    assert again == fitted, "the same bits"
    assert on_selecting_rows(case(80)[0], head, by_share=True) is None


def test_with_few_selecting_rows_out_of_fold_answers_stand_in_and_say_so() -> None:
    _, _, entry, own = case(80)
    temperature, doubt = temperature_of(entry, own, CLASSES, inherited=5.0)
    assert temperature < 1
    assert doubt is not None
    assert "cross-validated" in doubt


def test_with_fewer_it_is_inherited_then_fitted_on_ten_then_left_alone() -> None:
    _, _, entry, own = case(30)
    assert temperature_of(entry, own, CLASSES, inherited=5.0) == (5.0, None)
    temperature, doubt = temperature_of(entry, own, CLASSES, inherited=None)
    assert temperature < 1
    assert doubt is not None
    for _, _, entry, own in (case(3), case(200, classes=1)):
        temperature, doubt = temperature_of(entry, own, CLASSES, inherited=None)
        assert temperature == 1
        assert doubt is not None
        assert "too few rows" in doubt
