"""Errors of an exact head on the rows that it learned, each as if it had not learned that row.

error / (1 - leverage) is exact for ridge (Allen 1974): leverage = l (1 / n + (h - mu)' (n (C + alpha D))^-1 (h - mu)),
with l what the row counts.
"""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import FeatureRows, hash_order
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.method import Data
from service.learning.network.checkpoint import Checkpoint
from service.learning.number_evaluation.assessment import Floats
from service.learning.number_heads.equations import NumberEquations, NumberHead, goals_in_units

MOST_ROWS = 2000
"""Rows that are asked, smallest hashes first."""
LARGEST = 0.999
"""Leverage is cut here: a row that the head knows by heart has no error to divide."""


def left_out_errors(version: Checkpoint, data: Data, space: Space) -> tuple[Floats, Floats]:
    """Values and errors (goal - value) in units of known rows: the update's own, and those of earlier batches that
    judge and select, by the shared head. -> [n, k], [n, k]; no rows where the head is not exact in this space"""
    exact, grid = version.layout.exact, space.numbers
    head = version.parts.get("head.0")
    grown = data.grown(space)
    nothing = np.zeros((0, grid.size if grid else 1))
    if exact is None or exact.alpha is None or grid is None or head is None or grown.all.mass <= 0:
        return nothing, nothing
    rows = _known(data.ledger(space), data.entry(space), space)
    served = NumberHead(head["weight"].double().numpy(), head["bias"].double().numpy())
    error = goals_in_units(rows, grid) - served.answers(rows, space.shift)
    equations = NumberEquations(grown.all, grid.size, space.shift)
    from scipy.linalg.blas import dtrsm  # of no use to a process that only serves

    centred = equations.moments.centred(rows)
    inner = dtrsm(1.0, equations.factor(exact.alpha), centred.T, lower=True)
    leverage = (1 + (inner**2).sum(0)) / grown.all.mass
    error /= 1 - np.minimum(leverage, LARGEST)[:, None]
    return goals_in_units(rows, grid) - error, error


def _known(ledger: Ledger, entry: FeatureRows, space: Space) -> FeatureRows:
    rows = FeatureRows.concat([FeatureRows.none(space.width), ledger.exam, ledger.selected, entry])
    return rows.take(np.sort(hash_order(rows)[:MOST_ROWS]))
