"""The batches of a model: what each holds and what became of it; what waits to be learned, and a button for that."""

from __future__ import annotations

from service.contract.enums import BatchState, UpdateKind, Verdict
from service.contract.reports import batches_apart
from service.contract.resources import Batch, Update
from service.contract.resources import Page as Listed
from service.web.client import address
from service.web.forms import GENERAL, words_in
from service.web.kinds import kind_of
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

BATCHES_A_PAGE = 50
MOST = 200
"""So many of those that wait are told apart."""
GONE = (BatchState.RETRACTED, BatchState.ERASED)
UNLEARNED = (BatchState.PENDING, BatchState.REJECTED)
NAMED = 10
"""Batches of an update that its page names."""
COLOURS = {BatchState.PENDING: "warn", BatchState.LEARNED: "good", BatchState.REJECTED: "bad"}


def show(view: View) -> Answer:
    """The list, newest first."""
    model = view.model()
    kind, path = kind_of(model.target), view.path("batches")
    listed = view.api.get(path, Listed[Batch], limit=BATCHES_A_PAGE, cursor=view.query.get("cursor"))
    waiting = _waiting(view, model.name) if model.pending.batches else []
    others = [batch.id for batch in waiting if not batch.is_doubtful]
    facts = {
        "model": model,
        "stopped": sum(batch.stopped_alone is not None and batch.refuted is None for batch in waiting),
        "stopped_by": sorted({b.stopped_alone for b in waiting if b.stopped_alone is not None}, reverse=True),
        "others": others if len(others) < len(waiting) == model.pending.batches else [],
        "lines": [(batch, kind.holds(batch, view.words), COLOURS.get(batch.state, "")) for batch in listed.items],
        "next_cursor": listed.next_cursor,
        "faults": {GENERAL: next(iter(view.faults.values()))} if view.faults else {},
    }
    return Shown("data/batches.html", facts, json=view.same(path), status=view.status)


@asks_again(show)
def learn(view: View) -> Answer:
    """Orders an update of the batches that the form names, else of all that wait, and shows it. Where the form says
    so, as of rows whose labels or targets change on purpose."""
    named = words_in(view.form.get("batches", ""))
    expected = {"expect": view.form["expect"]} if "expect" in view.form else {}
    update = view.api.post(view.path("updates"), Update, {"batches": named or "pending", **expected})
    return Moved(f"/updates/{update.id}")


def unstopped(view: View, model: str) -> list[Batch]:
    """Batches that wait and that the gate has not stopped; none where the key may not read them."""
    return [batch for batch in _waiting(view, model) if batch.stopped is None]


def _waiting(view: View, model: str) -> list[Batch]:
    """Batches that are learned with all that wait, the newest first."""
    listed = view.api.find(address("models", model, "batches"), Listed[Batch], limit=MOST, waiting=True)
    return listed.items if listed is not None else []


def stopped(view: View, update: Update) -> list[tuple[str, bool]]:
    """Batches of an update that the gate stopped, and of the first ones whether they can be taken back still."""
    if update.kind is not UpdateKind.LEARN or update.verdict in (Verdict.PROMOTED, None):
        return []
    gone = (None, *GONE)
    return [(batch, k < NAMED and _state(view, update, batch) not in gone) for k, batch in enumerate(update.batches)]


def taken_back(view: View, update: Update) -> bool:
    """Whether all batches of an update have been taken back, or others learned in their place."""
    return (
        update.kind is UpdateKind.LEARN
        and bool(update.batches)
        and all(_state(view, update, batch) in GONE for batch in update.batches)
    )


def others(view: View, update: Update) -> list[str]:
    """Of batches that the gate stopped together, those to learn without any that stands out or has targets far out;
    none where none does, or where the first ones have been learned or taken back since."""
    apart = batches_apart(update.report) if update.report is not None else set[str]()
    if update.verdict not in (Verdict.HELD, Verdict.REJECTED) or not apart:
        return []
    rest = [batch for batch in update.batches if batch not in apart]
    known = [batch for batch in rest[:NAMED] if _state(view, update, batch) in UNLEARNED]
    return known and known + rest[NAMED:]


def _state(view: View, update: Update, batch: str) -> BatchState | None:
    """None where the key may not read it."""
    read = view.api.find(address("models", update.model, "batches", batch), Batch)
    return read.state if read is not None else None


ROUTES = (
    Route("/models/{model}/batches", show),
    Route("/models/{model}/learn", show, learn, calls=["POST /v1/models/{model}/updates"]),
)
