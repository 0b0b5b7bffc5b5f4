"""How much may be asked of the service, and what becomes of a request that goes beyond it."""

from __future__ import annotations

from service.contract.body_limits import Limits
from service.web.client import address
from service.web.view import Answer, Route, Shown, View


def show(view: View) -> Answer:
    """All limits, as this service is set."""
    limits = view.api.get(address("limits"), Limits).items
    return Shown("limits.html", {"limits": limits}, json=address("limits"))


ROUTE = Route("/limits", show)
