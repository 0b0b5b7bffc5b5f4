"""Heads that come again: a sender that keeps its connection says the same before each body, but for its length.

A request that begins as the one before it needs no parser. What is known of that one is where its Content-Length stands
and what it says of everything else; whatever differs by a byte, or is not one request and nothing more, is parsed.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from service.api.limits.request_checks import CONTENT_LENGTH, HEADERS, USUAL, Scope

END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,8})(?=\r\n)", re.IGNORECASE)
MOST_DIGITS = 8


class KnownHead(NamedTuple):
    """A head: the bytes before and behind the digits of its Content-Length, its scope, and that header's place."""

    before: bytes
    behind: bytes
    scope: Scope
    place: int


def known_by(data: bytes, scope: Scope) -> KnownHead | None:
    """By what a request is known again that was read from these bytes, where they hold it and nothing else: a head up
    to the first empty line, in which its length stands once, and behind it so many bytes."""
    end = data.find(END) + len(END)
    lengths = list(LENGTH.finditer(data, 0, end))
    if len(lengths) != 1 or len(data) != end + int(lengths[0][1]):
        return None
    start, stop = lengths[0].span(1)
    kept = {name: said for name, said in scope.items() if not name.startswith("tsuika.") or name in (HEADERS, USUAL)}
    [place] = [k for k, (name, _) in enumerate(scope["headers"]) if name == CONTENT_LENGTH]
    return KnownHead(data[:start], data[stop:end], kept, place)


def read_again(data: bytes, known: KnownHead, state: dict[str, Any]) -> tuple[Scope, bytes] | None:
    """Scope and body of one whole request that begins as the known one did, but for its length; None of anything
    else. `state`: of the application, for the scope."""
    before, behind, scope, place = known
    end = data.find(b"\r\n", len(before), len(before) + MOST_DIGITS + 2)
    length = data[len(before) : end]
    body = end + len(behind)
    if not data.startswith(before) or not data.startswith(behind, end) or not length.isdigit():
        return None
    if len(data) != body + int(length):
        return None
    headers = scope["headers"].copy()
    headers[place] = (CONTENT_LENGTH, length)
    own = {"headers": headers, HEADERS: {**scope[HEADERS], CONTENT_LENGTH: length}, "state": state.copy()}
    return {**scope, **own}, data[body:]
