"""One batch: what it holds, what became of it, rows that are doubtful; and how it is taken back."""

from __future__ import annotations

from service.contract.enums import BatchState
from service.contract.resources import Batch, Model, Suspects, Update
from service.web.kinds import kind_of
from service.web.pages.data.batches import COLOURS
from service.web.pages.data.rows import look
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

SUSPECTS = 100
"""So many a report names at most."""
ROWS = 20
"""On one page; as many of those that are doubtful stand there, too."""


def show(view: View) -> Answer:
    """The page of a batch."""
    model, batch = _read(view)
    kind = kind_of(model.target)
    there = batch.state is not BatchState.ERASED and batch.merged is None
    path = view.path("batches", batch.id)
    suspects = view.api.find(f"{path}/suspects", Suspects, limit=SUSPECTS) if there else None
    numbers = list(dict.fromkeys(row.row for row in suspects.items)) if suspects else []
    looked = look(view, model, limit=ROWS, cursor=view.query.get("from")) if there else None
    doubtful = look(view, model, rows=",".join(map(str, numbers[:ROWS])), limit=ROWS) if looked and numbers else None
    facts = {
        "model": model,
        "batch": batch,
        "refuted": batch.state is BatchState.PENDING and batch.refuted is not None,
        "looked": looked,
        "doubtful": {line.number: line for line in doubtful.lines} if doubtful else {},
        "corrects": there and batch.state is not BatchState.RETRACTED,
        "kind": kind,
        "holds": kind.holds(batch, view.words),
        "labels": sorted(batch.label_counts.items(), key=lambda of: (-of[1], of[0])),
        "colour": COLOURS.get(batch.state, ""),
        "suspects": suspects,
        "note": suspects.note.removesuffix(suspects.remedy).rstrip() if suspects else "",  # a button does it here
        "suspected": set(numbers),
        "most": ROWS,
        "cut": suspects is not None and len(suspects.items) == SUSPECTS,
    }
    parts = {view.words("batch.suspects"): view.same(f"{path}/suspects", limit=SUSPECTS)} if suspects else {}
    if looked and looked.why is None:
        start = {"cursor": view.query["from"]} if "from" in view.query else {}
        parts[view.words("rows.title")] = view.same(f"{path}/rows", limit=ROWS, **start)
    return Shown("data/batch.html", facts, json=path, parts=parts)


def ask(view: View) -> Answer:
    """Says what taking a batch back changes, and asks for a reason."""
    model, batch = _read(view)
    facts = {
        "model": model,
        "batch": batch,
        "holds": kind_of(model.target).holds(batch, view.words),
        "reason": view.form.get("reason", ""),
        "erase": "erase" in view.form,
        "faults": view.faults,
    }
    return Shown("data/retract.html", facts, json=view.path("batches", batch.id), status=view.status)


@asks_again(ask)
def retract(view: View) -> Answer:
    """Takes the batch back, and shows the update that does it."""
    reason, erase = view.form.get("reason", ""), "erase" in view.form
    order = {"batches": [view.params["batch"]], "reason": reason, "erase": erase}
    update = view.api.post(view.path("retractions"), Update, order)
    return Moved(f"/updates/{update.id}")


def _read(view: View) -> tuple[Model, Batch]:
    model = view.model()
    return model, view.api.get(view.path("batches", view.params["batch"]), Batch)


ROUTES = (
    Route("/models/{model}/batches/{batch}", show),
    Route("/models/{model}/batches/{batch}/retract", ask, retract, calls=["POST /v1/models/{model}/retractions"]),
)
