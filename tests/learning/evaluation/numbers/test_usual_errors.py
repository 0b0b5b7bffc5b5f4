"""The usual error of a row: a ridge whose equations are of other rows than its right side."""

from __future__ import annotations

import numpy as np
import pytest

from service.contract.enums import Outcome
from service.learning.evaluation.numbers.batch.usual_errors import _solved
from tests.learning.evaluation.numbers.lineage import Lineage


def test_a_feature_that_the_rows_of_the_equations_lack_gets_no_weight() -> None:
    features = np.array([[-1.0, 0.0], [1.0, 0.0]] * 50)
    weight = _solved(features, np.array([[1.0], [0.5]]), 0.25)
    assert weight[:, 0] == pytest.approx([1 / 1.25, 0.0])


def test_where_all_targets_are_one_value_figures_are_numbers_and_another_unit_is_still_named() -> None:
    stream, random = Lineage(3), np.random.default_rng(0)
    for _ in range(5):
        report = stream.grow(random.normal(size=(60, 3)), np.full(60, 7.0))
        assert np.isfinite([*report.batch.figures[0].values()]).all()
    assert report.gate.outcome is Outcome.PASS
    made = stream.offer(stream.offered(random.normal(size=(60, 3)), np.full(60, 70.0)))
    assert "look 10 times too large" in made.report.gate.why
