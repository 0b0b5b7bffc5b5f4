"""A challenger of numbers wins by a clear margin on rows that nobody learned, or not at all."""

from __future__ import annotations

import numpy as np

from service.learning.evaluation.numbers.number_challenge import NumberComparison, compare_numbers
from service.learning.evaluation.numbers.number_report import _parts
from service.learning.methods import resolve
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.evaluation.numbers.batches import COLUMNS, Stream, rows
from tests.learning.number_streams import NumberStream, vector


def test_a_network_that_sees_more_wins_and_the_exact_head_does_not_win_back() -> None:
    X = np.random.default_rng(0).uniform(-1, 1, (1500, 4))
    data = NumberStream(vector(4)).offered(X, 20 + 10 * X[:, 0] * X[:, 1])
    exact = learn(None, data, *resolve({"name": "ridge", "lift": "none"}), Run()).checkpoint
    net = learn(None, data, *resolve({"name": "retrain", "backbone": {"name": "mlp"}}), Run()).checkpoint
    compared = compare_numbers(exact, net, data, Run())
    assert compared.won, compared
    assert compared.rows == int(data.batch.selecting.sum())
    selecting = data.batch.take(data.batch.selecting)
    spread = np.abs(selecting.targets - selecting.targets.mean()).mean()
    assert 0.8 * spread < compared.champion < 1.2 * spread, "a line sees nothing of a product"
    back = compare_numbers(net, exact, data, Run())
    assert not back.won
    assert (back.champion, back.challenger) == (compared.challenger, compared.champion)
    assert not compare_numbers(exact, exact, data, Run()).won


def test_a_narrow_or_an_unsure_lead_does_not_count() -> None:
    assert not NumberComparison(1000, 10.0, 9.81, 0.001).won
    assert not NumberComparison(50, 10.0, 8.0, 0.11).won
    assert NumberComparison(1000, 10.0, 9.7, 0.01).won
    assert not NumberComparison(0, 0.0, 0.0, 1.0).won


def test_a_challenger_that_loses_learned_no_batch_that_could_stand_out(stream: Stream) -> None:
    nothing = np.zeros((0, COLUMNS)), np.zeros((0, stream.target.size))
    assert _parts(stream.assessment(*nothing, batch=rows(np.zeros((0, 0)), "none"))) == []
