"""A stream of batches, and its next one."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.data.target_grid import Floats
from tests.learning.evaluation.numbers.batches import ROWS, Stream


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream()


@pytest.fixture
def batch(stream: Stream) -> tuple[Floats, Floats]:
    stream.random = np.random.default_rng(11)
    return stream.draw(ROWS)
