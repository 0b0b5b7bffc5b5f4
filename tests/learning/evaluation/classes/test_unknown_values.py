"""A version answers a batch as it would have answered it when it came: values that it never learned are missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture
from service.contract.tables import value_code
from service.learning.data.rows import Rows
from service.learning.evaluation.classes.class_answers import base_answers
from service.learning.evaluation.version_answers import ExamRows
from service.learning.ledger.feature_space import Space
from service.learning.methods import resolve
from service.learning.network.network import build
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.memory_data import MemoryData
from tests.learning.table_streams import CITIES, CITY, LATE, SHOP, class_rows, shop

FIRST = class_rows("bat_0", shop(80))


@pytest.mark.parametrize("lift", ["none", "relu"], ids=["in its own space", "in another"])
def test_the_base_answers_new_values_as_missing(lift: str) -> None:
    base = learn(
        None,
        MemoryData(SHOP, Architecture(), [], FIRST),
        *resolve({"name": "ridge", "lift": "relu", "width": 60}),
        Run(),
    )
    other = learn(
        None,
        MemoryData(SHOP, Architecture(), [], FIRST),
        *resolve({"name": "ridge", "lift": lift, "width": 60 if lift != "none" else None}),
        Run(),
    )
    space = Space.of(other.checkpoint)
    came = shop(40, seed=1, cities=(*CITIES, LATE))
    late = came[:, CITY] == value_code(LATE)
    missing = came.copy()
    missing[late, CITY] = np.nan

    def asked(batch: Rows) -> np.ndarray:
        data = MemoryData(SHOP, Architecture(), [FIRST], batch)
        answered = ExamRows(data, space, data.ledger(space)).answered_by(base.checkpoint)
        return np.asarray(base_answers(answered).on_batch.probabilities)

    given = asked(class_rows("bat_1", came))
    assert late.any()
    assert np.array_equal(given, asked(class_rows("bat_1", missing)))
    with torch.no_grad():
        served = torch.softmax(
            build(base.checkpoint)(torch.from_numpy(missing)) / base.checkpoint.layout.temperature, 1
        )
        unmasked = torch.softmax(build(base.checkpoint)(torch.from_numpy(came)) / base.checkpoint.layout.temperature, 1)
    assert np.allclose(given, served.numpy(), atol=1e-2), "up to the grid, as it is served"
    assert np.abs(given - unmasked.numpy())[late].max() > 1e-2, "a value has a say in random features, known or not"
