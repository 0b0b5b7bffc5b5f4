"""The bytes of a CSV file, piece by piece -> its records, each with the line on which it begins.

RFC 4180 as the csv module reads it, strictly: UTF-8, with or without a byte order mark; lines that end as in Windows,
Unix or old Macs. A dialect may say that semicolons or tabs part cells, and that letters are stored otherwise.
Lines are counted as an editor does, the first one is 1. No more than a record is in memory at once.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from service.guessing.csv_files.dialect import MARKS, PLAIN, Dialect
from service.guessing.csv_files.letters import UTF8
from service.guessing.unguessable import Unguessable

PIECE_BYTES = 64 * 1024
LONGEST_RECORD = 1024 * 1024
"""Most characters of a record: a thousand cells, each as long as a cell may be, come to less."""


class Pieces:
    """The bytes of a file, or those in memory, a piece at a time, and anew from the beginning each time."""

    def __init__(self, content: Path | bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        content = self._content
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def records_of(pieces: Iterable[bytes], dialect: Dialect = PLAIN) -> Iterator[tuple[int, list[str], int]]:
    """-> the line on which a record begins, counted from 1, its cells, and its characters; blank lines are passed over.

    Raises Unguessable for bytes of another encoding, NUL, quotes that do not fit, records over the limit, and a header
    that comes again.
    """
    lines = _Lines(pieces, dialect)
    reader = csv.reader(lines.each(), delimiter=dialect.delimiter, strict=True, skipinitialspace=True)
    header: list[str] = []
    while True:
        begins = lines.begins = reader.line_num + 1
        lines.length = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _fault(begins, str(error), MARKS[dialect.delimiter]) from None
        if cells:
            if cells == header and len(cells) > 1:  # a single name may be a value as well
                raise Unguessable("header_again", line=begins)
            header = header or cells
            yield begins, cells, lines.length


def _fault(line: int, error: str, mark: str) -> Unguessable:
    """What to do about an error of the csv module. mark: what parts cells."""
    if "end of data" in error:
        return Unguessable("open_quote", line=line)
    if "field limit" in error:
        return Unguessable("long_cell", line=line, most=csv.field_size_limit())
    return Unguessable("after_quote", line=line, mark=mark)


class _Lines:
    """Cuts pieces of bytes into lines. `begins`: the line on which the record begins that is being read; `length`:
    its characters so far."""

    def __init__(self, pieces: Iterable[bytes], dialect: Dialect) -> None:
        self.begins, self.length = 1, 0
        self._pieces, self._dialect = pieces, dialect
        self._given = 0

    def each(self) -> Iterator[str]:
        """The lines, with what ends them."""
        encoding = self._dialect.encoding
        decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding == UTF8 else "replace")
        rest = ""
        first = True
        for piece in self._pieces:
            text = decoder.decode(piece)
            if first and text:
                text, first = text.removeprefix("\ufeff"), False
            lines = io.StringIO(rest + text, newline="").readlines()
            # the last one may go on in the next piece: also one that ends with half of \r\n
            rest = lines.pop() if lines and not lines[-1].endswith("\n") else ""
            for line in lines:
                yield self._checked(line)
            self._check_length(len(rest))
        rest += decoder.decode(b"", final=True)
        if rest:
            yield self._checked(rest)

    def _checked(self, line: str) -> str:
        self._given += 1
        if "\0" in line:
            raise Unguessable("nul", line=self._given)
        if self._dialect.misreads(line):
            raise Unguessable("encoding", line=self._given, encoding=self._dialect.letters)
        self._check_length(len(line))
        self.length += len(line)
        return line

    def _check_length(self, more: int) -> None:
        if self.length + more > LONGEST_RECORD:
            raise Unguessable("long_row" if self._given else "one_line", line=self.begins, most=LONGEST_RECORD)
