"""A CSV file as the body of a request: read from disk while it is sent, and anew where it is sent again."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from service.client.errors import WrongFile
from service.contract.enums import CSV
from service.guessing.csv_files.dialect import SaidDialect, dialect_in
from service.guessing.csv_files.facts import facts_of, lines_of
from service.guessing.csv_files.records import Pieces
from service.guessing.file_kinds import HEAD_BYTES, other_file
from service.guessing.label_column import column_aside
from service.guessing.picture_files import BEGINNINGS
from service.guessing.unguessable import Unguessable


class CsvFile(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of a file, or of bytes in memory, as the body of a request of either client."""

    def __init__(self, content: Path | bytes) -> None:
        """Raises FileNotFoundError with what a text may have been meant as, WrongFile for another kind of file."""
        self.content = content
        if isinstance(content, Path) and not content.is_file():
            raise FileNotFoundError(f"There is no file {str(content)!r}. Rows, texts too, go in a list.")
        self.name = content.name if isinstance(content, Path) else ""
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        self.headers = {"Content-Type": CSV, "Content-Length": str(size)}
        with naming(content):
            if (other := other_file(next(iter(self), b"")[:HEAD_BYTES])) is not None:
                raise other

    @property
    def state(self) -> tuple[int, int] | None:
        """Changes with what is in the file; None of bytes in memory."""
        if not isinstance(self.content, Path):
            return None
        of = self.content.stat()
        return of.st_size, of.st_mtime_ns

    def __iter__(self) -> Iterator[bytes]:
        return iter(Pieces(self.content))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def csv_file(inputs: Any) -> CsvFile | None:
    """Inputs that are a CSV file, by its path or as bytes; None where they are rows, or the bytes of an image."""
    if isinstance(inputs, bytes | bytearray) and not inputs.startswith(tuple(BEGINNINGS)):
        return CsvFile(bytes(inputs))
    return CsvFile(Path(inputs)) if isinstance(inputs, str | os.PathLike) else None


def header_of(file: CsvFile, said: SaidDialect) -> list[str]:
    """The names of the columns, as a model has them. Raises WrongFile."""
    with naming(file.content):
        return next(lines_of(file, dialect_in(file, said)), [])


def column_beside(
    file: CsvFile,
    said: SaidDialect,
    left_out: Sequence[str],
    texts: bool,
    classes: Sequence[str],
    called: Sequence[str],
) -> str | None:
    """The one column of rows to be predicted that is no input, as `column_aside` finds it."""
    try:
        dialect = dialect_in(file, said)
        facts = facts_of(lines_of(file, dialect), (), dialect)
    except Unguessable:
        return None  # the service refuses it, with the line
    free = {name: fact for name, fact in facts.items() if name not in left_out}
    return column_aside(free, texts, classes, called)[0]


@contextmanager
def naming(content: Path | bytes) -> Iterator[None]:
    """Raises WrongFile, which names the file, for a ValueError about what it holds."""
    try:
        yield
    except ValueError as fault:
        raise WrongFile(f"{content.name}: {fault}" if isinstance(content, Path) else str(fault)) from None


def check_in_file(**members: Any) -> None:
    """Raises ValueError where something is given beside a CSV file that is one of its columns, or in place of it."""
    for name, value in members.items():
        if value is not None:
            raise ValueError(
                f"{name} are given beside a CSV file or frame that holds them: name its columns, target= and group=."
            )


def check_no_columns(**columns: Any) -> None:
    """Raises ValueError where columns are named and neither a file, a frame nor the rows themselves have names."""
    for name, value in columns.items():
        if value is not None:
            raise ValueError(
                f"{name} names a column, and these rows name none: send dicts, a frame or a CSV file; or give labels "
                "and groups beside the rows."
            )


def check_no_file(gaps: Any = None, **written: Any) -> None:
    """Raises ValueError where somebody says what cells say for nothing, or how a file is written, and there is none."""
    if gaps is not None:
        raise ValueError("gaps are words of a CSV file. In rows and frames None stands where nothing is known.")
    for name, value in written.items():
        if value is not None:
            raise ValueError(f"{name} says how a CSV file is written. Rows and frames have none.")
