"""The cells of a table -> float64, by a reader for each column; of JSON, and of text as CSV has it.

A reader does not know where its cell stands: a fault says what is wrong, and the caller adds the place, as a pointer or
as a line and a column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from datetime import date
from functools import lru_cache
from typing import Any

from service.contract.names import LONGEST_NAME, clean_value
from service.contract.tables import LARGEST_CELL, CategoryColumn, Column, DateColumn, NumberColumn, value_code
from service.errors import InvalidContent
from service.guessing.full_width import half_width
from service.intake.kinds.numbers import word
from service.intake.near import near_matches

MISSING = math.nan
REMEMBERED = 4096
"""Values and dates whose numbers are remembered."""
MOST_NAMES = 4096
"""Values of a column that are known by name to whoever reads rows: twice as many as a model may have."""
LONGEST_INTEGER = 700
"""Bits of a whole number that has more than 200 digits."""

DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(?:[Zz]|[+-](\d\d):(\d\d))?)?", re.ASCII
)
_PARTED = re.compile(r"[-+]?[0-9][0-9.,'’\s]*[.,'’\s][0-9]+")
"""A number with a comma as its decimal mark, or with anything between its thousands."""
_BETWEEN = re.compile(r"[,.'’\s]")
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}([,.'’\s])[0-9]{3}(?:\1[0-9]{3})*")
_NUMBERS = re.compile(r"(?:(?<!\S)-|(?<![-\d]))\d+(?:\.\d+)?", re.ASCII)
_ATTACHED = re.compile(r"[0-9](?:{0})|(?:{0})[0-9]".format(r"[^\W_0-9\u3040-\u9fff]|[十百千万億兆]"))
"""A letter that touches a digit, so that the digits alone may be another number: 23O, 5k, 3万. Kana and kanji of units
are none: 23円."""
_LOOKALIKES = str.maketrans("OolI", "0011")
_PLAIN = re.compile(r"\s*[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\s*", re.ASCII)
SHOWN = 40
"""Characters of a cell that a refusal quotes."""
FIRST_DAY = date(1970, 1, 1).toordinal()

Names = dict[float, str]
"""Values by their code."""
Read = Callable[[Any], float]


class CellFault(Exception):
    """A cell is none of its column. `sentence`: what is wrong, and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def cell_reader(column: Column, names: Names, gaps: Collection[str] = ()) -> Read:
    """The reader of the cells of a column as JSON has them: NaN for null, and for the words in `gaps`. `names` takes
    the values of an open category by their code. It raises CellFault."""
    read = _reader_of(column, names)
    if not gaps:
        return read
    return lambda cell: MISSING if type(cell) is str and cell.strip() in gaps else read(cell)


def _reader_of(column: Column, names: Names) -> Read:
    if isinstance(column, NumberColumn):
        return read_number
    if isinstance(column, DateColumn):
        return read_date
    if not isinstance(column, CategoryColumn):
        return read_boolean
    if column.values is not None:
        return _listed(column)
    return read_value if column.many else noting(names)


def read_number(cell: Any) -> float:
    """A JSON number; NaN for null. Raises CellFault."""
    kind = type(cell)
    if kind is float or kind is int:
        if -LARGEST_CELL <= cell <= LARGEST_CELL:
            number: float = cell
            return number
        raise CellFault(f"This number is beyond {LARGEST_CELL:g} on either side of 0. Take a larger unit.")
    if cell is None:
        return MISSING
    if kind is str:
        raise CellFault(text_for_number(cell))
    raise CellFault(f"This is {word(cell)}: a number is due, or null where it is missing.")


def text_for_number(text: str) -> str:
    """The sentence about a JSON text in the place of a number."""
    if _PLAIN.fullmatch(number := half_width(text[:SHOWN])):
        due = "a number is due" if number == text[:SHOWN] else f"the number {number.strip()} is due"
        return f"{quoted_cell(text)} is text: {due}, without quotes, or null where it is missing."
    return no_number(text)


def quoted_cell(text: str) -> str:
    """The beginning of a cell in quotes, without control characters: a refusal goes to whoever sent it, and into no
    log."""
    shown = "".join(c if c.isprintable() else " " for c in text[:SHOWN].strip())
    return f'"{shown}{"..." * (len(text) > SHOWN)}"'


def no_number(text: str, otherwise: str = "leave the cell empty (JSON: null)") -> str:
    """The sentence about a text that is no number, with the number that is meant, where that is plain. otherwise: what
    to do where there is none."""
    text = text.strip()
    if _PARTED.fullmatch(text[: SHOWN + 1]):
        meant = _meant(text)
        write = f"write {meant}, a point" if meant else "write a point"
        return f"{quoted_cell(text)} is not a number here: {write} for decimals and nothing between thousands."
    shown = text[: SHOWN + 1]
    attached = _ATTACHED.search(shown)
    if attached and len(text) <= SHOWN and _PLAIN.fullmatch(alike := text.translate(_LOOKALIKES)):
        way = f"Write one such as 12.5, without unit, or {otherwise}."
        return f"{quoted_cell(text)} is not a number: is it {alike}? {way}"
    numbers = [] if attached else _NUMBERS.findall(shown)
    meant = numbers[0] if len(numbers) == 1 else "one such as 12.5"
    return f"{quoted_cell(text)} is not a number: write {meant}, without unit, or {otherwise}."


def _meant(text: str) -> str:
    """The number that one with marks in it is, in digits with a decimal point; "" where that is not plain."""
    if match := _GROUPED.fullmatch(text):
        whole = _BETWEEN.sub("", text)
        # 1,200 is 1.2 to some, and 1.200.300 is plain
        return f"{whole} or {text.replace(',', '.')}" if match[1] == "," and text.count(",") == 1 else whole
    marks = _BETWEEN.findall(text)
    if marks[-1] not in ",." or marks.count(marks[-1]) > 1:
        return ""
    whole, _, decimals = text.rpartition(marks[-1])
    return f"{_BETWEEN.sub('', whole)}.{decimals}" if whole.lstrip("+-").isdigit() or _GROUPED.fullmatch(whole) else ""


def read_boolean(cell: Any) -> float:
    """true or false as 1 and 0; NaN for null. Raises CellFault."""
    if cell is True:
        return 1.0
    if cell is False:
        return 0.0
    if cell is None:
        return MISSING
    quotes = ", without quotes" if type(cell) is str else ""
    raise CellFault(f"This is {word(cell)}: true or false is due{quotes}, or null where it is missing.")


def read_date(cell: Any) -> float:
    """A date as text; see `date_seconds`. NaN for null. Raises CellFault."""
    if type(cell) is str:
        return date_seconds(cell)
    if cell is None:
        return MISSING
    raise CellFault(f"This is {word(cell)}: a date is text such as 2026-11-29T05:30, and null where it is missing.")


@lru_cache(maxsize=REMEMBERED)
def date_seconds(text: str) -> float:
    """Seconds since 1970 by the clock as it was written: RFC 3339, its date, or date and time without an offset.

    An offset is checked and then left out, since hour and weekday are those of the people who wrote them. Raises
    CellFault."""
    match = DATE.fullmatch(text)
    if match is None:
        raise CellFault(
            "This is no date: write 2026-11-29, 2026-11-29T05:30 or 2026-11-29T05:30:00+09:00, and null where it is "
            "missing."
        )
    year, month, day, *clock = (int(part or 0) for part in match.group(1, 2, 3, 4, 5, 6, 8, 9))
    hour, minute, second, offset_hour, offset_minute = clock
    try:
        days = date(year, month, day).toordinal() - FIRST_DAY
    except ValueError:
        raise CellFault("There is no such day. Look at its month and day.") from None
    leap = second == 60 and minute == 59
    if hour > 23 or minute > 59 or (second > 59 and not leap):
        raise CellFault("There is no such time of the day: hours go to 23, minutes and seconds to 59.")
    if offset_hour > 23 or offset_minute > 59:
        raise CellFault("There is no such offset: write it as +09:00, or Z.")
    return days * 86_400.0 + hour * 3600 + minute * 60 + second + float(match[7] or 0)


def coded(text: str) -> tuple[float, str]:
    """The code of the value of a category, and the value as it is kept; (NaN, "") of a blank one, which is missing.

    Raises CellFault."""
    # a long text is not remembered: it may be of any length, and is mostly refused
    return _remembered(text) if len(text) <= LONGEST_NAME else _coded(text)


def _coded(text: str) -> tuple[float, str]:
    if text.isascii() and text.isprintable() and text and text[0] != " " and text[-1] != " " and len(text) <= 200:
        return value_code(text), text
    try:
        cleaned = clean_value(text)
    except InvalidContent as fault:
        raise CellFault(fault.detail) from None
    return (value_code(cleaned), cleaned) if cleaned else (MISSING, "")


_remembered = lru_cache(maxsize=REMEMBERED)(_coded)


def closed_list(column: CategoryColumn) -> Callable[[str], float]:
    """The reader of the texts of a category whose values are declared. It raises CellFault, with near matches."""
    values = column.values or []
    codes = {value: value_code(value) for value in values}

    def read(text: str) -> float:
        if (code := codes.get(text)) is not None:
            return code
        code, value = coded(text)
        if not value or value in codes:
            return code
        near = ", ".join(f'"{name}"' for name in near_matches([value], values)[value])
        remedy = f"Near: {near}." if near else "GET the model for those it has."
        raise CellFault(f'"{value}" is none of the values that {column.name} was declared with. {remedy}')

    return read


def _listed(column: CategoryColumn) -> Read:
    read = closed_list(column)
    return lambda cell: read(cell if type(cell) is str else text_of_value(cell))


def read_value(cell: Any) -> float:
    """The code of the value of a category; NaN for null. Raises CellFault."""
    return coded(cell if type(cell) is str else text_of_value(cell))[0]


def noting(names: Names) -> Read:
    """The reader of an open category, which notes values by their code, `MOST_NAMES` at most. It raises CellFault."""

    def read(cell: Any) -> float:
        if cell is None:
            return MISSING
        code, value = coded(cell if type(cell) is str else text_of_value(cell))
        if len(names) < MOST_NAMES and value:
            names[code] = value
        return code

    return read


def text_of_value(cell: Any) -> str:
    """The value of a category that a JSON value other than text stands for; "" for null. Raises CellFault."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int) and cell.bit_length() <= LONGEST_INTEGER:
        return str(cell)
    if isinstance(cell, int):
        raise CellFault(f"The value of a category has 1 to {LONGEST_NAME} characters.")
    if isinstance(cell, float):
        raise CellFault('The value of a category is text or a whole number, no fraction: "2.5" as text, 5 for 5.0.')
    raise CellFault(f"This is {word(cell)}: the value of a category is text or a whole number, and null for none.")
