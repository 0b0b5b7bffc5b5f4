"""Which rows of a batch get another label or target, or are taken out: as they are typed, and as a file lists them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.cli.connection import in_options
from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile
from service.cli.files.labels import label_text, spelt
from service.cli.files.readers import open_file
from service.contract.targets import Target
from service.guessing.csv_files.dialect import Dialect, SaidDialect, with_decimal
from service.guessing.unguessable import Unguessable

ROW = "row"
"""The column of a file that has the numbers of rows, from 0."""
DIGITS = 9
"""Of the number of a row."""


@dataclass(frozen=True)
class Right:
    """What is right of a row. row: its number in the batch, from 0 · text: its label or target, None where it is taken
    out · place: where a file says so, "" where it was typed"""

    row: int
    text: str | None
    place: str = ""


def typed(rows: Sequence[str], out: Sequence[str]) -> Iterator[Right]:
    """Of words such as 7=cat, and of numbers of rows that are taken out. Raises WrongUsage."""
    for word in rows:
        number, equals, text = word.partition("=")
        if not equals or not text.strip():
            raise WrongUsage(f"--row {word[:100]}: write a row, from 0, and what is right of it: --row 7=cat.")
        yield Right(row_number(number, f"--row {word[:100]}"), spelt(text))
    for number in out:
        yield Right(row_number(number, f"--take-out {number[:100]}"), None)


def listed(path: Path, said: SaidDialect, target: Target) -> Iterator[Right]:
    """Of a file with the column row and one of labels or targets. said: how it is written. Raises WrongUsage."""
    file = open_file(path, said=said)
    file.check_column(ROW)
    column = file.label_column(None, {ROW}, target.named)
    if column is None:
        raise WrongUsage(f"{file.name}: which column says what is right? Call it {target.noun}.")
    row, right = file.columns.index(ROW), file.columns.index(column)
    dialect = _dialect(file, right) if target.measured else None
    for record in file.records():
        place = f"{file.name}, {file.at(record.place)}"
        number = row_number(label_text(record.cells[row]) or "", f'{place}, column "{ROW}"')
        text = label_text(record.cells[right])
        if text is None:
            remedy = f"If row {number} shall be taken out, leave it out here and say --take-out {number}."
            raise WrongUsage(f'{place}: column "{column}" is empty. {remedy}')
        if dialect is not None:  # a decimal point, as what is typed has it; what is no number stays as it is
            text = ";".join(dialect.number(part) or part for part in text.split(";"))
        yield Right(number, text, place)


def once_each(rights: Iterable[Right]) -> dict[int, Right]:
    """By row. Raises WrongUsage for a row that is there twice, and where there is none."""
    by_row: dict[int, Right] = {}
    for right in rights:
        if right.row in by_row:
            at = f"{right.place}: row" if right.place else "Row"
            raise WrongUsage(f"{at} {right.row} is named twice. Name it once.")
        by_row[right.row] = right
    if not by_row:
        raise WrongUsage("No row is named: nothing was changed.")
    return by_row


def row_number(text: str, at: str) -> int:
    """The number of a row, as it is written. Raises WrongUsage."""
    if not (text.isdecimal() and text.isascii() and len(text) <= DIGITS):
        raise WrongUsage(f'{at}: "{text[:100]}" is no number of a row. Rows of a batch are counted from 0.')
    return int(text)


def _dialect(file: DataFile, place: int) -> Dialect:
    """With the sign of decimals that the numbers of a column show. Raises WrongUsage where they can be read in two
    ways."""
    column = file.columns[place]
    texts = (record.cells[place] for record in file.records() if isinstance(record.cells[place], str))
    try:
        return with_decimal(file.dialect, file.said, ((column, part) for text in texts for part in text.split(";")))
    except Unguessable as fault:
        raise WrongUsage(f"{file.name}: {in_options(str(fault))} Nothing was sent.") from None
