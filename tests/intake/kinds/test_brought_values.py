"""The values of open categories that rows bring: refusals name the first rows, and how many values are too many."""

from __future__ import annotations

import numpy as np
import pytest

from service.contract.tables import MOST_VALUES, TableInput, value_code
from service.errors import TooManyValues, UnknownValues
from service.intake.kinds.brought_values import brought, check_new, check_room
from service.intake.kinds.rows import Named


def named(*columns: list[str]) -> tuple[Named, TableInput]:
    """Rows of categories a, b, ... by their values."""
    names = "abc"[: len(columns)]
    spec = TableInput.model_validate(
        {"kind": "table", "columns": [{"kind": "category", "name": name} for name in names]}
    )
    rows = np.array([[value_code(value) for value in values] for values in columns]).T
    return Named(rows, {k: {value_code(value): value for value in values} for k, values in enumerate(columns)}), spec


def test_new_values_are_refused_in_the_order_of_their_rows() -> None:
    rows, spec = named([f"v{k}" for k in range(50)])
    values = brought(rows, spec, np.ones(50, bool))
    with pytest.raises(UnknownValues) as refused:
        check_new(values, {"a": ["v0"]}, ["a"], "shop")
    assert [pointer for pointer, _ in refused.value.errors] == [f"/inputs/{k}/a" for k in range(1, 11)]


def test_what_an_imported_version_has_learned_is_not_new() -> None:
    rows, spec = named(["Osaka", "Kyoto", "Kobe"])
    values = brought(rows, spec, np.ones(3, bool))
    learned = {"a": {value_code("Osaka"), value_code("Kobe")}}
    for known in ({}, {"a": ["Osaka"]}):
        with pytest.raises(UnknownValues) as refused:
            check_new(values, known, ["a"], "shop", lambda: learned)
        assert refused.value.members == {"unknown": {"a": ["Kyoto"]}}
    check_new(values, {"a": ["Kyoto"]}, ["a"], "shop", lambda: learned)
    check_new(values, {}, ["a"], "shop")  # the first ones


def test_too_many_values_are_told_of_one_column_or_of_all_together() -> None:
    rows, spec = named(["x", "y"], ["x", "x"])
    values = brought(rows, spec, np.ones(2, bool))
    known = {"a": [f"v{k}" for k in range(1200)], "b": [f"v{k}" for k in range(800)]}
    with pytest.raises(TooManyValues, match=r"and they would have 2,003, the most of them a, 1,202\. If"):
        check_room(values, known)
    with pytest.raises(TooManyValues, match=r"and a would have 2,001 of them\. If"):
        check_room(values, {"a": [f"v{k}" for k in range(MOST_VALUES - 1)]})
