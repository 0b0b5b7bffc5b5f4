"""Recognises repeated heads: a client that keeps its connection sends the same head each time, but for its length.

A request whose head repeats the one before needs no parser, and has the scope of the one before, with what was read
from its head. Anything that differs by a byte outside the value of Content-Length, or that is not exactly one request,
is parsed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.types import Scope

from service.api.limits.request_checks import CALLER, CONTENT_LENGTH, HEADERS

END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,8})(?=\r\n)", re.IGNORECASE)
MOST_DIGITS = 8


class KnownHead(NamedTuple):
    """A head: the bytes before and after the digits of its Content-Length, its scope, and that header's index."""

    before: bytes
    after: bytes
    scope: Scope
    length_at: int


def known_by(data: bytes, scope: Scope) -> KnownHead | None:
    """The head in these bytes, from which `scope` was read, if they are exactly one request: a head with one
    Content-Length, and a body of that length. Else None."""
    end = data.find(END) + len(END)
    lengths = list(LENGTH.finditer(data, 0, end))
    if len(lengths) != 1 or len(data) != end + int(lengths[0][1]):
        return None
    start, stop = lengths[0].span(1)
    [length_at] = [k for k, (name, _) in enumerate(scope["headers"]) if name == CONTENT_LENGTH]
    return KnownHead(data[:start], data[stop:end], scope, length_at)


def read_again(data: bytes, known: KnownHead) -> bytes | None:
    """The body of a request whose head repeats the known one, but for its length, which the scope then says, too; None
    for anything else."""
    before, after, scope, length_at = known
    end = data.find(b"\r\n", len(before), len(before) + MOST_DIGITS + 2)
    length = data[len(before) : end]
    body = end + len(after)
    if not data.startswith(before) or not data.startswith(after, end) or not length.isdigit():
        return None
    if len(data) != body + int(length):
        return None
    scope["headers"][length_at] = (CONTENT_LENGTH, length)
    scope[HEADERS][CONTENT_LENGTH] = length
    scope.pop(CALLER, None)  # each request is admitted for itself: keys have a rate, and are revoked
    return data[body:]
