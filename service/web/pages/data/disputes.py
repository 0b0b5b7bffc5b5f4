"""Labels that contradict what the live version is sure of: who is right, and how a person settles it."""

from __future__ import annotations

from service.contract.enums import BatchState, DisputeState
from service.contract.resources import Batch, ModelDispute
from service.contract.resources import Page as Listed
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

DISPUTES_A_PAGE = 50
NAMED = 8
"""Batches of a dispute that its page names."""
GONE = (BatchState.RETRACTED, BatchState.ERASED)


def show(view: View) -> Answer:
    """The list, newest first; what is open comes first."""
    model = view.model()
    path = view.path("disputes")
    listed = view.api.get(path, Listed[ModelDispute], limit=DISPUTES_A_PAGE, cursor=view.query.get("cursor"))
    disputes = sorted(listed.items, key=lambda dispute: dispute.state is not DisputeState.OPEN)
    facts = {"model": model, "disputes": disputes, "next_cursor": listed.next_cursor}
    return Shown("data/disputes.html", facts, json=view.same(path))


def ask(view: View) -> Answer:
    """One dispute, and what each of the two answers means."""
    path = view.path("disputes", view.params["dispute"])
    dispute = view.api.get(path, ModelDispute)
    facts = {
        "dispute": dispute,
        "open": dispute.state is DisputeState.OPEN,
        "verdict": view.form.get("verdict", ""),
        "reason": view.form.get("reason", ""),
        "faults": view.faults,
        "batches": [(batch, _goes_back(view, dispute, batch)) for batch in dispute.batches[:NAMED]],
    }
    return Shown("data/dispute.html", facts, json=path, status=view.status)


@asks_again(ask)
def settle(view: View) -> Answer:
    """Settles it, and shows what can be done now."""
    which = view.params["dispute"]
    order = {"verdict": view.form.get("verdict", ""), "reason": view.form.get("reason", "")}
    view.api.post(view.path("disputes", which, "settle"), ModelDispute, order)
    return Moved(f"/models/{view.params['model']}/disputes/{which}")


def refuted(view: View, update: str) -> str:
    """The latest dispute over batches of an update in which the model was found right; "" where there is none."""
    return next(iter(_of_update(view, update, DisputeState.REFUTED, 1)), "")


def unsettled(view: View, update: str) -> str:
    """The page of the open dispute over batches of an update, of several that of all; "" where there is none."""
    open_ = _of_update(view, update, DisputeState.OPEN, 2)
    at = f"/models/{view.params['model']}/disputes"
    return f"{at}/{open_[0]}" if len(open_) == 1 else at if open_ else ""


def _of_update(view: View, update: str, state: DisputeState, most: int) -> list[str]:
    """Disputes in that state over batches of an update, the latest first; none where the key may not read them."""
    asked = {"state": state, "update": update, "limit": most}
    listed = view.api.find(view.path("disputes"), Listed[ModelDispute], **asked)
    return [dispute.id for dispute in listed.items] if listed is not None else []


def _goes_back(view: View, dispute: ModelDispute, batch: str) -> bool:
    """Whether a batch is to be taken back, since its labels were found wrong, and has not been yet."""
    if dispute.state is not DisputeState.REFUTED:
        return False
    read = view.api.find(view.path("batches", batch), Batch)
    return read is not None and read.state not in GONE


ROUTES = (
    Route("/models/{model}/disputes", show),
    Route(
        "/models/{model}/disputes/{dispute}",
        ask,
        settle,
        calls=["POST /v1/models/{model}/disputes/{dispute}/settle"],
    ),
)
