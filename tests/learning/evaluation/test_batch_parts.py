"""Which of several batches stands out: no small one by chance, nor one for a few rows far out."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.data.rows import Floats, Rows
from service.learning.evaluation.batch_parts import batch_parts
from tests.updating import make_rows

RNG = np.random.default_rng(0)
USUAL = np.abs(RNG.normal(size=240))


def of(sizes: list[int]) -> Rows:
    """Rows of so many batches, of so many rows."""
    made = [make_rows(f"bat_{k}", np.zeros((n, 1)), ["a"] * n, b"secret") for k, n in enumerate(sizes)]
    return Rows.concat(made)


@pytest.mark.parametrize(
    ("sizes", "error", "stands_out"),
    [
        ([1] * 40 + [200], np.sort(USUAL)[::-1], []),  # each of one row, with the largest errors of all
        ([80, 80, 80], np.append(USUAL[:238], [1e6, 1e6]), []),
        ([80, 80, 80], np.append(USUAL[:160], 4 * USUAL[160:]), ["bat_2"]),
        ([80, 80, 80], np.append(USUAL[:80], 4 * USUAL[80:]), []),  # two of three: neither is twice the others
        ([120, 120], np.append(1e17 * np.ones(120), np.ones(120)), ["bat_0"]),
        ([240], USUAL, []),
        ([120, 120], np.full(240, np.nan), []),
    ],
)
def test_a_batch_stands_out_whose_rows_lie_high_among_all(
    sizes: list[int], error: Floats, stands_out: list[str]
) -> None:
    parts = batch_parts(of(sizes), error)
    assert [part.batch for part in parts if part.stands_out] == stands_out
    if stands_out == ["bat_0"]:
        assert (parts[0].error, parts[0].others) == (1e17, 1.0), "small ones do not vanish beside a large one"
