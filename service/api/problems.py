"""Every refusal as application/problem+json (RFC 9457): kind -> status, sentence, pointers, request id.

The Open Inference Protocol and MLflow's scoring server have forms of their own for the same sentence.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from service import errors
from service.errors import TsuikaError
from service.remedies import found

STATUS: dict[type[TsuikaError], int] = {
    errors.BrokenJSON: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.ForbiddenHost: 403,
    errors.NotFound: 404,
    errors.BodyTimeout: 408,
    errors.Conflict: 409,
    errors.Erased: 410,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.LongAddress: 414,
    errors.UnsupportedMedia: 415,
    errors.InvalidContent: 422,
    errors.TooMany: 429,
    errors.Busy: 503,
    errors.CorruptArtifact: 503,
    errors.NotWritable: 503,
    errors.SchemaMismatch: 503,
    errors.DeadlinePassed: 504,
    errors.DiskFull: 507,
    errors.QuotaFull: 507,
}
"""A kind that is not here has the status of its base class; without one it is a fault of the service: 500."""

INFERENCE = "/v2"
"""The Open Inference Protocol, where an error is {"error": sentence}."""
INVOCATIONS = "/invocations"
"""MLflow's scoring server, where an error is {"error_code": name, "message": sentence}."""
CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "INVALID_STATE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
"""Its names of errors by status; BAD_REQUEST for all others."""

Headers = list[tuple[bytes, bytes]]


def status_of(kind: type[TsuikaError]) -> int:
    """The HTTP status of a kind of error."""
    return next((STATUS[k] for k in kind.__mro__ if k in STATUS), 500)


def problem(error: TsuikaError, request_id: str) -> tuple[int, dict[str, Any], Headers]:
    """-> status, body, extra headers"""
    status = status_of(type(error))
    faults = error.errors if isinstance(error, errors.AtFields) else []
    body = _members(error.slug, error.title, status, error.detail, request_id)
    body["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in faults]
    if ways := [each.data() for each in found(error.detail)]:
        body["remedies"] = ways
    body |= {name: value for name, value in error.members.items() if name not in body}
    headers: Headers = []
    if (after := getattr(error, "retry_after", None)) is not None or status == 503:
        headers.append((b"retry-after", str(after or 5).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="tsuika"'))
    if status in (408, 413, 414):
        headers.append((b"connection", b"close"))
    return status, body, headers


def plain_problem(status: int, slug: str, title: str, detail: str, request_id: str) -> dict[str, Any]:
    """The body of a problem that has no error class: 405, 500."""
    return {**_members(slug, title, status, detail, request_id), "errors": []}


def internal_fault(request_id: str) -> dict[str, Any]:
    """The body of an unexpected error: it says nothing but where to look."""
    return plain_problem(
        500,
        "internal",
        "Something went wrong here",
        f"The fault is ours, not yours. The log has the reason under request id {request_id}.",
        request_id,
    )


def encoded_problem(path: str, body: dict[str, Any]) -> tuple[bytes, bytes]:
    """Content type and bytes of a problem, in the form of the protocol at that path."""
    if path == INFERENCE or path.startswith(f"{INFERENCE}/"):
        return b"application/json", _encoded({"error": body["detail"]})
    if path.endswith(INVOCATIONS):
        code = CODES.get(body["status"], "BAD_REQUEST")
        return b"application/json", _encoded({"error_code": code, "message": body["detail"]})
    return b"application/problem+json", _encoded(body)


UNNAMED = "unnamed-request"
"""Stands in place of the request id in a problem that is encoded once for many requests."""


@lru_cache(64)
def frequent(
    kind: type[TsuikaError], detail: str, after: int | None, path: str
) -> tuple[int, bytes, list[bytes], Headers]:
    """-> status, content type, the pieces of the body around each request id, extra headers.

    For refusals that come by the thousand, alike but for the request id.
    """
    error = kind(detail) if after is None else kind(detail, retry_after=after)
    status, body, headers = problem(error, UNNAMED)
    media, data = encoded_problem(path, body)
    return status, media, data.split(UNNAMED.encode()), headers


def _encoded(body: dict[str, Any]) -> bytes:
    """The body as JSON; it holds no number that JSON does not have."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, default=str).encode("utf-8", "replace")


def _members(slug: str, title: str, status: int, detail: str, request_id: str) -> dict[str, Any]:
    return {"type": f"/problems/{slug}", "title": title, "status": status, "detail": detail, "request_id": request_id}
