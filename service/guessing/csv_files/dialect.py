"""How a CSV file is written: what parts its cells, which sign its decimals have, how its letters are stored.

Where commas part cells, as in RFC 4180, numbers have a decimal point, unless they stand in quotes and have a comma all
through. Semicolons are what spreadsheets write where a comma is the decimal sign. There, and where tabs part cells, the
numbers themselves say which sign is theirs. Dates say which of day and month stands first (dates), and bytes how
letters are stored (letters). What can be read in two ways is refused, unless somebody says which is meant.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from service.guessing.csv_files.dates import ORDERS, iso_date, order_of
from service.guessing.csv_files.letters import (
    ENCODING_NAMES,
    ENCODINGS,
    UTF8,
    UTF16,
    UTF16_MARKS,
    WESTERN,
    WITHOUT_MARK,
    is_utf8,
    is_western,
    letters_of,
    word_in,
)
from service.guessing.file_kinds import other_file
from service.guessing.full_width import half_width
from service.guessing.unguessable import Unguessable

MARKS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""What parts cells, and its name."""
DELIMITERS = {",": ",", ";": ";", "tab": "\t", "\t": "\t"}
"""What somebody may say that parts cells -> the mark."""
SIGNS = {",": "comma", ".": "point"}
"""What decimals begin with, and its name."""
SAYABLE: Mapping[str, Mapping[str, str]] = {
    "delimiter": DELIMITERS,
    "decimal": {sign: sign for sign in SIGNS},
    "encoding": ENCODINGS,
    "dates": {order: order for order in ORDERS},
}
"""What somebody may say of how a file is written, by its name -> what it is in a `Dialect`."""
SLIPS = 0.1
"""Part of a column's numbers below which decimals with a comma are slips. So is a single one, unless it is half of
them."""
MOST_HEAD = 1024 * 1024
"""Bytes in which the first line ends."""

_FIRST = re.compile(rb'(?:[^"\r\n]++|"[^"]*+")*+(?=[\r\n])')
"""The first line, where it ends; a line break in quotes ends none."""
_UNQUOTED = re.compile(rb"[^\r\n]*")
"""The same where a quote stands alone in it, as in 12" pipe."""
_QUOTED = re.compile(rb'"[^"]*"')
_WHOLE = re.compile(r"[+-]?\d+(?:[eE][+-]?\d+)?", re.ASCII)
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
"""Thousands, or three decimals."""
_DECIMAL = re.compile(r"[+-]?(?:\d+(?P<inner>[.,])\d*|(?P<first>[.,])\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile("[+-]?[1-9][0-9]{0,2}([. \u00a0\u202f])[0-9]{3}(?:\\1[0-9]{3})*(?:,[0-9]*)?")
"""A number with thousands apart, and a decimal comma if any."""
_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
"""The same with commas between thousands, and a decimal point if any."""
_BETWEEN = re.compile("[. \u00a0\u202f]")
CURRENCIES = "€$£¥円₹₩"
_MONEY = re.compile(
    f"([+-]?)([{CURRENCIES}])?[ \u00a0\u202f]?([0-9.,][0-9., \u00a0\u202f]*?)[ \u00a0\u202f]?([{CURRENCIES}])?"
)
"""A number with the sign of a currency before it, behind it, or none."""
CURRENCY_NOTE = re.compile(f'Amounts of "(?P<column>.*)" are in (?P<sign>[{CURRENCIES}])(?:[.]$|, and)')
MOST_NOTED = 10
"""Columns of amounts that are noted."""
_SHIFT = "\x1b$"
"""With what letters of ISO-2022-JP begin, all of which are of ASCII."""
_STRAY = re.compile("[\udc80-\udcff]")
"""Bytes that are no UTF-8, as surrogateescape reads them (PEP 383)."""


@dataclass(frozen=True)
class Dialect:
    """delimiter: between cells · decimal: the sign of decimals · encoding: of letters, as Python names it · dates: what
    stands first in 3/4/2026; None where nobody knows, "" where dates are those of ISO 8601 alone · word: one with a
    letter that is not of ASCII, where it was guessed how letters are stored"""

    delimiter: str = ","
    decimal: str = "."
    encoding: str = UTF8
    dates: str | None = None
    word: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether cells are parted as RFC 4180 has it."""
        return self.delimiter == ","

    @property
    def is_usual(self) -> bool:
        """Whether cells are parted as RFC 4180 has it, and decimals begin with a point."""
        return self.is_plain and self.decimal == "."

    @property
    def is_of_file(self) -> bool:
        """Whether cells are as people write them, and not as JSON and frames have them."""
        return self.dates != ""

    @property
    def sentence(self) -> str:
        """What is not as usual; "" where all is."""
        sentences = []
        if not self.is_usual:
            parted, sign = MARKS[self.delimiter], SIGNS[self.decimal]
            sentences.append(f"Cells are parted by {parted}s; numbers have a decimal {sign}.")
        if self.dates:
            sentences.append(f"The {ORDERS[self.dates]} stands first in dates.")
        if self.encoding != UTF8:
            sentences.append(self.guess or f"Letters are read as {ENCODING_NAMES[self.encoding]}.")
        return " ".join(sentences)

    @property
    def guess(self) -> str:
        """What may be wrong, and how it is mended; "" where nothing was guessed."""
        read = f"Letters are read as {ENCODING_NAMES[self.encoding]}"
        return f'{read}, as in "{self.word}"; if that is wrong, say another encoding.' if self.word else ""

    @property
    def letters(self) -> str:
        """The encoding that is due, as others name it."""
        return ENCODING_NAMES[UTF8 if self._is_guess_of_western else self.encoding]

    def misreads(self, line: str) -> bool:
        """Whether bytes of a line are no character, or, where Windows-1252 is a guess, hardly letters of such."""
        if line.isascii():
            return self.encoding == UTF8 and _SHIFT in line
        if self.encoding == UTF8:
            return _STRAY.search(line) is not None
        return not is_western(line) if self._is_guess_of_western else "\ufffd" in line

    @property
    def _is_guess_of_western(self) -> bool:
        return self.encoding == WESTERN and self.word != ""

    @property
    def said(self) -> dict[str, str]:
        """The same as somebody would say it: what is not as usual, by its name in SAYABLE."""
        said = {} if self.is_usual else {"delimiter": as_said(self.delimiter), "decimal": self.decimal}
        if self.encoding != UTF8:
            said["encoding"] = ENCODING_NAMES[self.encoding].lower()
        return said | ({"dates": self.dates} if self.dates else {})

    @property
    def forms(self) -> dict[str, str]:
        """A number and a date as such a file has them, for sentences."""
        return {"number": f"12{self.decimal}5", "date": "2026-11-29" if self.decimal == "." else "29.11.2026"}

    def number(self, text: str) -> str:
        """The text in digits of ASCII and with the decimal point that it has elsewhere, and in a file without the sign
        of a currency; "" where it is no number by the sign of this file."""
        text = half_width(text)
        if not self.is_of_file:
            return text
        text, _ = _amount(text)
        if self.decimal == ".":
            return text.replace(",", "") if _COMMAS.fullmatch(text) else text
        if _GROUPED.fullmatch(text):
            text = _BETWEEN.sub("", text)
        return "" if "." in text else text.replace(",", ".")

    def date(self, text: str) -> str:
        """A date as ISO 8601 has it; any other text as it is."""
        return iso_date(text, self.dates) if self.is_of_file else text


PLAIN = Dialect()
OF_ROWS = Dialect(dates="")
"""That of rows that are no CSV file: JSON, frames, arrays."""


@dataclass(frozen=True)
class SaidDialect:
    """What somebody says of how a file is written; None: the file says it itself."""

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    dates: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SaidDialect:
        """What options say, by their names in SAYABLE; what nobody may say is passed over."""
        return cls(**{name: values.get(str(options.get(name)).lower()) for name, values in SAYABLE.items()})


SAID_NOTHING = SaidDialect()


def dialect_in(pieces: Iterable[bytes], said: SaidDialect = SAID_NOTHING, whole: bool = True) -> Dialect:
    """How a CSV file is written, but for what its cells say (`with_decimal`, `with_order`). pieces: given anew each
    time. whole: letters are looked for in all of them, and not only where the first line is no UTF-8. Raises
    Unguessable, for another kind of file, too."""
    head = _head(pieces)
    if (other := other_file(head)) is not None:
        raise other
    letters = guessed_letters(pieces, said) if whole or not is_utf8(head) else (said.encoding or UTF8, "")
    return dialect_of(head, said, *letters)


def dialect_of(head: bytes, said: SaidDialect = SAID_NOTHING, encoding: str = UTF8, word: str = "") -> Dialect:
    """The same by the beginning of a file whose letters are known. Raises Unguessable."""
    if encoding in (UTF16, WITHOUT_MARK):
        encoding = UTF16 if head.startswith(UTF16_MARKS) else WITHOUT_MARK
        if head and b"\0" not in head:
            raise Unguessable("not_wide", encoding=ENCODING_NAMES[encoding])
    if encoding != UTF8:
        head = codecs.getincrementaldecoder(encoding)("replace").decode(head).encode()
    delimiter = _delimiter(head, said)
    return Dialect(delimiter, said.decimal or _usual(delimiter), encoding, said.dates, word)


def guessed_letters(pieces: Iterable[bytes], said: SaidDialect) -> tuple[str, str]:
    """How letters are stored, and a word that shows it where it is a guess. pieces: of a file, given anew each time."""
    if said.encoding is not None:
        return said.encoding, ""
    encoding = letters_of(pieces)
    return encoding, "" if encoding in (UTF8, UTF16) else word_in(pieces, encoding)


def with_decimal(dialect: Dialect, said: SaidDialect, numbers: Iterable[tuple[str, str]]) -> Dialect:
    """The same with the sign of decimals that numbers show, unless it is known. numbers: cells of their columns, each
    with the name of its column. Raises Unguessable."""
    if said.decimal is not None or not dialect.is_of_file:
        return dialect
    decimal = _quoted_decimal if dialect.is_plain else decimal_of
    return replace(dialect, decimal=decimal(numbers, dialect.delimiter))


def with_order(dialect: Dialect, dates: Iterable[tuple[str, str]]) -> Dialect:
    """The same with the order of day and month that dates show, unless it is known. Raises Unguessable."""
    return dialect if dialect.dates is not None else replace(dialect, dates=order_of(dates))


def decimal_of(cells: Iterable[tuple[str, str]], delimiter: str) -> str:
    """The sign of decimals, by cells that are numbers, each with the name of its column: the sign of the first that has
    one and cannot be read otherwise. Raises Unguessable."""
    either: tuple[str, str] | None = None
    for column, cell in cells:
        sign = sign_of(cell, delimiter)
        if sign == "," or sign == ".":
            return sign
        either = (column, cell) if either is None and sign == "?" else either
    if either is not None:
        column, cell = either
        number = half_width(cell)
        mark = "," if "," in number else "."
        values = {"whole": number.replace(mark, ""), "part": number.replace(mark, "."), "sign": SIGNS[mark]}
        raise Unguessable("sign", column=column, cell=cell, **values)
    return _usual(delimiter)


def _quoted_decimal(cells: Iterable[tuple[str, str]], delimiter: str) -> str:
    """The same where commas part cells, and numbers such as 3,6 stand in quotes: a comma where those of a column can
    only begin decimals and are more than slips, and no number has a point. Raises Unguessable where the comma of
    another column, or a point, may part thousands; where nothing shows the sign, and a comma may part them."""
    numbers, commas, either = Counter[str](), Counter[str](), dict[str, str]()
    parted: list[tuple[str, str]] = []
    for column, cell in cells:
        sign, number = sign_of(cell, delimiter), half_width(cell)
        if sign == ".":
            return "."
        numbers[column] += sign is not None
        commas[column] += sign == "," and "," in number
        if sign == "?" and ("." in number or column not in either):
            either[column] = cell
        if sign == "?" and "," in number and not parted:
            parted.append((column, cell))
    most = {column: SLIPS * n if commas[column] > 1 else n / 2 for column, n in numbers.items()}
    sure = {column for column, n in commas.items() if n >= max(1, most[column])}
    if not sure:
        return decimal_of(parted, delimiter)
    doubtful = [(column, cell) for column, cell in either.items() if column not in sure or "." in half_width(cell)]
    return decimal_of(doubtful[:1], delimiter) if doubtful else ","


def sign_of(text: str, delimiter: str) -> str | None:
    """The sign of the decimals of a number, "" where it has none, "?" where its sign may part thousands; None of what
    is no number."""
    text, _ = _amount(half_width(text))
    if _WHOLE.fullmatch(text):
        return ""
    if _EITHER.fullmatch(text):  # where semicolons part cells, commas do not part thousands
        return "," if delimiter == ";" and "," in text else "?"
    if match := _DECIMAL.fullmatch(text):
        return match["inner"] or match["first"]
    if _COMMAS.fullmatch(text):
        return "."
    return "," if _GROUPED.fullmatch(text) else None


def currency_of(text: str) -> str:
    """The sign of the currency of an amount; "" of all else."""
    return _amount(half_width(text))[1]


def currency_notes(signs: Mapping[str, str]) -> list[str]:
    """What a file notes of its columns of amounts; `CURRENCY_NOTE` reads it again. signs: of currencies, by column"""
    return [f'Amounts of "{column}" are in {sign}.' for column, sign in islice(signs.items(), MOST_NOTED)]


def _amount(text: str) -> tuple[str, str]:
    """A number without the sign of its currency, and that sign; "" where it has none, and with all that is none."""
    match = _MONEY.fullmatch(text)
    if match is None or (match[2] is None) == (match[4] is None):
        return text, ""
    return match[1] + match[3], match[2] or match[4]


def _head(pieces: Iterable[bytes]) -> bytes:
    """The first pieces of a file, up to the one in which its first line ends."""
    head = b""
    for piece in pieces:
        head += piece
        if _FIRST.match(head.lstrip(b"\r\n")) or len(head) > MOST_HEAD:
            break
    return head


def _usual(delimiter: str) -> str:
    return "," if delimiter == ";" else "."


def _delimiter(head: bytes, said: SaidDialect) -> str:
    """What parts the names in the first line, as somebody says or as it has them; where nothing does, what parts cells
    by the sign of decimals. Raises Unguessable."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
    line = _FIRST.match(text) or _UNQUOTED.match(text)
    first = _QUOTED.sub(b"", line[0] if line is not None else b"")
    there = [mark for mark in MARKS if mark.encode() in first]
    if said.delimiter is not None:
        if there and said.delimiter not in there:
            raise Unguessable(
                "no_delimiter", one=MARKS[said.delimiter], one_mark=as_said(said.delimiter), other=MARKS[there[0]]
            )
        return said.delimiter
    marks = [mark for mark in there if mark != said.decimal] or there
    if len(marks) > 1:
        lines = text.decode("utf-8", "replace").splitlines(keepends=True)
        one, other = marks[:2]
        values = {"one": MARKS[one], "one_mark": as_said(one), "one_names": _names(lines, one)}
        values |= {"other": MARKS[other], "other_mark": as_said(other), "other_names": _names(lines, other)}
        raise Unguessable("two_ways", **values)
    return marks[0] if marks else ";" if said.decimal == "," else ","


def as_said(mark: str) -> str:
    """What parts cells, as somebody says it."""
    return "tab" if mark == "\t" else mark


def _names(lines: list[str], delimiter: str) -> str:
    names = next(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), [])
    return ", ".join(f'"{name.strip()}"' for name in names)
