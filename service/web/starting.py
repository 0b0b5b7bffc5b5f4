"""What browsers see while a service starts, in place of every page.

Nothing is imported for it but the words: the thread beside imports all that a real page is made with.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from starlette.types import Scope

from service.web import frame
from service.web.words import Words, accepted, spoken

PAGE = Path(__file__).parent / "templates" / "starting.html"

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


def answer(scope: Scope, waiting_for: str) -> Answer:
    """-> status, headers, body. Raises NotFound for a file that is not there."""
    if scope["path"].startswith("/static/"):
        fields, data = frame.static(scope["path"], scope["query_string"])
        return 200, frame.encoded(fields), data
    headers = dict(scope["headers"])
    chosen = parse_qs(scope["query_string"].decode("latin-1")).get("lang", [None])
    kept = re.search(r"\btsuika_language=(\w+)", headers.get(b"cookie", b"").decode("latin-1"))
    asked = accepted(headers.get(b"accept-language", b"").decode("latin-1"))
    words = Words(spoken([chosen[-1], kept[1] if kept else None, *asked]))
    what = words.named("starting", waiting_for.removeprefix("the ").replace(" ", "_"))
    said = {
        "language": words.language,
        "title": words("starting.title"),
        "sentence": words("starting.waits", what=what),
        "again": words("problem.again"),
        "style": frame.static_address("style.css"),
        "icon": frame.static_address("icon.svg"),
    }
    page = Template(PAGE.read_text()).substitute({name: escape(text) for name, text in said.items()})
    return 503, frame.encoded((("content-type", frame.HTML), ("retry-after", "1"))), page.encode()
