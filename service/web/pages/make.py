"""Making a model from a file: what it is for is guessed from its beginning, shown, corrected, then made and learned.

A page keeps nothing from one form to the next. So the beginning of the file is looked at and thrown away, and the next
form sends the whole; the model is made once that is here. `static/look.js` sends the beginning alone and keeps the file
chosen; without a script it is chosen once more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from service.contract.body_limits import Limits
from service.contract.enums import CSV
from service.contract.requests import ModelName
from service.contract.resources import Model, Update
from service.guessing.class_counts import likely_slips, rare_classes
from service.guessing.column_facts import ColumnFacts, input_of, vector_of
from service.guessing.csv_files.dialect import SaidDialect
from service.guessing.csv_files.facts import facts_of
from service.guessing.doubts import doubts
from service.guessing.gaps import look_through, remembering
from service.guessing.label_column import check_label, check_one_answer, label_column, number_target
from service.guessing.unguessable import Unguessable
from service.web.browser import headers_of
from service.web.client import Refused, Sending, address
from service.web.forms import as_words, whole, words_in
from service.web.kinds.class_kind import counted as counted_labels
from service.web.pages.data.new_labels import NewLabel, chosen, counted, new_labels, said
from service.web.pages.data.send import WRITTEN, asks_gaps, beside, unreadable, written
from service.web.view import Answer, Moved, Route, Shown, View
from service.web.words import Words

KINDS: Mapping[str, Mapping[str, Any]] = {
    "number": {"kind": "number"},
    "category": {"kind": "category"},
    "many": {"kind": "category", "many": True},
    "day": {"kind": "date", "parts": ["weekday", "year"]},
    "date": {"kind": "date"},
    "boolean": {"kind": "boolean"},
}
"""What a column can be, as a model declares it."""
INPUTS = ("table", "vector", "text")
"""What a row can be."""
OUT = "out"
"""A column that the model does not look at."""
MOST_COLUMNS = 200
"""A file of more columns is taken as it was guessed, without a field a column."""
EXAMPLES, LONG = 3, 60
"""Cells of a column that are shown, and characters of each that a form carries on."""
MEGABYTE = 1024**2
NAME: TypeAdapter[str] = TypeAdapter(ModelName)
CLASSES: TypeAdapter[list[str]] = TypeAdapter(list[str])
NAMED: TypeAdapter[list[tuple[str, str, bool, list[str]]]] = TypeAdapter(list[tuple[str, str, bool, list[str]]])
"""What the form carries of each column: name, guessed kind, whether it is a target, and its first cells."""


@dataclass(frozen=True)
class Column:
    """A column of the file. `field`: of its kind; `measures`: whether it is, or may be, a target of
    numbers, if it is predicted; `examples`: its first cells."""

    field: str
    name: str
    kind: str
    measures: bool
    examples: Sequence[str]


def ask(view: View) -> Answer:
    """Asks for a name and a file."""
    facts = {
        "form": {name: view.form.get(name, "") for name in ("name", *WRITTEN)},
        "faults": view.faults,
    }
    return Shown("make.html", facts, json=address("models"), status=view.status)


def look(view: View) -> Answer:
    """Shows what the file is for, as its beginning says."""
    wrong = _unready(view)
    if wrong or view.head is None:
        return ask(view.wrong(wrong or {"file": view.words("send.no_file")}))
    try:
        lines, dialect = view.head.lines(SaidDialect.of(view.form))
        looked = look_through(lambda gaps: facts_of(lines, [*gaps], dialect), _label)
    except Unguessable as fault:
        return ask(view.wrong(unreadable(fault, view.words)))
    facts = looked.facts
    [label] = _label(facts)
    slips = [(fact.slips[0], name, cell) for name, fact in facts.items() if name != label for cell in fact.slips[1]]
    if slips:
        facts = facts_of(lines, [*looked.gaps, *(cell for _, _, cell in slips)], dialect)
    measures = facts[label].measures
    slip: dict[str, str] = {}
    try:
        check_one_answer(label, facts)
    except Unguessable as fault:
        slip = {"target": view.words("make.file_two_answers", **fault.values)}
    try:
        check_label(label, facts[label])
    except Unguessable as fault:
        slip |= {"predicts": view.words(f"make.file_{fault.why}", **fault.values)}
    inputs = {name: fact for name, fact in facts.items() if name != label}
    form = {
        "name": view.form["name"].strip(),
        "target": label,
        "asked": label if facts[label].may_measure else "",
        "predicts": "" if "predicts" in slip else "number" if measures else "class",
        "kind": input_of(inputs)["kind"],
    }
    form["gaps"] = as_words(looked.gaps)
    form |= {name: view.form.get(name, "") for name in WRITTEN} | dialect.said
    counts = counted(lines, label, [*looked.gaps])
    form |= _classes_of("" if measures or slip else label, counts, view.head.whole)
    doubtful = doubts({"kind": form["kind"]}, inputs)
    shown = {
        "rows": len(lines) - 1,
        "whole": view.head.whole,
        "written": written(dialect, view.words),
        "classes": "" if measures or slip else _classes(counts, label, view.words),
        "gaps": [
            *(view.words("make.gap", word=word, names=names) for word, names in looked.gaps.items()),
            *(view.words("make.wide", names=[*looked.wide], cell=cell) for cell in [*looked.wide.values()][:1]),
        ],
        "doubts": [
            view.words(f"make.doubt_{why}", column=n, cell=cell, **dialect.forms)
            for why, n, cell in [*slips, *doubtful]
        ],
        "texts": any(why == "text" for why, _, _ in doubtful),
    }
    return _confirm(form, _columns_of(facts, lines), slip, shown, labels=_slips(form, counts, view))


def _label(facts: Mapping[str, ColumnFacts]) -> Sequence[str]:
    """The column that is predicted: a file has one."""
    return [name for name in [label_column(facts)] if name is not None]


def _classes_of(label: str, counts: Mapping[str, int], whole: bool) -> dict[str, str]:
    """What the form carries of the classes of a file where some may be slips: the others, and of which column."""
    slips = likely_slips(counts) if label else {}
    others = json.dumps([name for name in counts if name not in slips]) if slips else ""
    return {"labels_of": label if slips else "", "classes": others, "whole": "on" if whole else ""}


def _slips(form: Mapping[str, str], counts: Mapping[str, int], view: View) -> list[NewLabel]:
    """Labels that may be slips, to be ticked where they are meant."""
    if not form["labels_of"]:
        return []
    slips = likely_slips(counts)
    return new_labels(counts, [name for name in counts if name not in slips], view.form, view.words)[0]


def _unmeant(form: Mapping[str, str]) -> set[str]:
    """Labels that may be slips and are not ticked."""
    of_column = form.get("labels_of") and form.get("labels_of") == form.get("target")
    return {*said(form)} - {*chosen(form)} if of_column and form.get("predicts") == "class" else set()


def sending(view: View, _: str) -> Sending | None:
    """Where the file goes, and the model that it is the first of; None where `send` asks what is predicted."""
    form, unmeant = view.form, _unmeant(view.form)
    if _measured_classes(form) or (unmeant and not form.get("whole")):
        return None
    others = [column for column in _chosen(form) if column.name != form.get("target")]
    inputs = [column for column in others if column.kind != OUT]
    spec: dict[str, Any] = {"kind": form.get("kind", "")}
    if spec["kind"] == "table":
        spec["columns"] = [{"name": column.name, **KINDS.get(column.kind, {})} for column in inputs]
    elif spec["kind"] == "vector":
        spec = vector_of([column.name for column in inputs], len(inputs))
    name, predicts = form.get("name", "").strip(), form.get("predicts", "")
    target = number_target(form.get("target", "")) if predicts == "number" else {"kind": predicts}
    query: dict[str, str | list[str]] = {"target": form.get("target", "")}
    left_out = [column.name for column in others if column.kind == OUT]
    query["gaps"] = gaps = words_in(form.get("gaps", ""))
    query |= {name: form[name] for name in WRITTEN if form.get(name)}
    made = {"name": name, "input": remembering(spec, gaps), "target": target, "leave_out": left_out}
    if unmeant:
        made["classes"] = [*_named_classes(form), *chosen(form)]
    elif predicts == "class":
        query["new_classes"] = "allow"
    return Sending(address("models", name, "updates"), CSV, query, made)


def send(view: View) -> Answer:
    """Shows the update that learns the file, or what is wrong with it."""
    form, wrong, status = dict(view.form), {"file": view.words("send.no_file")}, 422
    if _measured_classes(form):
        wrong = {"predicts": view.words("make.numbers", column=form["target"])}
        form |= {"predicts": "number", "asked": form["target"]}
    elif view.sent is None and _unmeant(form) and view.head is not None:
        wrong = {"file": view.words("make.slips_of_long")}
    elif view.sent is not None:
        try:
            return Moved(f"/updates/{view.sent.read(Update).id}")
        except Refused as refused:
            wrong, status = beside(refused.problem, view.words), refused.problem.status
    names = ("name", "target", "predicts", "asked", "kind", "gaps", "labels_of", "classes", "whole", *WRITTEN)
    carried = {name: form.get(name, "") for name in names}
    return _confirm(carried, _chosen(form), wrong, status=status, labels=_again(carried, view))


def _again(form: Mapping[str, str], view: View) -> list[NewLabel]:
    """The labels that may be slips, by the beginning of the file that was sent."""
    if view.head is None or not form["labels_of"]:
        return []
    try:
        lines, _ = view.head.cells(SaidDialect.of(form))
    except Unguessable:
        return []
    label = form["labels_of"]
    return _slips(form, counted(lines, label, words_in(form["gaps"])), view) if lines and label in lines[0] else []


def _named_classes(form: Mapping[str, str]) -> list[str]:
    try:
        return CLASSES.validate_json(form.get("classes", ""))
    except ValidationError:
        return []


def _measured_classes(form: Mapping[str, str]) -> bool:
    """Whether a target of numbers would become classes, and nobody was asked whether that is meant."""
    target = form.get("target", "")
    measured = any(column.measures for column in _chosen(form) if column.name == target)
    return measured and form.get("predicts") == "class" and form.get("asked") != target


def _confirm(
    form: Mapping[str, str],
    columns: Sequence[Column],
    wrong: Mapping[str, str],
    looked: Mapping[str, Any] | None = None,
    status: int = 200,
    labels: Sequence[NewLabel] = (),
) -> Shown:
    """Asks whether the guess is right. `looked`: what is known of the file while it is looked at; `labels`: those that
    may be slips."""
    inputs = [column for column in columns if column.name != form["target"] and column.kind != OUT]
    kinds = ["table"]
    if all(column.kind == "number" for column in inputs):
        kinds.append("vector")
    if len(inputs) == 1 or (looked or {}).get("texts"):
        kinds.append("text")
    few = len(columns) <= MOST_COLUMNS
    facts = {
        "form": form,
        "columns": columns,
        "fields": few,
        "named": NAMED.dump_json(
            [(c.name, c.kind, c.measures, [cell[:LONG] for cell in c.examples] if few else []) for c in columns]
        ).decode(),
        "measured": [column.name for column in columns if column.measures],
        "kinds": kinds if form["kind"] in kinds or form["kind"] not in INPUTS else [form["kind"], *kinds],
        "column_kinds": [*KINDS, OUT],
        "looked": looked,
        "labels": labels,
        "faults": wrong,
        "asks_gaps": asks_gaps(wrong),
    }
    return Shown("confirm.html", facts, json=address("models"), status=status)


def _unready(view: View) -> dict[str, str]:
    """What is wrong before the file is looked at, by field."""
    name = view.form.get("name", "").strip()
    try:
        NAME.validate_python(name)
    except ValidationError:
        return {"name": view.words("make.bad_name")}
    try:
        view.api.get(address("models", name), Model)
        return {"name": view.words("make.taken")}
    except Refused as refused:
        if (refused.problem.model_extra or {}).get("archived"):
            return {"name": view.words("make.archived")}
    limits = view.api.get(address("limits"), Limits).items
    most = next((limit.value for limit in limits if limit.name == "body"), None)
    size = whole(view.form.get("size") or headers_of(view.api.origin).get("content-length", ""))
    if most is not None and isinstance(size, int) and size > most:
        shown = {"size": f"{size / MEGABYTE:,.0f}", "most": f"{most / MEGABYTE:,.0f}"}
        return {"file": view.words("make.too_large", **shown)}
    return {}


def _columns_of(facts: Mapping[str, ColumnFacts], lines: Sequence[Sequence[str]]) -> list[Column]:
    rows = [line for line in lines[1 : EXAMPLES + 1] if len(line) == len(facts)]
    return [
        Column(
            f"kind-{place}",
            name,
            _kind(fact.column(name)),
            fact.measures or fact.may_measure,
            [line[place] for line in rows],
        )
        for place, (name, fact) in enumerate(facts.items())
    ]


def _kind(declared: Mapping[str, Any]) -> str:
    """The name of what a column is guessed to be."""
    return next(kind for kind, members in KINDS.items() if {**members, "name": declared["name"]} == declared)


def _chosen(form: Mapping[str, str]) -> list[Column]:
    """The columns that a form carries, each of the kind that was chosen."""
    try:
        named = NAMED.validate_json(form.get("columns", ""))
    except ValidationError:
        return []
    return [
        Column(f"kind-{place}", name, form.get(f"kind-{place}", kind), measures, examples)
        for place, (name, kind, measures, examples) in enumerate(named)
    ]


def _classes(counts: Counter[str], label: str, words: Words) -> str:
    """What the labels are; one of a single row may be a slip."""
    said = words("make.classes", column=label, classes=counted_labels(counts.most_common(), words))
    rare = rare_classes(counts)
    return " ".join([said, *([words("make.slip", n=len(rare), names=rare)] if rare else [])])


CALLS = ("POST /v1/models", "POST /v1/models/{model}/updates")
ROUTES = (
    Route("/new", ask, look, looks=True, calls=CALLS),
    Route("/new/send", ask, send, sending, looks=True, calls=CALLS),
)
