"""The first page of the site, made from the README."""

from __future__ import annotations

import re

from tests.running import ROOT

LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)")


def home(readme: str) -> str:
    """The README with its links as they are from the page's folder; what is not in docs/ is named without a link."""
    up = "../" if readme != "README.md" else ""
    other = {"README.md": "../index.md", "README.ja.md": "ja/index.md"}

    def as_from_here(link: re.Match[str]) -> str:
        text, target = link["text"], link["target"]
        if target in other:
            return f"{text}({other[target]})"
        if target.startswith("docs/"):
            return f"{text}({up}{target.removeprefix('docs/')})"
        return link[0] if "://" in target or target.startswith("#") else f"`{target}`"

    return LINK.sub(as_from_here, (ROOT / readme).read_text())
