"""Figures of this process for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request, Response

from service.api.context import Context, Shared, access
from service.api.openapi import Responses, refusals
from service.telemetry import metrics, process, requests
from service.telemetry.metrics import Family, Sample, gauge

routes = APIRouter(tags=["around it"])

TEXT: Responses = {
    200: {"description": "Figures of this process.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


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
    oldest = max(0.0, queue.oldest_seconds or 0.0)
    yield gauge("tsuika_oldest_waiting_update_seconds", "How long the oldest has been due.", oldest)
    yield from runtime.live.figures()
    yield from shared.watcher.scores.families()
    yield from metrics.counted()
