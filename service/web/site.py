"""The pages as an ASGI application beside the API: finds the page, checks a form, asks the page in a thread, sends."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from urllib.parse import quote

import anyio
import anyio.to_thread

from service.contract.resources import Problem
from service.errors import NotFound
from service.web.browser import Browser, headers_of, query_of
from service.web.client import ApiClient, Door, Receive, Refused, Scope, Send
from service.web.forms import read_form
from service.web.pages import ROUTES
from service.web.rendering import render
from service.web.upload import MULTIPART, Upload
from service.web.view import Answer, Moved, Page, Shown, View
from service.web.words import Words

AT_ONCE = 4
"""Pages that are made at the same time, in threads of their own: those of the API stay free for what pages ask it."""
STATIC = Path(__file__).parent / "static"
MEDIA = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("style", "script", "connect")),
        "img-src 'self' data:",  # rows that are images
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("referrer-policy", "same-origin"),  # with no-referrer a browser would not say from which origin a form comes
)
PATTERNS = [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route.path)), route) for route in ROUTES]


@dataclass(frozen=True)
class _Made:
    """An answer as it is sent."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]


class Site:
    """All pages of a service. `door`: the whole application, which each page asks for what it shows."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._threads = anyio.CapacityLimiter(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> str:
        """Answers a request. -> its route, for figures and the log. Raises NotFound for what is no page, where no
        browser asks for it, and what `read_form` raises."""
        path, asks = scope["path"], scope["method"]
        if path.startswith("/static/") and asks == "GET":
            await _send(send, static(path.removeprefix("/static/")))
            return "/static/{file}"
        match, route = next(((m, r) for pattern, r in PATTERNS if (m := pattern.fullmatch(path))), (None, None))
        page: Page | None = {"GET": route.show, "POST": route.act}.get(asks) if route is not None else None
        if (match is None or page is None) and "text/html" not in headers_of(scope).get("accept", ""):
            raise NotFound("There is nothing at this address. The interface is described at /docs.")
        browser = Browser.of(scope)
        upload = await _upload(scope, receive) if asks == "POST" and route and (route.sends or route.looks) else None
        form = upload.fields if upload else await read_form(receive) if asks == "POST" else {}
        view = View(
            api=ApiClient(self._door, scope, browser.key, form.get("attempt")),
            words=Words(browser.language),
            params=match.groupdict() if match else {},
            query=query_of(scope),
            form=form,
        )
        if page is None:
            page = _no_page
        elif asks == "POST" and not browser.wrote(form, scope):
            page = _not_ours
        elif upload is not None and upload.name and route is not None:
            if route.sends is not None:
                view = replace(view, sent=await view.api.stream(route.sends(view, upload.name), upload.receive))
            else:
                view = replace(view, head=await upload.head())
        await _send(send, await anyio.to_thread.run_sync(_made, page, view, browser, limiter=self._threads))
        return route.path if route else ""


async def _upload(scope: Scope, receive: Receive) -> Upload | None:
    """The form with a file that is sent, up to its file; None where it is one of fields alone."""
    content_type = headers_of(scope).get("content-type", "")
    if not content_type.lower().startswith(MULTIPART):
        return None
    upload = Upload(receive, content_type)
    await upload.read_fields()
    return upload


def _made(page: Page, view: View, browser: Browser) -> _Made:
    """The answer of a page, with what the API refused as a page of its own."""
    try:
        answer = page(view)
    except Refused as refused:
        answer = _of_problem(view, refused.problem)
    cookies = tuple(
        ("set-cookie", cookie) for cookie in browser.cookies(answer.key if isinstance(answer, Moved) else None)
    )
    if isinstance(answer, Moved):
        return _Made(303, b"", (("location", answer.to), *cookies))
    body = render(answer, browser, view.words).encode()
    language = ("content-language", browser.language)
    return _Made(answer.status, body, (("content-type", "text/html; charset=utf-8"), language, *cookies))


def _of_problem(view: View, problem: Problem) -> Answer:
    """Who has no good key signs in, and comes back; else the sentence of the problem."""
    if problem.status == 401:
        origin = view.api.origin
        here = origin["path"] if origin["method"] == "GET" else "/"
        return Moved(f"/sign-in?next={quote(here, safe='')}")
    return Shown("problem.html", {"title": problem.title, "sentence": problem.detail}, status=problem.status)


def _no_page(view: View) -> Answer:
    words = view.words
    return Shown(
        "problem.html", {"title": words("problem.no_page"), "sentence": words("problem.try_models")}, status=404
    )


def _not_ours(view: View) -> Answer:
    words = view.words
    return Shown(
        "problem.html", {"title": words("problem.not_sent"), "sentence": words("problem.load_again")}, status=403
    )


@cache
def static(name: str) -> _Made:
    """A file of `static/`. Raises NotFound."""
    if name not in {file.name for file in STATIC.iterdir()}:
        raise NotFound("There is no such file.")
    file = STATIC / name
    return _Made(200, file.read_bytes(), (("content-type", MEDIA[file.suffix]),))


async def _send(send: Send, made: _Made) -> None:
    fields = (*HEADERS, ("content-length", str(len(made.body))), *made.headers)
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields]
    await send({"type": "http.response.start", "status": made.status, "headers": headers})
    await send({"type": "http.response.body", "body": made.body})
