"""Routes of no resource: figures for Prometheus, the version, health as OpenAPI shows it, and the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from service import __version__
from service.api.context import Context, Shared, access
from service.api.openapi import Responses, refusals
from service.telemetry import metrics, process, requests
from service.telemetry.metrics import Family, Sample, gauge

routes = APIRouter(tags=["around it"])

TEXT: Responses = {
    200: {"description": "Figures of this process.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
NOT_READY: Responses = {503: {"description": "Not yet, or no more; it says for what it waits."}}


@routes.get("/metrics", response_class=Response, responses={**TEXT, **refusals()})
async def get_metrics(request: Request, shared: Shared) -> Response:
    """Figures for Prometheus, of this process alone. A key of some models sees the figures of these models."""
    caller, families = access(request), _families(shared)
    shown = families if caller.models is None else metrics.of_models(families, caller.sees)
    return Response(metrics.text_of(shown), media_type=metrics.MEDIA)


def _families(shared: Context) -> Iterator[Family]:
    """On the event loop, where requests are counted; nothing here waits for anything but the memory."""
    runtime, turns, batcher, queue = shared.runtime, shared.turns, shared.batcher, shared.watcher.queue
    yield from process.families(runtime.settings.data)
    status, _ = shared.health.ready()
    yield gauge("tsuika_ready", "Whether it can serve.", status == 200)
    reasons = shared.health.reasons()
    parts = [Sample((("part", part),), part in reasons) for part in ("storage", "disk", "learning")]
    yield Family("tsuika_degraded", "gauge", "Whether /readyz has something to say of a part.", parts)
    yield from requests.families()
    lanes = {"predictions": batcher.waiting, "rows": turns.rows.waits, "orders": turns.orders.waits}
    lanes |= {"large": turns.large.waits}
    waiting = [Sample((("kind", kind),), count) for kind, count in lanes.items()]
    yield Family("tsuika_waiting_requests", "gauge", "Requests that wait for their turn.", waiting)
    yield gauge("tsuika_prediction_backlog_seconds", "Time until all waiting rows are computed.", batcher.backlog)
    yield gauge("tsuika_event_streams", "Streams of events that are open.", shared.watcher.streams)
    yield gauge("tsuika_waiting_updates", "Updates that wait, of all processes.", queue.waiting)
    yield gauge("tsuika_running_updates", "Updates that run, of all processes.", queue.running)
    for state, seconds in (("waiting", queue.oldest_seconds), ("running", queue.running_seconds)):
        what = "the oldest has been due" if state == "waiting" else "the oldest has run"
        yield gauge(f"tsuika_oldest_{state}_update_seconds", f"How long {what}.", max(0.0, seconds or 0.0))
    yield from runtime.live.figures()
    yield from shared.watcher.scores.families()
    yield from shared.watcher.waiting_rows.families()
    yield from metrics.counted()


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
