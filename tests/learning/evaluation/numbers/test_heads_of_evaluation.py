"""Closed forms that judge: a head of the batch alone, errors on blocks left out, usual errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.learning.data.rows import FeatureRows, Floats
from service.learning.evaluation.numbers.batch import own_head
from service.learning.evaluation.numbers.batch.own_head import cut, own_answers
from service.learning.evaluation.numbers.batch.usual_errors import usual_errors
from service.learning.evaluation.numbers.left_out import BLOCKS, left_out_errors
from service.learning.number_heads.equations import number_head
from tests.learning.evaluation.numbers.lineage import Lineage
from tests.learning.memory_data import MemoryData, in_space


def batch(rows: int, features: int, seed: int = 0) -> tuple[FeatureRows, Floats]:
    """Rows with rounded features, and goals that two of them make."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(rows, features)) * 1000
    goals = inputs[:, :2] / 1000 @ np.array([[1.0, 0.5], [0.5, -1.0]]) + 0.1 * random.normal(size=(rows, 2))
    none = np.zeros(rows, np.int64)
    return FeatureRows(
        np.rint(inputs).astype(np.int16), ("",), none, random.integers(0, 10, rows), np.zeros(rows, bool),
        random.integers(1, 2**60, rows).astype(np.uint64), ("bat_000",), none, np.arange(rows), ("",), none,
        targets=goals,
    ), goals  # fmt: skip


@pytest.mark.parametrize(("rows", "features"), [(80, 12), (30, 60)])
def test_the_head_of_a_batch_alone_is_ridge_of_the_other_groups(rows: int, features: int) -> None:
    own, goals = batch(rows, features)
    answers = own_answers(own, features, goals)
    X = own.inputs.astype(np.float64)
    scale, group = X.std(0), own.folds // 2
    for g in np.unique(group):
        rest, mine = group != g, group == g
        Z = (X[rest] - X[rest].mean(0)) / scale
        middle = cut(goals)[rest].mean(0)
        shrink = own_head.ALPHA * rest.sum() + own_head.PSEUDO_ROWS
        weight = np.linalg.solve(Z.T @ Z + shrink * np.eye(features), Z.T @ (cut(goals)[rest] - middle))
        expected = middle + (X[mine] - X[rest].mean(0)) / scale @ weight
        np.testing.assert_allclose(answers[mine], expected, rtol=1e-6)


def test_a_batch_in_one_group_has_no_answers_of_its_own() -> None:
    own, goals = batch(20, 5)
    answers = own_answers(replace(own, folds=np.full(20, 3)), 5, goals)
    assert answers is not None
    assert np.isnan(answers).all()
    assert own_answers(own.take(slice(0, 0)), 5, goals[:0]) is None


def test_at_most_a_thousand_rows_of_a_batch_are_asked() -> None:
    own, goals = batch(1500, 3)
    answers = own_answers(own, 3, goals)
    assert np.isfinite(answers[:, 0]).sum() == own_head.MOST_ROWS


def stream(batches: int = 1, rows: int = 60) -> Lineage:
    random, made = np.random.default_rng(4), Lineage(3)
    for _ in range(batches):
        x = random.normal(size=(rows, 3))
        made.grow(x, 5 + x @ np.array([1.0, 2.0, 0.0]) + np.exp(x[:, 2]) * random.normal(size=rows))
    return made


def test_an_error_left_out_is_that_of_a_head_without_the_block_of_the_row() -> None:
    made = stream()
    version, space = made.candidates[0].checkpoint, made.candidates[0].space
    rows = made.history[0]
    data = MemoryData(made.input, made.architecture, [], rows, target=made.target)
    value, error, added = left_out_errors(version, data, space)
    assert not added.any(), "nothing is added back"
    exact = version.layout.exact
    assert exact.alpha is not None
    entry, goals = in_space(rows, space), value + error
    for row in (0, 7, 41):
        rest = np.arange(len(entry)) * BLOCKS // len(entry) != row * BLOCKS // len(entry)
        without = MemoryData(made.input, made.architecture, [], rows.take(rest), target=made.target)
        head = number_head(without.grown(space).all, 1, space.shift, exact.alpha)
        expected = goals[row] - head.answers(entry.take([row]), space.shift)[0]
        # of 60 rows: shrinkage is that of all of them
        assert error[row] == pytest.approx(expected, rel=0.05, abs=0.02)
    layout = version.layout.model_copy(update={"exact": exact.model_copy(update={"reach": [(-0.5, 0.5)]})})
    ended, *_ = left_out_errors(replace(version, layout=layout), data, space)
    np.testing.assert_array_equal(ended, value.clip(-0.5, 0.5))
    assert (np.abs(value) > 0.5).any(), "its intervals are of answers that end where served ones do"


def test_usual_errors_tell_rows_apart_and_forget_a_batch_that_was_taken_back() -> None:
    made = stream(6, 120)
    space, last = made.candidates[-1].space, made.history[-1]
    data = MemoryData(made.input, made.architecture, made.history[:-1], last, target=made.target)
    memories = [t for _, t in made.past[:-1]]
    rows = in_space(last, space)
    usual = usual_errors(memories, data.ledger(space), space, rows)
    real = np.abs(made.past[-1][1].error[:, 0])
    assert np.corrcoef(usual[:, 0], real)[0, 1] > 0.3
    assert usual.mean() == pytest.approx(real.mean(), rel=0.25)
    small = rows.take(np.flatnonzero(usual[:, 0] < np.quantile(usual[:, 0], 0.1)))  # as a season may bring them
    tested = np.concatenate([np.abs(t.error) for t in memories]).mean()
    alike = usual_errors(memories, data.ledger(space), space, small)
    assert alike.mean() == pytest.approx(0.5 * tested)
    learned = {f"bat_{k:03d}" for k in range(5)} - {"bat_003"}
    without = usual_errors([t.of(learned) for t in memories], data.ledger(space), space, rows)
    never = usual_errors([*memories[:3], memories[4]], data.ledger(space), space, rows)
    assert without is not None
    assert never is not None
    np.testing.assert_array_equal(without, never)


def test_usual_errors_wait_for_fifty_tested_rows() -> None:
    made = stream(2, 40)
    space, last = made.candidates[-1].space, made.history[-1]
    data = MemoryData(made.input, made.architecture, made.history[:-1], last, target=made.target)
    memories = [t for _, t in made.past]
    assert usual_errors(memories, data.ledger(space), space, in_space(last, space)) is None
