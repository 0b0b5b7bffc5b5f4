"""The sums of numbers are exact: the same digest and head for any order and split, and after rows came and left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import MethodRefused
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_shard
from service.learning.data.target_grid import LIMB_BITS, REACH, UNIT_STEPS, NumberGrid
from service.learning.ledger import sums as sums_module
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Checkpoint
from service.learning.number_heads.equations import NumberMoments, number_head, squares
from tests.learning.number_streams import NumberStream, number, number_rows, values, vector

RNG = np.random.default_rng(3)
PRICES = {"target": number(size=2, names=["bid", "ask"]), "input": vector(4)}


def plane(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose two targets are linear but for noise. [n, 4], [n, 2]"""
    rng = np.random.default_rng(seed)
    X = rng.normal(2, 1, (n, 4)).astype(np.float32)
    y = X @ np.array([[3.0, -1], [0, 2], [1, 1], [-2, 0]]) + 40 + rng.normal(size=(n, 2))
    return X, y


def learned(parts: list[np.ndarray], X: np.ndarray, y: np.ndarray) -> NumberStream:
    """A first batch of 40 rows, which fixes scale and grid, then the rows of each part as a batch."""
    stream = NumberStream(**PRICES)
    stream.learns(X[:40], y[:40], name="bat_first", lift="relu", width=30, decay=1)
    for k, part in enumerate(parts):
        stream.learns(X[part], y[part], name=f"bat_{k:02d}", lift="relu", width=30, decay=1)
    return stream


def digest(stream: NumberStream) -> str:
    assert stream.checkpoint is not None
    space, ledger = Space.of(stream.checkpoint), None
    for rows in stream.history:
        ledger = (ledger or Ledger.empty(space)).with_entry(feature_rows(space, rows))
    return ledger.digest


def head_bits(version: Checkpoint | None) -> dict[str, bytes]:
    return {part: pack_shard(version.parts[part]) for part in ("head.0", "judge")}


def test_twenty_orders_and_splits_have_one_digest_and_one_head() -> None:
    X, y = plane(300)
    whole = learned([np.arange(40, 300)], X, y)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        order = 40 + rng.permutation(260)
        cuts = np.sort(rng.integers(0, 260, rng.integers(0, 5)))
        other = learned([part for part in np.split(order, cuts) if len(part)], X, y)
        assert digest(other) == digest(whole)
        assert head_bits(other.checkpoint) == head_bits(whole.checkpoint)


def test_rows_ten_times_too_large_leave_nothing_when_they_are_taken_out() -> None:
    X, y = plane(200)
    honest = learned([np.arange(40, 200)], X, y)
    spoilt = learned([np.arange(40, 200)], X, y)
    spoilt.learns(X[:50], 10 * y[:50], name="bat_wrong", lift="relu", width=30, decay=1)
    assert head_bits(spoilt.checkpoint) != head_bits(honest.checkpoint)
    again = spoilt.again(without="bat_wrong", lift="relu", width=30, decay=1)
    assert head_bits(again.checkpoint) == head_bits(honest.checkpoint)
    space = Space.of(again.checkpoint)
    wrong = feature_rows(space, spoilt.history[-1])
    ledger = Ledger.empty(space)
    for rows in spoilt.history:
        ledger = ledger.with_entry(feature_rows(space, rows))
    assert (ledger.all - Sums.of(wrong)).digest(space.id) == digest(honest)


@given(seed=st.integers(0, 1000), n=st.integers(1, 60), spread=st.sampled_from([1e-3, 1.0, 9000.0]))
@settings(max_examples=25, deadline=None)
def test_sums_of_goals_are_those_of_integers(seed: int, n: int, spread: float) -> None:
    stream = NumberStream(**PRICES)
    X, y = plane(60, seed)
    space = Space.of(stream.learns(X, y, lift="none").checkpoint)
    grid = space.numbers
    rng = np.random.default_rng(seed)
    low, high = grid.ends
    goals = np.clip(rng.normal(40, spread, (n, 2)) * grid.unit, low, high)
    goals[0] = low if seed % 2 else high
    entry = feature_rows(space, number_rows("b", X[:n], goals))
    steps = [[round(float(v)) for v in row] for row in (goals - np.array(grid.offset)) / np.array(grid.step)]
    sums = Sums.of(entry)
    moments = NumberMoments.of(sums, 2)
    for j in range(2):
        t = [row[j] for row in steps]
        assert squares(sums, 2)[j] == float(sum(v * v for v in t)), "rounded once"
        assert moments.goal[j] == float(sum(t)) / (UNIT_STEPS * n)
        for m in range(4):
            low_sum, high_sum = (int(sums.G[m, 4 + j + 2 * limb]) for limb in (0, 1))
            assert low_sum + (high_sum << LIMB_BITS) == sum(
                int(h) * v for h, v in zip(entry.inputs[:, m].tolist(), t, strict=True)
            )


def test_sums_without_rows_are_the_same_sums() -> None:
    X, y = plane(120)
    stream = learned([np.arange(40, 80), np.arange(80, 120)], X, y)
    space = Space.of(stream.checkpoint)
    ledger = Ledger.empty(space)
    for rows in stream.history:
        entry = SummedEntry.of(feature_rows(space, rows))
        ledger = ledger.with_entry(SummedEntry.unpack(entry.pack()))
    assert ledger.digest == digest(stream)
    assert ledger.exam.numeric
    assert np.array_equal(ledger.exam.targets[0], y[np.flatnonzero((y == ledger.exam.targets[0]).all(1))[0]])
    exact = stream.checkpoint.layout.exact
    head = number_head(ledger.all, 2, space.shift, exact.alpha)
    assert np.array_equal(head.weight.astype(np.float32), stream.checkpoint.parts["head.0"]["weight"].numpy())


def test_the_ends_of_the_grid_are_two_limbs_and_are_learned() -> None:
    grid = NumberGrid.fitted(number(step=1), np.zeros((1, 1)))
    low, high = grid.ends
    limbs = grid.limbs(np.array([low, high]))
    assert limbs[:, 1].tolist() == [-REACH, REACH]
    stream = NumberStream(vector(1, scale={"range": [-1, 1]}), number(step=1))
    X = np.array([[-1.0], [1.0]] * 20)
    y = np.where(X[:, 0] < 0, low[0], high[0])
    stream.learns(X, y, lift="none", alpha=1e-6)
    assert np.allclose(values(stream.checkpoint, X)[:, 0], y, rtol=1e-4)


def test_sums_beyond_two_to_the_fifty_third_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = NumberStream(**PRICES)
    X, y = plane(60)
    stream.learns(X, y, lift="none")
    monkeypatch.setattr(sums_module, "LARGEST_SUM", 2.0**35)
    grid = stream.checkpoint.layout.numbers
    with pytest.raises(MethodRefused, match="2\\^53"):
        stream.learns(X, np.broadcast_to(grid.ends[1], (60, 2)), lift="none")


def test_no_rows_answer_the_offset() -> None:
    head = number_head(Sums.empty(6), 1, 12, 0.1)
    assert (head.weight.shape, head.bias.tolist()) == ((1, 4), [0.0])
    assert not len(Rows.empty((4,)))
