"""The card of an exported version: what it predicts, from what, how good it is, what it learned, how it is run.

A page of Markdown with the header that model hubs read (Mitchell et al., "Model Cards for Model Reporting", 2019).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.contract.inputs import ImageInput, TextInput
from service.contract.number_report import NumberReport
from service.contract.report import ClassScore, Report
from service.contract.resources import Batch, Lineage, Model, Version
from service.contract.tables import BooleanColumn, CategoryColumn, DateColumn, NumberColumn, TableInput
from service.learning.network.checkpoint import Layout

MARKUP = re.compile(r"[\\`*_{}\[\]<>#|&~]")
PIPE = "\\|"
"""A | that does not end a cell of a table."""
MOST_CLASSES = 200
"""Classes that the card lists with their accuracy."""
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
    layout: Layout,
    difference: float,
    rows: int,
    onnx: bool = False,
) -> str:
    """The card, as Markdown. `difference`: the largest between programs and service, on so many rows. onnx: whether
    there is an ONNX file."""
    return "\n".join(
        [
            *_header(model, version),
            *_facts(model, version, layout),
            *_data(version, history),
            *_quality(version),
            *_use(layout, difference, rows, onnx),
        ]
    )


def _header(model: Model, version: Version) -> Iterator[str]:
    task = {"image": "image-classification", "text": "text-classification"}.get(
        model.input.kind, "tabular-classification"
    )
    if not model.target.has_classes:
        task = "tabular-regression"
    yield from ("---", "library_name: tsuika", f"pipeline_tag: {task}", "tags: [incremental-learning]", "---", "")
    yield f"# {model.name}, version {version.number}"
    yield ""


def _facts(model: Model, version: Version, layout: Layout) -> Iterator[str]:
    if not model.target.has_classes:
        several = len(layout.outputs) > 1
        yield f"It predicts {'numbers' if several else 'a number'}: {', '.join(map(_code, layout.outputs))}."
    else:
        named = ", ".join(map(_code, version.classes[:MOST_CLASSES]))
        more = len(version.classes) - MOST_CLASSES
        others = f" and {more:,} more" if more > 0 else ""
        yield f"It predicts one of {len(version.classes):,} classes: {named}{others}."
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
        named = "not named" if name is None else _code(name).replace("|", PIPE)
        yield f"| {named} | {len(came):,} | {sum(batch.rows for batch in came):,} | {when} |"
    if len(sources) > MOST_SOURCES:
        yield f"| {len(sources) - MOST_SOURCES:,} more | | | |"
    yield ""


def _quality(version: Version) -> Iterator[str]:
    yield "## How good it is"
    yield ""
    report = version.report
    if report is None:
        yield "It came with weights from elsewhere, and was not judged."
    else:
        yield _plain(report.gate.why) or f"The gate's outcome: {report.gate.outcome}."
        if isinstance(report, Report):
            yield from _classes(report)
        elif isinstance(report, NumberReport) and report.tested is not None:
            tested = report.tested
            yield ""
            rows = f"{tested.rows:,} rows of {tested.batches:,} batches, before it learned them"
            if tested.numbers:
                errors = ", ".join(f"{_plain(number.name)} {number.mae:.6g}" for number in tested.numbers)
            else:
                errors = f"{tested.mae:.6g}"
            yield f"Mean error {errors} on {rows}."
            if report.skill is not None:
                yield f"Skill {report.skill:.3f}: the part of the yardstick's error that it does not make."
        yield from ("", *(f"- {_plain(note)}" for note in report.notes))
    yield ""


def _classes(report: Report) -> Iterator[str]:
    scores = report.classes
    if (after := report.after) is not None:
        right, mean = f"{after.accuracy:.1%}", f"{after.balanced_accuracy:.1%}"
        yield ""
        yield f"Right on {right} of {after.rows:,} trusted rows, which it did not learn; {mean} as a mean over classes."
        yield _commonest(after.classes)
    elif report.new_classes.after is not None:
        yield ""
        yield f"Right on {report.new_classes.after:.1%} of {report.new_classes.rows:,} rows that it had not learned."
        yield _commonest(report.new_classes.classes)
    if report.tested is not None:
        right = f"{report.tested.accuracy:.1%}"
        yield ""
        yield f"The version before was right on {right} of {report.tested.rows:,} rows of its batch, as they came."
    if scores:
        yield from ("", "| class | right | of rows |", "| --- | --- | --- |")
    for name, score in list(scores.items())[:MOST_CLASSES]:
        yield f"| {_code(name).replace('|', PIPE)} | {score.accuracy:.1%} | {score.rows:,} |"


def _commonest(scores: Mapping[str, ClassScore]) -> str:
    """What anybody could say of the same rows."""
    rows = {name: score.rows for name, score in scores.items()}
    most = max(sorted(rows), key=lambda name: rows[name])
    return f"Always saying {_code(most)} is right on {rows[most] / sum(rows.values()):.1%} of them."


def _use(layout: Layout, difference: float, rows: int, onnx: bool) -> Iterator[str]:
    yield "## How to run it"
    yield ""
    if isinstance(layout.input, TableInput):
        yield from _cells(layout.input)
    names = json.dumps(list(layout.outputs), ensure_ascii=False)
    shape = "[n, k]: the numbers" if layout.numbers else "[n, classes]: probabilities"
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
    yield from (f"{k}. {_code(column.name)}: {CELLS[type(column)]}" for k, column in enumerate(spec.columns))
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


def _plain(text: str) -> str:
    """A sentence in which nothing is markup: it may hold names that people gave."""
    return MARKUP.sub(r"\\\g<0>", text)


def _code(name: str) -> str:
    """A name as code, whatever is in it: no markup begins."""
    fence = "`" * (max(map(len, re.findall("`+", name)), default=0) + 1)
    pad = " " if "`" in name else ""
    return f"{fence}{pad}{name}{pad}{fence}"
