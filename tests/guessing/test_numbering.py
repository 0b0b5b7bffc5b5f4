"""Numbered columns of which one is missing, and what stands in its place."""

from __future__ import annotations

import pytest

from service.guessing.numbering import lacks_columns, missing_columns, what_is_missing

P64 = [f"p{k}" for k in range(64)]


def without(*names: str) -> list[str]:
    return [name for name in P64 if name not in names]


@pytest.mark.parametrize(
    ("names", "lacks", "missing"),
    [
        (["p0", "p1", "p3"], False, ["p2"]),  # too few, whoever looks at the numbering
        (["id", "p0", "p3"], False, ["p1", "p2"]),
        (["age", "p0", "p3"], False, []),
        (["id", "p0", "p1", "p3"], True, ["p2"]),
        (["p0", "p1", "p3", "label"], True, ["p2"]),
        (["age", "p0", "p1", "p3"], True, ["p2"]),
        (["age", "p1", "p2", "p3"], False, []),  # it may be a number like the others
        (["age", "p0", "p10", "p20"], False, []),
        (["age", "height", "p0", "p2"], False, []),
        (["category", "p1", "p2", "p3"], False, []),
        (["category", "p0", "p1", "p3"], True, ["p2"]),
        (["id", "p0", "p1", "p2"], True, ["p3"]),
        (["id", "p1", "p2", "p3"], True, []),  # p0 or p4
        (["r0", "r1", "g0", "g1"], False, []),
        (["p0", "p1", "p2", "p3"], False, []),
        (["p3", "p1", "p0", "p2"], False, []),
        (["p00", "p01", "p03", "label"], True, ["p02"]),
    ],
)
def test_an_id_a_label_or_what_fills_a_gap_stands_in_the_place_of_no_number(
    names: list[str], lacks: bool, missing: list[str]
) -> None:
    assert (lacks_columns(names, 4), missing_columns(names, 4)) == (lacks, missing)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ([*without("p17"), "label"], ["p17"]),
        ([*without("p63"), "label"], ["p63"]),
        ([*without("p16", "p18"), "label", "id"], ["p16", "p18"]),
        ([*without("p17", "p63"), "id", "label"], ["p17", "p63"]),
        ([name.replace("p17", "q17") for name in P64], ["p17"]),
        (["row_id", *without("p40")], ["p40"]),
    ],
)
def test_of_a_digit_what_is_missing_is_named(names: list[str], missing: list[str]) -> None:
    assert lacks_columns(names, 64)
    assert missing_columns(names, 64) == missing
    assert what_is_missing(names, 64).startswith(" and ".join([", ".join(f'"{name}"' for name in missing)]))


def test_where_it_may_be_the_first_or_the_last_it_says_so() -> None:
    sentence = what_is_missing([*without("p0"), "label"], 64)
    assert sentence == (
        'A column at the beginning or the end of their numbering is missing, and "label" is no part of it: add it, or '
        "make a model of its own for such rows."
    )
