"""Examples: short programs that talk to a running service."""

from __future__ import annotations

import secrets

from service.contract.resources import Update


def new_name(what: str) -> str:
    """A name that no model has yet, so that an example can be run again."""
    return f"{what}-{secrets.token_hex(3)}"


def verdict(update: Update) -> str:
    """What the gate says of an update, in one sentence."""
    return update.report.gate.why if update.report is not None else f"It ended as {update.state}."
