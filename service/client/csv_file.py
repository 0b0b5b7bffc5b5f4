"""A CSV file as the body of a request: read from disk while it is sent, and anew where it is sent again."""

from __future__ import annotations

import io
import math
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from service.client.values import FILES
from service.contract.enums import CSV
from service.guessing import csv_facts

PIECE_BYTES = 64 * 1024


class CsvFile(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of a file, or of bytes in memory, as the body of a request of either client."""

    def __init__(self, content: Path | bytes) -> None:
        """Raises FileNotFoundError with what a text may have been meant as."""
        self.content = content
        if isinstance(content, Path) and not content.is_file():
            raise FileNotFoundError(f"There is no file {str(content)!r}. Rows, texts too, go in a list.")
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        self.headers = {"Content-Type": CSV, "Content-Length": str(size)}

    def __iter__(self) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.content.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def csv_file(inputs: Any) -> CsvFile | None:
    """Inputs that are a CSV file, by its path or as bytes; None where they are rows, or the bytes of an image."""
    if isinstance(inputs, bytes | bytearray) and not inputs.startswith(tuple(FILES)):
        return CsvFile(bytes(inputs))
    return CsvFile(Path(inputs)) if isinstance(inputs, str | os.PathLike) else None


def lines_of(content: Path | bytes) -> Iterator[list[str]]:
    """The lines of a CSV file as cells, its header first. Raises ValueError where it is no text in UTF-8, or has a cell
    that does not end."""
    return csv_facts.lines_of(io.BytesIO(content) if isinstance(content, bytes) else content.open("rb"))


def rows_of(file: CsvFile, texts: bool, without: Sequence[str]) -> tuple[list[Any], dict[str, list[str | None]]]:
    """The rows of a file for a model that takes no table: texts, or else numbers in the order of the columns; and the
    cells of the columns `without`, which are none of its inputs. Raises ValueError."""
    lines = lines_of(file.content)
    header = next(lines, [])
    if missing := [name for name in without if name not in header]:
        raise ValueError(f"The file has no column {missing[0]!r}. It has {', '.join(header)}.")
    places = [place for place, name in enumerate(header) if name not in without]
    if texts and len(places) != 1:
        raise ValueError(f"The model takes one text a row. The file has {', '.join(header)}.")
    rows: list[Any] = []
    beside: dict[str, list[str | None]] = {name: [] for name in without}
    for number, line in enumerate(lines, 1):
        if len(line) != len(header):
            raise ValueError(f"Row {number:,} of the file has {len(line)} cells, and its header {len(header)}.")
        rows.append(line[places[0]] if texts else [number_of(line[k], number, header[k]) for k in places])
        for name, cells in beside.items():
            cells.append(line[header.index(name)] or None)
    return rows, beside


def number_of(cell: str, row: int, column: str) -> float:
    """A cell as a number. Raises ValueError with its place."""
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f'Row {row:,} of the file, column "{column}": {cell[:100]!r} is not a number.')
    return number


def check_in_file(**members: Any) -> None:
    """Raises ValueError where something is given beside a CSV file that is one of its columns, or in place of it."""
    for name, value in members.items():
        if value is not None:
            raise ValueError(
                f"{name} are given beside a CSV file or frame that holds them: name its columns, target= and group=."
            )


def check_no_columns(**columns: Any) -> None:
    """Raises ValueError where columns are named and there is neither a CSV file nor a frame."""
    for name, value in columns.items():
        if value is not None:
            raise ValueError(f"{name} names a column of a CSV file or a frame. Beside rows give labels and groups.")
