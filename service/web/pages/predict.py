"""Trying a model: a form of what it takes, and what a version answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from service.contract.enums import CSV, JPEG, PNG
from service.contract.inputs import ImageInput, MomentsScale, TextInput, VectorInput
from service.contract.resources import Model, Problem
from service.contract.tables import TableInput
from service.guessing.csv_files.dialect import Dialect, SaidDialect, with_decimal, with_order
from service.guessing.full_width import half_width
from service.guessing.unguessable import Unguessable
from service.web.client import Refused, Sending, Sent
from service.web.forms import GENERAL, Said, faults, slug_of, words_in
from service.web.kinds import kind_of
from service.web.pages.answers import Answers
from service.web.pages.data.send import WRITTEN, asks_gaps, unreadable
from service.web.pages.data.send import beside as beside_file
from service.web.typed_rows import TAB, number_of, numbers_of, typed_date, typed_number
from service.web.view import Answer, Route, Shown, View

MOST_COLUMNS = 200
"""A table of more columns is asked for as JSON, not by a field a column."""
MOST_NUMBERS = 32
"""A vector of more numbers is asked for in one field: nobody fills in hundreds, but a row of them is soon pasted."""
PIXELS = (0.0, 255.0)
"""Range of the pixels of an image file."""
MOST_DRAWN = 64
"""Pixels of a side of an image that can be drawn."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of an answer that are read at all."""
TYPED = ("rows", "json")
"""Fields of rows as text: what the model takes, and JSON in their place."""
MOST_ADDRESS = 8000
"""Characters of an address that browsers and proxies take."""
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Pad:
    """A place to draw an image of this shape, from `low`, the ground, to `high`, the ink."""

    channels: int
    height: int
    width: int
    low: float
    high: float


@dataclass(frozen=True)
class Cell:
    """A field for a column of a table. `options`: its values, where they are declared."""

    field: str
    name: str
    kind: str
    options: Sequence[str]

    def typed(self, form: Mapping[str, str]) -> str:
        """What stands in it; digits and marks of numbers and dates may be full-width ones."""
        text = form.get(self.field, "").strip()
        if self.kind == "number":
            return typed_number(half_width(text))
        return typed_date(half_width(text)) if self.kind == "date" else text

    def read(self, typed: str, dialect: Dialect) -> Any:
        """What was typed as JSON has it, None where nothing was."""
        if self.kind == "number":
            return number_of(typed, dialect.decimal)
        if self.kind == "date":
            typed = dialect.date(typed)
        return {"true": True, "false": False}.get(typed, typed or None) if self.kind == "boolean" else typed or None


class Unreadable(Exception):
    """What was typed is no row: the sentence of the catalogue that says so, and the `name` that is in it."""

    def __init__(self, sentence: str, name: str = "") -> None:
        super().__init__(sentence)
        self.name = name


def ask(view: View) -> Answer:
    """Asks for a row."""
    return _page(view, view.model())


def act(view: View) -> Answer:
    """Asks the version that was named, or the live one, and shows its answer above the same form."""
    model = view.model()
    if view.sent is not None:
        return _of_file(view, model, view.sent)
    if view.head is not None:
        return _page(view, model, wrong={"file": view.words("predict.both")}, status=422)
    pasted = bool(view.form.get("json", "").strip())
    if not pasted and (wrong := _no_numbers(view, model)):
        return _page(view, model, wrong=wrong, status=422)
    field = "json" if pasted else "rows"
    try:
        order = question(model, view.form)
        if (top := kind_of(model.target).top) is not None:
            order.setdefault("top", top)
        body = json.dumps(order, ensure_ascii=False)
    except Unreadable as fault:
        sentence = view.words(fault.args[0], name=fault.name)
        return _page(view, model, wrong={field: sentence}, status=422)
    except RecursionError:
        return _page(view, model, wrong={field: view.words("predict.no_json")}, status=422)
    except Unguessable as fault:
        return _page(view, model, wrong=unreadable(fault, view.words), status=422)
    where = _path(view)
    try:
        answer = kind_of(model.target).answer.validate_json(view.api.send("POST", where, order))
    except Refused as refused:
        wrong = beside(model, refused.problem, pasted)
        return _page(view, model, wrong=wrong, status=refused.problem.status)
    return _page(view, model, answer=answer, call=(where, body, _by_get(where, order)))


def _by_get(where: str, order: Mapping[str, Any]) -> str | None:
    """The address that gives the same answer to a GET; None for several rows, and where it would be long."""
    first, *more = order["inputs"]
    row = first if isinstance(first, str) else json.dumps(first, ensure_ascii=False, separators=(",", ":"))
    others = {name: value for name, value in order.items() if name != "inputs"}
    asked = f"{where}?{urlencode({'input': row} | others)}"
    return None if more or len(asked) > MOST_ADDRESS else asked


def _no_numbers(view: View, model: Model) -> dict[str, str]:
    """A sentence beside each field that takes a number and holds something else."""
    typed = {cell: cell.typed(view.form) for cell in cells(model) if cell.kind == "number"}
    return {
        cell.field: view.words("predict.no_number", name=cell.name)
        for cell, text in typed.items()
        if text and number_of(text) is None
    }


def sending(view: View, name: str) -> Sending | None:
    """Where a file goes; None where rows are typed beside it. Of an image, the form says how many of the best classes
    are listed, of another file how it is written."""
    form = view.form
    if any(text.strip() for field, text in form.items() if field in TYPED or field.startswith("column-")):
        return None
    query: dict[str, str | list[str]] = {field: form[field] for field in ("top", *WRITTEN) if form.get(field)}
    query["gaps"] = words_in(form.get("gaps", ""))
    ending = name.lower().rpartition(".")[2]
    return Sending(_path(view), {"png": PNG, "csv": CSV, "tsv": CSV, "txt": CSV}.get(ending, JPEG), query)


def _path(view: View) -> str:
    """The predictions of the version that was named, or of the live one."""
    version = view.form.get("version", "").strip()
    return view.path(*(("versions", version) if version else ()), "predictions")


def _of_file(view: View, model: Model, sent: Sent) -> Answer:
    try:
        if len(sent.taken()) > MOST_BYTES:
            return _page(view, model, wrong={"file": view.words("predict.many")}, status=413)
        return _page(view, model, answer=kind_of(model.target).answer.validate_json(sent.body))
    except Refused as refused:
        fields = (GENERAL, *WRITTEN)
        said = beside_file(refused.problem, view.words)
        wrong = {field if field in fields else "file": sentence for field, sentence in said.items()}
        return _page(view, model, wrong=wrong, status=refused.problem.status)


def question(model: Model, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form asks, as the API takes it: a body with `inputs`. Raises Unreadable, and Unguessable for a number or a
    date that can be read in two ways."""
    columns = cells(model)
    typed, pasted = (form.get(field, "").removeprefix(BYTE_ORDER_MARK).strip() for field in TYPED)
    if pasted:
        return _read(model, pasted)
    if columns:
        dialect = _dialect(columns, form)
        return {"inputs": [{cell.name: cell.read(cell.typed(form), dialect) for cell in columns}]}
    if isinstance(model.input, TextInput):
        return {"inputs": [typed]}
    if not typed:
        raise Unreadable("predict.nothing")
    if isinstance(model.input, VectorInput) and typed[0] not in "[{":
        try:
            numbers = [numbers_of(line, model.input.size) for line in half_width(typed).splitlines()]
        except ValueError:
            raise Unreadable("predict.decimal_comma") from None
        if any(None in line for line in numbers):
            raise Unreadable("predict.no_numbers")
        return {"inputs": [line for line in numbers if line]}
    return _read(model, typed)


def _dialect(columns: Sequence[Cell], form: Mapping[str, str]) -> Dialect:
    """How the numbers and dates of fields are written, as a CSV file shows it by its cells. Raises Unguessable."""
    said = SaidDialect.of(form)
    typed = [(cell.kind, cell.name, text) for cell in columns if (text := cell.typed(form))]
    numbers, dates = ([(name, text) for kind, name, text in typed if kind == of] for of in ("number", "date"))
    return with_order(with_decimal(Dialect(TAB, said.decimal or ".", dates=said.dates), said, numbers), dates)


def _read(model: Model, typed: str) -> dict[str, Any]:
    """The body of JSON: of one row, of a list of several, or a body with `inputs` as it is. Raises Unreadable."""
    try:
        read = json.loads(typed, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise Unreadable("predict.no_json") from None
    body = {"inputs": read}
    if isinstance(read, dict) and isinstance(read.get("inputs"), list):  # no cell is a list, of a column of that name
        body = read
    listed = isinstance(body["inputs"], list) and _depth(body["inputs"]) > len(model.input.shape)
    return body if listed else {**body, "inputs": [body["inputs"]]}


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises Unreadable for a name that stands there twice, of which JSON readers take either."""
    read = dict[str, Any]()
    for name, value in members:
        if name in read:
            raise Unreadable("predict.twice", name)
        read[name] = value
    return read


def _depth(value: Any) -> int:
    """How many lists lie in one another, by the first of each; a row of a table, which is an object, lies in none."""
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, value[0] if value else None
    return depth + isinstance(value, dict)


def cells(model: Model) -> list[Cell]:
    """A field for each column; none where columns have no names, or are too many for fields."""
    if isinstance(model.input, VectorInput) and model.input.size <= MOST_NUMBERS:
        return [Cell(f"column-{place}", name, "number", ()) for name, place in model.input.places.items()]
    if not isinstance(model.input, TableInput) or len(model.input.columns) > MOST_COLUMNS:
        return []
    return [
        Cell(
            f"column-{place}",
            column.name,
            column.kind,
            ("true", "false") if column.kind == "boolean" else getattr(column, "values", None) or (),
        )
        for place, column in enumerate(model.input.columns)
    ]


def pad(model: Model) -> Pad | None:
    """Where an image for the model can be drawn; None where it takes none, or a large one, or says no range."""
    spec = model.input
    if not isinstance(spec, ImageInput) or isinstance(spec.scale, MomentsScale) or max(spec.shape) > MOST_DRAWN:
        return None
    low, high = spec.scale.range if spec.scale is not None else PIXELS
    return Pad(spec.channels, spec.height, spec.width, low, high)


def files(model: Model) -> str:
    """The endings of files that the model takes: of images where their pixels are its numbers, else of CSV files."""
    spec = model.input
    if not isinstance(spec, ImageInput):
        return ".csv"
    return ".png,.jpg,.jpeg" if spec.scale is None or getattr(spec.scale, "range", None) == PIXELS else ""


def beside(model: Model, problem: Problem, pasted: bool = False) -> dict[str, str]:
    """A refusal beside the field of its column; beside the one field where there is no other, or JSON was pasted."""
    fields = {} if pasted else {cell.name: cell.field for cell in cells(model)}
    placed = {}
    for place, sentence in faults(problem).items():
        of_rows = place == "inputs" or place.startswith("inputs.")
        column = place.removeprefix("inputs.").partition(".")[2].replace("~1", "/").replace("~0", "~")
        if fields:
            sentence = Said(sentence.replace("and null where", "and leave it blank where"), slug_of(problem))
        alone = place and ("" if fields else "json" if pasted else "rows")  # JSON has other members, too
        placed[fields.get(column, alone) if of_rows else place if fields else alone] = sentence
    return placed


def _page(
    view: View,
    model: Model,
    answer: Any = None,
    call: tuple[str, str, str | None] | None = None,
    wrong: dict[str, str] | None = None,
    status: int = 200,
) -> Shown:
    kind = kind_of(model.target)
    answered = kind.answered(answer, model.target, view.words) if answer is not None else None
    facts = {
        "model": model,
        "kind": model.input.kind,
        "cells": cells(model),
        "pad": pad(model),
        "form": dict.fromkeys((*WRITTEN, "gaps"), "") | {**view.form},
        "version": view.form.get("version", view.query.get("version", "")),
        "answer": answer,
        "answered": answered,
        "answers": Answers.of(view, model, answered) if answered is not None and len(answered.rows) > 1 else None,
        "call": call,
        "of_file": view.sent is not None,
        "files": files(model),
        "most": kind.top if isinstance(model.input, ImageInput) else None,
        "faults": wrong or {},
        "asks_gaps": asks_gaps(wrong or {}),
    }
    same = call[2] if call is not None else view.path()
    return Shown("predict.html", facts, json=same, status=status)


CALLS = ("POST /v1/models/{model}/predictions",)
ROUTE = Route("/models/{model}/predict", ask, act, sending, looks=True, calls=CALLS)
