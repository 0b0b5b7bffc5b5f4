"""Who acts: whose request, or which part of the service, changes the state of things in this thread or task."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """`by`: the id of a key, or a name in words. `request_id`: None where no request asked for it."""

    by: str
    request_id: str | None = None


ANONYMOUS = "anonymous"
"""Who acts where no key is asked for."""
SERVICE = Actor("service")
"""What the service does by itself: learning, judging, clearing away."""
WORKER = Actor("worker")
"""What learns, publishes and erases."""
COMMAND_LINE = Actor("command line")
"""Whoever runs a command beside the service."""
_acting: ContextVar[Actor] = ContextVar("tsuika.actor", default=SERVICE)


def act_as(actor: Actor) -> None:
    """Names who acts from now on, in this task and in the threads that it asks."""
    _acting.set(actor)


def acting() -> Actor:
    return _acting.get()
