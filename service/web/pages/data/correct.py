"""Correcting rows of a batch: which get another label or target, which are taken out, and what that changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from service.contract.enums import BatchState
from service.contract.resources import Batch, Suspects, Update
from service.web.forms import GENERAL
from service.web.kinds import kind_of
from service.web.pages.data.rows import look
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

MOST = 100
"""Rows that are corrected at once: so many suspects a report names, and so many rows the API shows by their numbers."""
MOST_CLASSES = 100
"""Classes of a list to choose from; of more a name is typed."""
CHOSEN = re.compile(r"row-([0-9]{1,9})")
NUMBERED = re.compile(r"label-([0-9]{1,9})")
LABEL, BEFORE = "label-", "before-"
"""Fields of a row: what is right, and what it says now."""
SURE = "sure"
"""Says that somebody means to change so many rows of a batch."""
TAKE = "suggested"
"""The button that fills in what is suggested of each row, and sends nothing."""


def ask(view: View, most: str = "") -> Answer:
    """Shows the rows that were chosen as they are, beside each what is suggested, and says what correcting changes.
    most: the question whether so much is meant."""
    model = view.model()
    kind = kind_of(model.target)
    path = view.path("batches", view.params["batch"])
    batch = view.api.get(path, Batch)
    listed = None
    if batch.state is not BatchState.ERASED and batch.merged is None:
        listed = view.api.find(f"{path}/suspects", Suspects, limit=MOST)
    doubted = listed.items if listed else []
    suggested = dict[int, list[str]]()
    for row in doubted:
        suggested.setdefault(row.row, []).append(kind.suggested(row))
    takes = kind.takes_suggested and TAKE in view.form
    taken = {f"{LABEL}{number}": likely for number, (likely, *_) in suggested.items()} if takes else {}
    chosen = [int(match[1]) for field in view.query if (match := CHOSEN.fullmatch(field))]
    if "suspects" in view.query:
        chosen = list(dict.fromkeys(row.row for row in doubted))
    chosen = chosen or [int(number) for number in map(_row_of, view.form) if number]
    looked = look(view, model, rows=",".join(map(str, chosen[:MOST])), limit=MOST) if chosen else None
    facts = {
        "model": model,
        "batch": batch,
        "looked": looked,
        "suggested": suggested,
        "classes": model.classes if len(model.classes) <= MOST_CLASSES else [],
        "takes_suggested": kind.takes_suggested,
        "taken": takes,
        "form": {**view.form, **taken},
        "most": most,
        "faults": {GENERAL if at == "rows" else at.replace("rows.", LABEL): said for at, said in view.faults.items()},
    }
    return Shown("data/correct.html", facts, json=path, status=view.status)


@asks_again(ask)
def act(view: View) -> Answer:
    """Orders the correction, and shows its update; fills in what is suggested instead, to be looked at, where asked."""
    if TAKE in view.form:
        return ask(view)
    batch, model = view.params["batch"], view.model()
    kind = kind_of(model.target)
    labels = {
        number: kind.read(label.strip()) or None
        for field, label in view.form.items()
        if (number := _row_of(field)) and label.strip() != view.form.get(BEFORE + number)
    }
    if not labels:
        return ask(view.wrong({GENERAL: view.words("correct.nothing")}))
    if SURE not in view.form and (said := _most(view, labels)):
        return ask(view, said)
    order = {"rows": labels, "reason": view.form.get("reason", "")}
    update = view.api.post(view.path("batches", batch, "corrections"), Update, order)
    return Moved(f"/updates/{update.id}")


def _most(view: View, labels: Mapping[str, Any]) -> str:
    """What is changed, where that is so much of a batch that somebody is asked first; else ""."""
    batch = view.api.get(view.path("batches", view.params["batch"]), Batch)
    if not batch.is_mostly(len(labels)):
        return ""
    said = Counter(view.words("correct.out") if label is None else str(label) for label in labels.values())
    what = [view.words("correct.becomes", n=n, value=value) for value, n in said.most_common()]
    return view.words("correct.most", n=len(labels), rows=batch.rows, what=what)


def _row_of(field: str) -> str:
    """The number of the row whose label a field holds; "" of another field."""
    match = NUMBERED.fullmatch(field)
    return match[1] if match else ""


CALLS = ("POST /v1/models/{model}/batches/{batch}/corrections",)
ROUTE = Route("/models/{model}/batches/{batch}/correct", ask, act, calls=CALLS)
