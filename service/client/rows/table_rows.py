"""Rows of tables in a program: dicts, or a frame of pandas or polars, as the service takes them; and columns for them.

Frames are known by what they can do, so that none of these packages is imported."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from service.client.rows.csv_file import check_in_file
from service.client.rows.values import columns_named, is_missing
from service.contract.figures import row_number
from service.guessing.column_facts import MANY_VALUES, NUMBER
from service.guessing.column_names import column_names
from service.guessing.csv_files.dates import DATE, iso_date, order_in, order_of
from service.guessing.full_width import half_width

LARGEST_WHOLE = 2.0**53
"""Floats up to here that are whole numbers are meant as such."""
NO_DATE = (
    'Row {row}, column "{column}": "{cell}" is no date that can be read. Make the column one of dates first, as '
    'pandas.to_datetime(frame["{column}"], format="%d %b %Y") does, with None where it is missing.'
)
NO_NAMES = "Row {row} names no cells, and others do: send dicts alone, or lists alone."
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)


def is_frame(rows: Any) -> bool:
    """Whether rows are a frame: columns by name."""
    return hasattr(rows, "to_dict") and hasattr(rows, "columns")


def is_category(column: Any) -> bool:
    """Whether a column of a frame, or an array, says that it is one of categories, whatever they are."""
    return str(getattr(column, "dtype", "")) == "category"


def names_of(frame: Any) -> dict[str, Any]:
    """The columns of a frame: their names as a model has them -> what the frame itself calls them. Raises ValueError
    where two have one name."""
    return dict(zip(column_names(frame.columns, "this frame"), frame.columns, strict=True))


def are_dicts(rows: Any) -> bool:
    """Whether rows are a list of dicts."""
    return isinstance(rows, list | tuple) and bool(rows) and isinstance(rows[0], Mapping)


def name_cells(rows: Any) -> bool:
    """Whether rows that are no frame name their cells: an array of records of numpy, or a list with dicts in it, such
    records, named tuples, or rows of a frame or a database."""
    if isinstance(rows, list | tuple):
        return any(map(_names_cells, {type(row): row for row in rows}.values()))
    return _is_record(rows) and len(rows.shape) == 1


def name_columns(rows: Any) -> bool:
    """Whether rows have names for their columns: a frame, or rows that name their cells."""
    return is_frame(rows) or name_cells(rows)


def _names_cells(row: Any) -> bool:
    return isinstance(row, Mapping) or _is_record(row) or hasattr(row, "_fields") or hasattr(row, "keys")


def _is_record(row: Any) -> bool:
    """Whether it is a record of numpy, or an array of such."""
    return bool(getattr(getattr(row, "dtype", None), "names", None))


def named_rows(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows that name their cells as dicts, with names as a model has them. Raises ValueError for a row that names none,
    and where two cells have one name."""
    called: dict[tuple[Any, ...], list[str]] = {}
    made = []
    for k, row in enumerate(rows):
        if not _names_cells(row):
            raise ValueError(NO_NAMES.format(row=row_number(k)))
        written = tuple(row.dtype.names if _is_record(row) else getattr(row, "_fields", None) or row.keys())
        if written not in called:
            called[written] = column_names(written, f"row {row_number(k)}")
        cells = row.values() if isinstance(row, Mapping) else row
        made.append(dict(zip(called[written], cells, strict=True)))
    return made


def table_rows(rows: Any, dates: Sequence[str] = (), order: str | None = None) -> list[dict[str, Any]]:
    """A frame, or a list of dicts, as objects of JSON: dates as text; what is missing is left out. dates: columns of a
    frame that are such, which may be written as people do; order: of day and month in them, where somebody says it.
    Raises ValueError for what is no date, or can be read in two ways."""
    if is_frame(rows):
        columns = _columns(rows)
        columns |= _as_iso({name: columns[name] for name in dates if name in columns}, order)
        for name in dates:
            for row, cell in enumerate(columns.get(name, ())):
                if isinstance(cell, str) and DATE.fullmatch(cell) is None:
                    raise ValueError(NO_DATE.format(row=row_number(row), column=name, cell=cell[:100]))
        return [_present(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for k, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ValueError(NO_NAMES.format(row=row_number(k)))
    return [_present((name, plain_cell(cell)) for name, cell in row.items()) for row in rows]


def has_wide(cells: Iterable[Any]) -> bool:
    """Whether some cell is a number in full-width digits."""
    return any(isinstance(cell, str) and not cell.isascii() and _is_number(cell) for cell in cells)


def with_numbers(rows: list[dict[str, Any]], columns: Collection[str], gaps: Collection[str]) -> list[dict[str, Any]]:
    """Rows with the numbers of these columns as such where they are texts of digits, full-width or not. Words for gaps
    stay, of which some are numbers, such as -999, and so does what the service refuses, as 1e999."""

    def read(cell: Any) -> Any:
        is_text = isinstance(cell, str) and cell.strip() not in gaps
        number = float(half_width(cell.strip())) if is_text and _is_number(cell) else math.inf
        return whole(number) if math.isfinite(number) else cell

    texts = [name for name in columns if any(isinstance(row.get(name), str) for row in rows)]
    return [row | {name: read(row[name]) for name in texts if name in row} for row in rows] if texts else rows


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(half_width(text.strip())) is not None


def read_dates(columns: Mapping[str, Sequence[Any]], order: str | None) -> dict[str, list[Any]]:
    """Those of the columns all of whose cells are dates as people write them, as ISO 8601 has them. order: of day and
    month, where somebody says it. Raises ValueError where all can be read in two ways."""
    return _as_iso({name: cells for name, cells in columns.items() if _are_dates(cells)}, order)


def _are_dates(cells: Sequence[Any]) -> bool:
    there = [cell for cell in cells if cell is not None]
    return bool(there) and all(isinstance(cell, str) and order_in(cell) is not None for cell in there)


def _as_iso(columns: Mapping[str, Sequence[Any]], order: str | None) -> dict[str, list[Any]]:
    texts = [(name, cell) for name, cells in columns.items() for cell in cells if isinstance(cell, str)]
    order = order or order_of(texts)
    return {
        name: [iso_date(cell, order) if isinstance(cell, str) else cell for cell in cells]
        for name, cells in columns.items()
    }


def table_columns(rows: Any, dates: str | None = None, gaps: Collection[str] = ()) -> list[dict[str, Any]]:
    """Columns for a model of such rows, a frame or a list of dicts: a proposal to look at before it is taken.

    Where all that is there is true or false, it is a boolean; a number; a date; else a category, and one of many values
    where there are hundreds that hardly ever come twice; so is a column of a frame whose dtype says so. Leave out what
    is to be predicted. dates: "day-first" or "month-first" in dates of a frame such as 3/4/2026, where none of them
    says so. gaps: texts that stand where nothing is known. Raises ValueError for anything else, such as the path of a
    file.
    """
    if is_frame(rows):
        columns = _columns(rows)
        said = {name for name, at in names_of(rows).items() if is_category(rows[at])}
        columns |= read_dates({name: cells for name, cells in columns.items() if name not in said}, dates)
    else:
        said = set()
        rows = list(rows) if isinstance(rows, Iterable) else [rows]
        if not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(
                "Columns are proposed from a frame or a list of dicts. Read a file first, as with pandas.read_csv."
            )
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [plain_cell(row.get(name)) for row in rows] for name in names}
    there = {name: [c for c in cells if c is not None and c not in gaps] for name, cells in columns.items()}
    return [
        {"name": name, **(_category(cells) if name in said else _kind(name, cells))} for name, cells in there.items()
    ]


def plain_cell(cell: Any) -> Any:
    """One cell as JSON has it; None where it is missing."""
    if cell is None or isinstance(cell, str | bool | int):
        return cell
    if is_missing(cell):
        return None
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return None if cell.is_nan() else float(cell)
    if getattr(getattr(cell, "dtype", None), "kind", "") == "M":
        cell = cell.astype("datetime64[us]")  # of nanoseconds numpy makes a number
    return plain_cell(cell.tolist()) if hasattr(cell, "tolist") else cell


def names_in(rows: Any) -> list[str]:
    """The names of the columns of a frame, or of the cells of rows that name them, as a model has them. Raises
    ValueError as `names_of` and `named_rows`."""
    return [*(names_of(rows) if is_frame(rows) else dict.fromkeys(name for row in named_rows(rows) for name in row))]


def split_columns(
    rows: Any,
    labels: Any,
    groups: Any,
    target: str | Sequence[str] | None,
    group: str | None,
    leave_out: Sequence[str] = (),
) -> tuple[Any, Any, Any]:
    """A frame, or rows that name their cells, without the columns that hold labels and groups, and these; and without
    those that are left out. Raises ValueError where they are given, too, or are not there."""
    targets = columns_named(target)
    named = [*targets, *columns_named(leave_out), *columns_named(group)]
    check_in_file(labels=labels if targets else None, groups=groups if group is not None else None)
    there = names_in(rows)
    if missing := [name for name in named if name not in there]:
        what, they = ("The frame has", "It has") if is_frame(rows) else ("These rows have", "They have")
        raise ValueError(f"{what} no column {missing[0]!r}. {they} {', '.join(there)}.")
    if is_frame(rows):
        at = names_of(rows)
        cells = {name: list(rows[at[name]]) for name in named}
        rows = rows[[at[name] for name in there if name not in named]]
    else:
        rows = named_rows(rows)
        cells = {name: [plain_cell(row.get(name)) for row in rows] for name in named}
        rows = [{name: cell for name, cell in row.items() if name not in cells} for row in rows]
    if targets:
        columns = [cells[name] for name in targets]
        labels = columns[0] if len(targets) == 1 else [list(row) for row in zip(*columns, strict=True)]
    groups = cells[named[-1]] if group is not None else groups
    return rows, labels, groups


def _columns(frame: Any) -> dict[str, list[Any]]:
    """The cells of a frame by column. Raises ValueError."""
    return {name: _cells(frame[at]) for name, at in names_of(frame).items()}


def _cells(column: Any) -> list[Any]:
    """The cells of a column; of categories, fractions and ranges are values by their text."""
    cells = [whole(plain_cell(cell)) for cell in column]
    if not is_category(column):
        return cells
    return [cell if cell is None or isinstance(cell, str | int) else str(cell) for cell in cells]


def whole(cell: Any) -> Any:
    """A whole number as such: beside a gap frames make 5 a 5.0, which is no value of a category and no class."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < LARGEST_WHOLE else cell


def _present(cells: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: cell for name, cell in cells if cell is not None}


def _kind(name: str, cells: list[Any]) -> dict[str, Any]:
    types = set(map(type, cells))
    if strange := [cell for cell in cells if not isinstance(cell, str | bool | int | float)]:
        raise ValueError(
            f'Column "{name}" holds {type(strange[0]).__name__}. A cell is a number, text, true or false, or a date.'
        )
    if types == {bool}:
        return {"kind": "boolean"}
    if types and types <= {int, float}:
        return {"kind": "number"}
    if types <= {int, float, str} and has_wide(cells) and all(_is_number(c) for c in cells if isinstance(c, str)):
        return {"kind": "number"}
    if types == {str} and all(map(_DATE.fullmatch, cells)):
        clock = any(len(cell) > len("2026-11-29") for cell in cells)
        return {"kind": "date"} if clock else {"kind": "date", "parts": ["weekday", "year"]}
    return _category(cells)


def _category(cells: list[Any]) -> dict[str, Any]:
    values = len(set(map(str, cells)))
    return {"kind": "category", "many": True} if values > max(MANY_VALUES, len(cells) / 2) else {"kind": "category"}
