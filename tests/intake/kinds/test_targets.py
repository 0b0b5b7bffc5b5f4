"""Targets: numbers, one or several a row, or null; what is none of these is refused at its place."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from service.contract.targets.number_target import NumberTarget
from service.errors import InvalidContent
from service.intake.json_body import MOST_MEMBERS
from service.intake.kinds.targets import read_targets

NAN = float("nan")


def target(size: int = 1, **fields: Any) -> NumberTarget:
    return NumberTarget(kind="number", size=size, **fields)


def both(targets: Any, size: int = 1, **fields: Any) -> list[list[float]]:
    """The numbers of a list that was parsed, which must be those of the same list as it was sent."""
    parsed = read_targets(targets, len(targets), target(size, **fields))
    sent = read_targets(msgspec.Raw(json.dumps(targets).encode()), len(targets), target(size, **fields))
    np.testing.assert_array_equal(parsed, sent)
    assert parsed.dtype == sent.dtype == np.float64
    assert parsed.shape == sent.shape == (len(targets), size)
    return parsed.tolist()


def test_targets_become_numbers() -> None:
    for targets, size, numbers in [
        ([1, -2.5, 1e150], 1, [[1], [-2.5], [1e150]]),
        ([512.3, None, 498], 1, [[512.3], [NAN], [498]]),
        ([[1], [2.5]], 1, [[1], [2.5]]),
        ([[1], None, 2], 1, [[1], [NAN], [2]]),
        ([None, None], 1, [[NAN], [NAN]]),
        ([2**60 + 1, 10**30], 1, [[2.0**60], [1e30]]),
        ([[1, 2], [3, 4.5]], 2, [[1, 2], [3, 4.5]]),
        ([None, [3, 4.5]], 2, [[NAN, NAN], [3, 4.5]]),
        ([None], 2, [[NAN, NAN]]),
    ]:
        np.testing.assert_array_equal(both(targets, size), numbers)


def test_what_is_no_target_is_refused_at_its_place() -> None:
    for value, size, pointer, word in [
        ("12", 1, "", "without quotes"),
        ("12,5", 1, "", 'Target 2 (counted from 0): "12,5" is not a number here: write 12.5'),
        ("1.234,5", 1, "", "write 1234.5"),
        ("much", 1, "", '"much" is not a number'),
        ("-l2.O", 1, "", "is it -12.0? Write one such as 12.5"),
        ("S2", 1, "", "write one such as 12.5"),
        (True, 1, "", "true or false"),
        ({"a": 1}, 1, "", "an object"),
        ([], 1, "", "one number a row"),
        ([1, 2], 1, "", "has 2"),
        ([[1]], 1, "/0", "a list"),
        ([None], 1, "/0", "the whole row"),
        (1e151, 1, "", "1e+150"),
        (10**400, 1, "", "1e+150"),
        (1, 2, "", "a list of 2 numbers"),
        ([1], 2, "", "2 numbers a row"),
        ([1, 2, 3], 2, "", "2 numbers a row"),
        ([1, None], 2, "/1", "the whole row"),
        ([1, "2"], 2, "/1", "without quotes"),
        ([1, [2]], 2, "/1", "a list"),
        ([1, -2e150], 2, "/1", "1e+150"),
    ]:
        fine = 1 if size == 1 else [1, 2]
        for targets in ([fine, None, value, value], msgspec.Raw(json.dumps([fine, None, value, value]).encode())):
            with pytest.raises(InvalidContent) as caught:
                read_targets(targets, 4, target(size))
            assert caught.value.errors[0][0] == f"/targets/2{pointer}"
            assert word in caught.value.detail


def test_numbers_that_json_does_not_have_are_refused_at_their_place() -> None:
    for word in [b"NaN", b"Infinity", b"-Infinity", b"1e999"]:
        for text, size, pointer in ((b"[1, %b, 2]", 1, "/targets/1"), (b"[null, [1, %b], [1, 2]]", 2, "/targets/1/1")):
            with pytest.raises(InvalidContent) as caught:
                read_targets(msgspec.Raw(text % word), 3, target(size))
            assert caught.value.errors[0][0] == pointer
            assert "A finite number is due" in caught.value.detail


def test_logarithms_need_targets_above_zero() -> None:
    assert both([1e-300, None, 5], scale="log") == pytest.approx(np.array([[1e-300], [NAN], [5]]), nan_ok=True)
    for value in (0, -0.0, -3):
        with pytest.raises(InvalidContent, match="linear") as caught:
            read_targets([1, None, value], 3, target(scale="log"))
        assert caught.value.errors[0][0] == "/targets/2"


def test_each_row_has_a_target() -> None:
    for targets, rows, sentence in (
        ([1, 2], 1, "There is 1 row and 2 targets."),
        ([], 2, "There are 2 rows and 0 targets."),
        ([None], 2, "There are 2 rows and 1 target."),
    ):
        for sent in (targets, msgspec.Raw(json.dumps(targets).encode())):
            with pytest.raises(InvalidContent) as caught:
                read_targets(sent, rows, target())
            assert caught.value.errors == [("/targets", f"{sentence} Each row needs one, or null.")]


def test_many_lists_and_gaps_are_read_without_a_step_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.intake.kinds.targets._walked", None)
    rows: list[Any] = [[k, k + 0.5] for k in range(2 * MOST_MEMBERS)]
    rows[7] = rows[-1] = None
    read = read_targets(msgspec.Raw(json.dumps(rows).encode()), len(rows), target(2))
    assert np.flatnonzero(np.isnan(read[:, 0])).tolist() == [7, len(rows) - 1]
    assert read[8].tolist() == [8, 8.5]
