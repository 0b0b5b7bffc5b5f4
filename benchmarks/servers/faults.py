"""What bad input gets, from each server and at each door of ours: a status, and whether the answer is JSON."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import httpx

from benchmarks.servers.contenders import Contender, Row
from benchmarks.servers.ours import serving
from benchmarks.servers.running import Place, running

UNSAID = "–"
"""This door's form cannot say it."""


def with_first(value: object) -> Callable[[Any], Any]:
    """Rows whose first number is something else."""

    def change(row: Any) -> Any:
        return [change(row[0]), *row[1:]] if isinstance(row, Sequence) else value

    return change


def narrower(row: Row) -> Row:
    """One number fewer; of an image one line fewer in each channel."""
    return [narrower(part) for part in row] if isinstance(row[0], Sequence) and _deep(row) > 2 else row[:-1]


def _deep(row: Any) -> int:
    return 1 + _deep(row[0]) if isinstance(row, Sequence) else 0


CHANGES: dict[str, Callable[[Row], Row]] = {
    "NaN": with_first(math.nan),
    "null": with_first(None),
    "wrong width": narrower,
}
BODIES = {"{": b"{"}
NAMES = (*CHANGES, *BODIES)


def faults(contender: Contender, place: Place, settings: dict[str, str]) -> list[str]:
    """What each of `NAMES` gets. Raises NotStarted."""
    with serving(contender, place, settings) if contender.ours else running(contender, place) as server:
        outcomes = [_outcome(partial(server.ask, changed=change(server.row))) for change in CHANGES.values()]
        outcomes += [_outcome(partial(server.ask, body=body)) for body in BODIES.values()]
        return outcomes if server.right() else [*outcomes[:-1], f"{outcomes[-1]}, then nothing right"]


def _outcome(ask: Callable[[], httpx.Response]) -> str:
    with suppress(TypeError, struct.error):
        try:
            return described(ask())
        except httpx.TransportError as error:
            return f"no answer ({type(error).__name__})"
    return UNSAID


def described(response: httpx.Response) -> str:
    """The status, and what is wrong with the answer, if anything is."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    status = str(response.status_code)
    try:
        json.loads(response.text, parse_constant=refuse)
    except json.JSONDecodeError:
        return f"{status}, not JSON"
    except ValueError as error:
        return f"{status}, {error} in JSON"
    return status
