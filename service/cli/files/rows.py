"""The rows of a file as the model takes them: numbers, texts, pictures, or rows of a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from service.cli.connection import in_options
from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile, quoted
from service.cli.files.labels import label_text
from service.cli.output import word
from service.guessing.column_facts import ColumnFacts
from service.guessing.csv_files.dialect import PLAIN, Dialect, with_decimal, with_order
from service.guessing.label_column import column_aside
from service.guessing.numbering import lacks_columns, what_is_missing
from service.guessing.unguessable import Unguessable

if TYPE_CHECKING:
    from service.contract.inputs import InputSpec
    from service.contract.resources import Model


@dataclass(frozen=True)
class Columns:
    """Which columns of a file are what. inputs: those of the model in its order, by their places · dialect: how numbers
    and dates are written · aside: the one that was found to be neither"""

    inputs: tuple[int, ...]
    label: str | None
    group: str | None
    dialect: Dialect = PLAIN
    aside: str | None = None

    @property
    def sentences(self) -> list[str]:
        """What is said of it, where rows are asked about."""
        aside = f'"{self.aside}" is taken for no input, and left out.' if self.aside is not None else ""
        return [sentence for sentence in (self.dialect.sentence, aside) if sentence]


def columns_of(
    file: DataFile, model: Model, label: str | None = None, group: str | None = None, learns: bool = False
) -> Columns:
    """Which columns of a file are inputs of a model, its label or target, and its group. learns: it has a label.

    Raises WrongUsage.
    """
    spec = model.input
    inputs: Mapping[str, int] = getattr(spec, "places", {}) if spec.kind == "table" or file.named else {}
    due = spec.size if spec.kind == "vector" else 1
    label_name = file.label_column(label, {*inputs, *model.leave_out}, model.target.named)
    looked_at = [name for name in file.columns if name not in model.leave_out]
    aside = None
    if inputs:
        pass
    elif label is None and not learns and len(looked_at) == due:
        label_name = None
    elif spec.kind in ("vector", "text") and label is None and not learns and len(looked_at) == due + 1:
        facts = facts_of(file, looked_at)
        aside, right = column_aside(facts, spec.kind == "text", model.classes, model.target.named)
        label_name, aside = (aside, None) if right else (None, aside)
    elif label_name is None and len(looked_at) == due + 1:
        label_name = looked_at[-1]
    if group is not None:
        file.check_column(group)
    others = [name for name in looked_at if name not in (label_name, group, aside)]
    if inputs:
        places = _places(file, inputs, others, model)
        more = [name for name in others if name not in inputs]
        if more and learns and label_name is not None:
            options = " ".join(f"--leave-out {word(name)}" for name in more[:10])
            raise WrongUsage(
                f"{file.name}, line {file.header or 1}: {model.name} has no column {quoted(more)}. Leave "
                f"{'it' if len(more) == 1 else 'them'} out: {options}. Nothing was sent."
            )
        return _read_as(file, Columns(places, label_name, group), model)
    takes = f"{model.name} takes {due:,} numbers" if spec.kind == "vector" else f"{model.name} takes one {spec.kind}"
    if len(others) != due or (spec.kind == "vector" and lacks_columns(others, due)):
        beside = f' beside "{label_name}"' if label_name else ""
        are = "is 1 column" if len(others) == 1 else f"are {len(others):,} columns"
        way = ""
        if spec.kind != "image" and len(others) > due:
            way = f" {_too_many(file, others, due, spec.kind)}"
        if spec.kind == "vector" and len(others) <= due:
            way = f" {what_is_missing(others, due)}"
        raise WrongUsage(
            f"{file.name}{f', line {file.header}' if file.header else ''}: there {are}{beside}; {takes} a row.{way}"
        )
    return _read_as(file, Columns(tuple(map(file.columns.index, others)), label_name, group, aside=aside), model)


def _read_as(file: DataFile, columns: Columns, model: Model) -> Columns:
    """The same with the dialect of the file, by its numbers and dates. Raises WrongUsage where they can be read in two
    ways."""
    kinds = {column.name: column.kind for column in model.input.columns} if model.input.kind == "table" else {}
    each = {place: kinds.get(file.columns[place], model.input.kind) for place in columns.inputs}
    numbers = [place for place, kind in each.items() if kind in ("number", "vector")]
    if columns.label is not None and model.target.measured:
        numbers.append(file.columns.index(columns.label))
    try:
        dialect = with_decimal(file.dialect, file.said, _cells(file, numbers))
        dates = [place for place, kind in each.items() if kind == "date"]
        return replace(columns, dialect=with_order(dialect, _cells(file, dates)))
    except Unguessable as fault:
        raise WrongUsage(f"{file.name}: {in_options(str(fault))} Nothing was sent.") from None


def _cells(file: DataFile, places: Sequence[int]) -> Iterator[tuple[str, str]]:
    """The cells of these columns, with their names."""
    for record in file.records() if places else ():
        for place in places:
            if isinstance(record.cells[place], str):
                yield file.columns[place], record.cells[place]


def _places(file: DataFile, inputs: Mapping[str, int], others: Sequence[str], model: Model) -> tuple[int, ...]:
    """The places of columns that are read by their names. Raises WrongUsage where some are missing."""
    there = {name: place for place, name in enumerate(file.columns)}
    missing = [name for name in inputs if name not in there]
    if missing:
        from service.intake.near import near_matches

        unknown = [name for name in others if name not in inputs]
        near = {name: likes for name, likes in near_matches(missing[:10], unknown).items() if likes}
        meant = "".join(f' Is "{likes[0]}" meant as "{name}"?' for name, likes in near.items())
        if len(missing) == len(inputs) and file.header and not meant:
            raise WrongUsage(
                f"{file.name}, line {file.header} names no column of {model.name}: {quoted(missing)}. The first line "
                "of a file is its header. Nothing was sent."
            )
        are, such = ("is", "such a column") if len(missing) == 1 else ("are", "such columns")
        way = "Where nothing is known of a column, its cells are empty."
        if model.input.kind == "vector":
            way = "Add what is missing, or make a model of its own for such rows."
        raise WrongUsage(
            f"{file.name}, line {file.header or 1}: {quoted(missing)} {are} missing; {model.name} has {such}.{meant} "
            f"{way} Nothing was sent."
        )
    return tuple(map(there.__getitem__, inputs))


def _too_many(file: DataFile, columns: Sequence[str], due: int, kind: str) -> str:
    """How to leave out those of these columns that are no inputs of a model of texts or numbers, in a sentence."""
    facts = facts_of(file, columns)
    inputs = [name for name, fact in facts.items() if (fact.is_long if kind == "text" else fact.numbers)]
    if len(inputs) == due:
        options = " ".join(f"--leave-out {word(name)}" for name in columns if name not in inputs)
        return f"Leave out what is no {kind if kind == 'text' else 'number'}: {options}."
    return only_numbers(facts) or "Leave out what is no input: --leave-out COLUMN."


def only_numbers(facts: Mapping[str, ColumnFacts]) -> str:
    """Which of these columns only number or name the rows, and how to leave them out; "" where none does, or all."""
    names = [name for name, fact in facts.items() if fact.doubt == ("numbering", "")]
    options = " ".join(f"--leave-out {word(name)}" for name in names[:10])
    some = 0 < len(names) < len(facts)
    return f"{quoted(names)} only number{'s'[: len(names) == 1]} rows: {options}." if some else ""


def facts_of(file: DataFile, columns: Sequence[str]) -> dict[str, ColumnFacts]:
    """What the cells of these columns are."""
    facts = {name: ColumnFacts(file.dialect) for name in columns}
    for record in file.records():
        for name, cell in zip(file.columns, record.cells, strict=True):
            if name in facts:
                facts[name].add(cell)
    return facts


def inputs_of(file: DataFile, columns: Columns, spec: InputSpec) -> Iterator[Any]:
    """The rows as the client takes them. Raises WrongUsage with line and column of a cell that is none."""
    names = [file.columns[place] for place in columns.inputs]
    kinds = {column.name: column.kind for column in spec.columns} if spec.kind == "table" else {}
    for record in file.records():
        cells = [record.cells[place] for place in columns.inputs]
        if spec.kind == "table":
            yield {
                name: _cell(cell, kinds[name], columns.dialect)
                for name, cell in zip(names, cells, strict=True)
                if cell is not None
            }
        elif spec.kind == "vector":
            at = (file, record.place)
            yield [_number(*at, name, cell, columns.dialect) for name, cell in zip(names, cells, strict=True)]
        elif cells[0] is None:
            raise file.wrong(record.place, f'column "{names[0]}" is empty.')
        else:
            yield cells[0] if spec.kind == "image" else str(cells[0])


def annotations_of(file: DataFile, column: str, numbers: bool, dialect: Dialect = PLAIN) -> list[Any]:
    """What a column says of each row: a label, or a number. Raises WrongUsage."""
    at = file.columns.index(column)
    if not numbers:
        return [label_text(record.cells[at]) for record in file.records()]
    return [
        None if record.cells[at] is None else _number(file, record.place, column, record.cells[at], dialect)
        for record in file.records()
    ]


def _number(file: DataFile, place: int | str, column: str, cell: Any, dialect: Dialect) -> float:
    if cell is None:
        raise file.wrong(place, f'column "{column}" is empty; there is no rule for missing values. Fill it in.')
    try:
        number = float(dialect.number(cell) if isinstance(cell, str) else cell)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise file.wrong(place, f'column "{column}": "{str(cell)[:100]}" is not a number here, such as 2.5.')
    return number


def _cell(cell: Any, kind: str, dialect: Dialect) -> Any:
    return typed_cell(cell, kind, dialect) if isinstance(cell, str) else cell


def typed_cell(text: str, kind: str, dialect: Dialect = PLAIN) -> Any:
    """A cell of a table that is text, as JSON has it: a number, true or false; else the text itself. The service says
    what is wrong with others."""
    if kind == "number":
        try:
            return float(dialect.number(text))
        except ValueError:
            return text
    if kind == "date":
        return dialect.date(text)
    return text.lower() == "true" if kind == "boolean" and text.lower() in ("true", "false") else text
