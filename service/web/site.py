"""The pages as an ASGI application beside the API: finds the page, checks a form, asks the page in a thread, sends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from urllib.parse import quote, urlencode

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from service.contract.enums import FORM_DATA, KeyScope
from service.contract.keys import ADMIN, SCOPES, CurrentKey
from service.contract.resources import Problem
from service.errors import NotFound, TooLarge
from service.web.addresses import is_page, wants_html
from service.web.browser import Browser, headers_of, query_of
from service.web.client import ApiClient, Refused, address
from service.web.forms import FORM_BYTES, read_form, slug_of
from service.web.frame import HTML, encoded, static
from service.web.pages import ROUTES
from service.web.rendering import Lacks, render
from service.web.upload import Upload
from service.web.view import Answer, Moved, Page, Shown, View
from service.web.words import Words

AT_ONCE = 4
"""Pages that are made at the same time, in threads of their own: those of the API stay free for what pages ask it."""
PATTERNS = [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route.path)), route) for route in ROUTES]


@dataclass(frozen=True)
class _Made:
    """An answer as it is sent. `media`: its type, None where it has no body."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    media: str | None = None


Refusal = tuple[bytes, bytes, list[tuple[bytes, bytes]]]


class Site:
    """All pages of a service. `door`: the whole application, which each page asks for what it shows; `most_bytes`: of
    a file."""

    def __init__(self, door: ASGIApp, most_bytes: int) -> None:
        self._door, self._most_bytes = door, most_bytes
        self._threads = anyio.CapacityLimiter(AT_ONCE)

    @staticmethod
    def route_at(path: str) -> str:
        """The route of a path, for figures and the log; "" where there is none."""
        if path.startswith("/static/"):
            return "/static/{file}"
        return next((route.path for pattern, route in PATTERNS if pattern.fullmatch(path)), "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request. Raises NotFound for what is no page, where no browser asks for it, TooLarge, and what
        `read_form` raises."""
        path, asks = scope["path"], scope["method"]
        if path.startswith("/static/") and asks == "GET":
            fields, data = static(path, scope["query_string"])
            await _send(send, _Made(200, data, fields))
            return
        match, route = next(((m, r) for pattern, r in PATTERNS if (m := pattern.fullmatch(path))), (None, None))
        page: Page | None = {"GET": route.show, "POST": route.act}.get(asks) if route is not None else None
        if (match is None or page is None) and not wants_html(scope):
            raise NotFound("There is nothing at this address. The interface is described at /docs.")
        browser = Browser.of(scope)
        upload = None
        if asks == "POST" and route and (route.sends or route.looks):
            self._check_length(scope)
            upload = await _upload(scope, receive)
        form = upload.fields if upload else await read_form(receive) if asks == "POST" else {}
        view = View(
            api=ApiClient(self._door, scope, browser.key, _attempt(form, upload.name if upload else "")),
            words=Words(browser.language),
            params=match.groupdict() if match else {},
            query=query_of(scope),
            form=form,
            calls=route.calls if route else (),
        )
        if page is None:
            page = _no_page
        elif asks == "POST" and not browser.wrote(form, scope):
            page = _not_ours
        elif upload is not None and upload.name and route is not None:
            if route.sends is not None and (to := route.sends(view, upload.name)) is not None:
                sent = await view.api.stream(to, upload.kept if route.looks else upload.receive)
                view = replace(view, sent=sent, head=upload.beginning())
            else:
                view = replace(view, head=await upload.head())
        await _send(send, await anyio.to_thread.run_sync(_made, page, view, browser, limiter=self._threads))

    def _check_length(self, scope: Scope) -> None:
        """Raises TooLarge for a form that says itself that its file is over the limit, before it is read."""
        declared = headers_of(scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self._most_bytes + FORM_BYTES:
            limit = self._most_bytes
            sentence = f"The file is over {limit:,} bytes (TSUIKA_MAX_BODY_BYTES). Send it in several files."
            raise TooLarge(sentence, limit=limit)

    def refusal(self, scope: Scope, problem: Mapping[str, object]) -> Refusal | None:
        """What the door refuses of a page, as a page: media type, body, headers; None where no browser asks for it."""
        if not wants_html(scope):
            return None
        api, browser = ApiClient(self._door, scope), Browser.of(scope)
        view = View(api, Words(browser.language), {}, query_of(scope))
        shown = _of_refusal(view, Problem.model_validate(problem))
        made = _rendered(
            shown, view, browser, lambda path, leads=False: ""
        )  # no thread, in which the API could be asked
        return HTML.encode(), made.body, encoded(made.headers)


def _attempt(form: Mapping[str, str], file: str) -> str | None:
    """What a form is tried as: who goes back and sends it with another reason, or file, asks for something else."""
    if "attempt" not in form:
        return None
    content = repr((file, sorted(form.items()))).encode("utf-8", "replace")
    return f"{form['attempt']}-{sha256(content).hexdigest()[:16]}"


async def _upload(scope: Scope, receive: Receive) -> Upload | None:
    """The form with a file that is sent, up to its file; None where it is one of fields alone."""
    content_type = headers_of(scope).get("content-type", "")
    if not content_type.lower().startswith(FORM_DATA):
        return None
    upload = Upload(receive, content_type)
    await upload.read_fields()
    return upload


def _made(page: Page, view: View, browser: Browser) -> _Made:
    """The answer of a page, with what the API refused as a page of its own."""
    try:
        answer = page(view)
        if isinstance(answer, Shown):
            calls = () if page in (_no_page, _not_ours) else view.calls
            return _rendered(replace(answer, calls=calls), view, browser)
        after = None
    except Refused as refused:
        answer, after = _of_problem(view, refused.problem), refused.retry_after
    if isinstance(answer, Moved):
        cookies = (("set-cookie", cookie) for cookie in browser.cookies(answer.key))
        return _Made(303, b"", (("location", answer.to), *cookies))
    made = _rendered(answer, view, browser)
    return made if after is None else replace(made, headers=(*made.headers, ("retry-after", after)))


def _rendered(shown: Shown, view: View, browser: Browser, lacks: Lacks | None = None) -> _Made:
    body = render(shown, browser, view.words, view.query, lacks or _lacking(view)).encode()
    cookies = (("set-cookie", cookie) for cookie in browser.cookies())
    return _Made(shown.status, body, (("content-language", browser.language), *cookies), HTML)


def _lacking(view: View) -> Lacks:
    """What a page, or a form that is sent there, needs and the key of the browser lacks, in a sentence; "" where it
    may. Raises Refused for who has no good key, and signs in first. leads: of a link that leads away from a page, which
    may be one for whoever has no key; then nothing is left out."""

    @cache
    def scopes() -> set[KeyScope]:
        return {*view.api.get(address("keys", "current"), CurrentKey).scopes}

    @cache
    def lacks(path: str, leads: bool = False) -> str:
        calls = next(((*route.calls, *route.reads) for pattern, route in PATTERNS if pattern.fullmatch(path)), ())
        if not calls:
            return ""
        needed = [SCOPES[at][method] for method, at in map(str.split, calls)]
        try:
            has = scopes()
        except Refused:
            if leads:
                return ""
            raise
        missing = [sorted(of) for of in needed if not has & (of | ADMIN)]
        return view.words.lacks(missing) if missing else ""

    return lacks


def _of_problem(view: View, problem: Problem) -> Answer:
    """Who has no good key signs in, and comes back; else what the problem means."""
    if problem.status == 401:
        here = "?".join(filter(None, (view.api.origin["path"], urlencode(view.query))))
        return Moved(f"/sign-in?next={quote(here, safe='')}")
    return _of_refusal(view, problem)


def _of_refusal(view: View, problem: Problem) -> Shown:
    """What a refusal means, in words of the page and of the API; what may pass by itself is asked for again."""
    said = {
        "title": view.words("problem.title"),
        "sentence": view.words.refusal(slug_of(problem)),
        "original": problem.detail,
        "again": problem.status == 503 and view.api.origin["method"] in ("GET", "HEAD"),
    }
    return Shown("problem.html", said, status=problem.status)


def _no_page(view: View) -> Answer:
    """What is at no address of a page; of one that other servers have, what the API says of it."""
    words, path = view.words, quote(view.api.origin["path"])
    said = {"title": words("problem.no_page"), "sentence": words("problem.try_models"), "lost": True}
    if not is_page(view.api.origin["path"]):
        try:
            view.api.send("GET", path)
        except Refused as refused:
            said |= {"original": refused.problem.detail} if refused.problem.status == 404 else {}
    return Shown("problem.html", said, status=404)


def _not_ours(view: View) -> Answer:
    words = view.words
    return Shown(
        "problem.html", {"title": words("problem.not_sent"), "sentence": words("problem.load_again")}, status=403
    )


async def _send(send: Send, made: _Made) -> None:
    of_body = (("content-length", str(len(made.body))), *((("content-type", made.media),) if made.media else ()))
    headers = encoded((*made.headers, *of_body))
    await send({"type": "http.response.start", "status": made.status, "headers": headers})
    await send({"type": "http.response.body", "body": made.body})
