"""New values of categories and new classes that look like known ones, or like a row of sums, as sentences: mostly a pen
slipped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.contract.reports.facts import NewValues
from service.guessing.class_counts import TIMES, is_slip, likely_slips
from service.guessing.column_facts import SUMS
from service.remedies import CORRECT, DELETE_CLASS, REPORT_LISTS, UNKNOWN

NAMED = 5
"""New values that notes name."""
SHORT = 2
"""Characters of a name in which a near one of as many differs in what is easily taken for the other alone
(service/intake/near.py)."""


def slip_notes(new: NewValues) -> list[str]:
    """A sentence for each new value that is a known one near to it but for a letter: first those that differ in case
    alone, then those with the fewest rows. The rest are counted. Before them those that spreadsheets write beside a
    sum. Names that share more letters than that, as "Dorsey Inc" and "Dupree Inc" do, are mostly two names."""
    sums = [
        (column, of.value)
        for column, values in new.items()
        for of in values
        if of.rows == 1 and of.value.casefold().rstrip(": ") in SUMS
    ]
    like = []
    for column, values in new.items():
        for value in values:
            known = next((near for near in value.near if _may_be(value.value, near)), None)
            if known is not None:
                like.append((column, value, known))
    like.sort(key=lambda one: (one[1].value.casefold() != one[2].casefold(), one[1].rows))
    notes = [f'"{said}" of {column} is new, in one row: is that row a sum of others?' for column, said in sums[:NAMED]]
    notes += [
        f'"{value.value}" of {column} is new, and like "{known}", which is known: is it a slip?'
        for column, value, known in like[:NAMED]
    ]
    if (more := len(like) - NAMED) > 0:
        are = "value is" if more == 1 else "values are"
        notes.append(f"{more:,} more new {are} like known ones: {REPORT_LISTS()}.")
    return notes


def value_notes(new: NewValues) -> list[str]:
    """Names new values, those of the most rows first, of columns where they are few: of rows that are unlike others."""
    few = [
        (of.rows, f'{column} "{of.value}"') for column, values in new.items() if len(values) <= NAMED for of in values
    ]
    names = [name for _, name in sorted(few, key=lambda one: -one[0])[:NAMED]]
    return [f"New values: {', '.join(names)}."] if names else []


def class_notes(rows: Mapping[str, int], known: Collection[str], batches: Sequence[str]) -> list[str]:
    """A sentence for each class that an update brings with few rows and that is like a larger one, with the way out.
    rows: of each class in the update; known: classes of the version before it; batches: those of the update."""
    batch = batches[0] if len(batches) == 1 else "BATCH"
    before = dict.fromkeys(known, TIMES * max(rows.values(), default=0))
    likely = list(likely_slips({**rows, **before}).items())
    notes = [
        f'"{name}" is a new class, in {rows[name]} row{"s"[: rows[name] != 1]}, and like "{like}": is it a slip? '
        f'If so, give these rows the label "{like}" ({CORRECT(model=UNKNOWN, batch=batch)}), then delete the class '
        f"({DELETE_CLASS(model=UNKNOWN, name=name)})."
        for name, like in likely[:NAMED]
    ]
    if (more := len(likely) - NAMED) > 0:
        notes.append(f"{more:,} more new {'class is' if more == 1 else 'classes are'} like larger ones.")
    return notes


def _may_be(name: str, near: str) -> bool:
    return len(name) == len(near) <= SHORT or is_slip(name, near)
