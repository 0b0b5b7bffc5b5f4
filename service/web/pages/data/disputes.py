"""Labels that contradict what the live version is sure of: who is right, and how a person settles it."""

from __future__ import annotations

from service.contract.enums import DisputeState
from service.contract.resources import ModelDispute
from service.contract.resources import Page as Listed
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

DISPUTES_A_PAGE = 50
MOST = 200
"""On one page of the API's list, where one dispute is looked for."""


def show(view: View) -> Answer:
    """The list, newest first; what is open comes first."""
    model = view.model()
    path = view.path("disputes")
    listed = view.api.get(path, Listed[ModelDispute], limit=DISPUTES_A_PAGE, cursor=view.query.get("cursor"))
    disputes = sorted(listed.items, key=lambda dispute: dispute.state is not DisputeState.OPEN)
    facts = {"model": model, "disputes": disputes, "next_cursor": listed.next_cursor}
    return Shown("data/disputes.html", facts, json=path)


def ask(view: View) -> Answer:
    """One dispute, and what each of the two answers means."""
    dispute = _find(view)
    if dispute is None:
        said = {"title": view.words("problem.no_page"), "sentence": view.words("disputes.unknown")}
        return Shown("problem.html", said, status=404)
    facts = {
        "dispute": dispute,
        "open": dispute.state is DisputeState.OPEN,
        "verdict": view.form.get("verdict", ""),
        "reason": view.form.get("reason", ""),
        "faults": view.faults,
    }
    return Shown("data/dispute.html", facts, json=view.path("disputes"), status=view.status)


@asks_again(ask)
def settle(view: View) -> Answer:
    """Settles it, and shows what can be done now."""
    which = view.params["dispute"]
    order = {"verdict": view.form.get("verdict", ""), "reason": view.form.get("reason", "")}
    view.api.post(view.path("disputes", which, "settle"), ModelDispute, order)
    return Moved(f"/models/{view.params['model']}/disputes/{which}")


def _find(view: View) -> ModelDispute | None:
    """The dispute that the address names, on whichever page of the list it is."""
    cursor = None
    while True:
        listed = view.api.get(view.path("disputes"), Listed[ModelDispute], limit=MOST, cursor=cursor)
        for dispute in listed.items:
            if dispute.id == view.params["dispute"]:
                return dispute
        cursor = listed.next_cursor
        if cursor is None:
            return None


ROUTES = (Route("/models/{model}/disputes", show), Route("/models/{model}/disputes/{dispute}", ask, settle))
