from __future__ import annotations

import numpy as np
import pytest

from service.learning.evaluation.numbers.errors import explained, regions, rise


def test_the_interval_of_a_rise_holds_it_and_narrows_with_rows() -> None:
    random = np.random.default_rng(0)
    widths = []
    for rows in (100, 2000, 12_000):
        before = random.exponential(size=(rows, 1))
        change = rise(before, before * (1.1 + 0.3 * random.normal(size=(rows, 1))).clip(0))
        assert change is not None
        value, (low, high) = change
        assert low < value < high
        assert value == pytest.approx(0.1, abs=0.08)
        widths.append(high - low)
    assert widths[0] > 2 * widths[1] > 2 * widths[2]


def test_a_rise_of_several_numbers_has_no_unit() -> None:
    before = np.abs(np.random.default_rng(1).normal(size=(200, 2)))
    after = before * np.array([1.2, 1.0])
    large = np.array([1.0, 1e6])
    small, same = rise(before, after), rise(before * large, after * large)
    assert small[0] == pytest.approx(0.1)
    assert same[0] == pytest.approx(0.1)


def test_nothing_rises_without_rows_or_from_nothing() -> None:
    assert rise(np.zeros((0, 1)), np.zeros((0, 1))) is None
    assert rise(np.zeros((5, 1)), np.ones((5, 1))) is None


def test_what_is_explained_of_equal_targets_is_not_known() -> None:
    assert explained(np.ones((4, 1)), np.zeros((4, 1))) is None
    targets = np.arange(6.0)[:, None]
    assert explained(targets, np.zeros((6, 1))) == 1
    assert explained(targets, targets - targets.mean()) == pytest.approx(0)


def test_fifths_of_one_value_are_one_region() -> None:
    [region] = regions(np.full(30, 7.0), np.ones((30, 1)))
    assert region.rows == 30
    assert region.from_ == region.to == 7
