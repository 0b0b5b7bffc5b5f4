"""Which short bodies are left to the reading process all the same: pictures and cells may come to much."""

from __future__ import annotations

from starlette.types import Scope

from service.api.context import Context
from service.api.limits.bodies import media_type
from service.api.reader.spool import Spooled
from service.contract.inputs import ImageInput, InputSpec
from service.contract.tables import TableInput
from service.intake.formats import oip_tables
from service.intake.formats.oip_request import declared_length
from service.intake.formats.raw import READERS
from service.intake.kinds import tables
from service.intake.kinds.images import is_heavy
from service.intake.kinds.pictures import SIGNATURES

USUAL_STRINGS = 12
"""Strings of the JSON of a request with one picture."""


def spool_if_heavy(
    shared: Context, scope: Scope, body: bytes | Spooled, spec: InputSpec, length: str | None = None
) -> bytes | Spooled:
    """The body; on disk, for the reading process, where it is short but its pictures or cells may come to much.

    `length`: bytes of it that are JSON, if not all are. Raises DiskFull.
    """
    if isinstance(body, Spooled):
        return body
    if isinstance(spec, TableInput):
        inference = scope["path"].startswith("/v2/")
        heavy = oip_tables.is_heavy(_json_of(body, length), spec) if inference else tables.is_heavy(body, spec)
    else:
        heavy = isinstance(spec, ImageInput) and is_heavy(_most_pictures(scope, body, length), spec)
    if not heavy:
        return body
    with shared.reader.spool() as spooled:
        spooled.write(body)
    scope["tsuika.body"] = spooled
    return spooled


def _most_pictures(scope: Scope, body: bytes, length: str | None) -> int:
    """How many pictures a body can hold at most. In JSON each is an object, or else a string, but for the few strings
    that each request has; bytes behind JSON begin as a picture of their kind does."""
    if length is None and media_type(scope) in READERS and not scope["path"].startswith("/v2/"):
        return 0  # rows as they are, or one picture
    text = _json_of(body, length)
    json_bytes = len(text)
    strings = text.count(b'"') // 2 - USUAL_STRINGS
    behind = sum(body.count(begins, json_bytes) for begins in SIGNATURES.values())
    return max(text.count(b"{") - 1, strings) + behind


def _json_of(body: bytes, length: str | None) -> bytes:
    """The part of a body that is JSON. `length`: as its header says, if there is one."""
    return body if length is None else body[: declared_length(length) or 0]
