"""A challenger wins by a clear margin on rows that nobody learned, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from service.contract.inputs import VectorInput
from service.learning.evaluation.classes.class_challenge import ClassComparison, compare
from service.learning.methods import METHODS
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.memory_data import MemoryData, Stream

SPEC = VectorInput(kind="vector", size=12, scale={"range": [-1, 1]})


def signs(rows: int) -> MemoryData:
    """Odd or even number of negative signs among the first three of twelve columns: a linear head sees little of it."""
    X = np.random.default_rng(0).uniform(-1, 1, (rows, 12)).astype(np.float32)
    return Stream(SPEC).data(X, ["odd" if np.prod(x[:3]) > 0 else "even" for x in X])


@pytest.mark.long
def test_a_network_that_sees_more_wins_and_the_exact_head_does_not_win_back() -> None:
    data = signs(1500)
    exact = learn(None, data, METHODS["ridge"], METHODS["ridge"].Params(), Run()).checkpoint
    retrain = METHODS["retrain"]
    net = learn(None, data, retrain, retrain.Params.model_validate({"backbone": {"name": "mlp"}}), Run()).checkpoint
    compared = compare(exact, net, data, Run())
    assert compared.won, compared
    assert compared.rows == int(data.batch.selecting.sum())
    back = compare(net, exact, data, Run())
    assert not back.won
    assert (back.champion, back.challenger) == (compared.challenger, compared.champion)


def test_a_draw_is_no_win() -> None:
    data = signs(300)
    exact = learn(None, data, METHODS["ridge"], METHODS["ridge"].Params(), Run()).checkpoint
    compared = compare(exact, exact, data, Run())
    assert compared.champion == compared.challenger
    assert not compared.won


def test_a_narrow_or_an_unsure_lead_does_not_count() -> None:
    assert not ClassComparison(1000, 0.900, 0.909, 0.001).won
    assert not ClassComparison(50, 0.80, 0.88, 0.11).won
    assert ClassComparison(1000, 0.90, 0.92, 0.01).won
    assert not ClassComparison(0, 0.0, 0.0, 1.0).won
