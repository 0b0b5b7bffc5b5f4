"""Rare classes that are like a larger one: which are asked about as its slips, and which are words of their own."""

from __future__ import annotations

import pytest

from service.guessing.class_counts import likely_slips, rare_classes, slips


@pytest.mark.parametrize(
    ("rare", "larger"),
    [
        ("grignolinno", "grignolino"),
        ("sevn", "seven"),
        ("barbear", "barbera"),
        ("versicolour", "versicolor"),
        ("Yes", "yes"),
        ("newyork", "new york"),
        ("noo", "no"),
        ("ﾘﾝｺﾞ", "リンゴ"),
    ],
)
def test_a_rare_class_but_for_a_letter_is_a_likely_slip_of_a_larger_one(rare: str, larger: str) -> None:
    assert likely_slips({larger: 60, rare: 1, "other": 60}) == {rare: larger}
    assert likely_slips({larger: 60, rare: 6}) == {}
    assert likely_slips({larger: 9, rare: 1}) == {}
    assert rare_classes({larger: 60, rare: 1, "other": 1}) == ["other"], "that is asked about, too, though like none"


@pytest.mark.parametrize(
    ("rare", "other"),
    [
        ("type B", "type A"),
        ("class_11", "class_1"),
        ("77", "7"),
        ("atypical", "typical"),
        ("不良品", "良品"),
        ("cat", "car"),
        ("BBB", "BB"),
        ("A", "a"),
    ],
)
def test_codes_and_words_of_their_own_are_no_slips(rare: str, other: str) -> None:
    assert likely_slips({other: 600, rare: 1}) == {}


def test_the_first_slips_are_named_with_what_they_are_like_and_the_rest_counted() -> None:
    rows = {"grignolino": 60, **{f"grignolin{letter}o": 1 + (letter == "a") for letter in "abcdefg"}}
    said = slips(rows, lambda name: " (line 7)")
    assert said.startswith(
        '"grignolinao" (line 7), in 2 rows, is like "grignolino", in 60: is it a slip? "grignolinbo"'
    )
    assert said.endswith(
        '"grignolineo" (line 7), in 1 row, is like "grignolino", in 60: is it a slip? 2 more are like larger classes.'
    )
