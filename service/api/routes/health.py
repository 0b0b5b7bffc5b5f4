"""Is it alive, can it serve: answered before anything heavy is imported, and until the process is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from service.api.limits.request_checks import Scope, Send

V2_LIVE, V2_READY = "/v2/health/live", "/v2/health/ready"
"""The same by the Open Inference Protocol."""
ALIVE = frozenset({"/healthz", "/livez", "/health", "/ping", V2_LIVE})
READY = frozenset({"/readyz", V2_READY})


def no_troubles() -> dict[str, str]:
    """Nothing is wrong."""
    return {}


@dataclass
class Health:
    """What a process tells of itself. `waiting_for`: what still keeps it from serving; null: nothing."""

    waiting_for: str | None = None
    stopping: bool = False
    troubles: Callable[[], dict[str, str]] = field(default=no_troubles)
    """Models that cannot be served as they should, with why."""
    storage: Callable[[], str | None] = field(default=lambda: None)
    """Why nothing can be stored."""
    learning: Callable[[], str | None] = field(default=lambda: None)
    """Why nothing is learned, though this process should."""

    def answers(self, scope: Scope) -> bool:
        """Whether the request asks about health."""
        return scope["method"] in ("GET", "HEAD") and (scope["path"] in ALIVE or scope["path"] in READY)

    async def answer(self, scope: Scope, send: Send, all_of_it: bool = False) -> None:
        """200 while the process lives; readiness 503 until it can serve, 200 "degraded" when a version cannot load,
        nothing can be stored or nothing is learned: what is loaded goes on answering. `all_of_it`: with names of
        models, for those who may see them."""
        status, body = self.of(scope["path"], all_of_it)
        data = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        headers.append((b"cache-control", b"no-store"))
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data if scope["method"] != "HEAD" else b""})

    def of(self, path: str, all_of_it: bool = False) -> tuple[int, dict[str, Any]]:
        """-> status, body, in the form of the door at that path"""
        if path == V2_LIVE:
            return 200, {"live": True}
        status, body = self.alive() if path in ALIVE else self.ready(all_of_it)
        if path == V2_READY:
            fault = {} if status == 200 else {"error": f"The service is {body['status']}."}
            body = {"live": True, "ready": status == 200, **fault}
        return status, body

    def alive(self) -> tuple[int, dict[str, Any]]:
        """-> status, body"""
        return 200, {"status": "alive"}

    def ready(self, all_of_it: bool = False) -> tuple[int, dict[str, Any]]:
        """-> status, body"""
        if self.stopping:
            return 503, {"status": "stopping"}
        if self.waiting_for is not None:
            return 503, {"status": "starting", "waiting_for": self.waiting_for}
        models = self.troubles()
        reasons = {"storage": self.storage(), "learning": self.learning()}
        if models or any(reasons.values()):
            told = {"models": models} if models and all_of_it else {}
            return 200, {"status": "degraded", **told, **{name: why for name, why in reasons.items() if why}}
        return 200, {"status": "ready"}
