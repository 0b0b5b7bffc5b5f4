"""Sending a file of rows with labels: it streams through to the API, and the page of its update follows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from service.contract.enums import CSV, JSON
from service.contract.inputs import gap_words_of, places_of
from service.contract.resources import Model, Problem, Update
from service.contract.tables import TableInput, value_text
from service.guessing.csv_files.dialect import MARKS, PLAIN, SAYABLE, SIGNS, Dialect, SaidDialect
from service.guessing.csv_files.facts import by_cells, facts_of
from service.guessing.csv_files.letters import ENCODING_NAMES, UTF8
from service.guessing.gaps import look_through
from service.guessing.label_column import label_column
from service.guessing.unguessable import MENDED_BY, Unguessable
from service.remedies import GAPS_FIELD, Door, worded
from service.web.client import Refused, Sending
from service.web.forms import GENERAL, Said, as_words, slug_of, words_in
from service.web.kinds import kind_of
from service.web.pages.data.new_labels import NAMED, chosen, counted, new_labels, said
from service.web.view import Answer, Moved, Route, Shown, View
from service.web.words import OWN, Words

NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str])
WRITTEN = tuple(SAYABLE)
"""Fields that say how a file is written."""
FIELDS = ("target", "source", *WRITTEN)
"""Members of the query of a CSV file that are fields of the form."""
MARK_VALUES = ("one", "other", "sign")
"""Values of sentences that are names of marks."""
PLACES = (*FIELDS, "name")
"""Fields that a sentence stands beside; the last one is of a model that is made from the file."""
UNKNOWN_LABELS = "unknown-labels"
NO_CSV = "unsupported-media-type"
"""Of a CSV file, or what was sent as one, for a model of images."""
LISTED = 200
"""Columns of a vector that the page names: of more it says how many there are."""
LONG_QUERY = "address-too-long"
OF_FILE = (400, 408, 413, 415, 422)
"""Statuses of what is wrong with the file, where no field is named."""


def ask(
    view: View,
    others: Sequence[str] | None = None,
    gaps: Sequence[str] = (),
    dialect: Dialect = PLAIN,
    labels: Mapping[str, int] | None = None,
) -> Answer:
    """Says what a file may be, and asks for one. others: columns of a file that was looked at which the model does not
    know, or may be what is predicted, the likeliest first. gaps: what its cells say where nothing is known. dialect:
    how it is written. labels: rows of each of its labels."""
    model = view.model()
    names = [*places_of(model.input)]
    of_json = view.head is not None and is_json(view.head.name)
    is_long = view.head is not None and not view.head.whole and not of_json
    named = dict.fromkeys(said(view.form, (NAMED,)) if is_long or of_json else (), 0)  # no look finds these
    new, more = new_labels({**named, **(labels or {})}, model.classes, view.form, view.words)
    facts = {
        "model": model,
        "takes_csv": model.input.kind != "image",
        "new_labels": new,
        "more_labels": more,
        "declared": [name for name in chosen(view.form) if name in model.classes],
        "is_long": is_long,
        "example": example(model),
        "columns": names if model.input.kind == "table" or len(names) <= LISTED else [],
        "others": others or [],
        "form": {field: view.form.get(field, "") for field in FIELDS}
        | {"gaps": view.form.get("gaps") or as_words(gaps)},
        "written": written(dialect, view.words),
        "guessed": dialect.word != "",
        "asks_gaps": asks_gaps(view.faults),
        "extra": json.dumps(others) if others else "",
        "is_table": model.input.kind == "table",
        "leave_out": "extra" not in view.form or "leave_out" in view.form,
        "new_classes": "new_classes" in view.form,
        "faults": view.faults if model.input.kind != "image" else of_file(view.faults),
    }
    return Shown("data/send.html", facts, json=view.path(), status=view.status)


def is_json(name: str) -> bool:
    """Whether a file of that name says itself what it holds."""
    return name.lower().endswith(".json")


def asks_gaps(faults: Mapping[str, str]) -> bool:
    """Whether words for gaps would mend what is wrong: the service, or a sentence of the page for it, says so."""
    return any("gaps" in said or GAPS_FIELD in said for said in faults.values())


def of_file(faults: Mapping[str, str]) -> dict[str, str]:
    """Sentences beside the file that are of fields which a form of JSON files alone lacks."""
    return {field if field in (GENERAL, "file") else "file": said for field, said in faults.items()}


def look(view: View) -> Answer:
    """Fills in which column of a CSV file is predicted: of a table the one that the model does not know."""
    if view.head is None or is_json(view.head.name):
        return ask(view, [])
    model, written_so = view.model(), SaidDialect.of(view.form)
    known = [*places_of(model.input), *model.leave_out]
    unknown = list[str]()
    several = getattr(model.target, "size", 1) > 1
    try:
        lines, dialect = view.head.cells(written_so)
        unknown = [name for name in lines[0] if name not in known] if lines else []
        spec = model.input
        remembered = [*gap_words_of(spec)]
        dialect = by_cells(lines, dialect, written_so, remembered)
        labels = unknown if places_of(spec) else ()
        looked = look_through(
            lambda words: facts_of(lines, [*remembered, *words], dialect, labels),
            lambda _: unknown,
            [column.name for column in spec.columns if column.kind != "number"] if isinstance(spec, TableInput) else (),
        )
    except Unguessable as fault:
        others = [] if several else _choices(label_column(unknown) or "", unknown)
        return ask(view.wrong(unreadable(fault, view.words)), others)
    facts, gaps = looked.facts, [*looked.gaps] if model.input.kind == "table" else []
    if not unknown or several:
        return ask(view, [], gaps, dialect)
    called = getattr(model.target, "names", None) or [""]
    classes = {*model.classes}
    likely = [name for name in unknown if not classes.isdisjoint(map(value_text, facts[name].values))] or [""]
    guessed = likely[0] if len(likely) == 1 and likely[0] else label_column(facts, known) or ""
    others = _choices(called[0] if called[0] in unknown else guessed, unknown)
    label = view.form.get("target", "")
    label = label if label in others else others[0]
    return ask(view, others, gaps, dialect, _labels(view, model, lines, label, gaps))


def _labels(
    view: View, model: Model, lines: Sequence[Sequence[str]], label: str, gaps: Sequence[str]
) -> Mapping[str, int]:
    """Rows of each label in a column; none where that is not known, or no classes are predicted."""
    if not kind_of(model.target).takes_new or not lines or label not in lines[0]:
        return {}
    return counted(lines, label, {*gaps, *words_in(view.form.get("gaps", ""))})


def _choices(label: str, columns: Sequence[str]) -> list[str]:
    """Columns of which one holds the label, the likeliest first; "" where somebody has to choose."""
    return [label, *(name for name in columns if name != label)] if columns else []


def unreadable(fault: Unguessable, words: Words) -> dict[str, str]:
    """Why a file does not say what it holds, beside the field that it is of."""
    values = {
        name: words(f"make.mark.{value}") if name in MARK_VALUES else value for name, value in fault.values.items()
    }
    return {MENDED_BY.get(fault.why, "file"): words(f"make.file_{fault.why}", **values)}


def written(dialect: Dialect, words: Words) -> str:
    """How a file is written, where that is not as usual."""
    sentences = []
    if not dialect.is_usual:
        mark, sign = (words(f"make.mark.{name}") for name in (MARKS[dialect.delimiter], SIGNS[dialect.decimal]))
        sentences.append(words("make.written", mark=mark, sign=sign))
    if dialect.dates:
        sentences.append(words(f"make.written_{dialect.dates}"))
    if dialect.encoding != UTF8:
        letters = "make.letters_guessed" if dialect.word else "make.letters"
        sentences.append(words(letters, encoding=ENCODING_NAMES[dialect.encoding], word=dialect.word))
    return " ".join(sentences)


def example(model: Model) -> str:
    """The beginning of a JSON file for the model."""
    rows = {"vector": "[0.5, 3, 7.25], …", "text": '"Where is my order?", …'}.get(model.input.kind, '{"png": "…"}, …')
    return f'{{"inputs": [{rows}], {kind_of(model.target).example}}}'


def sending(view: View, name: str) -> Sending:
    """Where a file of that name goes: JSON says itself what a CSV file has beside it in the query."""
    path, meant = view.path("updates"), chosen(view.form)
    if is_json(name):
        return Sending(path, JSON, classes=meant)
    query: dict[str, str | list[str]] = {field: view.form[field] for field in FIELDS if view.form.get(field)}
    if "leave_out" in view.form:
        query["leave_out"] = [column for column in _extra(view.form) if column not in ("", query.get("target"))]
    if "new_classes" in view.form and len(meant) == len(said(view.form)):
        query["new_classes"] = "allow"
    query["gaps"] = words_in(view.form.get("gaps", ""))
    return Sending(path, CSV, query, classes=meant)


def _extra(form: Mapping[str, str]) -> list[str]:
    """Columns of the file that was looked at which the model does not know."""
    try:
        return NAMES.validate_json(form.get("extra", ""))
    except ValidationError:
        return []


def act(view: View) -> Answer:
    """Shows the update that learns the file, or what is wrong with it."""
    if view.sent is None:
        return ask(view.wrong({"file": view.words("send.no_file")}))
    try:
        update = view.sent.read(Update)
    except Refused as refused:
        wrong = view.wrong(beside(refused.problem, view.words), refused.problem.status)
        free = (refused.problem.model_extra or {}).get("columns", [])
        inputs = places_of(view.model().input)
        others = _extra(view.form) or _choices(label_column(free, inputs) or "", free)
        if "target" in wrong.faults and others and others[0] and view.head is not None:
            try:  # it is filled in: what else there is to say is asked for at once
                view.head.lines(SaidDialect.of(view.form))
            except Unguessable as fault:
                wrong = view.wrong(unreadable(fault, view.words), wrong.status)
        named = dict.fromkeys((refused.problem.model_extra or {}).get("unknown", ()), 0)
        return ask(wrong, others or None, labels={**named, **_sent_labels(view, others)})
    return Moved(f"/updates/{update.id}")


def _sent_labels(view: View, others: Sequence[str]) -> Mapping[str, int]:
    """Rows of each label at the beginning of a file that was refused."""
    if view.head is None or is_json(view.head.name):
        return {}
    try:
        lines, _ = view.head.cells(SaidDialect.of(view.form))
    except Unguessable:
        return {}
    first = view.form.get("target") or (others[0] if others else "") or label_column(lines[0] if lines else [])
    return _labels(view, view.model(), lines, first or "", ())


def beside(problem: Problem, words: Words) -> dict[str, str]:
    """Sentences of a refusal by field; what is of a row or a column stands beside the file, with its line."""
    slug, said = slug_of(problem), dict[str, list[str]]()
    if slug == LONG_QUERY:
        return {"file": words("send.long_names")}
    if slug == NO_CSV:
        return {"file": words("send.images_in_json")}
    if slug == UNKNOWN_LABELS:  # its detail says how a program would mend it
        own = words("send.unknown", n=len(problem.errors))
        return {"file": Said(" ".join(fault.detail for fault in problem.errors), slug, own)}
    if not any(fault.detail == problem.detail for fault in problem.errors):
        said["file" if problem.status in OF_FILE else GENERAL] = [problem.detail]
    for fault in problem.errors:
        if fault.detail not in problem.detail or fault.detail == problem.detail:
            first = fault.pointer.lstrip("/").partition("/")[0]
            said.setdefault(first if first in PLACES else "file", []).append(fault.detail)
    which = words("send.which")
    return {
        field: Said(_of_page(" ".join(sentences), words), slug, which if field == "target" else "")
        for field, sentences in said.items()
    }


def _of_page(sentence: str, words: Words) -> str:
    """A sentence of the service with the fields of the page in it. Other languages have these in their own words for
    the whole sentence."""
    return worded(sentence, Door.PAGE) if words.language == OWN else sentence


CALLS = ("POST /v1/models/{model}/updates",)
ROUTES = (
    Route("/models/{model}/send", ask, act, sending, looks=True, calls=CALLS),
    Route("/models/{model}/send/look", ask, look, looks=True, calls=CALLS),
)
