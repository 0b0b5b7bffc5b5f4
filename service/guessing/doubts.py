"""What of a guess may be otherwise: columns that look like one thing and may be another, and how that is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.guessing.column_facts import ColumnFacts
from service.guessing.column_names import NAMES_THINGS
from service.guessing.csv_files.dates import FOUR_DIGITS

DOUBTS = {
    "number": '"{column}" is a category as it is written, such as {cell}. If it is a number, write 12500 or {number}, '
    "without a unit or anything between thousands.",
    "date": '"{column}" is a category as it is written, such as {cell}. If it is a date, write {date}. '
    f"{FOUR_DIGITS}",
    "text": 'Words of "{column}" are not read: each cell is one value. {way}',
    "gap": '"{column}" is a category as it is written: nearly all of its cells are numbers, and others say "{cell}". '
    "If nothing is known there, say so: {way}",
    "words": '"{column}" is a category as it is written: most of its cells are numbers, and others say "{cell}". '
    "If nothing is known there, say so: {way}",
    "slip": '"{cell}" is no number, and nearly all other cells of "{column}" are. Write it as 12500 or {number}, '
    "without a unit or anything between thousands. If nothing is known there, say so: {way}",
    "date_slip": '"{cell}" is no date, and nearly all other cells of "{column}" are. Write it as {date}. If nothing is '
    "known there, say so: {way}",
    "mixed": '"{column}" is a category as it is written: most of its cells are numbers, and others, such as "{cell}", '
    "are none. If it is a number, write 12500 or {number}, without a unit or anything between thousands.",
    "mixed_dates": '"{column}" is a category as it is written: most of its cells are dates, and others, such as '
    '"{cell}", are none. If it is a date, write {date}.',
    "sum": '"{column}" says "{cell}" in one row. If that row is a sum of the others and none itself, delete it.',
    "numbering": 'No cell of "{column}" comes again. If it only numbers rows, leave it out: {way}',
    "ids": 'The numbers of "{column}" are learned as amounts. If they are names, as of machines or customers, leave it '
    "out or make it a category: {way}",
    "names": '"{column}" has {cell} values, hardly one of which is in many rows. If they are names, as of people or '
    "orders, leave it out: {way}",
}
"""What may not be as it is guessed. way: of leaving it or others out, or of saying that cells are gaps · number,
date: as the file has them."""


def doubts(spec: Mapping[str, Any], facts: Mapping[str, ColumnFacts]) -> list[tuple[str, str, str]]:
    """Columns of a table that may not be as they are guessed: a key of DOUBTS, the column, a cell that shows it."""
    doubtful = []
    for name, fact in facts.items() if spec["kind"] == "table" else ():
        doubtful += [("sum", name, cell) for cell in fact.sums]
        words = fact.words_beside
        doubtful += [("gap" if fact.phrases else "words", name, word) for word in words]
        slip, cells = fact.slips
        doubtful += [(slip, name, cell) for cell in cells]
        if not words and not cells and fact.doubt is not None:
            why, cell = fact.doubt
            doubtful.append((why, name, cell))
        elif fact.may_name and NAMES_THINGS.search(name):
            doubtful.append(("ids", name, ""))
    return doubtful
