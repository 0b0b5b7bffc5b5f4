"""Going back to the version before: what will change, a reason, and one button."""

from __future__ import annotations

from collections.abc import Sequence

from service.contract.enums import DeploymentKind
from service.contract.resources import Deployment, RolledBack, Version
from service.contract.resources import Page as Listed
from service.web.forms import whole
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

MOVES = 200
"""So many of the latest moves of the live pointer are looked back on."""


def ask(view: View) -> Answer:
    """Says what a rollback changes, and asks for a reason."""
    model = view.model()
    moves = view.api.get(view.path("deployments"), Listed[Deployment], limit=MOVES)
    before = goes_back_to(moves.items)
    version = view.api.find(view.path("versions", before), Version) if before is not None else None
    facts = {
        "model": model,
        "before": before,
        "erased": version is not None and version.erased_at is not None,
        "left_out": len(learned_by(view, model.live_version).difference(version.batches if version else ())),
        "reason": view.form.get("reason", ""),
        "faults": view.faults,
    }
    return Shown("rollback.html", facts, json=view.path("deployments"), status=view.status)


@asks_again(ask)
def act(view: View) -> Answer:
    """Rolls back, if the version that the form showed is still live."""
    order = {"reason": view.form.get("reason", ""), "if_live": whole(view.form.get("if_live", ""))}
    view.api.post(view.path("rollback"), RolledBack, order)
    return Moved(f"/models/{view.params['model']}")


def goes_back_to(moves: Sequence[Deployment]) -> int | None:
    """The version that was live before the latest promotion that stands; None where there is none. moves: newest
    first."""
    undone = {move.undoes for move in moves}
    standing = (move for move in moves if move.kind is DeploymentKind.PROMOTE and move.id not in undone)
    return next((move.previous_version for move in standing), None)


def learned_by(view: View, version: int | None) -> set[str]:
    """Batches of a version."""
    facts = view.api.find(view.path("versions", version), Version) if version is not None else None
    return set(facts.batches) if facts is not None else set()


ROUTE = Route("/models/{model}/rollback", ask, act)
