"""New values of categories that look like known ones, or like a row of sums, as sentences: mostly a pen slipped."""

from __future__ import annotations

from service.contract.report import NewValues
from service.guessing.column_facts import SUMS

NAMED = 5
"""New values that notes name."""


def slip_notes(new: NewValues) -> list[str]:
    """A sentence for each new value that has a known one near: first those that differ in case alone, then those with
    the fewest rows. The rest are counted. Before them those that spreadsheets write beside a sum."""
    sums = [
        (column, of.value)
        for column, values in new.items()
        for of in values
        if of.rows == 1 and of.value.casefold().rstrip(": ") in SUMS
    ]
    like = [(column, value) for column, values in new.items() for value in values if value.near]
    like.sort(key=lambda one: (one[1].value.casefold() != one[1].near[0].casefold(), one[1].rows))
    notes = [f'"{said}" of {column} is new, in one row: is that row a sum of others?' for column, said in sums[:NAMED]]
    notes += [
        f'"{value.value}" of {column} is new, and like "{value.near[0]}", which is known: is it a slip?'
        for column, value in like[:NAMED]
    ]
    if (more := len(like) - NAMED) > 0:
        notes.append(f"{more:,} more new {'value is' if more == 1 else 'values are'} like known ones (new_values).")
    return notes
