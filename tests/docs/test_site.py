"""The navigation of the site names every page once, and pages link to pages that are there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from tests.docs.newcomer import BLOCK
from tests.running import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md"))
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|^\[[^\]]+\]: (\S+)", re.M)


def named(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for inside in part.values() if isinstance(part, dict) else part:
            yield from named(inside)


def test_the_navigation_names_every_page_once() -> None:
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    names = sorted(named(navigation))
    missing, gone = sorted({*PAGES} - {*names}), sorted({*names} - {*PAGES})
    assert not missing, f"Name in `nav` of zensical.toml: {', '.join(missing)}"
    assert not gone, f"`nav` of zensical.toml names pages that are not in docs/: {', '.join(gone)}"
    assert names == PAGES, "`nav` of zensical.toml names a page twice."


def test_its_links_lead_somewhere() -> None:
    for page in [*PAGES, "../README.md", "../README.ja.md", "../CONTRIBUTING.md"]:
        text = BLOCK.sub("", (DOCS / page).read_text())
        for target in (inline or reference for inline, reference in LINK.findall(text)):
            assert "://" in target or ((DOCS / page).parent / target).exists(), f"{page} links to {target}"
