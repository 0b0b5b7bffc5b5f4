"""Heads of numbers: they equal ridge, answer in the units of the targets, and do not know the rows that test them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.contract.targets.number_target import NumberTarget
from service.errors import MethodRefused
from service.learning.data.near_duplicates import parted
from service.learning.data.rows import SELECT_FOLD, Rows
from service.learning.exact.lift_choice import chosen_of
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.methods import METHODS, resolve
from service.learning.number_heads.equations import goals_in_units
from service.learning.run import Run
from service.learning.update_data import Setting
from tests.learning.memory_data import MemoryData
from tests.learning.number_streams import NumberStream, number, values, vector
from tests.learning.samples import load_digits


def curve(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(10, 3, (n, 5)).astype(np.float32)
    return X, 200 + 5 * X[:, 0] - 3 * X[:, 1] + np.sin(X[:, 2]) + rng.normal(size=n)


def ridge(X: np.ndarray, y: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """argmin mean |Xw + b - y|^2 + alpha sum var_j w_j^2, by lstsq on stacked rows. -> weight [M, k], bias [k]"""
    mean, goal = X.mean(0), y.mean(0)
    stacked = np.vstack([(X - mean) / np.sqrt(len(X)), np.diag(np.sqrt(alpha) * X.std(0))])
    right = np.vstack([(y - goal) / np.sqrt(len(X)), np.zeros((X.shape[1], y.shape[1]))])
    weight = np.linalg.lstsq(stacked, right, rcond=None)[0]
    return weight, goal - mean @ weight


@pytest.mark.parametrize("alpha", [1e-4, 0.1, 10.0])
@pytest.mark.parametrize("lift", ["none", "relu"])
def test_the_head_is_ridge_on_all_rows(alpha: float, lift: str) -> None:
    stream = NumberStream(vector(5))
    for t in range(3):
        stream.learns(*curve(80, t), lift=lift, width=40, alpha=alpha, decay=1)
    space = Space.of(stream.checkpoint)
    assert space.numbers is not None
    entries = [feature_rows(space, rows) for rows in stream.history]
    H = np.vstack([e.inputs[:, : space.features] for e in entries]) * space.step
    goals = np.vstack([goals_in_units(e, space.numbers) for e in entries])
    weight, bias = ridge(H, goals, alpha)
    got = stream.checkpoint.parts["head.0"]
    assert np.allclose(
        H @ got["weight"].double().numpy().T + got["bias"].double().numpy(), H @ weight + bias, atol=2e-6
    )
    seen = np.concatenate([e.folds for e in entries]) >= SELECT_FOLD
    weight, bias = ridge(H[seen], goals[seen], alpha)
    judge = stream.checkpoint.parts["judge"]
    assert np.allclose(judge["weight"].double().numpy().T, weight, atol=1e-6 * np.abs(weight).max())


@pytest.mark.parametrize("lift", ["none", "relu"])
@pytest.mark.parametrize("decay", [1, 0.7])
def test_answers_out_of_fold_are_those_of_heads_without_the_group(lift: str, decay: float) -> None:
    """Narrow heads are solved anew, wide ones by the rows that leave; both are ridge on the other rows."""
    stream = NumberStream(vector(5), number(size=1))
    stream.learns(*curve(60), lift=lift, width=300, alpha=0.01, decay=decay)
    made = stream.learns(*curve(50, 1), lift=lift, width=300, alpha=0.01, decay=decay)
    space = Space.of(made.checkpoint)
    assert space.numbers is not None
    entries = [feature_rows(space, rows) for rows in stream.history]
    H = np.vstack([e.inputs[:, : space.features] for e in entries]) * space.step
    goals = np.vstack([goals_in_units(e, space.numbers) for e in entries])
    counts = np.repeat([decay, 1.0], [60, 50])
    own = np.repeat([False, True], [60, 50])
    group = np.concatenate([e.folds for e in entries]) // 2
    answered = np.isfinite(made.out_of_fold).all(1)
    assert (~answered == parted(entries[1].marks, entries[1].folds)).all()
    mean = counts @ H / counts.sum()
    variance = counts @ (H - mean) ** 2 / counts.sum()
    variance = np.maximum(variance, 1e-2 * variance.mean())
    for k in range(5):
        rest, left = ~(own & (group == k)), own & (group == k)
        mass = counts[rest].sum()
        centre, goal = counts[rest] @ H[rest] / mass, counts[rest] @ goals[rest] / mass
        Z, Y = H[rest] - centre, goals[rest] - goal
        C = (Z * counts[rest, None]).T @ Z + np.diag(counts.sum() * 0.01 * variance)
        w = np.linalg.solve(C, (Z * counts[rest, None]).T @ Y)
        expected = (H[left] - centre) @ w + goal
        mask = answered & (group[own] == k)
        assert np.allclose(made.out_of_fold[mask], expected[mask[group[own] == k]], atol=1e-6)


def test_it_beats_the_mean_on_real_rows() -> None:
    """How much ink a digit's right half has, from its left half."""
    pixels = load_digits().data.reshape(-1, 8, 8)
    X, y = pixels[:, :, :4].reshape(-1, 32).astype(np.float32), pixels[:, :, 4:].mean((1, 2))
    stream = NumberStream(vector(32, scale={"range": [0, 16]}))
    for start in (0, 400, 800):
        stream.learns(X[start : start + 400], y[start : start + 400])
    answers = values(stream.checkpoint, X[1200:])[:, 0]
    assert np.abs(answers - y[1200:]).mean() < 0.75 * np.abs(y[:1200].mean() - y[1200:]).mean()


def test_the_logarithm_is_learned_and_its_value_is_positive() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)).astype(np.float32)
    y = np.exp(2 * X[:, 0] + 5 + 0.1 * rng.normal(size=300))
    stream = NumberStream(vector(3), number(scale="log"))
    stream.learns(X[:200], y[:200], lift="none")
    answers = values(stream.checkpoint, X[200:])[:, 0]
    assert (answers > 0).all()
    assert np.median(np.abs(answers / y[200:] - 1)) < 0.1


def test_a_difference_to_a_column_follows_a_level_that_wanders() -> None:
    rng = np.random.default_rng(0)
    level = 1000 + np.cumsum(rng.normal(size=600))
    X = np.stack([level[:-1], rng.normal(size=599)], 1)
    y = level[1:]
    stream = NumberStream(vector(2), number(**{"from": 0}))
    stream.learns(X[:100], y[:100])
    answers = values(stream.checkpoint, X[100:])[:, 0]
    assert np.abs(answers - y[100:]).mean() < 1.2 * np.abs(X[100:, 0].astype(np.float32) - y[100:]).mean()


def test_three_numbers_a_row_are_each_solved_as_if_alone() -> None:
    X, y = curve(120)
    three = np.stack([y, 1000 * X[:, 1], -y / 50], 1)
    together = NumberStream(vector(5), number(size=3, names=["a", "b", "c"]))
    made = together.learns(X, three, lift="none", alpha=0.01)
    assert made.checkpoint.outputs == ("a", "b", "c")
    assert made.out_of_fold.shape == (120, 3)
    for k in range(3):
        alone = NumberStream(vector(5))
        alone.learns(X, three[:, k], lift="none", alpha=0.01)
        assert np.allclose(values(alone.checkpoint, X)[:, 0], values(together.checkpoint, X)[:, k], rtol=1e-6)


def drifting(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """A slope that turns with time."""
    rng = np.random.default_rng(batch)
    X = rng.normal(size=(60, 3)).astype(np.float32)
    return X, X @ [np.cos(batch / 2), np.sin(batch / 2), 1] + 0.1 * rng.normal(size=60)


@pytest.mark.parametrize("moves", [True, False])
def test_the_decay_is_searched_and_is_taken_where_the_stream_drifts(moves: bool) -> None:
    stream, made = NumberStream(vector(3)), None
    for t in range(8):
        made = stream.learns(*(drifting(t) if moves else drifting(0)), lift="none")
    assert set(made.details["decays_tried"]) == {"1", "0.9", "0.7", "0.5"}
    exact = made.checkpoint.layout.exact
    assert (exact.decay < 1) == moves
    assert any("not exact" in note for note in made.notes) == moves
    kept = stream.learns(*drifting(8), lift="none", decay=1).checkpoint.layout.exact
    assert kept.decay == 1
    halved = stream.learns(*drifting(9), lift="none", half_life=2).checkpoint.layout.exact
    assert halved.decay == pytest.approx(0.5**0.5)


def test_sources_that_differ_get_heads_of_their_own() -> None:
    stream = NumberStream(vector(3))
    rng = np.random.default_rng(0)
    for t in range(6):
        X = rng.normal(size=(100, 3)).astype(np.float32)
        source, slope = ("north", 3.0) if t % 2 else ("south", -3.0)
        made = stream.learns(X, slope * X[:, 0] + 0.1 * rng.normal(size=100), source=source, lift="none", decay=1)
    assert made.checkpoint.layout.sources == ["north", "south"]
    own = made.checkpoint.parts["head.source.0"]["weight"].numpy()
    assert own[0, 0] > made.checkpoint.parts["head.0"]["weight"].numpy()[0, 0]
    misses = made.out_of_fold - made.checkpoint.layout.numbers.in_units(stream.history[-1].targets)
    shared = stream.learns(X, 3 * X[:, 0], source="north", lift="none", decay=1, per_source=False)
    assert not shared.checkpoint.layout.sources
    missed = shared.out_of_fold - shared.checkpoint.layout.numbers.in_units(stream.history[-1].targets)
    assert np.nanmean(np.abs(misses)) < np.nanmean(np.abs(missed))


def test_a_source_that_counts_nothing_teaches_nothing() -> None:
    X, y = curve(100)
    alone, weighed = NumberStream(vector(5)), NumberStream(vector(5))
    for stream in (alone, weighed):
        stream.learns(X, y, source="a", lift="none", decay=1)
    made = weighed.learns(X, 9 * y, source="b", lift="none", decay=1, source_weights={"b": 0})
    assert np.allclose(values(made.checkpoint, X), values(alone.checkpoint, X), rtol=1e-6)
    assert np.isfinite(made.out_of_fold).any()


def test_after_everything_was_taken_back_the_next_batch_fits_a_grid_anew() -> None:
    X, y = curve(60)
    stream = NumberStream(vector(5))
    stream.learns(X, y)
    first = stream.checkpoint.layout.numbers
    emptied = stream.again(without="bat_000", lift="none")
    assert emptied.checkpoint.outputs == ()
    stream.history, stream.checkpoint = [], emptied.checkpoint
    second = stream.learns(X, 1000 * y).checkpoint.layout.numbers
    assert second.step[0] == 1024 * first.step[0]


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"prior": "counted"}, "prior"),
        ({"discriminants": True}, "discriminants"),
        ({"stable_scores": True}, "stable_scores"),
    ],
)
def test_what_is_of_classes_alone_is_refused_by_name(params: dict[str, Any], name: str) -> None:
    stream = NumberStream(vector(5))
    _, given = resolve({"name": "ridge", **params})
    setting = Setting(stream.input, stream.architecture, target=stream.target)
    refusal = given.unfit(setting)
    assert refusal[0] == name
    assert name in refusal[1]
    with pytest.raises(MethodRefused, match=name):
        stream.learns(*curve(30), **params)


def test_a_target_beyond_the_grid_is_refused_and_named() -> None:
    X, y = curve(60)
    stream = NumberStream(vector(5))
    stream.learns(X, y)
    with pytest.raises(MethodRefused, match=r"1e\+09 of row 2 \(counted from 0\) .* a new model"):
        stream.learns(X[:4], np.array([200, 210, 1e9, 190.0]))


def test_one_row_is_enough_and_an_empty_batch_solves_anew() -> None:
    X, y = curve(20)
    stream = NumberStream(vector(5))
    stream.learns(X[:1], y[:1])
    assert np.allclose(values(stream.checkpoint, X[:1]), y[0], rtol=1e-5)
    made = stream.learns(X[1:], y[1:])
    nothing = MemoryData(stream.input, stream.architecture, stream.history, Rows.empty((5,)), target=stream.target)
    again = METHODS["ridge"].others[NumberTarget](made.checkpoint, nothing, METHODS["ridge"].Params(), Run())
    assert np.array_equal(values(again.checkpoint, X), values(made.checkpoint, X))


def test_random_features_may_lose_a_little() -> None:
    for losses, lean, place in [
        ([1.0], 0.1, 0),
        ([1.0, 1.05, 1.02], 0.0, 0),
        ([1.0, 1.05, 1.02], 0.03, 2),
        ([1.0, 0.9, 1.0], 0.0, 1),
        ([1, 1], 0, 0),
    ]:
        assert chosen_of(losses, lean) == place, losses
