"""Rows of a table of which hardly anything is known: which these are, and which of their targets may be wrong."""

from __future__ import annotations

import numpy as np

from service.contract.inputs import Architecture, InputSpec, VectorInput
from service.contract.tables import TableInput
from service.learning.data.rows import Array
from service.learning.evaluation.gaps import among, may_be_told, mostly_gaps
from tests.learning.memory_data import MemoryData
from tests.updating import make_rows

TABLE = TableInput.model_validate({"kind": "table", "columns": [{"name": name, "kind": "number"} for name in "abcdef"]})


def named(batch: Array, known: Array | None = None, spec: InputSpec = TABLE) -> list[int]:
    base = [] if known is None else [make_rows("bat_0", known, ["x"] * len(known), b"s")]
    data = MemoryData(spec, Architecture(), base, make_rows("bat_1", batch, ["x"] * len(batch), b"s"))
    return sorted(row for _, row in mostly_gaps(data))


def known_cells(*counts: int) -> Array:
    cells = np.random.default_rng(0).normal(size=(len(counts), 6)).astype(np.float32)
    cells[np.arange(6) >= np.array(counts)[:, None]] = np.nan
    return cells


def test_rows_with_fewer_than_half_the_usual_cells_are_named() -> None:
    assert named(known_cells(6, 2, 6, 3, 0, 5)) == [1, 4]
    assert named(known_cells(6, 2)) == [1], "the larger of two is usual"
    assert named(known_cells(2, 2, 1, 0, 2)) == [3], "a table that is full of gaps"
    assert named(known_cells(2)) == []
    assert named(known_cells(2), known_cells(*[6] * 40)) == [0], "trusted rows show what is usual"
    assert named(known_cells(6, 0), spec=VectorInput(kind="vector", size=6)) == []


def test_a_target_of_such_a_row_is_called_wrong_where_no_other_row_has_one_so_far_out() -> None:
    rows, gaps = make_rows("bat_1", known_cells(6, 6, 0, 0), ["x"] * 4, b"s"), {("bat_1", 2), ("bat_1", 3)}
    assert among(rows, gaps).tolist() == [False, False, True, True]
    assert may_be_told(rows, np.array([[1.0], [9.0], [8.0], [90.0]]), gaps).ravel().tolist() == [
        True,
        True,
        False,
        True,
    ]
    assert may_be_told(rows, np.zeros((4, 2)), frozenset()).all()
