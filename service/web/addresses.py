"""Which addresses are pages: all that the service knows of them until the first is asked for."""

from __future__ import annotations

ROOTS = frozenset({"", "audit", "keys", "limits", "models", "new", "sign-in", "sign-out", "static", "updates"})
"""First parts of the paths of pages; a test compares them with the list of pages."""


def is_page(path: str) -> bool:
    """Whether a path is that of a page, or beneath one."""
    return path[1:].partition("/")[0] in ROOTS
