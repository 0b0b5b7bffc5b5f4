"""A CSV file looked through: its lines as cells, and the facts of each of its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from service.guessing.column_facts import ColumnFacts

SENTENCES = {
    "encoding": "This CSV file is not UTF-8: a byte of line {line:,} begins no character. Save the file as CSV in "
    "UTF-8, which spreadsheets offer by that name.",
    "quote": "This CSV file cannot be read: {fault}. Is there a quote that is never closed?",
    "no_row": "This CSV file has no row: its first line names the columns, and a row stands in each other.",
    "separator": "This CSV file has one column, {column}. Commas part cells: save the file with commas.",
    "nameless": "Column {place:,} of this CSV file has no name. Name it, or leave it out.",
    "twice": 'Two columns of this CSV file are called "{column}". Each has a name of its own.',
    "slip": 'Values of "{column}" look like numbers, and "{cell}" is none. Write numbers as 12500 or 12.5, '
    "without a unit or anything between thousands.",
}
"""Why a file does not say what it is for."""
LONGEST = 100
"""Characters of a cell or a name that a sentence shows."""


class Unguessable(ValueError):
    """A file that does not say what it is for. `why`: a key of SENTENCES; `values`: what the sentence names."""

    def __init__(self, why: str, **values: Any) -> None:
        self.why, self.values = why, {n: v[:LONGEST] if isinstance(v, str) else v for n, v in values.items()}
        super().__init__(SENTENCES[why].format(**self.values))


def lines_of(file: BinaryIO) -> Iterator[list[str]]:
    """The lines of a CSV file as cells, its header first. Raises Unguessable for a byte that is none of a text, and for
    a cell that does not end."""
    with io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        try:
            for line in csv.reader(_checked(text), skipinitialspace=True):
                if line:
                    yield [cell.strip() for cell in line]
        except csv.Error as fault:
            raise Unguessable("quote", fault=str(fault)) from None


def _checked(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            line.encode()
        except UnicodeEncodeError:
            raise Unguessable("encoding", line=number) from None
        yield line


def facts_of(lines: Iterable[Sequence[str]]) -> dict[str, ColumnFacts]:
    """What each column holds, by its name in the first line; rows of another length say nothing. Raises Unguessable."""
    each = iter(lines)
    names = list(next(each, ()))
    _check_names(names)
    facts = {name: ColumnFacts() for name in names}
    rows = 0
    for line in each:
        rows += 1
        if len(line) == len(names):
            for fact, cell in zip(facts.values(), line, strict=True):
                fact.add(cell or None)
    if not rows:
        raise Unguessable("no_row")
    return facts


def _check_names(names: Sequence[str]) -> None:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise Unguessable("separator", column=names[0])
    before = set[str]()
    for place, name in enumerate(names):
        if not name:
            raise Unguessable("nameless", place=place + 1)
        if name in before:
            raise Unguessable("twice", column=name)
        before.add(name)


def check_label(name: str, facts: ColumnFacts) -> None:
    """Raises Unguessable where the values of a column look like numbers and one is none: prices with a slip are no
    classes."""
    if not facts.measures and (strange := facts.strange):
        raise Unguessable("slip", column=name, cell=strange)
