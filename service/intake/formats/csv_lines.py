"""The bytes of a CSV file, piece by piece -> its records, each with the line on which it begins.

RFC 4180 as the csv module reads it, strictly: UTF-8, with or without a byte order mark; lines that end as in Windows,
Unix or old Macs. A dialect may say that semicolons or tabs part cells, and that letters are stored otherwise.
Lines are counted as an editor does, the first one is 1. No more than a record is in memory at once.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from service.errors import InvalidContent
from service.guessing.csv_dialect import MARKS, PLAIN, Dialect
from service.guessing.csv_letters import UTF8
from service.guessing.unguessable import AS_CSV, OR_SAY

PIECE_BYTES = 64 * 1024
LONGEST_RECORD = 1024 * 1024
"""Most characters of a record: a thousand cells, each as long as a cell may be, come to less."""
BREAK = re.compile(r"\r\n|\r|\n")
NO_CHARACTER = f"begins no character. {OR_SAY}"
ONE_LINE = "The file came as one line. With curl say --data-binary, since -d takes line breaks out."


class NotUtf8(InvalidContent):
    """A byte of a file is none of UTF-8."""


class Pieces:
    """The bytes of a file, a piece at a time, and anew from its beginning each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def records_of(pieces: Iterable[bytes], dialect: Dialect = PLAIN) -> Iterator[tuple[int, list[str], int]]:
    """-> the line on which a record begins, counted from 1, its cells, and its characters; blank lines are passed over.

    Raises NotUtf8, and InvalidContent for bytes of another encoding, NUL, quotes that do not fit, and records over the
    limit.
    """
    lines = _Lines(pieces, dialect)
    reader = csv.reader(lines.each(), delimiter=dialect.delimiter, strict=True, skipinitialspace=True)
    while True:
        begins = lines.begins = reader.line_num + 1
        lines.length = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise refused_at(begins, _sentence(str(error), MARKS[dialect.delimiter])) from None
        if cells:
            yield begins, cells, lines.length


def refused_at(line: int, sentence: str, pointer: str = "") -> InvalidContent:
    """The refusal of a line; `sentence` goes on after its number."""
    return InvalidContent.at(pointer, f"Line {line:,}{sentence}")


def _sentence(error: str, mark: str) -> str:
    """What to do about an error of the csv module. mark: what parts cells."""
    if "end of data" in error:
        return ": a quote is opened here, or in a line that belongs to it, and never closed. Close it, or remove it."
    if "field limit" in error:
        longest = csv.field_size_limit()
        return f": a cell has more than {longest:,} characters. Is there a quote that is never closed?"
    return (
        f": behind the quote that ends a cell a {mark} is due, or the end of the line. Within a quoted cell a quote is "
        'written twice: "".'
    )


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
        decoder = codecs.getincrementaldecoder(encoding)("strict" if encoding == UTF8 else "replace")
        rest, read = "", 0
        first = True
        for piece in self._pieces:
            text = self._decoded(decoder, piece, read, rest)
            read += len(piece)
            if first and text:
                text, first = text.removeprefix("\ufeff"), False
            lines = io.StringIO(rest + text, newline="").readlines()
            # the last one may go on in the next piece: also one that ends with half of \r\n
            rest = lines.pop() if lines and not lines[-1].endswith("\n") else ""
            for line in lines:
                yield self._checked(line)
            self._check_length(len(rest))
        rest += self._decoded(decoder, b"", read, rest, final=True)
        if rest:
            yield self._checked(rest)

    def _checked(self, line: str) -> str:
        self._given += 1
        if "\0" in line:
            raise refused_at(self._given, f" has a NUL character: this is no text. {AS_CSV}")
        if self._dialect.misreads(line):
            due = self._dialect.letters
            raise InvalidContent.at("", f"The body is not {due}: a byte of line {self._given:,} {NO_CHARACTER}")
        self._check_length(len(line))
        self.length += len(line)
        return line

    def _check_length(self, more: int) -> None:
        if self.length + more > LONGEST_RECORD and not self._given:
            raise InvalidContent.at("", f"The first line has more than {LONGEST_RECORD:,} characters. {ONE_LINE}")
        if self.length + more > LONGEST_RECORD:
            sentence = f": a row has at most {LONGEST_RECORD:,} characters. Is there a quote that is never closed?"
            raise refused_at(self.begins, sentence)

    def _decoded(
        self, decoder: codecs.IncrementalDecoder, piece: bytes, read: int, rest: str, final: bool = False
    ) -> str:
        """The text of a piece. `read`: bytes before it; `rest`: text of lines that were not given yet."""
        try:
            return decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            whole = error.object  # what the decoder had kept of the piece before stands in front
            before = rest + whole[: error.start].decode("utf-8")
            line = self._given + len(BREAK.findall(before)) + 1
            at = read - (len(whole) - len(piece)) + error.start
            sentence = f"The body is not UTF-8: byte {at:,}, in line {line:,}, {NO_CHARACTER}"
            raise NotUtf8(sentence, [("", sentence)]) from None
