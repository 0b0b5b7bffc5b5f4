"""Dates as spreadsheets write them -> as ISO 8601 has them, and which of day and month stands first.

A year at the beginning (2026/12/31, 2026年12月31日) and points (31.12.2026) leave no choice. Of 3/4/2026 the other
dates of the file say which it is: one of them has a day above 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from service.guessing.full_width import half_width
from service.guessing.unguessable import Unguessable

DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ](\d\d):\d\d.*)?", re.ASCII)
"""A date as ISO 8601 has it."""
FOUR_DIGITS = "Years have four digits, and hours go from 0 to 23."
DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
ORDERS = {DAY_FIRST: "day", MONTH_FIRST: "month"}
"""What somebody may say of 3/4/2026 -> what stands first."""

_CLOCK = r"(?:[ T](\d{1,2}):(\d\d)(?::(\d\d))?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/年](\d{{1,2}})[-/月](\d{{1,2}})日?{_CLOCK}", re.ASCII)
_POINTS = re.compile(rf"(\d{{1,2}})\.(\d{{1,2}})\.(\d{{4}}){_CLOCK}", re.ASCII)
_SLASHES = re.compile(rf"(\d{{1,2}})[/-](\d{{1,2}})[/-](\d{{4}}){_CLOCK}", re.ASCII)
_MONTHS, _DAYS = range(1, 13), range(1, 32)


def iso_date(text: str, order: str | None) -> str:
    """31/12/2026 as 2026-12-31, where the order is known; a text that is no date as it is."""
    written = half_width(text)
    if match := _YEAR_FIRST.fullmatch(written):
        year, month, day, *clock = match.groups()
    elif match := _POINTS.fullmatch(written):
        day, month, year, *clock = match.groups()
    elif order is not None and (match := _SLASHES.fullmatch(written)):
        first, second, year, *clock = match.groups()
        day, month = (first, second) if order == DAY_FIRST else (second, first)
    else:
        return text
    hour, minute, second = clock
    time = "" if hour is None else f"T{hour:0>2}:{minute}{f':{second}' if second else ''}"
    return f"{year}-{month:0>2}-{day:0>2}{time}"


def order_in(text: str) -> str | None:
    """Which of day and month stands first in a date: "" where it has no slashes, "?" where it may be either, "=" where
    both are one number; None of what is no date."""
    if (match := _SLASHES.fullmatch(half_width(text))) is None:
        return "" if DATE.fullmatch(iso_date(text, None)) else None
    first, second = int(match[1]), int(match[2])
    day_first, month_first = first in _DAYS and second in _MONTHS, first in _MONTHS and second in _DAYS
    if day_first and month_first:
        return "=" if first == second else "?"
    return DAY_FIRST if day_first else MONTH_FIRST if month_first else None


def order_of(cells: Iterable[tuple[str, str]]) -> str | None:
    """The order of dates, by cells that are dates, each with the name of its column: that of the first that can be read
    in one way; None where none has slashes. Raises Unguessable where all can be read in two ways."""
    either: tuple[str, str] | None = None
    same = False
    for column, cell in cells:
        order = order_in(cell)
        if order in ORDERS:
            return order
        same = same or order == "="
        either = (column, cell) if either is None and order == "?" else either
    if either is not None:
        column, cell = either
        readings = {"day": iso_date(cell, DAY_FIRST), "month": iso_date(cell, MONTH_FIRST)}
        raise Unguessable("order", column=column, cell=cell, **readings)
    return DAY_FIRST if same else None
