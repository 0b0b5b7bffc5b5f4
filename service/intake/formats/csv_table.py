"""A CSV file -> rows of a table, of numbers or of texts, and what it says of each beside: target or label, and group.

The header names the columns, those of a table in any order. Faults name the line, as an editor counts them, and the
column; their pointer is that of the same cell sent as JSON, whose rows are counted from 0.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.contract.body_limits import HIGHEST, BodyLimits, too_many_classes
from service.contract.inputs import TextInput, gap_words_of
from service.contract.names import MOST_CLASSES
from service.contract.tables import TableInput
from service.errors import InvalidContent
from service.guessing.csv_files.dialect import (
    MARKS,
    PLAIN,
    Dialect,
    currency_notes,
    decimal_of,
    dialect_in,
    with_decimal,
    with_order,
)
from service.guessing.csv_files.records import records_of
from service.guessing.unguessable import MENDED_BY, Unguessable
from service.intake.formats.csv_cells import (
    ColumnFault,
    ColumnReader,
    DialectUnknown,
    NumberReader,
    VectorReader,
    Written,
    column_reader,
    named,
    number_reader,
)
from service.intake.formats.csv_header import Header, Meant, Spec, listed, quoted, refused_at, width_of
from service.intake.json_body import GROUPS, LABELS, ROWS, TARGETS, pointer_to
from service.intake.kinds.cells import CellFault, Names
from service.intake.kinds.rows import Named
from service.intake.kinds.texts import as_rows, clean_text
from service.remedies import DECIMAL, NEW_CLASSES, NEW_CLASSES_OF_FILE, NEW_VALUES, NEW_VALUES_OF_FILE

Floats = NDArray[np.float64]
Text = TypeVar("Text", str, str | None)
Take = Callable[[Sequence[str]], None]
"""Takes the cells of a column, a few rows at a time. Raises ColumnFault."""

CELLS_AT_ONCE, CHARACTERS_AT_ONCE = 16 * 1024, 1024 * 1024
"""Cells that are read together, and characters of rows that wait for it."""
AS_JSON = "This is JSON: send Content-Type: application/json."
ONE_LINE = "The file came as one line. With curl say --data-binary, since -d takes line breaks out."
OF_FILE = ((NEW_CLASSES(), NEW_CLASSES_OF_FILE()), (NEW_VALUES(), NEW_VALUES_OF_FILE()))
"""Remedies of a body of JSON, and of a file, whose query says them."""
_PLACE = re.compile(rf"/({ROWS}|{LABELS}|{TARGETS}|{GROUPS})/(\d+)(?:/(.*))?")


@dataclass(frozen=True, eq=False)
class Places:
    """Where the rows of a file stand. lines: on which each begins [n] · headers: of the columns that are no inputs, by
    the member of JSON that holds the same."""

    lines: Sequence[int] | NDArray[np.int64]
    headers: Mapping[str, str]

    def located(self, fault: InvalidContent) -> InvalidContent:
        """The refusal of a row, with its line and column in front of each sentence, and the remedy in the query."""
        errors = [(pointer, self._place(pointer) + sentence) for pointer, sentence in fault.errors]
        detail = self._place(errors[0][0] if errors else "") + fault.detail
        for json_remedy, remedy in OF_FILE:
            detail = detail.replace(json_remedy, remedy)
        return type(fault)(detail, errors, **fault.members)

    def _place(self, pointer: str) -> str:
        place = _PLACE.fullmatch(pointer)
        if place is None:
            return ""
        member, row, column = place.groups(default="")
        header = self.headers.get(member, "") or column.replace("~1", "/").replace("~0", "~")
        return f"Line {self.lines[int(row)]:,}{f', column {quoted(header)}' if header else ''}: "


@dataclass(frozen=True, eq=False)
class CsvTable:
    """named: the rows, as `read_named_rows` gives them · targets: NaN where one is not known; labels and groups: None ·
    notes: on how the file was read, and on columns that were left out."""

    named: Named
    places: Places
    labels: list[str | None] | None = None
    targets: Floats | None = None  # [n, k]
    groups: list[str | None] | None = None
    notes: Sequence[str] = ()


def read_csv(pieces: Iterable[bytes], spec: Spec, meant: Meant, model: str, limits: BodyLimits = HIGHEST) -> CsvTable:
    """The rows of a file. pieces: given anew each time. Raises InvalidContent with the pointer, line and column of the
    first fault."""
    try:
        dialect = dialect_in(pieces, meant.said, whole=False)
        try:
            return _read(pieces, dialect, spec, meant, model, limits)
        except Unguessable as fault:
            again = dialect_in(pieces, meant.said) if fault.why == "encoding" else dialect
            if again.encoding == dialect.encoding:
                raise
        return _read(pieces, again, spec, meant, model, limits)
    except Unguessable as fault:
        sentence = {"json": AS_JSON, "one_line": f"{fault} {ONE_LINE}"}.get(fault.why, str(fault))
        raise InvalidContent.at(f"/{MENDED_BY[fault.why]}" if fault.why in MENDED_BY else "", sentence) from None


def _read(
    pieces: Iterable[bytes], dialect: Dialect, spec: Spec, meant: Meant, model: str, limits: BodyLimits
) -> CsvTable:
    """The rows of a file that is written so, but for what its cells say. Raises Unguessable, InvalidContent."""
    records = records_of(pieces, dialect)
    line, cells, _ = next(records, (0, [], 0))
    if not cells:
        raise InvalidContent.at("", "The body is empty. Its first line names the columns; a row stands in each other.")
    try:
        header = Header(line, cells, spec, meant, model)
    except InvalidContent:
        if len(cells) > width_of(spec) + meant.columns and not _has_lines(pieces):
            raise InvalidContent.at("", ONE_LINE) from None
        raise
    numbers = header.numbers(spec, meant)
    looked = not dialect.is_plain  # where commas part cells, most files have no decimal in quotes
    if looked:
        dialect = with_decimal(dialect, meant.said, _cells(pieces, dialect, numbers))
    written = Written(dialect, looked or meant.said.decimal is not None)
    reading = _Reading(header, spec, meant, model, limits, written)
    try:
        reading.read(records)
    except DialectUnknown:
        dialect = with_decimal(dialect, meant.said, _cells(pieces, dialect, numbers))
        dialect = with_order(dialect, _cells(pieces, dialect, header.dates(spec)))
        reading = _Reading(header, spec, meant, model, limits, Written(dialect))
        reading.read(islice(records_of(pieces, dialect), 1, None))
    if header.left_out and not _has_lines(pieces):
        raise InvalidContent.at("", ONE_LINE)
    table = reading.table()
    if dialect.is_usual and len(header.names) == 1:  # nothing shows that commas would part cells
        return replace(table, notes=[*table.notes, *_doubts(_cells(pieces, dialect, numbers))])
    return table


def _has_lines(pieces: Iterable[bytes]) -> bool:
    return any(b"\n" in piece or b"\r" in piece for piece in pieces)


def _doubts(numbers: Iterable[tuple[str, str]]) -> list[str]:
    """What is said of numbers of a file of one column that could be read in two ways."""
    try:
        decimal_of(numbers, PLAIN.delimiter)
    except Unguessable as fault:
        return [f"{fault.values['cell']} is read as {fault.values['part']}, with a decimal point."]
    return []


def _cells(pieces: Iterable[bytes], dialect: Dialect, columns: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The cells of these columns, named with their places, up to the first record that is none."""
    records = records_of(pieces, dialect)
    next(records, None)
    try:
        for _, cells, _ in records:
            yield from ((name, cells[place].strip()) for name, place in columns.items() if place < len(cells))
    except Unguessable as fault:
        if fault.why == "encoding":
            raise
        return  # it is told when the rows are read


class _Reading:
    """Rows that were read so far, and those that wait to be read together."""

    def __init__(
        self, header: Header, spec: Spec, meant: Meant, model: str, limits: BodyLimits, written: Written
    ) -> None:
        self._header, self._meant, self._model, self._spec, self._limits = header, meant, model, spec, limits
        self._written, self._dialect = written, written.dialect
        self._table = spec if isinstance(spec, TableInput) else None
        self._columns = 0 if isinstance(spec, TextInput) else width_of(spec)
        self._gaps = gap_words_of(spec).union(meant.gaps)  # a query may name a thousand
        self._waiting: list[list[str]] = []
        self._characters = 0
        self._at_once = max(1, CELLS_AT_ONCE // len(header.names))
        self._lines = array("l")
        self._numbers, self._targets = bytearray(), bytearray()
        self._dtype = np.float32 if self._table is None else np.float64
        self._labels: list[str | None] = []
        self._groups: list[str | None] = []
        self._texts: list[str] = []
        self._names: dict[int, Names] = {place: {} for place in (self._table.growing if self._table else ())}
        self._rows = np.empty((self._at_once, self._columns))
        self._goals = np.empty((self._at_once, len(header.targets)))
        self._cells = {name: k for k, name in enumerate(header.names)}
        self._amounts: dict[str, NumberReader] = {}
        self._takers = [*self._of_inputs(), *self._of_others()]

    def _of_inputs(self) -> Iterator[tuple[int, Take]]:
        """What takes the cells of each input: the place of its cell in a row, and the function."""
        for place, name in enumerate(self._header.inputs):
            if isinstance(self._spec, TextInput):
                yield self._cells[name], partial(_add, self._texts, partial(_read_texts, self._spec, self._model))
                return
            reader: ColumnReader = VectorReader(self._columns, self._written)
            if self._table is not None:
                names = self._names.get(place, {})
                reader = column_reader(self._table.columns[place], names, self._columns, self._written)
            yield self._cells[name], partial(_put, self._rows[:, place], self._counted(name, reader))

    def _of_others(self) -> Iterator[tuple[int, Take]]:
        """The same of targets or labels, and of groups."""
        for k, name in enumerate(self._header.targets):
            if self._meant.word == TARGETS:
                reader = self._counted(name, number_reader(self._written))
                yield self._cells[name], partial(_put, self._goals[:, k], reader)
            else:
                yield self._cells[name], partial(_add, self._labels, _Names("a label").read)
        if self._header.group is not None:
            yield self._cells[self._header.group], partial(_add, self._groups, _Names("a group").read)

    def _counted(self, name: str, reader: ColumnReader) -> ColumnReader:
        """The reader of a column, which may have amounts of a currency."""
        if isinstance(reader, NumberReader):
            self._amounts[name] = reader
        return reader

    def read(self, records: Iterable[tuple[int, list[str], int]]) -> None:
        """Takes the rows of these records. Raises DialectUnknown; for the first fault InvalidContent, Unguessable."""
        try:
            for line, cells, length in records:
                self.add(line, cells, length)
        except (InvalidContent, Unguessable):
            self.settle()  # a fault in an earlier line comes first
            raise
        self.settle()

    def add(self, line: int, cells: list[str], length: int) -> None:
        """Takes one more row, of so many characters. Raises InvalidContent."""
        due = len(self._header.names)
        if len(cells) != due:
            mark = MARKS[self._dialect.delimiter]
            quotes = f" A {mark} within a cell needs quotes around the cell"
            decimals = "; if it is a decimal comma, write a point" if self._dialect.is_plain else ""
            if due == 1:
                decimals = f"; if decimals begin with a comma in this file, {DECIMAL(mark=',')}"
            more = f"{quotes}{decimals}." if len(cells) > due else ""
            sentence = f" has {len(cells):,} cell{'s'[: len(cells) != 1]}, and the header {due:,}.{more}"
            raise refused_at(line, sentence, f"/{ROWS}/{len(self._lines)}")
        self._lines.append(line)
        self._waiting.append(cells)
        self._characters += length
        if len(self._waiting) == self._at_once or self._characters > CHARACTERS_AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Reads the rows that wait. Raises InvalidContent for the first cell that is wrong."""
        waiting, self._waiting, self._characters = self._waiting, [], 0
        if not waiting:
            return
        self._limits.check_rows(len(self._lines), self._columns)
        columns: list[Sequence[str]] = list(zip(*waiting, strict=True))
        if gaps := self._gaps:
            columns = [["" if cell.strip() in gaps else cell for cell in column] for column in columns]
        first = len(self._lines) - len(waiting)
        faults = []
        for k, take in self._takers:
            try:
                take(columns[k])
            except ColumnFault as fault:
                faults.append((fault.row, k, fault.sentence))
        if faults:
            row, k, sentence = min(faults)
            raise self._refusal(first + row, k, sentence)
        self._check_whole(self._goals[: len(waiting)], first)
        self._numbers += self._rows[: len(waiting)].astype(self._dtype, copy=False).tobytes()
        self._targets += self._goals[: len(waiting)].tobytes()

    def table(self) -> CsvTable:
        """All rows. Raises InvalidContent where there is none."""
        if not self._lines:
            raise InvalidContent.at(f"/{ROWS}", "There is a header and no row. Send at least one.")
        header, n = self._header, len(self._lines)
        headers = {self._meant.word: ", ".join(header.targets), GROUPS: header.group or ""}
        word = self._meant.word if header.targets else None
        numbers = np.frombuffer(self._numbers, self._dtype).reshape(n, self._columns)
        return CsvTable(
            Named(as_rows(self._texts) if self._texts else numbers, self._names),
            Places(self._lines, headers),
            self._labels if word == LABELS else None,
            np.frombuffer(self._targets).reshape(n, -1) if word == TARGETS else None,
            self._groups if header.group is not None else None,
            self._notes(),
        )

    def _notes(self) -> list[str]:
        more = self._header.left_out
        are = "are no columns" if len(more) > 1 else "is no column"
        left_out = f"{listed(more)} {are} of {self._model}, and left out." if more else ""
        signs = {name: reader.currency for name, reader in self._amounts.items() if reader.currency}
        return [*(note for note in (self._dialect.sentence, left_out) if note), *currency_notes(signs)]

    def _check_whole(self, targets: Floats, first: int) -> None:
        """Raises InvalidContent for a row of which some targets are known and others not."""
        unknown = np.isnan(targets)
        if len(rows := np.flatnonzero(unknown.any(1) & ~unknown.all(1))):
            row, k = int(rows[0]), int(np.flatnonzero(unknown[rows[0]])[0])
            sentence = "It is empty, and another target of the row is not. Fill in all of them, or none."
            raise self._refusal(first + row, self._cells[self._header.targets[k]], sentence)

    def _refusal(self, row: int, cell: int, sentence: str) -> InvalidContent:
        """The refusal of a cell, by its place in the row."""
        name, header = self._header.names[cell], self._header
        steps: list[int | str] = [ROWS, row]
        if name == header.group:
            steps = [GROUPS, row]
        elif name in header.targets:
            steps = [self._meant.word, row, *([header.targets.index(name)] if len(header.targets) > 1 else [])]
        elif self._table is not None:
            steps.append(name)
        elif self._columns:
            steps.append(header.inputs.index(name))
        return refused_at(self._lines[row], f", column {quoted(name)}: {sentence}", pointer_to(steps))


def _put(into: Floats, reader: ColumnReader, cells: Sequence[str]) -> None:
    into[: len(cells)] = reader.read(cells)


def _add(taken: list[Text], read: Callable[[Sequence[str]], list[Text]], cells: Sequence[str]) -> None:
    taken += read(cells)


def _read_texts(spec: TextInput, model: str, cells: Sequence[str]) -> list[str]:
    """Texts in NFC. Raises ColumnFault."""
    texts: list[str] = []
    try:
        for cell in cells:
            texts.append(clean_text(cell, spec, model))
    except CellFault as fault:
        raise ColumnFault(len(texts), f"It {fault.sentence}") from None
    return texts


class _Names:
    """Reads labels or groups: texts, each kept once; None where a cell is empty."""

    def __init__(self, thing: str) -> None:
        self._thing = thing
        self._known: dict[str, str | None] = {"": None}

    def read(self, cells: Sequence[str]) -> list[str | None]:
        """-> [cells]. Raises ColumnFault for the first that is what programs write for nothing, InvalidContent where
        there are more labels than classes may be."""
        known = self._known
        for row, cell in enumerate(cells):
            if cell not in known:
                text = cell.strip()
                try:
                    known[cell] = named(text, self._thing) or None
                except CellFault as fault:
                    raise ColumnFault(row, fault.sentence) from None
        if self._thing == "a label" and len(known) > 2 * MOST_CLASSES:
            raise too_many_classes(f"/{LABELS}")
        return [known[cell] for cell in cells]
