"""`tsuika predict MODEL[@VERSION] FILE`, or `--row`: what a version says of rows."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.text import Text
from typer import Argument, Option, echo

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.files.data_file import DataFile
from service.cli.files.readers import open_file
from service.cli.files.rows import Columns, columns_of, inputs_of, typed_cell
from service.cli.files.sizes import check_size
from service.cli.names import VersionName, version_of
from service.cli.options import Dates, Decimal, Delimiter, Encoding, Gaps, Json, LeaveOut, check_left_out, written
from service.cli.output import plain, print_json, print_table, stdout
from service.contract.figures import amount
from service.contract.inputs import gap_words_of
from service.contract.tables import value_text
from service.guessing.csv_files.dialect import SaidDialect

if TYPE_CHECKING:
    from service.client.answer_table import Beside
    from service.contract.predictions import AnyPredictions
    from service.contract.resources import Model

SHOWN = 20
"""Rows that a terminal shows."""
AT_ONCE = 1000
"""Rows of one question."""
BAR = 20


def run(
    name: VersionName,
    path: Annotated[Path | None, Argument(metavar="FILE", help="Rows, with or without labels.")] = None,
    row: Annotated[
        str | None,
        Option(metavar="ROW", help="One row: numbers with commas, a text, or a=1,b=x of a table; JSON, too."),
    ] = None,
    label: Annotated[str | None, Option(metavar="COLUMN", help="A column of the file that is no input.")] = None,
    leave_out: LeaveOut = None,
    gaps: Gaps = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    dates: Dates = None,
    as_json: Json = False,
) -> int:
    """Predicts rows by the live version, or by the one that is named. In a pipe it writes CSV, a line a row: what the
    file says beside the inputs, such as an id, and the answer."""
    if (path is None) == (row is None):
        raise WrongUsage("Name a file, or one row by --row.")
    check_left_out(leave_out, label=label)
    named, how = version_of(name), written(delimiter, decimal, encoding, dates)
    with connected() as client:
        remote = client.model(named.model)
        info = remote.info()
        if row is not None:
            parts: Iterable[Any] = [[_row(row, info)]]
            beside = None
        else:
            assert path is not None
            check_size(path)
            whole = open_file(path, said=SaidDialect.of(how), asked=info.input)
            file = whole.without(leave_out or (), gaps or ())
            columns = columns_of(file, info, label)
            beside = _beside(whole, columns, {file.columns[place] for place in columns.inputs})
            named_here = leave_out or gaps or (label and info.input.kind != "table")
            parts = _parts(file, columns, info, as_it_is=not named_here)
        answers = [
            remote.predict(part, version=named.version, **(how if isinstance(part, Path) else {})) for part in parts
        ]
    if not answers:
        raise WrongUsage(f"{path} has no row.")
    _print(answers, info.target.named, as_json, beside)
    return DONE


def _beside(file: DataFile, columns: Columns, inputs: Collection[str]) -> Beside:
    """Columns of a file that are no inputs, the name of a picture among them."""
    from service.client.answer_table import Beside

    places = [place for place, name in enumerate(file.columns) if name not in inputs]
    picture = ["picture"] if file.unit == "picture" else []
    rows = ([*[record.place for _ in picture], *map(record.cells.__getitem__, places)] for record in file.records())
    return Beside([*picture, *(file.columns[place] for place in places)], rows, columns.dialect)


def _parts(file: DataFile, columns: Columns, info: Model, as_it_is: bool) -> Iterator[Any]:
    """The rows of a file, some at a time; a CSV file goes as it is, where nobody names a column or a gap of it."""
    if as_it_is and file.is_csv and info.input.kind != "image":
        yield file.path
        return
    for sentence in columns.sentences:
        echo(plain(sentence), err=True)
    each = inputs_of(file, columns, info.input)
    while part := list(islice(each, AT_ONCE)):
        yield part


def _row(text: str, info: Model) -> Any:
    """One row, as it was typed. Raises WrongUsage."""
    if info.input.kind == "text":
        return text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if isinstance(value, list | dict):
        return value
    kinds = _kinds(info)
    if info.input.kind == "table" or (kinds and "=" in text):
        return _cells(text, info.name, kinds, gap_words_of(info.input))
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise WrongUsage(f"--row: {info.name} takes {_due(info)}, such as 2.5,7,1.") from None


def _kinds(info: Model) -> dict[str, str]:
    """The columns of a model by name -> their kind; none where they have no names."""
    if info.input.kind == "table":
        return {column.name: column.kind for column in info.input.columns}
    return dict.fromkeys(getattr(info.input, "places", ()), "number")


def _cells(text: str, model: str, kinds: Mapping[str, str], gaps: Collection[str]) -> dict[str, Any]:
    cells, last, typed = dict[str, Any](), "", ""
    try:
        parts = next(csv.reader([text]))
    except csv.Error:
        raise WrongUsage("--row: write the row in one line.") from None
    for part in parts:
        column, equals, cell = _parted(value_text(part), kinds)
        if not equals and kinds.get(last) == "number":
            raise _no_number(last, f"{typed},{part}")
        if not equals or column not in kinds:
            wrong = f'"{plain(column)}" is none of them.' if equals else f"Write {next(iter(kinds))}=..."
            raise WrongUsage(f"--row: {model} has the columns {', '.join(kinds)}. {wrong}")
        last, typed = column, "" if cell.strip() in gaps else cell.strip()
        if last in cells:
            raise WrongUsage(f"--row: {plain(last)} is there twice. Say it once.")
        cells[last] = typed_cell(typed, kinds[last]) if typed else None
        if kinds[last] == "number" and isinstance(cells[last], str):
            raise _no_number(last, typed)
    return cells


def _parted(part: str, kinds: Mapping[str, str]) -> tuple[str, str, str]:
    """-> column, =, cell; of a column whose name has a = in it, too"""
    column, equals, cell = part.partition("=")
    if named := [name for name in kinds if part.startswith(f"{name}=")]:
        column = max(named, key=len)
        cell = part[len(column) + 1 :]
    return column.strip(), equals, cell


def _no_number(column: str, cell: str) -> WrongUsage:
    return WrongUsage(
        f'--row: {column} takes a number, and this is "{cell}". Write a point for decimals and nothing between '
        f"thousands, such as 1234.5; {column}= alone where it is not known."
    )


def _due(info: Model) -> str:
    return f"{info.input.size:,} numbers" if info.input.kind == "vector" else f"a row of {info.input.kind}"


def _print(answers: list[AnyPredictions], called: Sequence[str], as_json: bool, beside: Beside | None) -> None:
    """Prints answers as a table, or in a pipe as CSV in the dialect of the file that asked, with what it says beside
    them."""
    from service.client.answer_table import Beside, write_csv
    from service.client.kinds import kind_of

    first, rows = answers[0], [prediction for answer in answers for prediction in answer.predictions]
    notes = list(dict.fromkeys(note for answer in answers for note in answer.notes))
    if as_json:
        predictions = [row.model_dump(mode="json", by_alias=True) for row in rows]
        members = {"model": first.model, "version": first.version, "predictions": predictions, "notes": notes}
        print_json("predict", members)
        return
    console = stdout()
    if console.is_terminal:
        kind = kind_of(first)
        shown = list[list[str | Text]]()
        for k, cells in enumerate(map(kind.cells, rows[:SHOWN])):
            written = [kind.digits(cell) if isinstance(cell, float) else cell for cell in cells]
            shown.append([str(k), *map(_short, written)])
            shown[-1] += [Text("━" * round(BAR * cells[1]), "cyan")] if kind.barred else []
        print_table(
            console,
            ["row", *map(plain, kind.columns(first, called)), *([""] if kind.barred else [])],
            shown,
            "row score",
        )
        if len(rows) > SHOWN:
            echo(f"and {len(rows) - SHOWN:,} more rows: in a pipe all are written, as CSV.", err=True)
    else:
        write_csv(sys.stdout, answers, beside or Beside(), called)
    for note in notes:
        echo(plain(note), err=True)


def _short(cell: Any) -> str:
    return "" if cell is None else amount(cell) if isinstance(cell, float) else plain(str(cell))
