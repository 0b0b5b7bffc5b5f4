"""The route of the limits."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.api.context import Shared, answer
from service.api.limits.table import limits_of
from service.api.openapi import refusals
from service.contract import resources

routes = APIRouter(tags=["limits"])


@routes.get("/v1/limits", response_model=resources.Limits, responses=refusals())
def list_limits(shared: Shared) -> Response:
    """How much a caller may ask for, and what becomes of a request that goes beyond it."""
    return answer(resources.Limits(items=limits_of(shared.runtime.settings)))
