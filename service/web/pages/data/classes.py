"""The classes of a model, and taking one out that no row has, such as a slip of the pen."""

from __future__ import annotations

from service.contract.resources import Model
from service.contract.version_resources import Version
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

CLASSES = 100
"""On one page."""


def show(view: View) -> Answer:
    """The vocabulary, in its order, and which of it the live version answers with."""
    model, before = view.model(), view.query.get("after", "")
    start = min(int(before[:9]) if before.isdecimal() else 0, len(model.classes))
    facts = {
        "model": model,
        "answered": _answered(view, model),
        "shown": model.classes[start : start + CLASSES],
        "next": start + CLASSES if start + CLASSES < len(model.classes) else None,
    }
    return Shown("data/classes.html", facts, json=view.path())


def ask(view: View) -> Answer:
    """Says what deleting a class changes, and asks for a reason."""
    model, name = view.model(), _named(view)
    facts = {
        "model": model,
        "name": name,
        "known": name in model.classes,
        "answered": name in _answered(view, model),
        "reason": view.form.get("reason", ""),
        "faults": view.faults,
    }
    return Shown("data/delete_class.html", facts, json=view.path(), status=view.status)


@asks_again(ask)
def act(view: View) -> Answer:
    """Deletes the class."""
    reason = view.form.get("reason", "") or None
    view.api.send("DELETE", view.path("classes", _named(view)), query={"reason": reason})
    return Moved(f"/models/{view.params['model']}/classes")


def _named(view: View) -> str:
    """The class; a name may hold whatever stands between the parts of an address."""
    return view.form.get("class", view.query.get("class", ""))


def _answered(view: View, model: Model) -> set[str]:
    """Classes that the live version answers with."""
    live = model.live_version
    version = view.api.find(view.path("versions", live), Version) if live is not None else None
    return set(version.classes) if version is not None else set()


ROUTES = (
    Route("/models/{model}/classes", show),
    Route("/models/{model}/classes/delete", ask, act, calls=["DELETE /v1/models/{model}/classes/{name:path}"]),
)
