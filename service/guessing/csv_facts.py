"""A CSV file looked through: its lines as cells, and the facts of each of its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import BinaryIO

from service.guessing.column_facts import GAP_WORDS, NUMBER, ColumnFacts
from service.guessing.csv_dialect import (
    PLAIN,
    SAID_NOTHING,
    WESTERN,
    Dialect,
    SaidDialect,
    decimal_of,
    dialect_of,
    head_of,
    is_western,
    sign_of,
)
from service.guessing.file_kinds import other_file
from service.guessing.unguessable import Unguessable

PIECE_BYTES = 64 * 1024

GROWING = 4
"""So many steps up from number to number are hardly those of a row."""
LABELLED = ("target", "label")
"""What the column of the target or label is called where nobody says it."""


def lines_of(file: BinaryIO, dialect: Dialect = PLAIN) -> Iterator[list[str]]:
    """The lines of a CSV file as cells, its header first. Raises Unguessable for a byte that is none of a text, and for
    a cell that does not end."""
    errors = "replace" if dialect.encoding == WESTERN else "surrogateescape"
    with io.TextIOWrapper(file, dialect.encoding, errors=errors, newline="") as text:
        checked = _checked(text, dialect.encoding == WESTERN)
        try:
            for line in csv.reader(checked, delimiter=dialect.delimiter, skipinitialspace=True):
                if line:
                    yield [cell.strip() for cell in line]
        except csv.Error as fault:
            raise Unguessable("quote", fault=str(fault)) from None


def dialect_in(file: BinaryIO, said: SaidDialect = SAID_NOTHING) -> Dialect:
    """How a CSV file is written, but for the sign of decimals. Raises Unguessable, for another kind of file, too."""
    pieces = iter(partial(file.read, PIECE_BYTES), b"")
    head = head_of(pieces)
    if (other := other_file(head)) is not None:
        raise other
    return dialect_of(head, pieces, said)


def with_decimal(
    lines: Iterable[Sequence[str | None]],
    dialect: Dialect,
    said: SaidDialect,
    gaps: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> Dialect:
    """The same with the sign of decimals that the columns of numbers have. lines: the header first. Raises Unguessable,
    where columns have different ones, too."""
    if dialect.is_plain or said.decimal is not None:
        return dialect
    each = iter(lines)
    names = [name or "" for name in next(each, ())]
    signs: list[dict[str, str] | None] = [None if name in leave_out else {} for name in names]
    for line in each:
        for place, cell in enumerate(line[: len(names)]):
            found = signs[place]
            if found is None or not cell or cell in gaps or cell.lower() in GAP_WORDS:
                continue
            sign = sign_of(cell, dialect.delimiter)
            if sign is None:
                signs[place] = None
            else:
                found.setdefault(sign, cell)
    first: dict[str, tuple[str, str]] = {}
    for name, found in zip(names, signs, strict=True):
        for sign, cell in (found or {}).items():
            first.setdefault(sign, (name, cell))
    if "," in first and "." in first:
        (one, comma), (other, point) = first[","], first["."]
        raise Unguessable("two_signs", comma_column=one, comma_cell=comma, point_column=other, point_cell=point)
    return replace(dialect, decimal=decimal_of(first.values(), dialect.delimiter))


def are_cells(names: Sequence[str]) -> bool:
    """Whether names are numbers as a row has them, so that there is no header. Columns are called 0, 1, 2 or 2024,
    2025, and many of them by what grows, such as wavelengths."""
    numbers = [float(name) for name in names if NUMBER.fullmatch(name)]
    steps = [second - first for first, second in pairwise(numbers)]
    counted = all(map(float.is_integer, numbers)) and all(step == 1 for step in steps)
    grows = len(steps) >= GROWING and all(step > 0 for step in steps)
    return not (counted or grows) and {*LABELLED}.isdisjoint(names)


def _checked(lines: Iterable[str], western: bool) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise Unguessable("nul", line=number)
        if western and not is_western(line):
            raise Unguessable("encoding", line=number)
        try:
            line.encode()
        except UnicodeEncodeError:
            raise Unguessable("encoding", line=number) from None
        yield line.removeprefix("\ufeff") if number == 1 else line


def facts_of(
    lines: Iterable[Sequence[str]], gaps: Sequence[str] = (), dialect: Dialect = PLAIN
) -> dict[str, ColumnFacts]:
    """What each column holds, by its name in the first line; rows of another length say nothing. gaps: what cells say
    where nothing is known. Raises Unguessable."""
    each = iter(lines)
    names = list(next(each, ()))
    _check_names(names)
    facts = {name: ColumnFacts(dialect) for name in names}
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
    names = {fact.dialect.number(name): name for name, fact in facts.items()}
    numbers = [name for name in names if NUMBER.fullmatch(name)]
    if are_cells([*names]) and (2 * len(numbers) >= len(facts) or any("." in name for name in numbers)):
        raise Unguessable("headless", column=names[numbers[0]])
    if all(name in fact.values for name, fact in facts.items()):
        raise Unguessable("headless", column=next(iter(facts)))


def _check_names(names: Sequence[str]) -> None:
    if len(names) == 1 and any(mark in names[0] for mark in ",;\t|"):
        raise Unguessable("separator", column=names[0])
    before = set[str]()
    for place, name in enumerate(names):
        if not name:
            raise Unguessable("nameless" if any(names[place:]) else "empty_end", place=place + 1)
        if name in before:
            raise Unguessable("twice", column=name)
        before.add(name)


def check_label(name: str, facts: ColumnFacts) -> None:
    """Raises Unguessable where the values of a column look like numbers and one is none: prices with a slip are no
    classes."""
    if not facts.measures and (strange := facts.strange):
        raise Unguessable("slip", column=name, cell=strange, number=facts.dialect.forms["number"])
