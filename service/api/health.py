"""Health of a process, live and ready: answered before anything heavy is imported, and until the process is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope, Send

V2_LIVE, V2_READY = "/v2/health/live", "/v2/health/ready"
"""The paths of the Open Inference Protocol."""
ALIVE = frozenset({"/healthz", "/livez", "/health", "/ping", V2_LIVE})
READY = frozenset({"/readyz", V2_READY})


@dataclass
class Health:
    """The health of a process. `waiting_for`: what still keeps it from serving; None: nothing."""

    waiting_for: str | None = None
    stopping: bool = False
    troubles: Callable[[], dict[str, str]] = field(default=dict)
    """Models that cannot be served as they should, with the reason."""
    storage: Callable[[], str | None] = field(default=lambda: None)
    """Why nothing can be stored."""
    learning: Callable[[], str | None] = field(default=lambda: None)
    """Why nothing is learned, though this process should."""
    queue: Callable[[], str | None] = field(default=lambda: None)
    """Why nothing is learned anywhere, though updates wait."""
    disk: Callable[[], str | None] = field(default=lambda: None)
    """What is wrong with the room on disk."""

    def answers(self, scope: Scope) -> bool:
        """Whether the request asks about health."""
        return scope["method"] in ("GET", "HEAD") and (scope["path"] in ALIVE or scope["path"] in READY)

    async def answer(self, scope: Scope, send: Send, names_models: bool = False) -> None:
        """Sends the answer to a request about health. `names_models`: for callers who may see them."""
        status, body = self.of(scope["path"], names_models)
        data = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        if status == 503:
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data if scope["method"] != "HEAD" else b""})

    def of(self, path: str, names_models: bool = False) -> tuple[int, dict[str, Any]]:
        """-> status, body, in the form of the protocol at that path"""
        if path == V2_LIVE:
            return 200, {"live": True}
        status, body = (200, {"status": "alive"}) if path in ALIVE else self.ready(names_models)
        if path == V2_READY:
            fault = {} if status == 200 else {"error": f"The service is {body['status']}."}
            body = {"live": True, "ready": status == 200, **fault}
        return status, body

    def ready(self, names_models: bool = False) -> tuple[int, dict[str, Any]]:
        """-> status, body: 503 until the process can serve and once it stops; 200 "degraded" where a version cannot be
        loaded, nothing can be stored or nothing is learned: what is loaded goes on answering."""
        if self.stopping:
            return 503, {"status": "stopping"}
        if self.waiting_for is not None:
            return 503, {"status": "starting", "waiting_for": self.waiting_for}
        models, reasons = self.troubles(), self.reasons()
        if models or reasons:
            named = {"models": models} if models and names_models else {}
            return 200, {"status": "degraded", **named, **reasons}
        return 200, {"status": "ready"}

    def reasons(self) -> dict[str, str]:
        """What is wrong besides models, by the part that it is of."""
        asked = {"storage": self.storage(), "disk": self.disk(), "learning": self.learning() or self.queue()}
        return {part: reason for part, reason in asked.items() if reason}
