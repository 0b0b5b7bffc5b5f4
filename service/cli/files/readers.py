"""Which file is read how: CSV, JSON, JSON lines, numpy's npz, Parquet, and pictures in a folder or a zip file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.cli.connection import in_options
from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile, Record, stamp_of
from service.cli.files.parquet_size import unpacked_size
from service.cli.files.pictures import pictures
from service.contract.figures import row_number
from service.contract.tables import value_text
from service.guessing.column_names import column_names
from service.guessing.csv_files.dialect import MARKS, SAID_NOTHING, SaidDialect, dialect_in
from service.guessing.csv_files.facts import check_names
from service.guessing.csv_files.records import Pieces, records_of
from service.guessing.picture_files import holds_pictures
from service.guessing.unguessable import Unguessable

if TYPE_CHECKING:
    from service.contract.inputs import InputSpec

LABEL = "label"
WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods")
INPUT_ARRAYS, LABEL_ARRAYS = ("X", "x", "inputs", "data", "images"), ("y", "labels", "label", "target", "targets")
"""What the arrays of an npz file are called."""
MOST_WHOLE = 2**30
"""Bytes of a file that is read whole, and of what npz and Parquet files unpack to, which may be any number."""
READ_WHOLE = (".json", ".npz", ".parquet")
MOST_LINE = 64 * 2**20
"""Bytes of a row in JSON lines, as of the body of a request: a file may have one line without end."""


def open_file(
    path: Path,
    leave_out: Sequence[str] | None = None,
    gaps: Sequence[str] | None = None,
    said: SaidDialect = SAID_NOTHING,
    asked: InputSpec | None = None,
) -> DataFile:
    """Looks at the beginning of a file, by its ending. leave_out: columns that nobody looks at. gaps: what cells say
    where nothing is known. said: how a CSV file is written. asked: inputs of which it has rows, maybe without labels.
    Raises WrongUsage."""
    several = asked is None or (asked.kind != "text" and asked.shape[0] > 1)
    file, stamp = _opened(path, said, several), stamp_of(path)
    try:
        columns = tuple(column_names(file.columns, f"this {path.suffix} file"))
    except Unguessable as fault:
        raise WrongUsage(f"{path.name}: {fault}") from None
    return replace(file, columns=columns, stamp=stamp).without([*map(value_text, leave_out or ())], gaps or ())


def _opened(path: Path, said: SaidDialect, several: bool) -> DataFile:
    if not path.exists():
        raise WrongUsage(f"There is no file {path}.")
    ending = path.suffix.lower()
    if not path.is_dir() and not path.is_file():
        raise WrongUsage(f"{path} is a pipe or a device. A file is read several times: save it as one first.")
    if holds_pictures(path):
        return pictures(path)
    if ending in READ_WHOLE and (size := path.stat().st_size) > MOST_WHOLE:
        raise WrongUsage(
            f"{path.name} has {size:,} bytes. Such a file is read whole, up to {MOST_WHOLE:,} bytes. Save it as "
            "CSV, or with a row a line (.jsonl)."
        )
    if ending in (".jsonl", ".ndjson"):
        return _json_lines(path)
    if ending == ".json":
        return _json(path)
    if ending == ".npz":
        return _arrays(path)
    if ending == ".parquet":
        return _parquet(path)
    if ending in (".csv", ".tsv", ".txt", ""):
        return _csv(path, said, several)
    if ending in WORKBOOKS:
        raise WrongUsage(
            f"{path.name} is a workbook. Save its sheet as CSV in UTF-8, which spreadsheets offer by that name."
        )
    raise WrongUsage(
        f"{path.name} is none of the files that are read here: .csv, .tsv, .json, .jsonl, .npz, .parquet, or a "
        "folder or .zip of pictures."
    )


def _csv(path: Path, said: SaidDialect, several: bool) -> DataFile:
    """As the service reads CSV, lines counted from 1."""
    pieces = Pieces(path)
    try:
        dialect = dialect_in(pieces, said)
    except Unguessable as fault:
        raise WrongUsage(f"{path.name}: {in_options(str(fault))}") from None

    def lines() -> Iterator[Record]:
        try:
            for line, cells, _ in records_of(pieces, dialect):
                yield Record(line, [cell.strip() or None for cell in cells])
        except Unguessable as fault:
            raise WrongUsage(f"{path.name}: {in_options(str(fault))}") from None

    first = next(lines(), None)
    if first is None:
        raise WrongUsage(f"{path.name} is empty. Its first line names the columns; a row stands in each other.")
    try:
        columns = tuple(check_names([name or "" for name in first.cells], several))
    except Unguessable as fault:
        raise WrongUsage(f"{path.name}, line {first.place}: {fault}") from None

    def records() -> Iterator[Record]:
        for record in islice(lines(), 1, None):
            if len(record.cells) != len(columns):
                raise WrongUsage(
                    f"{path.name}, line {record.place:,}: there are {len(record.cells):,} cells, and the header has "
                    f"{len(columns):,}. A {MARKS[dialect.delimiter]} within a cell needs quotes around the cell."
                )
            yield record

    return DataFile(path, columns, "line", records, int(first.place), is_csv=True, dialect=dialect, said=said)


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises Unguessable for a name that is there twice, of which readers of JSON take either."""
    read = dict(members)
    if len(read) < len(members):
        column_names((name for name, _ in members), "this object")
    return read


def _json_lines(path: Path) -> DataFile:
    """One object a line; the first one names the columns."""

    def objects() -> Iterator[tuple[int, dict[str, Any]]]:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MOST_LINE + 1), b""), 1):
                if len(line) > MOST_LINE:
                    raise WrongUsage(
                        f"{path.name}, line {number:,} has more than {MOST_LINE:,} bytes. A line is a row."
                    )
                if not line.strip():
                    continue
                try:
                    value = json.loads(line.decode("utf-8-sig"), object_pairs_hook=_each_once)
                except Unguessable as fault:
                    raise WrongUsage(f"{path.name}, line {number:,}: {fault}") from None
                except json.JSONDecodeError as error:
                    raise WrongUsage(f"{path.name}, line {number:,}, column {error.colno:,}: {error.msg}.") from None
                except UnicodeDecodeError as error:
                    raise WrongUsage(
                        f"{path.name}, line {number:,}: byte {error.start} begins no character. Save the file in UTF-8."
                    ) from None
                except (ValueError, RecursionError):
                    raise WrongUsage(
                        f"{path.name}, line {number:,}: a number is too long, or lists stand too deep in one another."
                    ) from None
                if not isinstance(value, dict):
                    raise WrongUsage(f"{path.name}, line {number:,}: a line is an object, {{...}}.")
                yield number, value

    _, first = next(objects(), (0, None))
    if not first:
        raise WrongUsage(f"{path.name} is empty. Each line is a row, an object.")
    columns = tuple(first)

    def records() -> Iterator[Record]:
        for number, value in objects():
            if more := [name for name in value if name not in first]:
                raise WrongUsage(f'{path.name}, line {number:,}: the first line has no "{more[0]}".')
            yield Record(number, [value.get(name) for name in columns])

    return DataFile(path, columns, "line", records)


def _json(path: Path) -> DataFile:
    """A list of objects; or inputs and labels or targets, as the service takes them."""
    try:
        value = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_each_once)
    except Unguessable as fault:
        raise WrongUsage(f"{path.name}: {fault}") from None
    except (ValueError, RecursionError) as fault:
        raise WrongUsage(f"{path.name} is no JSON: {fault}. A line a row has the ending .jsonl.") from None
    rows, labels = value, None
    if isinstance(value, dict):
        rows = value.get("inputs")
        labels = next((value[word] for word in ("labels", "targets") if isinstance(value.get(word), list)), None)
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict | list | str):
        forms = '[{"city": "Osaka", ...}, ...], or {"inputs": [...], "labels": [...]}'
        raise WrongUsage(f"{path.name}: a list of rows is due, {forms}.")
    if labels is not None and len(labels) != len(rows):
        raise WrongUsage(f"{path.name}: there are {len(rows):,} inputs and {len(labels):,} labels. Send one a row.")
    if isinstance(rows[0], dict):
        columns = tuple(dict.fromkeys(str(name) for row in rows if isinstance(row, dict) for name in row))
    else:
        columns = tuple(f"x{k}" for k in range(len(rows[0]))) if isinstance(rows[0], list) else ("text",)

    def records() -> Iterator[Record]:
        for k, row in enumerate(rows):
            cells = [row.get(name) for name in columns] if isinstance(row, dict) else row
            cells = cells if isinstance(cells, list) else [cells]
            if type(row) is not type(rows[0]) or len(cells) != len(columns):
                raise WrongUsage(f"{path.name}, row {row_number(k)}: it is not as the first row is.")
            yield Record(k, cells if labels is None else [*cells, labels[k]])

    named = isinstance(rows[0], dict)
    return DataFile(path, columns if labels is None else (*columns, LABEL), "row", records, named=named)


def _arrays(path: Path) -> DataFile:
    """X [n, columns] or pictures [n, c, h, w], and y [n]. Nothing in the file is unpickled."""
    import numpy as np

    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(member.file_size for member in packed.infolist())
        _check_unpacked(path, unpacked)
        arrays = np.load(path, allow_pickle=False)
        with arrays:
            inputs = next((arrays[name] for name in INPUT_ARRAYS if name in arrays), None)
            labels = next((arrays[name] for name in LABEL_ARRAYS if name in arrays), None)
            names = list(arrays)
    except (ValueError, EOFError, zipfile.BadZipFile) as fault:
        raise WrongUsage(
            f"{path.name} cannot be read: {fault}. numpy.savez writes such files, of arrays of numbers and texts."
        ) from None
    if inputs is None or inputs.ndim not in (2, 4) or inputs.dtype.kind not in "buif":
        raise WrongUsage(
            f"{path.name} has the arrays {', '.join(names)}. X is due, numbers [rows, columns] or [rows, channels, "
            "height, width], and y, one label a row."
        )
    if labels is not None and (labels.ndim != 1 or labels.dtype.kind == "c"):
        raise WrongUsage(f"{path.name}: y is due as one label a row, [rows].")
    if labels is not None and len(labels) != len(inputs):
        raise WrongUsage(f"{path.name}: X has {len(inputs):,} rows, and y {len(labels):,}.")
    columns = tuple(f"x{k}" for k in range(inputs.shape[1])) if inputs.ndim == 2 else ("image",)

    def records() -> Iterator[Record]:
        for k, row in enumerate(inputs):
            cells = row.tolist() if inputs.ndim == 2 else [row]
            yield Record(k, cells if labels is None else [*cells, labels[k].item()])

    return DataFile(path, columns if labels is None else (*columns, LABEL), "row", records, named=False)


def _check_unpacked(path: Path, unpacked: int) -> None:
    """Raises WrongUsage where a file that is read whole unpacks to too many bytes."""
    if unpacked > MOST_WHOLE:
        raise WrongUsage(
            f"{path.name} unpacks to {unpacked:,} bytes, and at most {MOST_WHOLE:,} are read. Save it in several files."
        )


def _parquet(path: Path) -> DataFile:
    """By polars, or else by pandas."""
    if not (find_spec("polars") or find_spec("pandas")):
        raise WrongUsage(f"{path.name} is read by polars or pandas, and neither is here: pip install polars.")
    try:
        unpacked = unpacked_size(path)
    except ValueError as fault:
        raise WrongUsage(f"{path.name} cannot be read as Parquet: {fault}.") from None
    _check_unpacked(path, unpacked)
    try:
        if find_spec("polars"):
            import polars

            frame: Any = polars.read_parquet(path)
            names, rows = tuple(frame.columns), frame.iter_rows
        else:
            import pandas

            frame = pandas.read_parquet(path)
            names, rows = tuple(map(str, frame.columns)), partial(frame.itertuples, index=False)
    except Exception as fault:  # of either package, which have none in common
        raise WrongUsage(f"{path.name} cannot be read as Parquet: {fault}") from fault

    def records() -> Iterator[Record]:
        for k, row in enumerate(rows()):
            yield Record(k, [plain_cell(cell) for cell in row])

    from service.client.rows.table_rows import plain_cell

    return DataFile(path, names, "row", records)
