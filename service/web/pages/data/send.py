"""Sending a file of rows with labels: it streams through to the API, and the page of its update follows it."""

from __future__ import annotations

from service.contract.enums import CSV, JSON
from service.contract.resources import Model, Problem, Update
from service.contract.tables import TableInput
from service.web.client import Refused, address
from service.web.forms import GENERAL
from service.web.view import Answer, Moved, Route, Sending, Shown, View
from service.web.words import Words

FIELDS = ("target", "source")
"""Members of the query of a CSV file that are fields of the form."""
UNKNOWN_LABELS = "/problems/unknown-labels"
OF_FILE = (400, 408, 413, 415, 422)
"""Statuses of what is wrong with the file, where no field is named."""


def ask(view: View, wrong: dict[str, str] | None = None, status: int = 200) -> Answer:
    """Says what a file may be, and asks for one."""
    model = view.api.get(address("models", view.params["model"]), Model)
    table = model.input.kind == "table"
    facts = {
        "model": model,
        "table": table,
        "numbers": model.target.kind == "number",
        "example": example(model),
        "columns": [column.name for column in model.input.columns] if isinstance(model.input, TableInput) else [],
        "form": {field: view.form.get(field, "") for field in FIELDS},
        "new_classes": "new_classes" in view.form if wrong else not model.classes,
        "faults": wrong or {},
    }
    return Shown("data/send.html", facts, json=address("models", model.name, "updates"), status=status)


def example(model: Model) -> str:
    """The beginning of a JSON file for the model."""
    rows = {"vector": "[0.5, 3, 7.25], …", "text": '"Where is my order?", …'}.get(model.input.kind, '{"png": "…"}, …')
    right = '"targets": [505.1, …]' if model.target.kind == "number" else '"labels": ["a", …], "new_classes": "refuse"'
    return f'{{"inputs": [{rows}], {right}}}'


def sending(view: View, name: str) -> Sending:
    """Where a file of that name goes: JSON says itself what a CSV file has beside it in the query."""
    path = address("models", view.params["model"], "updates")
    if name.lower().endswith(".json"):
        return Sending(path, JSON)
    query = {field: view.form[field] for field in FIELDS if view.form.get(field)}
    if "new_classes" in view.form:
        query["new_classes"] = "allow"
    return Sending(path, CSV, query)


def act(view: View) -> Answer:
    """Shows the update that learns the file, or what is wrong with it."""
    if view.sent is None:
        return ask(view, {"file": view.words("send.no_file")}, 422)
    try:
        update = view.sent.read(Update)
    except Refused as refused:
        return ask(view, beside(refused.problem, view.words), refused.problem.status)
    return Moved(f"/updates/{update.id}")


def beside(problem: Problem, words: Words) -> dict[str, str]:
    """Sentences of a refusal by field; what is of a row or a column stands beside the file, with its line."""
    said: dict[str, list[str]] = {}
    if not any(fault.detail == problem.detail for fault in problem.errors):
        said["file" if problem.status in OF_FILE else GENERAL] = [problem.detail]
    for fault in problem.errors:
        if fault.detail not in problem.detail or fault.detail == problem.detail:
            first = fault.pointer.lstrip("/").partition("/")[0]
            said.setdefault(first if first in FIELDS else "file", []).append(fault.detail)
    if problem.type == UNKNOWN_LABELS:
        said["file"].append(words("send.unknown"))
    return {field: " ".join(sentences) for field, sentences in said.items()}


ROUTE = Route("/models/{model}/send", ask, act, sending)
