from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.bounds import LEVELS, bounds
from service.learning.evaluation.numbers.intervals import (
    NONE,
    IntervalErrors,
    covered,
    enough,
    interval_part,
    latest,
    levels_due,
    missed,
)
from service.learning.evaluation.numbers.number_assessment import Tested
from tests.learning.evaluation.numbers.lineage import Lineage


def errors(size: Floats, value: Floats | None = None) -> IntervalErrors:
    """Of one number, of two batches."""
    value = np.arange(len(size), dtype=np.float64) if value is None else value
    return IntervalErrors(value[:, None], size[:, None], frozenset({"a", "b"}))


def arrays(of: IntervalErrors) -> dict[str, Floats]:
    part = interval_part(of)
    return {name: tensor.numpy() for name, tensor in part.items()}


def memory(batch: str, rows: int, size: float = 1.0) -> Tested:
    none = np.zeros(0, np.int32)
    return Tested(
        (batch,), np.zeros(rows, np.int32), np.arange(rows, dtype=np.int32), np.zeros((rows, 1)),
        np.full((rows, 1), size), np.ones((rows, 1)), ({},), (), none, none, np.zeros((0, 1)),
    )  # fmt: skip


def test_a_quantile_is_the_conformal_one_of_all_errors_where_groups_are_small() -> None:
    size = np.random.default_rng(0).permutation(np.arange(1.0, 201.0))
    part = arrays(errors(size))
    for level in (0.5, 0.8, 0.9, 0.95):
        _, low, high = bounds(part, np.array([[100.0]]), level)
        assert high[0, 0] - 100 == 100 - low[0, 0] == math.ceil(201 * level - 1e-9)


def test_groups_by_value_have_quantiles_of_their_own() -> None:
    value = np.repeat(np.arange(5.0), 100)
    part = arrays(errors(np.tile(np.arange(1.0, 101.0), 5) * (value + 1), value))
    _, low, high = bounds(part, np.arange(5.0)[:, None], 0.9)
    np.testing.assert_allclose((high - low)[:, 0] / 2, 91 * np.arange(1.0, 6.0))


def test_higher_levels_are_never_narrower() -> None:
    random = np.random.default_rng(1)
    for rows in (20, 49, 77, 260, 400):
        quantiles = arrays(errors(random.exponential(size=rows)))["quantiles"]
        assert (np.diff(quantiles, axis=2) >= 0).all()
        assert np.isfinite(quantiles).all()


def test_a_level_goes_up_where_batches_were_held_less_and_down_where_more() -> None:
    def batches(held: float, rows: int = 100) -> list[Tested]:
        levels = np.where(np.arange(rows) < held * rows, 0, LEVELS - 1).astype(np.uint8)[:, None]
        return [replace(memory(f"bat_{k}", rows), missed=levels) for k in range(4)]

    at_90, calm = 89, (np.arange(99) + 0.5) / 99
    exact = [replace(memory("bat_0", 99), missed=np.rint(calm * 99 - 0.5).astype(np.uint8)[:, None])]
    assert levels_due(batches(0.5))[at_90, 0] == at_90 + 8  # 4 x 0.05 x 0.4
    assert levels_due(batches(1.0))[at_90, 0] == at_90 - 2
    assert levels_due(batches(0.5, rows=25))[at_90, 0] == at_90 + 4
    assert levels_due(batches(0.0) * 9)[at_90, 0] == LEVELS - 2, "there is no wider one"
    np.testing.assert_array_equal(levels_due(exact)[:, 0], np.arange(99))
    np.testing.assert_array_equal(levels_due([])[:, 0], np.arange(99))
    assert (np.diff(levels_due(batches(0.3)), axis=0) >= 0).all()


def test_fewer_than_twenty_errors_make_no_interval() -> None:
    assert interval_part(errors(np.ones(19))) is None
    assert interval_part(errors(np.ones(20))) is not None


def test_errors_that_are_all_zero_make_no_interval() -> None:
    assert interval_part(errors(np.zeros(20))) is None


def test_rows_with_new_values_have_intervals_of_their_own_once_such_errors_were_made() -> None:
    random = np.random.default_rng(4)

    def batch(name: str, new: int) -> Tested:
        novel = np.arange(100) < new
        made = memory(name, 100)
        error = np.where(novel[:, None], 10.0, 1.0) * random.uniform(0.5, 1, (100, 1))
        return replace(made, error=error, novel=novel if new else None)

    few, enough_of_them = (
        [batch("a", 0), batch("b", 19)],
        [batch("a", 0), batch("b", 20), *(batch(n, 0) for n in "cdefgh")],
    )
    of_few, part = (arrays(latest(tested)) for tested in (few, enough_of_them))
    assert of_few["quantiles"].shape == (1, 5, 99), "19 are too few"
    assert of_few["quantiles"].max() < 1, "and no other row's interval is made of them"
    value, novel = np.zeros((2, 1)), np.array([False, True])
    _, low, high = bounds(part, value, 0.9, novel)
    width = (high - low)[:, 0] / 2
    assert width[0] < 1
    assert 8 < width[1] < 10
    np.testing.assert_array_equal(bounds(of_few, value, 0.9, novel), bounds(of_few, value, 0.9))
    assert covered(missed(part, value, np.full((2, 1), 5.0), novel), 0.9) == 0.5
    assert latest(enough_of_them).batches == {*"bdefgh"}, "the last five of usual rows, and one of new values"


def test_what_new_values_missed_moves_no_level() -> None:
    exact = np.rint((np.arange(99) + 0.5) / 99 * 99 - 0.5).astype(np.uint8)[:, None]
    missing = np.full((50, 1), LEVELS - 1, np.uint8)
    tested = replace(memory("b", 149), missed=np.concatenate([exact, missing]), novel=np.arange(149) >= 99)
    np.testing.assert_array_equal(levels_due([tested])[:, 0], np.arange(99))
    assert levels_due([replace(tested, novel=None)])[80, 0] > 80


def test_levels_that_missed_say_how_much_was_covered_at_any_level() -> None:
    random = np.random.default_rng(2)
    part = arrays(errors(random.normal(size=600), random.normal(size=600)))
    value, error = random.normal(size=(300, 1)), random.normal(size=(300, 1))
    levels = missed(part, value, error)
    for level in (0.5, 0.9, 0.955, 0.99):
        _, low, high = bounds(part, value, level)
        inside = (low <= value + error) & (value + error <= high)
        assert covered(levels, level) == pytest.approx(inside.mean())
    assert covered(np.full((3, 1), NONE, np.uint8), 0.9) is None


def test_errors_are_of_the_last_five_batches_and_of_more_while_rows_are_few() -> None:
    many = latest([memory(f"b{k}", 200) for k in range(9)])
    assert many.batches == {f"b{k}" for k in range(4, 9)}
    assert len(many.error) == 1000
    few = latest([memory(f"b{k:02d}", 60) for k in range(30)])
    assert few.batches == {f"b{k:02d}" for k in range(21, 30)}, "nine have 540 rows"
    one_row = latest([memory(f"b{k:02d}", 1) for k in range(30)])
    assert len(one_row.batches) == 20
    assert enough(one_row)
    assert enough(latest([memory("b", 20)]))
    assert not enough(latest([memory("b", 19)]))
    assert not enough(latest([]))


@pytest.mark.parametrize("source", [None, pytest.param("changing", marks=pytest.mark.long)])
def test_nine_in_ten_intervals_hold_on_a_stream_that_drifts(source: str | None) -> None:
    """Each version is asked of the next batch; weights wander and the noise grows by half on the way."""
    random, stream = np.random.default_rng(3), Lineage(4)
    weights, reports = random.normal(size=4), []
    for k in range(18):
        weights = weights + 0.08 * random.normal(size=4)
        x = random.normal(size=(80, 4)) + 0.05 * k
        y = 20 + 5 * (x @ weights + (1 + k / 36) * random.normal(size=80))
        name = None if source is None else f"{source}{k % 3}"
        reports.append(stream.grow(x, y + 3 * (k % 3) * (source is not None), name))
    held = [t.missed for _, t in stream.past[3:]]
    share = covered(np.concatenate(held), 0.9)
    assert share is not None
    assert 0.85 <= share <= 0.94
    assert reports[-1].tested.coverage == covered(np.concatenate(held[-5:]), 0.9)
