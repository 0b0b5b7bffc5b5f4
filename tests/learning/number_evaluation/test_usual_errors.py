"""The usual error of a row: a ridge whose equations are of other rows than its right side."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.number_evaluation.batch.usual_errors import _solved


def test_a_feature_that_the_rows_of_the_equations_lack_gets_no_weight() -> None:
    features = np.array([[-1.0, 0.0], [1.0, 0.0]] * 50)
    weight = _solved(features, np.array([[1.0], [0.5]]), 0.25)
    assert weight[:, 0] == pytest.approx([1 / 1.25, 0.0])
