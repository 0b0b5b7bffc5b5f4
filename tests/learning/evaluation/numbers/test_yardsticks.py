"""What yardsticks answer to rows of a batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from service.contract.targets.number_target import ColumnYardstick, NumberTarget
from service.learning.data.rows import FeatureRows
from service.learning.evaluation.numbers.yardsticks import not_compared, yardstick_values


def test_a_column_that_some_row_lacks_is_no_yardstick_of_its_batch() -> None:
    target = NumberTarget(kind="number", yardstick=ColumnYardstick(column=1))
    ledger = cast(Any, SimpleNamespace(exam=FeatureRows.none(3), selected=FeatureRows.none(3)))
    rows = np.array([[1.0, 5.0], [2.0, 6.0]])
    whole = yardstick_values(target, ledger, [], cast(Any, SimpleNamespace(inputs=rows)))
    assert whole["column.1"].tolist() == [[5.0], [6.0]]
    rows[1, 1] = np.nan
    assert yardstick_values(target, ledger, [], cast(Any, SimpleNamespace(inputs=rows))) == {}


def test_batches_without_the_column_are_counted() -> None:
    with_it, without = (
        cast(Any, SimpleNamespace(batches=("a", "b"), yardsticks=y)) for y in ({"column.1": 0}, {"mean": 0})
    )
    column = NumberTarget(kind="number", yardstick=ColumnYardstick(column=1))
    assert "2 of the last 4 batches" in not_compared(column, [with_it, without])[0]
    assert not_compared(column, [with_it]) == not_compared(column, []) == []
    assert not_compared(NumberTarget(kind="number"), [without]) == [], "no column"
