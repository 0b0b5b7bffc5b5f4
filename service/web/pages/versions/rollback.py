"""Going back to the version before: what will change, a reason, and one button."""

from __future__ import annotations

from collections.abc import Sequence, Set

from service.contract.enums import BatchState, DeploymentKind
from service.contract.resources import Batch, Deployment, RolledBack, Version
from service.contract.resources import Page as Listed
from service.web.forms import whole
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

MOVES = 200
"""So many of the latest moves of the live pointer are looked back on."""
BATCHES = 200
"""So many of the latest batches are asked whether they were taken back."""
GONE = (BatchState.RETRACTED, BatchState.ERASED)
STEPS = 20
"""So many versions back are asked whether they may go live."""


def ask(view: View) -> Answer:
    """Says what a rollback changes, and asks for a reason. A version that was erased, or has learned what was taken
    back since, is passed over."""
    model = view.model()
    moves = view.api.get(view.path("deployments"), Listed[Deployment], limit=MOVES).items
    way = [number for number in dict.fromkeys(_way_back(moves)) if number != model.live_version]
    passed, version = _first_clean(view, way)
    facts = {
        "model": model,
        "before": version.number if version is not None else None,
        "passed": passed,
        "nothing": not way,
        "rows": _rows(view, learned_by(view, model.live_version).difference(version.batches if version else ())),
        "reason": view.form.get("reason", ""),
        "faults": view.faults,
    }
    return Shown("rollback.html", facts, json=view.path(), status=view.status)


@asks_again(ask)
def act(view: View) -> Answer:
    """Rolls back, if the version that the form showed is still live."""
    order = {"reason": view.form.get("reason", ""), "if_live": whole(view.form.get("if_live", ""))}
    if to := view.form.get("to", ""):
        order["to"] = whole(to)
    view.api.post(view.path("rollback"), RolledBack, order)
    return Moved(f"/models/{view.params['model']}")


def goes_back_to(moves: Sequence[Deployment]) -> int | None:
    """The version that was live before the latest promotion that stands; None where there is none. moves: newest
    first."""
    return next(iter(_way_back(moves)), None)


def _way_back(moves: Sequence[Deployment]) -> list[int]:
    """The versions that were live before each promotion that stands, the latest first."""
    undone = {move.undoes for move in moves}
    standing = (move for move in moves if move.kind is DeploymentKind.PROMOTE and move.id not in undone)
    return [move.previous_version for move in standing if move.previous_version is not None]


def _first_clean(view: View, way: Sequence[int]) -> tuple[list[int], Version | None]:
    """-> versions that may not go live, and the first behind them that may, None where there is none"""
    passed, gone = list[int](), taken_back(view) if way else set[str]()
    for number in way[:STEPS]:
        version = view.api.get(view.path("versions", number), Version)
        if version.erased_at is None and gone.isdisjoint(version.batches):
            return passed, version
        passed.append(number)
    return passed, None


def _rows(view: View, batches: Set[str]) -> int:
    """Rows of these batches, but for what was taken back: so many wait again."""
    if not batches:
        return 0
    listed = view.api.get(view.path("batches"), Listed[Batch], limit=BATCHES).items
    latest = {batch.id: batch for batch in listed}
    each = (latest.get(id) or view.api.get(view.path("batches", id), Batch) for id in batches)
    return sum(batch.rows for batch in each if batch.state not in GONE)


def learned_by(view: View, version: int | None) -> set[str]:
    """Batches of a version."""
    facts = view.api.find(view.path("versions", version), Version) if version is not None else None
    return set(facts.batches) if facts is not None else set()


def taken_back(view: View) -> set[str]:
    """Batches that nobody misses in a version, and that none which goes live may have learned."""
    listed = view.api.get(view.path("batches"), Listed[Batch], limit=BATCHES)
    return {batch.id for batch in listed.items if batch.state in GONE}


ROUTE = Route("/models/{model}/rollback", ask, act, calls=["POST /v1/models/{model}/rollback"])
