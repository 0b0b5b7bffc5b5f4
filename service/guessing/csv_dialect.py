"""How a CSV file is written: what parts its cells, which sign its decimals have, how its letters are stored.

Where commas part cells, as in RFC 4180, numbers have a decimal point and letters are in UTF-8. Semicolons are what
spreadsheets write where a comma is the decimal sign. There, and where tabs part cells, the numbers themselves say which
sign is theirs, a day may stand first (31.12.2026), and letters that are not UTF-8 are those of Windows-1252. What can
be read in two ways is refused, unless somebody says which is meant.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.guessing.unguessable import Unguessable

MARKS = {",": "comma", ";": "semicolon", "\t": "tab"}
"""What parts cells, and its name."""
DELIMITERS = {",": ",", ";": ";", "tab": "\t", "\t": "\t"}
"""What somebody may say that parts cells -> the mark."""
SIGNS = {",": "comma", ".": "point"}
"""What decimals begin with, and its name."""
WESTERN = "cp1252"
"""Letters of Windows in Western Europe, as Python names them."""
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
_BETWEEN = re.compile("[. \u00a0\u202f]")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T](\d{1,2}):(\d\d)(?::(\d\d))?)?", re.ASCII)
_STRANGE = re.compile(
    "[À-ÃÅ-ÕØ-ÛÝÞà-ãå-õø-ûýþÿ]{3}|[A-Za-z][^\0-\x7fÀ-ÿŠŒŽŸšœž’–—][A-Za-z]|[A-Za-z][À-ÖØ-ÞŠŒŽŸ][a-z]"
    "|[ŠŒŽšœžŸƒˆ‰‹›˜†‡•™]{2}|\ufffd"
)
"""What letters of other countries look like, read as those of Western Europe."""


@dataclass(frozen=True)
class Dialect:
    """delimiter: between cells · decimal: the sign of decimals · encoding: of letters, as Python names it"""

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"

    @property
    def is_plain(self) -> bool:
        """Whether it is CSV as RFC 4180 has it."""
        return self.delimiter == ","

    @property
    def sentence(self) -> str:
        """What is not as usual; "" where all is."""
        if self.is_plain:
            return ""
        letters = " Letters are read as Windows-1252." if self.encoding == WESTERN else ""
        parted, sign = MARKS[self.delimiter], SIGNS[self.decimal]
        return f"Cells are parted by {parted}s; numbers have a decimal {sign}.{letters}"

    @property
    def forms(self) -> dict[str, str]:
        """A number and a date as such a file has them, for sentences."""
        return {"number": f"12{self.decimal}5", "date": "2026-11-29" if self.decimal == "." else "29.11.2026"}

    def number(self, text: str) -> str:
        """The text with the decimal point that it has elsewhere; "" where it is no number by the sign of this file."""
        if self.decimal == ".":
            return text
        if _GROUPED.fullmatch(text):
            text = _BETWEEN.sub("", text)
        return "" if "." in text else text.replace(",", ".")

    def date(self, text: str) -> str:
        """31.12.2026 as 2026-12-31; any other text as it is."""
        match = None if self.is_plain else _DAY_FIRST.fullmatch(text)
        if match is None:
            return text
        day, month, year, hour, minute, second = match.groups()
        clock = "" if hour is None else f"T{hour:0>2}:{minute}{f':{second}' if second else ''}"
        return f"{year}-{month:0>2}-{day:0>2}{clock}"


PLAIN = Dialect()


@dataclass(frozen=True)
class SaidDialect:
    """What somebody says of how a file is written; None: the file says it itself."""

    delimiter: str | None = None
    decimal: str | None = None


SAID_NOTHING = SaidDialect()


def head_of(pieces: Iterator[bytes]) -> bytes:
    """The first pieces of a file, up to the one in which its first line ends."""
    head = b""
    for piece in pieces:
        head += piece
        if _FIRST.match(head.lstrip(b"\r\n")) or len(head) > MOST_HEAD:
            break
    return head


def dialect_of(head: bytes, rest: Iterable[bytes], said: SaidDialect = SAID_NOTHING) -> Dialect:
    """How a file is written, by its beginning. rest: what follows, which is read where it is no plain CSV file. The
    sign of decimals is the usual one until the cells are known (`decimal_of`). Raises Unguessable."""
    if said.delimiter == said.decimal == ",":
        raise Unguessable("comma_twice")
    delimiter = said.delimiter or _delimiter(head, said)
    if delimiter == ",":
        return PLAIN
    decimal = said.decimal or _usual(delimiter)
    return Dialect(delimiter, decimal, "utf-8" if _is_utf8(head, rest) else WESTERN)


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
        mark = "," if "," in cell else "."
        values = {"whole": cell.replace(mark, ""), "part": cell.replace(mark, "."), "sign": SIGNS[mark]}
        raise Unguessable("sign", column=column, cell=cell, **values)
    return _usual(delimiter)


def sign_of(text: str, delimiter: str) -> str | None:
    """The sign of the decimals of a number, "" where it has none, "?" where its sign may part thousands; None of what
    is no number."""
    if _WHOLE.fullmatch(text):
        return ""
    if _EITHER.fullmatch(text):  # where semicolons part cells, commas do not part thousands
        return "," if delimiter == ";" and "," in text else "?"
    if match := _DECIMAL.fullmatch(text):
        return match["inner"] or match["first"]
    return "," if _GROUPED.fullmatch(text) else None


def is_western(line: str) -> bool:
    """Whether letters that were read as Windows-1252 look like such."""
    return _STRANGE.search(line) is None


def _usual(delimiter: str) -> str:
    return "," if delimiter == ";" else "."


def _delimiter(head: bytes, said: SaidDialect) -> str:
    """What parts the names in the first line; where nothing does, what parts cells by the sign of decimals. Raises
    Unguessable."""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
    line = _FIRST.match(text) or _UNQUOTED.match(text)
    first = _QUOTED.sub(b"", line[0] if line is not None else b"")
    marks = [mark for mark in MARKS if mark.encode() in first and mark != said.decimal]
    if len(marks) > 1:
        lines = text.decode("utf-8" if _is_utf8(head, ()) else WESTERN, "replace").splitlines(keepends=True)
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


def _is_utf8(head: bytes, rest: Iterable[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(head)
        for piece in rest:
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
