"""Makes HTML of what a page says. All that is put into a template is escaped; charts alone come as they are."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup, escape

from service import __version__
from service.contract.figures import amount
from service.contract.names import seen
from service.guessing.csv_files.letters import ENCODING_NAMES
from service.web.browser import Browser
from service.web.frame import static_address
from service.web.reports.estimates import interval
from service.web.reports.verdicts import within_chance
from service.web.upload import HEAD_BYTES
from service.web.view import Shown
from service.web.words import LANGUAGES, Words, moment, percent, plain

TEMPLATES = Path(__file__).parent / "templates"
CODE = re.compile("`([^`]+)`")
TAGS = re.compile(r"(<(textarea|pre|bdi)\b.*?</\2>|<[^>]*>)", re.DOTALL)
"""Tags, and what people wrote with its own."""
FIRST = ("base.html", "parts.html", "models.html")
OPENS, CLOSES = "「（", "。、：）」"


@cache
def templates() -> jinja2.Environment:
    """All templates; each is compiled when it is first shown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"percent": percent, "amount": amount, "plain": plain, "moment": moment, "seen": seen}
    environment.filters |= {"without_query": lambda address: address.partition("?")[0]}
    environment.filters |= {"coded": coded, "anchor": anchor, "within_chance": within_chance, "interval": interval}
    environment.globals |= {
        "tsuika": __version__,
        "languages": LANGUAGES,
        "static_address": static_address,
        "head_bytes": HEAD_BYTES + 1,
        "encodings": [name.lower() for name in ENCODING_NAMES.values()],
    }
    return environment


def warm() -> None:
    """Compiles what the first page is made of, and reads the words of pages."""
    for template in FIRST:
        templates().get_template(template)
    for language in LANGUAGES:
        Words(language)


def coded(sentence: str) -> Markup:
    """What stands between backticks as code; all else as text."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(sentence))))


def anchor(call: str) -> str:
    """The place of a call on the page of all calls: "POST /v1/keys" -> "post-v1-keys"."""
    return re.sub(r"\W+", "-", call.lower()).strip("-")


def without_gaps(html: str) -> str:
    """The page without spaces beside full-width marks, as Japanese is written: templates part sentences by spaces. What
    people wrote stays as it is."""
    shut, made, parts = False, list[str](), TAGS.split(html)
    for text, tag, written in zip(parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True):
        text = re.sub(rf"(?<=[{CLOSES}])\s+|\s+(?=[{OPENS}])", "", text.lstrip() if shut else text)
        shut = not written and (text[-1] in CLOSES if text else shut)
        made += text, tag
    return "".join(made)


class Lacks(Protocol):
    """What the page of a path needs and a key lacks, in a sentence; "" where it may. leads: of a link on any page."""

    def __call__(self, path: str, leads: bool = False) -> str: ...


def render(shown: Shown, browser: Browser, words: Words, query: Mapping[str, str], lacks: Lacks) -> str:
    """The page as HTML. query: of its address, which it keeps in another language. lacks: what the page of a path,
    or a form that is sent there, needs and the key of the browser lacks, in a sentence."""
    frame: dict[str, Any] = {
        "t": words,
        "token": browser.token,
        "attempt": secrets.token_urlsafe(18),
        "signed_in": browser.key is not None,
        "lacks": lacks,
        "calls": [call.replace(":path}", "}") for call in shown.calls],  # as the page of all calls has them
        "same": ({"": shown.json} if shown.json is not None else {}) | {**shown.parts},
        "in_language": lambda code: "?" + urlencode({**query, "lang": code}),
    }
    html = templates().get_template(shown.template).render({**frame, **shown.facts})
    return without_gaps(html) if words.language == "ja" else html
