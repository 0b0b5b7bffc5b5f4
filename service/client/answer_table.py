"""Answers to rows as a table: what a file or frame says beside the inputs first, such as an id, then the answer."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, PrivateAttr

from service.client.handle import Facts
from service.client.kinds import kind_of
from service.client.rows.csv_file import CsvFile, naming
from service.client.rows.table_rows import is_frame, named_rows, names_of
from service.client.rows.values import is_missing, plain_labels
from service.contract.figures import row_number
from service.contract.names import csv_cell, names_beside
from service.contract.predictions import AnyPredictions, NumberPredictions, Predictions
from service.guessing.csv_files.dialect import PLAIN, Dialect, SaidDialect, dialect_in
from service.guessing.csv_files.facts import LABELLED, by_cells, lines_of
from service.guessing.label_column import named_label


@dataclass(frozen=True)
class Beside:
    """names: columns that are no inputs · rows: their cells, row by row · dialect: how the file is written that has
    them · frame: that has them, or None"""

    names: Sequence[str] = ()
    rows: Iterable[Sequence[Any]] | None = None
    dialect: Dialect = PLAIN
    frame: Any = None


class AnswerTable(BaseModel):
    """What an answer of the client has beside that of the service."""

    _called: Sequence[str] = PrivateAttr(default=())
    _beside: Callable[[], Beside] = PrivateAttr(default=Beside)

    def __eq__(self, other: object) -> bool:
        """Whether the service answered the same, whatever it was asked with."""
        return isinstance(other, BaseModel) and self.model_dump() == other.model_dump()

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns of the table by name -> their cells: those of the file or frame that are no inputs, such as an
        id, then "class" and "score", or each number by its name with both ends of its interval. A column that is
        called as one of these becomes given_... Raises ValueError where the file has changed since it was asked."""
        return self._columns(self._beside())

    def to_frame(self) -> Any:
        """The same as a frame: of polars where one of polars was asked about, else of pandas, with the index of the one
        that was. Raises as `to_dict`."""
        beside = self._beside()
        package = type(beside.frame).__module__.partition(".")[0] if beside.frame is not None else "pandas"
        index = {"index": beside.frame.index} if hasattr(beside.frame, "index") else {}
        return import_module(package).DataFrame(self._columns(beside), **index)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes the same as a CSV file, in UTF-8, as the file is written that was asked about: as `tsuika predict`
        does. Raises as `to_dict`."""
        beside = self._beside()
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            write_csv(file, [self._answer], beside, self._called)

    def right(self, classes: Collection[str]) -> list[Any] | None:
        """What the file or frame says is right of each row, None of one where it says nothing; None where no column
        holds that: one that is called as the numbers that are predicted or as columns of labels are, or the only one
        beside the inputs, whose cells are `classes`. Raises ValueError as `to_dict`, and for a cell that is no
        number."""
        beside = self._beside()
        numbers, named = self._answer.kind == "number", named_label(beside.names)
        due = self._columns_of_targets(beside.names) if numbers else _columns_of_labels(beside.names)
        if beside.rows is None or not due:
            return None
        at = [beside.names.index(name) for name in due]
        rows = plain_labels([[row[k] for k in at] if len(at) > 1 else row[at[0]] for row in beside.rows])
        if numbers:
            return [_numbers(row, k, due, beside.dialect) for k, row in enumerate(rows)]
        labels = [str(row).strip() or None if isinstance(row, str) else row for row in rows]
        return labels if named is not None or {*labels} <= {*classes, None} else None

    def _columns_of_targets(self, names: Sequence[str]) -> list[str]:
        """Those that are called as the numbers that are predicted, else the one that is called as labels are."""
        if self._called and {*self._called} <= {*names}:
            return [*self._called]
        named = named_label(names)
        return [] if named is None else [named]

    @property
    def _answer(self) -> AnyPredictions:
        assert isinstance(self, Predictions | NumberPredictions)
        return self

    def _columns(self, beside: Beside) -> dict[str, list[Any]]:
        head = kind_of(self._answer).columns(self._answer, self._called)
        rows = list(_joined([self._answer], beside))
        return {name: [row[k] for row in rows] for k, name in enumerate([*names_beside(beside.names, head), *head])}


class ClassAnswers(Predictions, AnswerTable):
    """Classes of rows; `to_frame`, `to_csv` and `to_dict` have them beside what names the rows."""

    def __repr_name__(self) -> str:
        return "Predictions"


class NumberAnswers(NumberPredictions, AnswerTable):
    """Numbers of rows; likewise."""

    def __repr_name__(self) -> str:
        return "NumberPredictions"


def with_table(
    answer: AnyPredictions, called: Sequence[str], beside: Callable[[], Beside]
) -> ClassAnswers | NumberAnswers:
    """The answer with its table. called: the names of the numbers that are predicted, if any."""
    kind: type[ClassAnswers | NumberAnswers] = NumberAnswers if isinstance(answer, NumberPredictions) else ClassAnswers
    made = kind.model_construct(answer.model_fields_set, **dict(answer))
    made._called, made._beside = called, beside
    return made


@dataclass(frozen=True)
class Aside:
    """Which columns of rows to be predicted are no inputs: those that are left out, and the one that holds what is
    right."""

    facts: Facts
    left_out: Sequence[str] = ()
    target: str | None = None

    def is_input(self, name: str) -> bool:
        """Whether a column is one of the model, as far as its name alone says so."""
        return name in self.facts.columns if self.facts.columns else name not in (*self.left_out, self.target)

    def are_inputs(self, names: Sequence[str]) -> list[bool]:
        """Of all columns of a file. The service passes over those called target or label, where they are too many."""
        due = [self.is_input(name) for name in names]
        if not self.facts.columns and sum(due) > (self.facts.size or 1):
            return [inputs and name not in LABELLED for name, inputs in zip(names, due, strict=True)]
        return due


def beside_rows(rows: Any, names: Sequence[str]) -> Beside:
    """Columns of a frame, or of rows that name their cells, that are no inputs."""
    if not is_frame(rows):
        return Beside(names, [[row.get(name) for name in names] for row in named_rows(rows)] if names else None)
    of_frame = names_of(rows)
    cells = zip(*(list(rows[of_frame[name]]) for name in names), strict=True) if names else None
    return Beside(names, cells, frame=rows)


def beside_in(
    file: CsvFile, said: SaidDialect, is_input: Callable[[Sequence[str]], Sequence[bool]]
) -> Callable[[], Beside]:
    """Gives the columns of a file that are no inputs, once they are asked for. is_input: of each of its names.

    What it gives raises ValueError where the file has changed meanwhile."""
    known = file.state

    def beside() -> Beside:
        if file.state != known:
            raise ValueError(f"{file.name} has changed since it was asked about. Ask again.")
        with naming(file.content):
            lines = lines_of(file, dialect := dialect_in(file, said))
            names = next(lines)
            places = [place for place, due in enumerate(is_input(names)) if not due]
            dialect = by_cells(lines_of(file, dialect), dialect, said, leave_out=[names[place] for place in places])
            return Beside([names[k] for k in places], [[line[k] for k in places] for line in lines], dialect)

    return beside


def write_csv(file: TextIO, answers: Sequence[AnyPredictions], beside: Beside, called: Sequence[str]) -> None:
    """Writes answers to the rows of one file, which came in parts. Raises ValueError where it has other rows now."""
    kind = kind_of(answers[0])
    head = kind.columns(answers[0], called)
    writer = csv.writer(file, delimiter=beside.dialect.delimiter, lineterminator="\n")
    writer.writerow(map(csv_cell, [*names_beside(beside.names, head), *head]))
    width = len(beside.names)
    for row in _joined(answers, beside):
        cells = [*row[:width], *(kind.digits(cell) if isinstance(cell, float) else cell for cell in row[width:])]
        writer.writerow(
            str(cell).replace(".", beside.dialect.decimal) if isinstance(cell, float) else csv_cell(cell)
            for cell in cells
        )


def _columns_of_labels(names: Sequence[str]) -> list[str]:
    """The one that is called as labels are, else the only one."""
    named = named_label(names)
    if named is not None:
        return [named]
    return [*names] if len(names) == 1 else []


def _numbers(said: Any, row: int, names: Sequence[str], dialect: Dialect) -> Any:
    """The number, or numbers, that a row says is right; None where it says nothing of one."""
    cells = said if isinstance(said, list) else [said]
    if any(is_missing(cell) or cell == "" for cell in cells):
        return None
    try:
        numbers = [float(dialect.number(cell) if isinstance(cell, str) else cell) for cell in cells]
    except ValueError:
        raise ValueError(f"{row_number(row)}: {', '.join(names)} is no number: {str(said)[:100]}") from None
    return numbers if isinstance(said, list) else numbers[0]


def _joined(answers: Sequence[AnyPredictions], beside: Beside) -> Iterator[list[Any]]:
    """The rows of the table. Raises ValueError where there are not as many rows as answers."""
    each = chain.from_iterable(map(kind_of(answer).cells, answer.predictions) for answer in answers)
    if beside.rows is None:
        yield from each
        return
    for said, cells in zip(beside.rows, each, strict=True):
        yield [*said, *cells]
