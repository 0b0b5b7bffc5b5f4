"""The tables of errors, made from `service.errors` and the statuses that the API gives them."""

from __future__ import annotations

from collections.abc import Iterator

from service.api.problems import status_of
from service.errors import TsuikaError

FAULT = 500
"""The status of what no request is answered with: an update tells it, or a command."""


def errors_tables() -> str:
    """What requests are answered with, by status; then what updates and commands tell."""
    kinds = sorted(_kinds(TsuikaError), key=lambda kind: (status_of(kind), kind.slug))
    answered = [
        f"| {status_of(kind)} | `{kind.slug}` | {kind.title} | {_when(kind)} |"
        for kind in kinds
        if status_of(kind) != FAULT
    ]
    elsewhere = [f"| `{kind.slug}` | {kind.title} | {_when(kind)} |" for kind in kinds if status_of(kind) == FAULT]
    return "\n".join(
        [
            "## What a request is answered with\n",
            "| status | type | title | when |",
            "| --- | --- | --- | --- |",
            *answered,
            "",
            "## What an update or a command tells\n",
            "| type | title | when |",
            "| --- | --- | --- |",
            *elsewhere,
            "",
        ]
    )


def _kinds(kind: type[TsuikaError]) -> Iterator[type[TsuikaError]]:
    """Every kind below this one that has a slug of its own; those that a program adds by itself are left out."""
    for below in kind.__subclasses__():
        if below.slug != kind.slug and below.__module__ == TsuikaError.__module__:
            yield below
        yield from _kinds(below)


def _when(kind: type[TsuikaError]) -> str:
    return " ".join((kind.__doc__ or "").split())
