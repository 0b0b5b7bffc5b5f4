"""Notes on new values that look like known ones: the likeliest slips first, and few of them."""

from __future__ import annotations

from service.contract.report import NewValue
from service.learning.data.slips import NAMED, slip_notes


def test_the_likeliest_slips_are_named_and_the_rest_counted() -> None:
    many = [NewValue(value=f"Osak{k}", rows=2 + k, near=["Osaka"]) for k in range(5)]
    new = {"city": [NewValue(value="Kobe", rows=9), *many], "shop": [NewValue(value="NORTH", rows=8, near=["north"])]}
    notes = slip_notes(new)
    assert notes[0] == '"NORTH" of shop is new, and like "north", which is known: is it a slip?'
    assert notes[1:NAMED] == [
        f'"Osak{k}" of city is new, and like "Osaka", which is known: is it a slip?' for k in range(4)
    ]
    assert notes[NAMED:] == ["1 more new value is like known ones (new_values)."]


def test_values_that_are_like_none_have_no_note() -> None:
    assert slip_notes({"city": [NewValue(value="Kobe", rows=9)]}) == []


def test_a_row_of_sums_is_asked_about() -> None:
    new = {"city": [NewValue(value="Summe:", rows=1), NewValue(value="Total", rows=7)]}
    assert slip_notes(new) == ['"Summe:" of city is new, in one row: is that row a sum of others?']
