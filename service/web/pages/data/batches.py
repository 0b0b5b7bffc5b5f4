"""The batches of a model: what each holds and what became of it; what waits to be learned, and a button for that."""

from __future__ import annotations

from collections.abc import Sequence

from service.contract.enums import BatchState, UpdateKind, Verdict
from service.contract.figures import amount
from service.contract.resources import Batch, Update
from service.contract.resources import Page as Listed
from service.web.client import address
from service.web.view import Answer, Moved, Route, Shown, View, asks_again
from service.web.words import Words

BATCHES_A_PAGE = 50
MOST_CLASSES = 6
"""Classes of a batch that a line names, those with most rows."""
GONE = (BatchState.RETRACTED, BatchState.ERASED)
NAMED = 10
"""Batches of an update that its page names."""
COLOURS = {BatchState.PENDING: "warn", BatchState.LEARNED: "good", BatchState.REJECTED: "bad"}


def show(view: View) -> Answer:
    """The list, newest first."""
    model = view.model()
    path = view.path("batches")
    listed = view.api.get(path, Listed[Batch], limit=BATCHES_A_PAGE, cursor=view.query.get("cursor"))
    facts = {
        "model": model,
        "lines": [(batch, holds(batch, view.words), COLOURS.get(batch.state, "")) for batch in listed.items],
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


def holds(batch: Batch, words: Words) -> str:
    """Its labels with their rows, those with most first; of numbers their mean and range."""
    if batch.target_summary is not None:
        of = batch.target_summary if isinstance(batch.target_summary, list) else [batch.target_summary]
        ends = [{"mean": amount(one.mean), "low": amount(one.min), "high": amount(one.max)} for one in of]
        return "; ".join(words("batches.range", **each) for each in ends)
    return counted(sorted(batch.label_counts.items(), key=lambda of: (-of[1], of[0])), words)


def counted(labels: Sequence[tuple[str, int]], words: Words) -> str:
    """[("8", 60), ("9", 40)] -> "8: 60, 9: 40"; labels beyond the first few are counted."""
    named = [words("batches.count", label=label, rows=rows) for label, rows in labels[:MOST_CLASSES]]
    if len(labels) > MOST_CLASSES:
        named.append(words("batches.more_classes", n=len(labels) - MOST_CLASSES))
    return words("list.comma").join(named)


ROUTES = (Route("/models/{model}/batches", show), Route("/models/{model}/learn", show, learn))
