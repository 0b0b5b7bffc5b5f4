"""Numbers and dates as people type them into a field, where no file shows how the others are written."""

from __future__ import annotations

import math
import re

from service.guessing.csv_files.dialect import Dialect, sign_of

TAB = "\t"
"""Where it parts cells, either sign begins decimals, as in fields of their own."""
EXACT = 2**53
"""Whole numbers below it are exact."""
MONTHS = (
    ("jan",),
    ("feb",),
    ("mar", "mär"),
    ("apr",),
    ("may", "mai"),
    ("jun",),
    ("jul",),
    ("aug",),
    ("sep",),
    ("oct", "okt"),
    ("nov",),
    ("dec", "dez"),
)
"""How names of months begin, in English and German."""
PIVOT = 69
"""A year of two digits below it is one of this century, as `%y` of POSIX has it."""

_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(,\d{3}|\.\d*)", re.ASCII)
"""A number with commas that can only part thousands."""
_DECIMAL_COMMA = re.compile(r"\d,\d")
_SHORT = re.compile(r"(\d{1,2})([./-])\s*(\d{1,2})\2\s*(\d\d|\d{4})\b", re.ASCII)
_DAY_NAMED = re.compile(r"(\d{1,2})\.?\s+([^\W\d_]{3,9})\.?,?\s+(\d\d|\d{4})\b")
_MONTH_NAMED = re.compile(r"([^\W\d_]{3,9})\.?\s+(\d{1,2}),?\s+(\d{4})\b")


def typed_number(text: str) -> str:
    """A number without commas that can only part thousands; any other text as it is."""
    return text.replace(",", "") if _COMMAS.fullmatch(text) else text


def typed_date(text: str) -> str:
    """17. August 2026 as 17.8.2026, 1.2.26 as 1.2.2026: as files have dates, the clock behind it as it is. What is no
    date stays as it is."""
    if match := _SHORT.match(text):
        first, mark, second, year = match.groups()
        return f"{first}{mark}{second}{mark}{_year(year)}{text[match.end() :]}"
    if match := _DAY_NAMED.match(text):
        day, name, year = match.groups()
    elif match := _MONTH_NAMED.match(text):
        name, day, year = match.groups()
    else:
        return text
    month = next((k for k, starts in enumerate(MONTHS, 1) if name.lower().startswith(starts)), None)
    return text if month is None else f"{day}.{month}.{_year(year)}{text[match.end() :]}"


def number_of(typed: str, decimal: str = ".") -> float | int | None:
    """A finite number that was typed, a whole one as such; None where it is none. decimal: the sign of decimals, where
    the number does not show it."""
    sign = sign_of(typed, TAB)
    if sign is None:
        return None
    number = float(Dialect(decimal=decimal if sign == "?" else sign or ".").number(typed))
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < EXACT else number


def numbers_of(line: str, size: int) -> list[float | int | None]:
    """The numbers of a line, None for what is none. Where commas begin decimals, as in 5,1 3,5, spaces alone part as
    many as the model takes. Raises ValueError where nobody can tell what a comma is for."""
    parted = line.replace(";", " ").split()
    signs = [sign_of(text, TAB) for text in parted]
    if len(parted) == size and "," in signs:
        return [number_of(text, ",") for text in parted]
    numbers = [number_of(text) for text in line.replace(";", " ").replace(",", " ").split()]
    if _DECIMAL_COMMA.search(line) and len(numbers) != size and None not in numbers:
        raise ValueError(line)
    return numbers


def _year(typed: str) -> str:
    return typed if len(typed) > 2 else f"{20 if int(typed) < PIVOT else 19}{typed}"
