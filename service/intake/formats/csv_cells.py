"""The cells of a column of a CSV file, which are text -> one float64 each, NaN where a cell is empty and may be.

A text is read as the value that JSON has in its place, and then as that is: a table is the same table in both forms.
Numbers are converted without a step of Python's each; all else once for each text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from service.contract.tables import LARGEST_CELL, BooleanColumn, CategoryColumn, Column, NumberColumn, value_text
from service.guessing.column_facts import GAP_WORDS, REFUSED_WORDS
from service.guessing.csv_files.dates import FOUR_DIGITS, MONTH_FIRST, ORDERS, order_in
from service.guessing.csv_files.dialect import Dialect, currency_of, sign_of
from service.guessing.full_width import half_width
from service.intake.kinds.cells import DATE, SHOWN, CellFault, Names, Read, cell_reader, no_number, quoted_cell
from service.intake.kinds.numbers import LARGEST, TOO_LARGE
from service.remedies import DECIMAL, GAPS

Floats = NDArray[np.float64]

KEPT_TEXTS, KEPT_OF_COLUMN = 65_536, 4_096
"""Texts of all columns, and of one of them, whose readings are kept."""
GAP = f"Leave the cell empty where nothing is known, or {GAPS(word='{0}')}."
OR_WORD = f"leave the cell empty, or {GAPS(word='{0}')} if it says that nothing is known"
NO_GAPS = "There is no rule for missing values: fill it in, or leave the row out."
BOOLEANS = {"true": True, "false": False}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OF_NUMBERS = re.compile(r"[0-9+\-.eE ]*")


class ColumnFault(Exception):
    """A cell is wrong: `row`, counted from 0 among those that were read together, and the sentence."""

    def __init__(self, row: int, sentence: str) -> None:
        super().__init__(sentence)
        self.row, self.sentence = row, sentence


class DialectUnknown(Exception):
    """A cell can be read as the file is written, which nobody knows yet: a date with slashes, of which the day or the
    month stands first, or, where commas part cells, a number in quotes with a comma that may begin its decimals."""


@dataclass(frozen=True)
class Written:
    """How cells are written. decimal_known: the sign of decimals was looked for, or somebody said it"""

    dialect: Dialect
    decimal_known: bool = True

    def check_known(self, text: str) -> None:
        """Raises DialectUnknown for a number whose comma may begin its decimals, where the file may be written so."""
        if self.decimal_known:
            return
        sign = sign_of(text, self.dialect.delimiter)
        if sign == "," or (sign == "?" and "," in half_width(text)):
            raise DialectUnknown


class ColumnReader:
    """Reads the cells of a column. `one` reads a text that is not blank, and raises CellFault; `kept`: about how many
    texts are known at once, so that none of them is read twice; `gaps`: a blank cell is NaN, and no matter of `one`."""

    def __init__(self, one: Callable[[str], float], kept: int, gaps: bool = True) -> None:
        self._known, self._kept, self._gaps = _Known(one, gaps), kept, gaps

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
    """Reads numbers, all at once where each is written as usual and none is beyond `largest`. comma: decimals begin
    with one."""

    largest = LARGEST_CELL

    def __init__(self, one: OneCurrency, kept: int, gaps: bool = True, comma: bool = False) -> None:
        super().__init__(one, kept, gaps)
        self._one, self._comma = one, comma

    @property
    def currency(self) -> str:
        """The sign of the currency of the numbers that were read; "" where they have none."""
        return self._one.sign

    def read(self, cells: Sequence[str]) -> Floats:
        usual, text = cells, "".join(cells)
        if self._comma:
            if "." in text:  # it parts thousands, or is a slip
                return super().read(cells)
            usual, text = [cell.replace(",", ".") for cell in cells], text.replace(",", ".")
        if _OF_NUMBERS.fullmatch(text):
            try:
                numbers = np.array([float(cell) if cell else np.nan for cell in usual], np.float64)
            except ValueError:
                return super().read(cells)
            good = np.abs(numbers) <= self.largest
            if (good | np.isnan(numbers) if self._gaps else good).all():
                return numbers + 0.0  # -0 + 0 = 0
        return super().read(cells)


class VectorReader(NumberReader):
    """Reads the numbers of a vector, which are all there, as a float32 can hold them."""

    largest = LARGEST

    def __init__(self, columns: int, written: Written) -> None:
        one, comma = OneCurrency(partial(_of_vector, written)), written.dialect.decimal == ","
        super().__init__(one, _kept(columns), gaps=False, comma=comma)


class OneCurrency:
    """Reads the numbers of a column, of which all that have the sign of a currency have one and the same."""

    def __init__(self, read: Callable[[str], float]) -> None:
        self._read, self.sign = read, ""

    def __call__(self, text: str) -> float:
        """Raises CellFault, DialectUnknown."""
        number = self._read(text)
        if sign := currency_of(text):
            if self.sign and sign != self.sign:
                raise CellFault(
                    f"{quoted_cell(text)} is in {sign}, and one above is in {self.sign}. Write all in one currency."
                )
            self.sign = sign
        return number


def number_reader(written: Written, kept: int = KEPT_OF_COLUMN, read: Read = float) -> NumberReader:
    """The reader of numbers of a table, or of targets. read: what a number is taken as."""

    def one(text: str) -> float:
        return read(_number_of(written, text))

    return NumberReader(OneCurrency(one), kept, comma=written.dialect.decimal == ",")


def column_reader(column: Column, names: Names, columns: int, written: Written) -> ColumnReader:
    """The reader of one of so many columns; `names` takes the values of an open category by their code."""
    read, kept = cell_reader(column, names), _kept(columns)
    if isinstance(column, NumberColumn):
        return number_reader(written, kept, read)
    if isinstance(column, BooleanColumn):
        return ColumnReader(lambda text: read(_boolean(text)), kept)
    if not isinstance(column, CategoryColumn):
        return ColumnReader(lambda text: read(_date(written.dialect, text)), kept)
    declared = frozenset(map(value_text, column.values or ()))
    return ColumnReader(lambda text: read(text if text in declared else named(text, "a value")), kept)


def _kept(columns: int) -> int:
    return min(KEPT_OF_COLUMN, KEPT_TEXTS // columns)


def _number_of(written: Written, text: str) -> float:
    """The number that a text is. Raises CellFault, DialectUnknown."""
    written.check_known(text)
    if _NUMBER.fullmatch(number := written.dialect.number(text)):
        return float(number)  # or infinite: beyond what is taken, and refused as such
    if text.lower() in GAP_WORDS:
        raise CellFault(f"{text} is no number. {GAP.format(text)}")
    raise CellFault(_no_number(written.dialect, text, _or_empty(text)))


def _or_empty(text: str) -> str:
    """What to do with a cell that says nothing that is due, unless it is mended."""
    is_word = len(text) <= SHOWN and '"' not in text and text.isprintable() and not any(map(str.isdigit, text))
    return OR_WORD.format(text) if is_word else "leave the cell empty"


def _no_number(dialect: Dialect, text: str, otherwise: str) -> str:
    """The sentence about a text that is no number."""
    if dialect.decimal == ".":
        return no_number(text, otherwise)
    point = DECIMAL(mark=".")
    way = f"write one such as 12,5, without unit, or {otherwise}. If decimals begin with a point, {point}."
    return f"{quoted_cell(text)} is not a number here, where decimals begin with a comma: {way}"


def _of_vector(written: Written, text: str) -> float:
    if not text or text.lower() in GAP_WORDS:
        raise CellFault(f"{f'{text} is no number' if text else 'It is empty'}. {NO_GAPS}")
    written.check_known(text)
    if not _NUMBER.fullmatch(digits := written.dialect.number(text)):
        raise CellFault(_no_number(written.dialect, text, "leave the row out"))
    if abs(number := float(digits)) > LARGEST:
        raise CellFault(TOO_LARGE)
    return number


def named(text: str, thing: str) -> str:
    """The text, which may be the name of a value, a class or a group. Raises CellFault for one that stands for
    nothing."""
    if text in REFUSED_WORDS:
        way = "If it is truly called so, send the rows as JSON."
        raise CellFault(f"{text} is not taken as {thing}. {GAP.format(text)} {way}")
    return text


def _boolean(text: str) -> bool:
    value = BOOLEANS.get(text.lower())
    if value is None and text.lower() in GAP_WORDS:
        raise CellFault(f"{text} is not true or false. {GAP.format(text)}")
    if value is None:
        raise CellFault(f"{quoted_cell(text)} is not true or false: write one of them, or {_or_empty(text)}.")
    return value


def _date(dialect: Dialect, text: str) -> str:
    if text.lower() in GAP_WORDS:
        raise CellFault(f"{text} is no date. {GAP.format(text)}")
    if DATE.fullmatch(text):
        return text
    order = order_in(text)
    if dialect.dates is None and order:
        raise DialectUnknown
    if dialect.dates and order in ORDERS and order != dialect.dates:
        first = f"the {ORDERS[dialect.dates]} stands first in dates, as an earlier one of the file or the query says"
        raise CellFault(f"{quoted_cell(text)} is no day where {first}: write all in one order.")
    if DATE.fullmatch(written := dialect.date(text)):
        return written
    slashes = "11/29/2026" if dialect.dates == MONTH_FIRST else "29/11/2026"
    days = f"2026-11-29, 2026/11/29, 29.11.2026, {slashes}, 2026年11月29日"
    forms = f"{days}, 2026-11-29T05:30 or 2026-11-29T05:30:00+09:00"
    raise CellFault(f"{quoted_cell(text)} is not a date here: write {forms}, or {_or_empty(text)}. {FOUR_DIGITS}")


class _Known(dict[str, float]):
    """Texts and what they were read as; one that is not there is read."""

    def __init__(self, one: Callable[[str], float], gaps: bool) -> None:
        super().__init__()
        self._one, self._gaps = one, gaps

    def __missing__(self, text: str) -> float:
        stripped = text.strip()
        value = self[text] = self._one(stripped) if stripped or not self._gaps else np.nan
        return value
