"""Routes of what the service can do: its methods, and its limits."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, Response

from service.api.context import Shared, answer
from service.api.limits.table import limits_of
from service.api.openapi import refusals
from service.contract import resources
from service.contract.body_limits import Limits
from service.contract.targets import KINDS
from service.learning.auto.choice import AutoParams
from service.learning.methods import AUTO, METHODS

AUTO_INFO = resources.MethodInfo(
    name=AUTO,
    family=AUTO,
    summary="Chooses one of the others for each update, by a written table; a network may challenge the exact head.",
    paper="",
    params=AutoParams.model_json_schema(),
    needs=[],
    targets=[*KINDS],
    moves=["head"],
    good_when="Nearly always; the default.",
    limits="What a person knows of the stream it cannot know: docs/auto.md has the table.",
)
"""The method of models that name none."""

routes = APIRouter()


@routes.get("/v1/methods", tags=["methods"], response_model=resources.Methods, responses=refusals())
def list_methods() -> Response:
    """auto, then every method: what it does, what it needs, when it is good, and its parameters as JSON Schema."""
    return answer(_described())


@cache
def _described() -> resources.Methods:
    """Made once: deriving the schemas takes ten times as long as writing them."""
    items = [
        resources.MethodInfo(
            name=m.name,
            family=m.family,
            summary=m.summary,
            paper=m.paper,
            params=m.Params.model_json_schema(),
            needs=sorted(m.needs),
            targets=[name for name, kind in KINDS.items() if m.learns(kind)],
            moves=list(m.moves),
            good_when=m.good_when,
            limits=m.limits,
        )
        for m in METHODS.values()
    ]
    return resources.Methods(items=[AUTO_INFO, *items])


@routes.get("/v1/limits", tags=["limits"], response_model=Limits, responses=refusals())
def list_limits(shared: Shared) -> Response:
    """How much a caller may ask for, and what becomes of a request that goes beyond it."""
    return answer(Limits(items=limits_of(shared.runtime.settings)))
