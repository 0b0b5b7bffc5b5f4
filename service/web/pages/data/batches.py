"""The batches of a model: what each holds and what became of it; what waits to be learned, and a button for that."""

from __future__ import annotations

from service.contract.enums import BatchState, UpdateKind, Verdict
from service.contract.resources import Batch, Update
from service.contract.resources import Page as Listed
from service.web.client import address
from service.web.kinds import kind_of
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

BATCHES_A_PAGE = 50
GONE = (BatchState.RETRACTED, BatchState.ERASED)
NAMED = 10
"""Batches of an update that its page names."""
COLOURS = {BatchState.PENDING: "warn", BatchState.LEARNED: "good", BatchState.REJECTED: "bad"}


def show(view: View) -> Answer:
    """The list, newest first."""
    model = view.model()
    kind, path = kind_of(model.target), view.path("batches")
    listed = view.api.get(path, Listed[Batch], limit=BATCHES_A_PAGE, cursor=view.query.get("cursor"))
    facts = {
        "model": model,
        "lines": [(batch, kind.holds(batch, view.words), COLOURS.get(batch.state, "")) for batch in listed.items],
        "next_cursor": listed.next_cursor,
        "faults": view.faults,
    }
    return Shown("data/batches.html", facts, json=view.same(path), status=view.status)


@asks_again(show)
def learn(view: View) -> Answer:
    """Orders an update of all that waits, and shows it."""
    update = view.api.post(view.path("updates"), Update, {"batches": "pending"})
    return Moved(f"/updates/{update.id}")


def stopped(view: View, update: Update) -> list[tuple[str, bool]]:
    """Batches of an update that the gate stopped, and of the first ones whether they can be taken back still."""
    if update.kind is not UpdateKind.LEARN or update.verdict in (Verdict.PROMOTED, None):
        return []

    def kept(batch: str) -> bool:
        read = view.api.find(address("models", update.model, "batches", batch), Batch)
        return read is not None and read.state not in GONE

    return [(batch, k < NAMED and kept(batch)) for k, batch in enumerate(update.batches)]


ROUTES = (
    Route("/models/{model}/batches", show),
    Route("/models/{model}/learn", show, learn, calls=["POST /v1/models/{model}/updates"]),
)
