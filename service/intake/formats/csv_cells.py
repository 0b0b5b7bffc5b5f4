"""The cells of a column of a CSV file, which are text -> one float64 each, NaN where a cell is empty.

A text is read as the value that JSON has in its place, and then as that is: a table is the same table in both forms.
Numbers are converted without a step of Python's each; all else once for each text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.tables import LARGEST_CELL, BooleanColumn, CategoryColumn, Column, NumberColumn, value_text
from service.intake.kinds.cells import DATE, CellFault, Names, cell_reader, no_number, quoted_cell

Floats = NDArray[np.float64]

KEPT_TEXTS, KEPT_OF_COLUMN = 65_536, 4_096
"""Texts of all columns, and of one of them, whose readings are kept."""
EMPTY = "Leave the cell empty where nothing is known."
NOTHING = frozenset({"na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?"})
"""What programs write where a number is missing, in small letters."""
UNNAMED = frozenset({"NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "-"})
"""What no value of an open category, no label and no group is called in a CSV file: a program wrote it for nothing."""
BOOLEANS = {"true": True, "false": False}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OF_NUMBERS = re.compile(r"[0-9+\-.eE ]*")


class ColumnFault(Exception):
    """A cell is wrong: `row`, counted from 0 among those that were read together, and the sentence."""

    def __init__(self, row: int, sentence: str) -> None:
        super().__init__(sentence)
        self.row, self.sentence = row, sentence


class ColumnReader:
    """Reads the cells of a column. `one` reads a text that is not blank, and raises CellFault; `kept`: about how many
    texts are known at once, so that none of them is read twice."""

    def __init__(self, one: Callable[[str], float], kept: int) -> None:
        self._known, self._kept = _Known(one), kept

    def read(self, cells: Sequence[str]) -> Floats:
        """-> [cells]. Raises ColumnFault for the first that is wrong."""
        known = self._known
        if len(known) > self._kept:
            known.clear()
        try:
            return np.array([known[cell] for cell in cells], np.float64)
        except CellFault as fault:
            row = next(row for row, cell in enumerate(cells) if cell not in known)
            raise ColumnFault(row, fault.sentence) from None


class NumberReader(ColumnReader):
    """Reads numbers, all at once where each is written as usual."""

    def read(self, cells: Sequence[str]) -> Floats:
        if _OF_NUMBERS.fullmatch("".join(cells)):
            try:
                numbers = np.array([float(cell) if cell else np.nan for cell in cells], np.float64)
            except ValueError:
                return super().read(cells)
            if not (np.abs(numbers) > LARGEST_CELL).any():
                return numbers + 0.0  # -0 + 0 = 0
        return super().read(cells)


def column_reader(column: Column, names: Names, columns: int) -> ColumnReader:
    """The reader of one of so many columns; `names` takes the values of an open category by their code."""
    read, kept = cell_reader(column, names), min(KEPT_OF_COLUMN, KEPT_TEXTS // columns)
    if isinstance(column, NumberColumn):
        return NumberReader(lambda text: read(number_of(text)), kept)
    if isinstance(column, BooleanColumn):
        return ColumnReader(lambda text: read(_boolean(text)), kept)
    if not isinstance(column, CategoryColumn):
        return ColumnReader(lambda text: read(_date(text)), kept)
    declared = frozenset(map(value_text, column.values or ()))
    return ColumnReader(lambda text: read(text if text in declared else named(text, "a value")), kept)


def number_of(text: str) -> float:
    """The number that a text is. Raises CellFault."""
    if _NUMBER.fullmatch(text):
        return float(text)  # or infinite: beyond what is taken, and refused as such
    if text.lower() in NOTHING:
        raise CellFault(f"{text} is no number. {EMPTY}")
    raise CellFault(no_number(text))


def named(text: str, thing: str) -> str:
    """The text, which may be the name of a value, a class or a group. Raises CellFault for one that stands for
    nothing."""
    if text in UNNAMED:
        raise CellFault(f"{text} is not taken as {thing}. {EMPTY} If it is truly called so, send the rows as JSON.")
    return text


def _boolean(text: str) -> bool:
    value = BOOLEANS.get(text.lower())
    if value is None:
        raise CellFault(f"{quoted_cell(text)} is not true or false: write one of them. {EMPTY}")
    return value


def _date(text: str) -> str:
    if text.lower() in NOTHING:
        raise CellFault(f"{text} is no date. {EMPTY}")
    if not DATE.fullmatch(text):
        forms = "2026-11-29, 2026-11-29T05:30 or 2026-11-29T05:30:00+09:00"
        raise CellFault(f"{quoted_cell(text)} is not a date here: write {forms}. {EMPTY}")
    return text


class _Known(dict[str, float]):
    """Texts and what they were read as; one that is not there is read."""

    def __init__(self, one: Callable[[str], float]) -> None:
        super().__init__()
        self._one = one

    def __missing__(self, text: str) -> float:
        stripped = text.strip()
        value = self[text] = self._one(stripped) if stripped else np.nan
        return value
