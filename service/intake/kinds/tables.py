"""Rows of a table as JSON, objects or lists -> one float64 a column, and the values of open categories by name.

Rows are read one at a time, cell by cell, each by the reader of its column: a table of 100,000 rows takes as much
memory as its numbers, and the first fault is where the walk stops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.body_limits import HIGHEST, BodyLimits
from service.contract.figures import row_number
from service.contract.names import seen
from service.contract.tables import TableInput, value_text
from service.errors import InvalidContent
from service.intake.json_body import pointer_to, read_value
from service.intake.kinds.cells import CellFault, Names, Read, cell_reader
from service.intake.kinds.numbers import word
from service.intake.near import near_matches

Floats = NDArray[np.float64]

HERE_CELLS = 2**20
"""Cells of a small body that are read in the process that serves."""
LISTED = 10
"""Columns that a refusal names."""

ValueNames = Mapping[int, Mapping[float, str]]
"""Values of open categories in a body by their code, by the place of the column."""
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


class TableReader:
    """Reads rows of one table: made once for a model, used by any thread."""

    def __init__(self, spec: TableInput) -> None:
        self.spec, self.names = spec, tuple(spec.places)
        self._known = frozenset(self.names)
        self._readers = [cell_reader(c, {}, spec.gap_words) for c in spec.columns]
        self._open = tuple(spec.growing)

    def read(self, rows: Sequence[Any], model: str) -> tuple[Floats, ValueNames]:
        """Rows as Python has them, or `msgspec.Raw` each -> [n, columns], missing NaN. Raises InvalidContent."""
        readers, names = self._started()
        read = np.empty((len(rows), len(readers)))
        for k, row in enumerate(rows):
            cells = self._cells(decoded(row, k) if isinstance(row, msgspec.Raw) else row, k, model)
            try:
                read[k] = [reader(cell) for reader, cell in zip(readers, cells, strict=True)]
            except CellFault:
                raise self._fault(readers, cells, k) from None
        read += 0.0  # -0.0 becomes 0
        return read, names

    def read_usual(self, body: bytes) -> tuple[Floats, ValueNames, dict[str, Any]] | None:
        """The rows of a body of a prediction, and its other members; None for any other body, and where anything is
        wrong: the strict readers refuse it, with the place."""
        try:
            members = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        rows = members.pop("inputs", None) if type(members) is dict else None
        if type(rows) is not list or not rows:
            return None
        readers, names = self._started()
        columns, read, quotes = self.names, np.empty((len(rows), len(readers))), _quotes(members) + 2
        try:
            for k, row in enumerate(rows):
                if type(row) is dict:
                    if not self._known.issuperset(row):
                        return None
                    quotes += _quotes(row)
                    row = map(row.get, columns)
                elif type(row) is list and len(row) == len(readers):
                    quotes += 2 * list(map(type, row)).count(str)
                else:
                    return None
                read[k] = [reader(cell) for reader, cell in zip(readers, row, strict=True)]
        except CellFault:
            return None
        read += 0.0
        return (read, names, members) if _has_quotes(body, quotes) else None

    def _started(self) -> tuple[list[Read], dict[int, Names]]:
        """The readers of all columns for one body, and the names that those of open categories note."""
        readers, names = self._readers.copy(), dict[int, Names]()
        for place in self._open:
            names[place] = {}
            readers[place] = cell_reader(self.spec.columns[place], names[place], self.spec.gap_words)
        return readers, names

    def _cells(self, row: Any, k: int, model: str) -> Sequence[Any]:
        """The cells of a row in the order of the columns, None where they are missing. Raises InvalidContent."""
        if isinstance(row, dict):
            if not self._known.issuperset(row):
                row = renamed(row, k, model, self.spec.places)
            return [*map(row.get, self.names)]
        count = len(self.names)
        if not isinstance(row, list):
            raise InvalidContent.at(
                f"/inputs/{k}",
                f'Row {row_number(k)} is {word(row)}: an object is due, {{"{self.names[0][:100]}": ...}}, or a list of '
                f"{count}, in the order of the columns.",
            )
        if len(row) != count:
            raise InvalidContent.at(
                f"/inputs/{k}",
                f"Row {row_number(k)} has {len(row)} cells; {model} takes {count}, in the order of its columns: "
                f"{listed(self.names)}. Null stands for what is missing.",
            )
        return row

    def _fault(self, readers: Sequence[Read], cells: Sequence[Any], k: int) -> InvalidContent:
        """The refusal of the first cell of a row that its reader refuses."""
        for name, reader, cell in zip(self.names, readers, cells, strict=True):
            try:
                reader(cell)
            except CellFault as fault:
                return InvalidContent.at(
                    f"/inputs/{k}{pointer_to([name])}", f"Row {row_number(k)}, {_shown(name)}: {fault.sentence}"
                )
        raise AssertionError("a reader refuses a cell once, and takes it then")


class _Same:
    """A description of a table as a key: equal to itself alone, since comparing a thousand columns takes longer than
    reading a row."""

    def __init__(self, spec: TableInput) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return id(self.spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.spec is self.spec


@lru_cache(maxsize=64)
def _made(key: _Same) -> TableReader:
    return TableReader(key.spec)


def reader_of(spec: TableInput) -> TableReader:
    """The reader of a table: the same one as long as the same description is given."""
    return _made(_Same(spec))


def read_table(
    rows: msgspec.Raw | Any, spec: TableInput, model: str, limits: BodyLimits = HIGHEST
) -> tuple[Floats, ValueNames]:
    """`inputs`: objects, or lists in the order of the columns -> [n, columns], missing NaN; and the values of open
    categories. Raises InvalidContent with the pointer of the first fault."""
    listed: Any = rows
    if isinstance(rows, msgspec.Raw):
        try:
            listed = _ROWS.decode(rows)
        except msgspec.DecodeError:
            listed = read_value(bytes(rows), "/inputs")
    if isinstance(listed, dict) or (isinstance(listed, list) and _is_bare(listed, spec)):
        bare = "This is one bare row, and a list of rows is due: put it in brackets, [row]."
        raise InvalidContent.at("/inputs", bare)
    if not isinstance(listed, list):
        raise InvalidContent.at("/inputs", "inputs is a list of rows, objects or lists: [{...}, ...].")
    if not listed:
        raise InvalidContent.at("/inputs", "inputs is empty. Send at least one row.")
    limits.check_rows(len(listed), len(spec.columns))
    return reader_of(spec).read(listed, model)


def _is_bare(listed: Sequence[Any], spec: TableInput) -> bool:
    """Whether a list is the cells of one row."""
    if len(listed) != len(spec.columns):
        return False
    first = listed[0]
    return not (bytes(first)[:1] in (b"{", b"[") if isinstance(first, msgspec.Raw) else isinstance(first, dict | list))


def most_rows(body: bytes) -> int:
    """How many rows a body of JSON can have: each is an object or a list."""
    return body.count(b"{") + body.count(b"[")


def is_heavy(body: bytes, spec: TableInput) -> bool:
    """Whether a small body may come to so many cells that the reading process reads it."""
    return most_rows(body) * len(spec.columns) > HERE_CELLS


def renamed(row: Mapping[str, Any], k: int, model: str, places: Mapping[str, int]) -> dict[str, Any]:
    """A row with its members named as the columns are, whose names are in NFC and trimmed. k: its place among the rows.
    Raises InvalidContent."""
    renamed: dict[str, Any] = {}
    for name, cell in row.items():
        known = name if name in places or len(name) > 1000 else value_text(name)
        at = f"/inputs/{k}{pointer_to([name])}"
        if known not in places:
            near = near_matches([name[:1000]], places)[name[:1000]]
            remedy = f"Near: {_quoted(near)}." if near else f"Leave it out: its columns are {listed(places)}."
            raise InvalidContent.at(at, f'Row {row_number(k)}: "{_shown(name)}" is no column of {model}. {remedy}')
        if known in renamed:
            raise InvalidContent.at(at, "This column is there twice. Send it once.")
        renamed[known] = cell
    return renamed


def decoded(raw: msgspec.Raw, k: int) -> Any:
    """A row, strictly: the quick decoder takes the last of repeated members. Raises InvalidContent, BrokenJSON."""
    text = bytes(raw)
    try:
        row = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return read_value(text, f"/inputs/{k}")
    if type(row) is dict and not _has_quotes(text, _quotes(row)):
        return read_value(text, f"/inputs/{k}")
    return row


def _quotes(members: Mapping[str, Any]) -> int:
    """Quotation marks around the names and the texts of an object without objects and lists inside."""
    return 2 * (len(members) + list(map(type, members.values())).count(str))


def _has_quotes(text: bytes, quotes: int) -> bool:
    """Whether a text of JSON has so many quotation marks around names and texts; not, where that is not easily seen.

    A member that stands twice is lost in an object, and its quotation marks are more than the object's."""
    escaped = text.count(b'\\"') if b"\\" in text else 0
    return text.count(b'"') - escaped == quotes and not (escaped and b"\\\\" in text)


def listed(names: Iterable[str]) -> str:
    """The first columns by name."""
    listed = [*names]
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(map(_shown, listed[:LISTED])) + more


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{_shown(name)}"' for name in names)


def _shown(name: str) -> str:
    return seen(name) if len(name) <= 100 else f"{seen(name[:100])}..."
