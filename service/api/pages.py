"""Routes of no resource: the version, health as OpenAPI shows it, and the OpenAPI document."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from service import __version__
from service.api.openapi import refusals

routes = APIRouter(tags=["around it"])

NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Not yet, or no more; it says for what it waits."}}


@routes.get("/version")
async def get_version() -> dict[str, str]:
    """Which Tsuika this is."""
    return {"version": __version__}


@routes.get("/healthz")
@routes.get("/livez", include_in_schema=False)
@routes.get("/health", include_in_schema=False)
@routes.get("/ping", include_in_schema=False)
@routes.get("/v2/health/live", tags=["open inference protocol"])
async def get_health(request: Request) -> Response:
    """200 as soon as the process lives."""
    return await _of_health(request)


@routes.get("/readyz", responses=NOT_READY)
@routes.get("/v2/health/ready", tags=["open inference protocol"], responses=NOT_READY)
async def get_readiness(request: Request) -> Response:
    """200 when it can serve; "degraded" where the live version of a model cannot be loaded: who holds the key sees of
    which model, and why."""
    return await _of_health(request)


async def _of_health(request: Request) -> Response:
    """The dispatcher normally answers before the framework is asked."""
    status, body = request.app.state.context.health.of(request.url.path)
    return JSONResponse(body, status)


@routes.get("/openapi.json", include_in_schema=False, responses=refusals())
async def get_description(request: Request) -> Response:
    """The interface for machines."""
    return Response(request.app.written_description, 200, media_type="application/json")
