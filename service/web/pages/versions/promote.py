"""Making a version live by hand: what the gate found, what will change and what is left out, a reason, one button; and
learning it again on the live one, where another went live since it was made."""

from __future__ import annotations

from service.contract.enums import BatchState, Outcome, Promotion, UpdateKind, Verdict
from service.contract.resources import Batch, Update
from service.contract.resources import Page as Listed
from service.contract.version_resources import Deployment, Version
from service.web.client import address
from service.web.forms import whole
from service.web.reports.reasons import found_sentence
from service.web.reports.verdicts import COLOURS, short
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

BATCHES = 200
"""So many of the latest batches are asked whether they were taken back."""
GONE = (BatchState.RETRACTED, BatchState.ERASED)


def ask(view: View) -> Answer:
    """Says what a promotion changes, and asks for a reason."""
    model = view.model()
    version = view.api.get(view.path("versions", view.params["version"]), Version)
    update = view.api.find(address("updates", version.update), Update) if version.update is not None else None
    verdict = update.verdict if update is not None else None
    live = learned_by(view, model.live_version)
    learned, gone = set(version.batches), taken_back(view)
    waiting = view.api.find(view.path("batches"), Listed[Batch], limit=BATCHES, waiting=True)
    report = version.report
    facts = {
        "model": model,
        "version": version,
        "short": short(verdict, version.report, view.words),
        "colour": COLOURS[verdict] if verdict is not None else "",
        "why": found_sentence(verdict, version.number, version.parent, version.report, view.words),
        "against": verdict is Verdict.REJECTED,
        "stopped": verdict not in (Verdict.PROMOTED, None),
        "taken_back": bool(learned & gone),
        "left_out": len(live - learned - gone),
        "brings": len(learned - live),
        "waiting": len({batch.id for batch in waiting.items} - learned) if waiting is not None else 0,
        "faulty": report is not None and report.gate.outcome is not Outcome.PASS,
        "brought": update.batches if update is not None and update.kind is UpdateKind.LEARN else [],
        "reason": view.form.get("reason", ""),
        "auto": "auto" in view.form,
        "faults": view.faults,
    }
    return Shown("promote.html", facts, json=view.path("versions", version.number), status=view.status)


@asks_again(ask)
def act(view: View) -> Answer:
    """Promotes, if the version that the form showed is still live; or has it learned again on that one. Where it is
    ticked, later versions go live by themselves."""
    rebase = "rebase" in view.form
    order = {"version": whole(view.params["version"]), "reason": view.form.get("reason", ""), "rebase": rebase}
    if live := view.form.get("if_live", ""):
        order["if_live"] = whole(live)
    path = view.path("deployments")
    to = f"/models/{view.params['model']}"
    if rebase:
        to = f"/updates/{view.api.post(path, Update, order).id}"
    else:
        view.api.post(path, Deployment, order)
    if "auto" in view.form:
        view.api.send("PATCH", view.path(), {"promotion": Promotion.AUTO})
    return Moved(to)


def learned_by(view: View, version: int | None) -> set[str]:
    """Batches of a version."""
    facts = view.api.find(view.path("versions", version), Version) if version is not None else None
    return set(facts.batches) if facts is not None else set()


def taken_back(view: View) -> set[str]:
    """Batches that nobody misses in a version, and that none which goes live may have learned; none where the key may
    not read them."""
    listed = view.api.find(view.path("batches"), Listed[Batch], limit=BATCHES)
    return {batch.id for batch in listed.items if batch.state in GONE} if listed is not None else set()


CALLS = ("POST /v1/models/{model}/deployments",)
ROUTE = Route("/models/{model}/versions/{version}/promote", ask, act, calls=CALLS)
