"""Errors for requests that cannot be read, and the answer that ends their connection."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api import problems
from service.api.limits.connections import HEAD_BYTES, LONG_FRAMES, LONG_HEAD, SLOW_BODY, SLOW_HEAD

REFUSALS = {
    400: ("broken-request", "The request is not HTTP"),
    408: ("too-slow", "The request came too slowly"),
    431: ("head-too-large", "The head is too large"),
    500: ("internal", "Something went wrong here"),
    505: ("other-version", "This version of HTTP is not spoken here"),
}
"""Slug and title of each problem that a connection reports, by status."""


class Unreadable(Exception):
    """A request that cannot be read, and nothing after it. `detail`: why, and the remedy."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def broken(why: str = "it is not HTTP/1.1") -> Unreadable:
    """The error for bytes that are no request by RFC 9112."""
    return Unreadable(400, f"This cannot be read as a request: {why}.")


def other_version() -> Unreadable:
    """The error for another version of HTTP."""
    return Unreadable(505, "This is a request of another version of HTTP. Send it as HTTP/1.1.")


def too_long(headed: bool) -> Unreadable:
    """The error for a head, or for frames of a body, over the limit of bytes."""
    part, remedy = ("frames of the body", LONG_FRAMES) if headed else ("head", LONG_HEAD)
    return Unreadable(
        431, f"The {part} of this request, with address and headers, may have {HEAD_BYTES:,} bytes. {remedy}"
    )


def too_slow(headed: bool) -> Unreadable:
    """The error for a head, or a short body, that arrives too slowly."""
    part, remedy = ("body", SLOW_BODY) if headed else ("head", SLOW_HEAD)
    return Unreadable(408, f"The {part} of this request was not whole in time. {remedy}")


def fault() -> Unreadable:
    """The error for a failure of our own while reading."""
    return Unreadable(500, "The fault is ours, not yours. The log has the reason.")


def last_answer(error: Unreadable, usual: problems.Headers) -> bytes:
    """A whole answer that reports the error and closes the connection. `usual`: headers of every answer."""
    slug, title = REFUSALS[error.status]
    media, data = problems.encoded_problem(
        "", problems.plain_problem(error.status, slug, title, error.detail, "unread")
    )
    headers = [(b"content-type", media), (b"content-length", b"%d" % len(data)), (b"connection", b"close")]
    lines = [b"%b: %b\r\n" % line for line in (*usual, *headers)]
    return b"".join([STATUS_LINE[error.status], *lines, b"\r\n", data])
