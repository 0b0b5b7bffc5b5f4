"""Routes of no resource: the version, health as OpenAPI shows it, the OpenAPI document, and the same as a page."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from service import __version__
from service.api.openapi import refusals

routes = APIRouter(tags=["around it"])

NOT_READY: dict[int | str, dict[str, Any]] = {503: {"description": "Not yet, or no more; it says for what it waits."}}

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1d2a35}
code{font:14px ui-monospace,monospace}h2{margin-top:2rem}table{border-collapse:collapse;width:100%}
td{border-top:1px solid #d8dee4;padding:.4rem .6rem;vertical-align:top}td:first-child{width:4rem;font-weight:600}
.codes{color:#5b6b79;white-space:nowrap}@media(prefers-color-scheme:dark){body{background:#12181e;color:#e4eaf0}}"""

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


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


@routes.get("/docs", include_in_schema=False, responses=refusals())
async def get_docs(request: Request) -> Response:
    """The interface as a page, made from its OpenAPI description."""
    return Response(request.app.written_page, 200, PAGE_HEADERS, "text/html; charset=utf-8")


def page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document: one table a tag, one line a call."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(_line(method, path, operation))
    tables = "".join(f"<h2>{escape(tag)}</h2><table>{''.join(lines)}</table>" for tag, lines in groups.items())
    info = document["info"]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tsuika</title><style>{STYLE}</style></head>'
        f"<body><h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f'<p>The same for machines: <a href="/openapi.json">/openapi.json</a></p>{tables}</body></html>'
    )


def _line(method: str, path: str, operation: dict[str, Any]) -> str:
    text = escape(operation.get("description") or operation.get("summary") or "")
    codes = " ".join(sorted(operation["responses"]))
    return (
        f'<tr><td>{method.upper()}</td><td><code>{escape(path)}</code><br>{text}<br><span class="codes">{codes}</span>'
        "</td></tr>"
    )
