"""All models: what is live and how good it is, what waits for you; and how to begin where there is none."""

from __future__ import annotations

from dataclasses import dataclass

from service.contract.enums import UpdateState
from service.contract.resources import Model, Update
from service.contract.resources import Page as Listed
from service.contract.version_resources import Lineage, Version
from service.web.client import address
from service.web.kinds import kind_of
from service.web.view import Answer, Route, Shown, View

MODELS_A_PAGE = 20
LOOKED_BACK = 50
"""So many versions before the live one are asked whether it overtook them."""
PARTS = ("storage", "disk", "learning")
"""Of a service, what may be wrong while it goes on answering."""


@dataclass(frozen=True)
class Line:
    """A model in the list. `good`: a sentence on what is live, None where the key may not read it; `held`: versions
    that wait for a decision; `overtaken`: those that would, had no other gone live since; `failed`: the latest update,
    if it failed; `known`: whether the key may read all that."""

    model: Model
    good: str | None
    held: list[int]
    overtaken: list[int]
    failed: str | None = None
    known: bool = True

    @property
    def waits(self) -> bool:
        """Whether a person has something to do."""
        return bool(self.held or self.failed)


def show(view: View) -> Answer:
    """The list, those that wait for a decision first."""
    listed = view.api.get(address("models"), Listed[Model], limit=MODELS_A_PAGE, cursor=view.query.get("cursor"))
    lines = [_line(view, model) for model in listed.items]
    lines.sort(key=lambda line: not line.waits)
    health = view.api.health()
    facts = {
        "troubles": [(part, health[part]) for part in PARTS if part in health],
        "ill": sorted(health.get("models", {}).items()),
        "lines": lines,
        "next_cursor": listed.next_cursor,
        "first": "cursor" not in view.query,
    }
    return Shown("models.html", facts, json=view.same(address("models")))


def _line(view: View, model: Model) -> Line:
    good = None
    if model.live_version is not None:
        version = view.api.find(address("models", model.name, "versions", model.live_version), Version)
        if version is not None:
            good = kind_of(model.target).how_good(version.report, view.words, model.target)
    # batches of what waits or failed are pending: where none is, neither has to be asked for
    if not model.pending.batches:
        return Line(model, good, [], [])
    after = max((model.live_version or 0) - LOOKED_BACK, 0)
    lineage = view.api.find(address("models", model.name, "lineage"), Lineage, after=after)
    latest = view.api.find(address("models", model.name, "updates"), Listed[Update], limit=1)
    failed = (
        next((of.id for of in latest.items if of.state is UpdateState.FAILED), None) if latest is not None else None
    )
    return Line(model, good, held_now(lineage), overtaken(lineage), failed, known=lineage is not None)


def held_now(lineage: Lineage | None) -> list[int]:
    """Versions that wait for a decision, newest first."""
    return [node.number for node in reversed(lineage.versions) if node.waits] if lineage is not None else []


def overtaken(lineage: Lineage | None) -> list[int]:
    """Held versions that another one overtook, newest first."""
    return [node.number for node in reversed(lineage.versions) if node.overtaken] if lineage is not None else []


ROUTE = Route("/", show)
