"""Sentences and names in Markdown."""

from __future__ import annotations

import re

MARKUP = re.compile(r"[\\`*_{}\[\]<>#|&~]")
PIPE = "\\|"
"""A | that does not end a cell of a table."""


def plain(text: str) -> str:
    """A sentence in which nothing is markup: it may hold names that people gave."""
    return MARKUP.sub(r"\\\g<0>", text)


def code(name: str) -> str:
    """A name as code, whatever is in it: no markup begins."""
    fence = "`" * (max(map(len, re.findall("`+", name)), default=0) + 1)
    pad = " " if "`" in name else ""
    return f"{fence}{pad}{name}{pad}{fence}"
