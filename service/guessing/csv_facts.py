"""A CSV file looked through: its lines as cells, and the facts of each of its columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, BinaryIO

from service.guessing.column_facts import NUMBER, ColumnFacts

JSON_BEGINS = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{])")
"""How rows in JSON begin, and no header does."""
OTHER_FILES = {b"PK\x03\x04": "workbook", b"\xd0\xcf\x11\xe0": "workbook", b"PAR1": "parquet"}
"""First bytes of files that are no text -> what they are."""
HEAD_BYTES = 4096
"""By which it is seen what a file is."""
GROWING = 4
"""So many steps up from number to number are hardly those of a row."""
LABELLED = ("target", "label")
"""What the column of the target or label is called where nobody says it."""
REMEDY = (
    "Excel writes semicolons where the system's decimal sign is a comma; pandas: "
    'read_csv(f, sep=";", decimal=",").to_csv(g, index=False).'
)
SENTENCES = {
    "json": "This file is JSON, and a CSV file is due. Send its rows as a list: json.load reads them. In a terminal "
    "tsuika push takes such a file as it is.",
    "workbook": "This file is an Excel workbook or another archive, and a CSV file is due. Save it as CSV in UTF-8, "
    "which spreadsheets offer by that name.",
    "parquet": "This file is Parquet, and a CSV file is due. Send the frame that pandas.read_parquet makes of it. In a "
    "terminal tsuika push takes such a file as it is.",
    "encoding": "This CSV file is not UTF-8: a byte of line {line:,} begins no character. Save the file as CSV in "
    "UTF-8, which spreadsheets offer by that name.",
    "quote": "This CSV file cannot be read: {fault}. Is there a quote that is never closed?",
    "no_row": "This CSV file has no row: its first line names the columns, and a row stands in each other.",
    "separator": f"This CSV file has one column, {{column}}. Commas part cells: save the file with commas. {REMEDY}",
    "headless": "The first line of this CSV file names no columns: it begins the rows, with {column}. Write a line "
    "with the names of the columns above it.",
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
    """The lines of a CSV file as cells, its header first. Raises Unguessable for another kind of file, for a byte that
    is none of a text, and for a cell that does not end."""
    other = other_file(file.read(HEAD_BYTES))
    file.seek(0)
    if other is not None:
        raise Unguessable(other)
    with io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        try:
            for line in csv.reader(_checked(text), skipinitialspace=True):
                if line:
                    yield [cell.strip() for cell in line]
        except csv.Error as fault:
            raise Unguessable("quote", fault=str(fault)) from None


def other_file(head: bytes) -> str | None:
    """What a file is that begins so, a key of SENTENCES; None where it may be a CSV file."""
    if JSON_BEGINS.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "json"
    return next((kind for begins, kind in OTHER_FILES.items() if head.startswith(begins)), None)


def are_cells(names: Sequence[str]) -> bool:
    """Whether names are numbers as a row has them, so that there is no header. Columns are called 0, 1, 2 or 2024,
    2025, and many of them by what grows, such as wavelengths."""
    numbers = [float(name) for name in names if NUMBER.fullmatch(name)]
    steps = [second - first for first, second in pairwise(numbers)]
    counted = all(map(float.is_integer, numbers)) and all(step == 1 for step in steps)
    grows = len(steps) >= GROWING and all(step > 0 for step in steps)
    return not (counted or grows) and {*LABELLED}.isdisjoint(names)


def _checked(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            line.encode()
        except UnicodeEncodeError:
            raise Unguessable("encoding", line=number) from None
        yield line


def facts_of(lines: Iterable[Sequence[str]], gaps: Sequence[str] = ()) -> dict[str, ColumnFacts]:
    """What each column holds, by its name in the first line; rows of another length say nothing. gaps: what cells say
    where nothing is known. Raises Unguessable."""
    each = iter(lines)
    names = list(next(each, ()))
    _check_names(names)
    facts = {name: ColumnFacts() for name in names}
    rows = 0
    for line in each:
        rows += 1
        if len(line) == len(names):
            for fact, cell in zip(facts.values(), line, strict=True):
                fact.add(None if not cell or cell in gaps else cell)
    if not rows:
        raise Unguessable("no_row")
    check_header(facts)
    return facts


def check_header(facts: Mapping[str, ColumnFacts]) -> None:
    """Raises Unguessable where the first line is hardly a header: half of its names are numbers as a row has them, or
    each stands in its column, too."""
    numbers = [name for name in facts if NUMBER.fullmatch(name)]
    if are_cells([*facts]) and (2 * len(numbers) >= len(facts) or any("." in name for name in numbers)):
        raise Unguessable("headless", column=numbers[0])
    if all(name in fact.values for name, fact in facts.items()):
        raise Unguessable("headless", column=next(iter(facts)))


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
