"""The grid of numbers: limbs are exact, sums of them too, and what does not fit is seen."""

import numpy as np
import pytest
from pydantic import ValidationError

from service.contract.targets.number_target import ColumnYardstick, NumberTarget
from service.learning.data.rows import NAMELESS, Known, Rows, bounded, distinct, rows_of
from service.learning.data.serialization import pack_rows, unpack_rows
from service.learning.data.target_grid import REACH, UNIT_STEPS, NumberGrid

NUMBER = NumberTarget(kind="number")
RNG = np.random.default_rng(0)


def number_rows(batch: str, inputs: np.ndarray, targets: np.ndarray, source: str | None = None) -> Rows:
    return rows_of(batch, inputs, [*NAMELESS] * len(inputs), b"secret", Known(source, targets=targets))


@pytest.mark.parametrize("scale", [1e-299, 1e-160, 1e-9, 1.0, 3e7])
def test_limbs_give_back_a_target_within_half_a_step(scale: float) -> None:
    goals = RNG.normal(5 * scale, scale, (1000, 2))
    grid = NumberGrid.fitted(NumberTarget(kind="number", size=2), goals)
    limbs = grid.limbs(goals)
    assert np.abs(limbs[:, :2].astype(int)).max() <= 2**14
    back = grid.value(grid.on_grid(limbs))
    assert np.abs(back - goals).max() <= max(grid.step) * 0.5 * (1 + 1e-9)
    assert max(grid.step) <= 2 * scale / UNIT_STEPS


def test_a_step_keeps_the_very_cents() -> None:
    grid = NumberGrid.fitted(NumberTarget(kind="number", step=0.01), np.zeros((1, 1)))
    cents = RNG.integers(-(10**8), 10**8, (500, 1))
    assert np.array_equal(grid.on_grid(grid.limbs(cents * 0.01)) * UNIT_STEPS, cents)


def test_the_ends_fit_and_a_step_beyond_does_not() -> None:
    grid = NumberGrid.fitted(NUMBER, RNG.normal(100, 7, (300, 1)))
    low, high = grid.ends
    assert grid.fits(np.array([low, high])).all()
    assert not grid.fits(np.array([low - 2 * np.array(grid.step), high + 2 * np.array(grid.step), [1e300]])).any()
    assert grid.limbs(high[None]).max() == REACH


def test_equal_targets_take_their_own_size_as_unit() -> None:
    assert NumberGrid.fitted(NUMBER, np.full((5, 1), 40.0)).unit.tolist() == [32.0]
    assert NumberGrid.fitted(NUMBER, np.zeros((5, 1))).unit.tolist() == [1.0]


@pytest.mark.parametrize("target", [7.3, -1e-300, 1e15 / 3])
def test_equal_targets_stay_what_they_are(target: float) -> None:
    goals = np.full((7, 1), target)
    grid = NumberGrid.fitted(NUMBER, goals)
    assert np.array_equal(grid.value(grid.on_grid(grid.limbs(goals))), goals)


def test_logarithm_and_difference_come_before_the_grid() -> None:
    inputs = RNG.normal(size=(50, 3)).astype(np.float32)
    targets = np.exp(RNG.normal(size=(50, 1)))
    log = NumberGrid.fitted(NumberTarget(kind="number", scale="log"), np.log(targets))
    assert np.allclose(log.targets(log.goals(targets, inputs), inputs), targets)
    change = NumberGrid.fitted(NumberTarget.model_validate({"kind": "number", "from": 2}), targets)
    assert np.allclose(change.goals(targets, inputs)[:, 0], targets[:, 0] - inputs[:, 2])
    assert np.allclose(change.targets(change.goals(targets, inputs), inputs), targets)


def test_rows_with_numbers_are_stored_and_read_back() -> None:
    inputs, targets = RNG.normal(size=(20, 3)).astype(np.float32), RNG.normal(size=(20, 2))
    rows = unpack_rows(pack_rows(number_rows("b", inputs, targets)))
    assert np.array_equal(rows.targets, targets)
    assert rows.numeric
    both = Rows.concat([Rows.empty((3,)), rows.take(slice(0, 5))])
    assert np.array_equal(both.targets, targets[:5])


def test_a_row_sent_again_counts_once_unless_its_target_differs() -> None:
    inputs, targets = np.zeros((4, 3), np.float32), np.array([[1.0], [2.0], [1.0], [1.0]])
    assert distinct(number_rows("b", inputs, targets)).tolist() == [0, 1]


def test_two_thousand_rows_of_each_source_are_kept_to_judge() -> None:
    inputs = RNG.normal(size=(2500, 2)).astype(np.float32)
    parts = [number_rows(s, inputs + k, np.ones((2500, 1)), s) for k, s in enumerate(("north", "south"))]
    assert len(bounded(Rows.concat(parts))) == 4000


def test_what_does_not_go_together_is_refused() -> None:
    for fields in [
        {"names": ["a", "b"]},
        {"size": 2, "names": ["a", "a"]},
        {"range": [3, 3]},
        {"range": [0, 1e200]},
        {"range": [0, 1], "step": 0.1},
        {"scale": "log", "from": 0},
        {"scale": "log", "range": [0, 5]},
        {"scale": "log", "step": 1},
        {"size": 17},
        {"level": 0.3},
    ]:
        with pytest.raises(ValidationError):
            NumberTarget.model_validate({"kind": "number", **fields})


def test_the_yardstick_of_a_difference_is_its_column() -> None:
    assert NumberTarget.model_validate({"kind": "number", "from": 3}).usual == ColumnYardstick(column=3)
    assert NUMBER.usual == "mean"
