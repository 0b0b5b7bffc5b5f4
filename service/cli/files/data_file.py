"""A file of rows: its columns, and its records one after another, each with the place where an editor finds it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from service.cli.exits import WrongUsage
from service.contract.figures import row_number
from service.contract.names import shortened
from service.guessing.csv_files.dialect import OF_ROWS, SAID_NOTHING, Dialect, SaidDialect
from service.guessing.label_column import named_label


class Record(NamedTuple):
    """place: a line, the number of a row from 0, or the name of a picture · cells: in the order of the columns, as text
    where the file is text; None where nothing is known"""

    place: int | str
    cells: Sequence[Any]


@dataclass(frozen=True)
class DataFile:
    """`records` reads the file from its beginning each time. unit: what a place is, "line", "row" or "picture" ·
    header: the line on which the columns are named · is_csv: the service takes it as it is, but for images · dialect:
    how it is written, but for the sign of decimals · said: how somebody says it is · named: it names its columns, as
    arrays and lists do not · stamp: its size and when it was last written to, as it was opened"""

    path: Path
    columns: tuple[str, ...]
    unit: str
    records: Callable[[], Iterator[Record]]
    header: int = 0
    is_csv: bool = False
    dialect: Dialect = OF_ROWS
    said: SaidDialect = SAID_NOTHING
    named: bool = True
    stamp: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """As sentences name it."""
        return self.path.name

    def without(self, leave_out: Sequence[str], gaps: Collection[str] = ()) -> DataFile:
        """The file without some columns, and with None where cells say that nothing is known. Raises WrongUsage."""
        for name in leave_out:
            self.check_column(name)
        if not leave_out and not gaps:
            return self
        kept = [place for place, name in enumerate(self.columns) if name not in leave_out]

        def records() -> Iterator[Record]:
            for place, cells in self.records():
                taken = (cells[k] for k in kept)
                yield Record(place, [None if isinstance(cell, str) and cell in gaps else cell for cell in taken])

        return replace(self, columns=tuple(self.columns[k] for k in kept), records=records)

    def check_column(self, name: str) -> None:
        """Raises WrongUsage for a column that is not there."""
        if name not in self.columns:
            raise WrongUsage(f'{self.name} has no column "{name}". It has {quoted(self.columns)}.')

    def label_column(self, asked: str | None, inputs: Collection[str] = (), called: Sequence[str] = ()) -> str | None:
        """The column that holds labels: the one that was asked for, or by its name, or the only one that is no input.
        called: what the model calls the numbers that it predicts.

        None where there is none. Raises WrongUsage.
        """
        if asked is not None:
            self.check_column(asked)
            return asked
        if len(called) == 1 and called[0] in self.columns:
            return called[0]
        others = [name for name in self.columns if name not in inputs]
        return named_label(others) or (others[0] if inputs and len(others) == 1 else None)

    @property
    def is_unchanged(self) -> bool:
        """Whether it is there as it was opened."""
        return self.path.exists() and stamp_of(self.path) == self.stamp

    def wrong(self, place: int | str, sentence: str) -> WrongUsage:
        return WrongUsage(f"{self.name_at(place)}: {sentence}")

    def name_at(self, place: int | str) -> str:
        """ "rows.csv, line 8" """
        return f"{self.name}, {self.at(place)}"

    def at(self, place: int | str) -> str:
        """ "line 8" """
        if not isinstance(place, int):
            return place
        return f"row {row_number(place)}" if self.unit == "row" else f"{self.unit} {place:,}"


def stamp_of(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def quoted(names: Sequence[str]) -> str:
    """Names in quotes, the first ones of many."""
    return shortened([f'"{name[:100]}"' for name in names], 10)
