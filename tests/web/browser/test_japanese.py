"""Pages in Japanese say nothing in English but commands, what people wrote, and what is to be unfolded; all that links
lead to are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.running import Server

pytestmark = pytest.mark.browser

SENTENCE = re.compile(r"[A-Za-z][a-z']+(?:[ ,]+[A-Za-z][a-z']*){2,}")
"""Three English words in a row."""
GAP = re.compile(r"[。、：）」] | [「（]")
"""A space beside a full-width mark."""
QUOTED = {"code", "pre", "script", "style"}
WRITTEN = ""
"""The language of what people wrote."""
UNFOLDED = "details"
"""Where the service's own words stand, to be unfolded."""


class Text(HTMLParser):
    """Texts of a page but those that are quoted, and whether each is English that is to be unfolded; links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[tuple[str, bool]] = []
        self.links: list[str] = []
        self._open: list[tuple[str, str | None]] = []
        self.feed(page)

    @property
    def english(self) -> list[str]:
        """Sentences that are English and are not to be unfolded."""
        return [text for text, folded in self.texts if not folded and SENTENCE.search(text)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "a" and said.get("href"):
            self.links.append(said["href"] or "")
        if tag not in {"meta", "link", "input", "br", "img", "hr"}:
            self._open.append((tag, said.get("lang")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tags, languages = {tag for tag, _ in self._open}, {language for _, language in self._open}
        if data.strip() and not tags & QUOTED and WRITTEN not in languages:
            folded = UNFOLDED in tags and "en" in languages
            self.texts.append((" ".join(data.split()), folded))


def crawled(client: httpx.Client, first: list[str]) -> Iterator[tuple[str, Text]]:
    """Every page that links lead to, in Japanese."""
    waiting, seen = list(first), set(first)
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        assert answer.status_code == 200, path
        text = Text(answer.text)
        yield path, text
        for link in text.links:
            parts = urlsplit(urljoin(path, link))
            to = parts.path + (f"?{parts.query}" if parts.query else "")
            page = not parts.netloc and not parts.path.startswith(("/v1/", "/openapi.json", "/static/"))
            if page and "lang=" not in parts.query and to not in seen:
                seen.add(to)
                waiting.append(to)


def test_no_sentence_is_english_or_has_gaps(site: Server, pages: dict[str, str]) -> None:
    english, gaps = dict[str, str](), dict[str, str]()
    read = 0
    with httpx.Client(
        base_url=site.url, timeout=60, headers={"accept": "text/html", "accept-language": "ja"}
    ) as client:
        for path, text in crawled(client, ["/", *pages.values()]):
            read += 1
            english |= dict.fromkeys(text.english, path)
            gaps |= {said: path for said, _ in text.texts if GAP.search(said)}
    assert read > 60
    assert english == {}
    assert gaps == {}
