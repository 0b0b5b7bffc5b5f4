"""The card of an exported version: what it predicts, from what, how good it is, what it learned, how it is run.

A page of Markdown with the header that model hubs read (Mitchell et al., "Model Cards for Model Reporting", 2019).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from service.contract.inputs import ImageInput, TextInput, places_of
from service.contract.resources import Batch, Model
from service.contract.tables import BooleanColumn, CategoryColumn, DateColumn, NumberColumn, TableInput
from service.contract.version_resources import Lineage, Version
from service.export.kinds.kind import Kind
from service.export.markdown import PIPE, code, plain
from service.export.program import Program
from service.learning.network.checkpoint import Layout

MOST_SOURCES, MOST_PARENTS = 50, 20
LOAD = """```python
import torch

program = torch.export.load("program.pt2").module()
{rows}
answers = program(rows)  # {shape}
names = {names}
```"""
LOAD_ONNX = """```python
import numpy
import onnxruntime

session = onnxruntime.InferenceSession("program.onnx")
{rows}
[answers] = session.run(["answers"], {{"rows": rows}})  # {shape}
names = {names}
```"""
CODE = """```python
import hashlib
import unicodedata


def code(text):  # of a category: a whole number as its digits, a truth as true or false
    value = unicodedata.normalize("NFC", text).strip()
    first = hashlib.sha256(value.encode()).digest()[:7]
    return float(int.from_bytes(first, "big") >> 4) if value else float("nan")
```"""
"""As `cells.coded` has it, for who has nothing of this project."""
CELLS = {
    NumberColumn: "a number as it is",
    BooleanColumn: "0 or 1",
    DateColumn: "seconds from 1970-01-01T00:00 to the date by its own clock: an offset is left out",
    CategoryColumn: "`code(text)`, as below",
}


@dataclass(frozen=True)
class History:
    """Where a version comes from. batches: those that it has learned, newest first."""

    lineage: Lineage
    batches: Sequence[Batch]


def model_card(
    model: Model,
    version: Version,
    history: History,
    program: Program,
    difference: float,
    rows: int,
    onnx: bool = False,
) -> str:
    """The card, as Markdown. `difference`: the largest between programs and service, on so many rows. onnx: whether
    there is an ONNX file."""
    return "\n".join(
        [
            *_header(model, version, program.kind),
            *_facts(version, program.kind),
            *_data(version, history),
            *_quality(version, program.kind),
            *_use(program, difference, rows, onnx),
        ]
    )


def _header(model: Model, version: Version, kind: Kind[Any, Any]) -> Iterator[str]:
    task = {"image": "image-classification", "text": "text-classification"}.get(
        model.input.kind, "tabular-classification"
    )
    if kind.regression:
        task = "tabular-regression"
    yield from ("---", "library_name: tsuika", f"pipeline_tag: {task}", "tags: [incremental-learning]", "---", "")
    yield f"# {model.name}, version {version.number}"
    yield ""


def _facts(version: Version, kind: Kind[Any, Any]) -> Iterator[str]:
    yield kind.predicts(version)
    yield ""
    method = (version.method or {}).get("name")
    parent = f"version {version.parent}" if version.parent is not None else "nothing before it"
    yield "| | |"
    yield "| --- | --- |"
    yield f"| made | {version.created_at:%Y-%m-%d %H:%M} UTC, on {parent} |"
    yield f"| method | {f'`{method}`' if method else 'imported'} |"
    yield f"| trained on | {version.trained_on or 'not kept'} |"
    yield f"| backbone | `{json.dumps(version.architecture.get('backbone', {}), ensure_ascii=False)}` |"
    yield f"| parameters | {version.parameters:,} |"
    if version.feature_space:
        yield f"| feature space | `{version.feature_space}` |"
    yield ""


def _data(version: Version, history: History) -> Iterator[str]:
    """The rows that it learned, by source, and the versions that it was learned on."""
    parents = {node.number: node.parent for node in history.lineage.versions}
    chain, parent = list[int](), version.parent
    while parent is not None:
        chain.append(parent)
        parent = parents.get(parent)
    yield "## What it learned"
    yield ""
    said = ", ".join(map(str, chain[:MOST_PARENTS])) + (
        f" and {len(chain) - MOST_PARENTS:,} more" * (len(chain) > MOST_PARENTS)
    )
    yield f"Learned on version{'s' * (len(chain) > 1)} {said}." if chain else "No version came before it."
    sources: dict[str | None, list[Batch]] = {}
    for batch in history.batches:
        sources.setdefault(batch.source, []).append(batch)
    if sources:
        yield from ("", "| source | batches | rows | received |", "| --- | --- | --- | --- |")
    for name, came in sorted(sources.items(), key=lambda item: -sum(batch.rows for batch in item[1]))[:MOST_SOURCES]:
        days = sorted({f"{batch.received_at:%Y-%m-%d}" for batch in came})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        named = "not named" if name is None else code(name).replace("|", PIPE)
        yield f"| {named} | {len(came):,} | {sum(batch.rows for batch in came):,} | {when} |"
    if len(sources) > MOST_SOURCES:
        yield f"| {len(sources) - MOST_SOURCES:,} more | | | |"
    yield ""


def _quality(version: Version, kind: Kind[Any, Any]) -> Iterator[str]:
    yield "## How good it is"
    yield ""
    report = version.report
    if report is None:
        yield "It came with weights from elsewhere, and was not judged."
    else:
        yield plain(report.gate.why) or f"The gate's outcome: {report.gate.outcome}."
        yield from kind.quality(report)
        yield from ("", *(f"- {plain(note)}" for note in report.notes))
    yield ""


def _use(program: Program, difference: float, rows: int, onnx: bool) -> Iterator[str]:
    layout, shape = program.network.layout, program.kind.shape
    yield "## How to run it"
    yield ""
    if isinstance(layout.input, TableInput):
        yield from _cells(layout.input)
    elif places := places_of(layout.input):
        yield f"The columns of a row: {', '.join(map(code, places))}."
        yield ""
    names = json.dumps(program.kind.names, ensure_ascii=False)
    yield LOAD.format(rows=_rows(layout, "torch"), shape=shape, names=names)
    yield ""
    if onnx:
        yield "`program.onnx` takes the same rows, as its input `rows`, and gives the same answers. It needs no torch:"
        yield ""
        yield LOAD_ONNX.format(rows=_rows(layout, "numpy"), shape=shape, names=names)
        yield ""
    yield (
        f"The program answered {rows} rows as the service does: the largest difference is {difference:.1e}. Heads of "
        "sources and intervals are not in it. `weights.safetensors` is what a service of Tsuika imports, to learn on."
    )
    yield ""


def _cells(spec: TableInput) -> Iterator[str]:
    yield "The cells of a row, float64, nan where one is missing:"
    yield ""
    yield from (f"{k}. {code(column.name)}: {CELLS[type(column)]}" for k, column in enumerate(spec.columns))
    yield ""
    if any(isinstance(column, CategoryColumn) for column in spec.columns):
        yield CODE
        yield ""


def _rows(layout: Layout, library: str) -> str:
    """The line that makes an example of rows. library: torch or numpy, which spell it alike."""
    spec = layout.input
    if isinstance(spec, TextInput):
        line = "full((1, 128), -1, dtype={}.int64)  # ids of the tokens of a text, -1 behind the last"
    elif isinstance(spec, TableInput):
        line = f"full((1, {len(spec.columns)}), {{0}}.nan, dtype={{0}}.float64)"
    else:
        raw = "pixels" if isinstance(spec, ImageInput) else "numbers"
        line = f"zeros({(1, *spec.shape)}, dtype={{}}.float32)  # raw {raw}: the program scales them"
    return f"rows = {library}.{line.format(library)}"
