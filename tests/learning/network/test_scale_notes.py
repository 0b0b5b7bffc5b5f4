"""Notes on columns of a table that its scale fits badly name them."""

from __future__ import annotations

import numpy as np

from service.contract.tables import TableInput
from service.learning.network.scale_notes import far_off, scale_notes
from service.learning.network.table_scale import TableScale
from tests.tables import table_of

RNG = np.random.default_rng(0)
SPEC = table_of({"price": "number", "city": "category", "year": "number"})
ROWS = np.stack([RNG.normal(100, 10, 200), np.full(200, 7.0), RNG.normal(2000, 5, 200)], 1)
SCALE = TableScale.fitted(SPEC, ROWS)


def test_rows_that_fit_get_no_note() -> None:
    assert scale_notes(SCALE, ROWS, fitted=True) == [], "a category may say the same in every row"


def test_columns_that_leave_their_scale_are_named() -> None:
    grown = ROWS.copy()
    grown[:5, 0] *= 10
    [note] = scale_notes(SCALE, grown, fitted=False)
    assert note.startswith('Column "price" has values far outside the range of this model, which count as its ends.')
    assert note.index("If that is a mistake, such as another unit") < note.index("make a new model")
    assert note.startswith(far_off(SCALE, grown)[0] + ", ")
    grown[:, 2] *= 2
    [note] = scale_notes(SCALE, grown, fitted=False)
    assert note.startswith('Columns "price" and "year" have values far outside')
    assert "scale" in note
    few = grown[5:10]
    assert (scale_notes(SCALE, few, fitted=False), far_off(SCALE, few)) == ([], ("", "")), "few rows"


def test_a_target_with_from_is_advised_where_targets_are_numbers_alone() -> None:
    grown = ROWS.copy()
    grown[:5, 0] *= 10
    for differences in (False, True):
        [note] = scale_notes(SCALE, grown, False, differences)
        assert ("`from`" in note) is differences
        assert note.endswith(" grows." if differences else "a wider `scale`.")


def test_columns_whose_values_fall_together_are_named() -> None:
    near = ROWS.copy()
    near[:, 2] = 2000 + 1e-3 * RNG.normal(size=200)
    [note] = scale_notes(SCALE, near, fitted=False)
    assert note.startswith('Column "year" varies so little')


def test_columns_that_say_nothing_in_a_first_batch_are_named_once() -> None:
    still = ROWS.copy()
    still[:, 0], still[:, 2] = np.nan, 2000
    [note] = scale_notes(TableScale.fitted(SPEC, still), still, fitted=True)
    assert note.startswith(
        'Columns "price" and "year" say the same in every row of this first batch, or nothing: how far'
    )
    assert scale_notes(TableScale.fitted(SPEC, still), still, fitted=False) == []


def test_many_columns_are_counted() -> None:
    spec = TableInput.model_validate(
        {"kind": "table", "columns": [{"name": f"c{k}", "kind": "number"} for k in range(12)]}
    )
    rows = np.ones((30, 12))
    [note] = scale_notes(TableScale.fitted(spec, rows), rows, fitted=True)
    assert '"c6" and 5 more say' in note
