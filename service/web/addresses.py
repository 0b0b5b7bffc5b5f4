"""Which addresses are pages: all that the service knows of them until it is ready."""

from __future__ import annotations

from starlette.types import Scope

ROOTS = frozenset({"", "audit", "docs", "keys", "limits", "models", "new", "sign-in", "sign-out", "static", "updates"})
"""First parts of the paths of pages; a test compares them with the list of pages."""


def wants_html(scope: Scope) -> bool:
    """Whether a browser asks, which shows a page to somebody."""
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def is_page(path: str) -> bool:
    """Whether a path is that of a page, or beneath one."""
    return path[1:].partition("/")[0] in ROOTS
