"""Notes on new values that look like known ones: the likeliest slips first, and few of them."""

from __future__ import annotations

import pytest

from service.contract.reports.facts import NewValue
from service.learning.data.slips import NAMED, class_notes, slip_notes, value_notes


def test_the_likeliest_slips_are_named_and_the_rest_counted() -> None:
    many = [NewValue(value=f"Osak{letter}", rows=2 + k, near=["Osaka"]) for k, letter in enumerate("bdefg")]
    new = {"city": [NewValue(value="Kobe", rows=9), *many], "shop": [NewValue(value="NORTH", rows=8, near=["north"])]}
    notes = slip_notes(new)
    assert notes[0] == '"NORTH" of shop is new, and like "north", which is known: is it a slip?'
    assert notes[1:NAMED] == [
        f'"Osak{letter}" of city is new, and like "Osaka", which is known: is it a slip?' for letter in "bdef"
    ]
    assert notes[NAMED:] == ["1 more new value is like known ones: the report lists them (batch.new_values)."]


def asked(value: str, *near: str) -> list[str]:
    return slip_notes({"shop": [NewValue(value=value, rows=1, near=list(near))]})


@pytest.mark.parametrize(
    ("value", "near"),
    [
        ("dorsey_inc", "dupree_inc"),
        ("reeves_and_company", "venters_and_company"),
        ("srb", "isr"),
        ("zwe", "swe"),
        ("74", "7"),
        ("type B", "type A"),
        ("plot 12", "plot 13"),
    ],
)
def test_two_names_with_letters_in_common_are_not_asked_about(value: str, near: str) -> None:
    assert asked(value, near) == []


@pytest.mark.parametrize(
    ("value", "near"), [("Chiars", "Chairs"), ("Osaak", "Osaka"), ("M", "m"), ("大坂", "大阪"), ("type a", "Type A")]
)
def test_one_name_but_for_a_letter_is_asked_about(value: str, near: str) -> None:
    assert asked(value, "Chairpersons", near) == [
        f'"{value}" of shop is new, and like "{near}", which is known: is it a slip?'
    ]


def test_values_that_are_like_none_have_no_note() -> None:
    new = {"city": [NewValue(value="Kobe", rows=9)], "id": [NewValue(value=str(k), rows=1) for k in range(NAMED + 1)]}
    assert slip_notes(new) == []
    assert value_notes({"shop": [NewValue(value="North", rows=3)], **new}) == ['New values: city "Kobe", shop "North".']


def test_a_row_of_sums_is_asked_about() -> None:
    new = {"city": [NewValue(value="Summe:", rows=1), NewValue(value="Total", rows=7)]}
    assert slip_notes(new) == ['"Summe:" of city is new, in one row: is that row a sum of others?']


def test_a_new_class_that_is_like_a_larger_one_is_asked_about_with_the_way_out() -> None:
    [note] = class_notes({"grignolino": 60, "grignolinno": 1}, (), ["bat_1"])
    assert note == (
        '"grignolinno" is a new class, in 1 row, and like "grignolino": is it a slip? If so, give these rows the label '
        '"grignolino" (POST /v1/models/…/batches/bat_1/corrections), then delete the class '
        "(DELETE /v1/models/…/classes/grignolinno)."
    )
    assert "in 2 rows" in class_notes({"grignolinno": 2}, ["grignolino"], ())[0]
    assert class_notes({"grignolinno": 2}, ["grignolino", "grignolinno"], ()) == []
    many = {f"grignolin{letter}o": 1 for letter in "abcdefg"}
    assert class_notes(many, ["grignolino"], ())[NAMED:] == ["2 more new classes are like larger ones."]
