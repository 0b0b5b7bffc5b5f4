"""Chooses how fast a stream of numbers forgets: by the errors of each decay on the last batches, before they came."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from service.learning.data.rows import FeatureRows
from service.learning.exact.decay import Decay, surely_better, tested
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums
from service.learning.method import Data
from service.learning.number_heads.equations import goals_in_units, number_head

WORTH = 0.01
"""Part of the mean error that a decay must save: less is not worth an exact head."""
TESTING_ALPHA = 1e-2
"""The strength with which decays are compared: always the same, so that errors can be remembered."""


def choose_decay(data: Data, space: Space, sources: Mapping[str, float]) -> Decay:
    """Tests, then trains, over the last batches in the order of their ids: every row is answered before it is learned.

    Chooses 1 unless the mean error of another is smaller by more than a hundredth, and by more than one standard error
    of the difference, batch by batch: 1 is exact and does not depend on the order. A function of the rows alone. The
    scores are mean errors, in units.
    """
    grid = space.numbers
    assert grid is not None, "the space of numbers has their grid"

    def score(before: Sums, entry: FeatureRows) -> float:
        head = number_head(before, grid.size, space.shift, TESTING_ALPHA)
        misses = head.answers(entry, space.shift) - goals_in_units(entry, grid)
        return -float(np.abs(misses).mean())

    key = f"numbers {TESTING_ALPHA!r}"
    return surely_better(tested(data, space, sources, key, score), WORTH).of_errors()
