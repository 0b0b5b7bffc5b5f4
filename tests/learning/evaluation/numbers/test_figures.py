"""The figures of a batch, beside which those of later batches are put."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.evaluation.numbers.batch.own_head import cut
from service.learning.evaluation.numbers.batch.recent_batches import ratios
from service.learning.evaluation.numbers.measure_numbers import measure
from service.learning.evaluation.numbers.number_report import batch_errors
from tests.learning.evaluation.numbers.batches import ROWS, Stream, memory_of


def test_figures_are_those_of_the_formulas(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    (figures,) = figures_of(a)
    ratio = ratios(a)
    assert set(figures.stored()) == {"log_mean", "log_median", "log_far", "order", "bias", "own_order"}
    assert ratio is not None
    assert figures.log_mean == pytest.approx(np.log(ratio.mean()))
    assert figures.log_median == pytest.approx(np.log(np.median(ratio)))
    assert figures.log_far == pytest.approx(np.log(np.quantile(ratio, 0.99)))
    assert figures.bias is not None
    assert -0.5 < figures.bias < 0.5
    assert figures.order is not None
    assert 0.9 < figures.order < 1
    errors = batch_errors(measure(a))
    assert errors is not None
    assert errors.mean == pytest.approx(1, abs=0.3)
    assert errors.order == figures.order


def test_the_error_that_is_usual_of_a_row_is_asked_first(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    plain = ratios(a)
    doubled = ratios(replace(a, usual=np.full_like(a.batch_goals, 2.0)))
    assert plain is not None
    assert doubled is not None
    assert doubled[:, 0] == pytest.approx(np.abs(a.batch_goals[:, 0] - a.base.on_batch[:, 0]) / 2)


def test_targets_of_a_head_alone_are_cut_where_they_lie_far_out() -> None:
    goals = np.r_[np.linspace(-1, 1, 21), 1e6][:, None]
    calm = cut(goals)
    assert (calm[:-1] == goals[:-1]).all()
    assert calm[-1, 0] < 5
    assert (cut(np.ones((4, 2))) == 1).all()
    assert cut(np.zeros((0, 2))).shape == (0, 2)


def test_memory_holds_the_figures_that_later_batches_are_compared_with(stream: Stream) -> None:
    a = stream.assessment(*stream.draw(ROWS))
    assert memory_of(a).figures == (replace(figures_of(a)[0], gain=0.0),)
    tiny = stream.assessment(*stream.draw(2))
    assert set(figures_of(tiny)[0].stored()) == {"log_mean", "log_median", "log_far", "bias"}
