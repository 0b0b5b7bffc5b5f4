"""Examples: short programs that talk to a running service."""

from __future__ import annotations

import secrets


def new_name(what: str) -> str:
    """A name that no model has yet, so that an example can be run again."""
    return f"{what}-{secrets.token_hex(3)}"
