"""Rows of a batch as a table shows them: images drawn, the columns of tables, texts, the first numbers of vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.contract.figures import amount
from service.contract.inputs import ImageInput, InputSpec, TextInput
from service.contract.resources import BatchRow, BatchRows, Model
from service.contract.tables import CategoryColumn, TableInput
from service.web.charts.picture import picture
from service.web.client import Refused
from service.web.kinds import kind_of
from service.web.pages.predict import PIXELS
from service.web.view import View
from service.web.words import Words

COLUMNS, NUMBERS, CHARACTERS = 12, 8, 300
"""Of a table, a vector and a text that are shown."""


@dataclass(frozen=True)
class Line:
    """One row. `label`: its label, or its numbers as one types them; `right`: as one reads them; `cells`: texts;
    `image`: the address of a picture in their place."""

    number: int
    label: str
    right: str
    cells: Sequence[str] = ()
    image: str | None = None


@dataclass(frozen=True)
class Looked:
    """Rows with the names of their columns. `after`: the number of the one behind them; `why`: the sentence of the API
    where there are none to look at; `coded`: columns whose values are shown as codes."""

    columns: Sequence[str] = ()
    lines: Sequence[Line] = ()
    after: str | None = None
    why: str | None = None
    coded: Sequence[str] = ()


def look(view: View, model: Model, **query: Any) -> Looked | None:
    """Rows of the batch of a page, those that the query names; None where the key may not read them."""
    path = view.path("batches", view.params["batch"], "rows")
    try:
        rows = view.api.find(path, BatchRows, **query)
    except Refused as refused:
        return Looked(why=refused.problem.detail)
    if rows is None:
        return None
    columns, cells = _shown_by(model.input, view.words)
    lines = [_line(row, model, cells) for row in rows.items]
    tables = model.input.columns if isinstance(model.input, TableInput) else ()
    coded = [column.name for column in tables if isinstance(column, CategoryColumn) and column.many]
    return Looked(columns, lines, rows.next_cursor, coded=[name for name in coded if name in columns])


def _line(row: BatchRow, model: Model, cells: Callable[[Any], Sequence[str]]) -> Line:
    line = Line(row.row, *kind_of(model.target).right_of(row))
    if isinstance(model.input, ImageInput):
        return replace(line, image=_picture(row.input, model.input))
    return replace(line, cells=cells(row.input))


def _shown_by(spec: InputSpec, words: Words) -> tuple[list[str], Callable[[Any], Sequence[str]]]:
    """The names of the columns, and what makes texts of a row in their order."""
    if isinstance(spec, TableInput):
        names = [column.name for column in spec.columns[:COLUMNS]]
        return names, lambda row: [_cell(row.get(name)) for name in names]
    if isinstance(spec, TextInput):
        return [words("rows.text")], lambda row: [row[:CHARACTERS] + "…" * (len(row) > CHARACTERS)]
    if isinstance(spec, ImageInput):
        return [words("rows.image")], lambda row: []
    if spec.names is not None and spec.size <= COLUMNS:
        return spec.names, lambda row: [*map(amount, row)]
    more = " …" * (spec.size > NUMBERS)
    return [words("rows.numbers", n=spec.size)], lambda row: [" ".join(map(amount, row[:NUMBERS])) + more]


def _cell(cell: Any) -> str:
    """A cell of a table in words, as its column has them."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | float):
        return f"{cell:g}" if isinstance(cell, float) else str(cell)
    return "–" if cell is None else str(cell)


def _picture(image: Any, spec: ImageInput) -> str:
    span = getattr(spec.scale, "range", PIXELS)
    if spec.scale is not None and not hasattr(spec.scale, "range"):  # only mean and spread are known
        flat = [pixel for plane in image for row in plane for pixel in row]
        span = (min(flat), max(flat))
    return picture(image, *span)
