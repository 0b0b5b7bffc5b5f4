"""Going back to the version before: what will change, a reason, and one button."""

from __future__ import annotations

from service.contract.version_resources import RolledBack, WayBack
from service.web.forms import whole
from service.web.view import Answer, Moved, Route, Shown, View, asks_again


def ask(view: View) -> Answer:
    """Says what a rollback changes, and asks for a reason."""
    way = view.api.get(view.path("rollback"), WayBack)
    gone = {*way.erased, *way.removed}
    passed = {
        "erased": way.erased,
        "removed": way.removed,
        "taken_back": [number for number in way.passed if number not in gone],
    }
    facts = {"way": way, "passed": passed, "reason": view.form.get("reason", ""), "faults": view.faults}
    return Shown("rollback.html", facts, json=view.path("rollback"), status=view.status)


@asks_again(ask)
def act(view: View) -> Answer:
    """Rolls back to the version that the form showed, if the one that it showed is still live."""
    numbers = {name: whole(view.form.get(name, "")) for name in ("if_live", "to")}
    view.api.post(view.path("rollback"), RolledBack, {"reason": view.form.get("reason", ""), **numbers})
    return Moved(f"/models/{view.params['model']}")


ROUTE = Route("/models/{model}/rollback", ask, act, calls=["POST /v1/models/{model}/rollback"])
