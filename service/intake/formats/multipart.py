"""A multipart/form-data body (RFC 7578) -> its parts by name, bytes as they are."""

from __future__ import annotations

import re

from service.errors import InvalidContent

MOST_PARTS = 8
HEADER_BYTES = 4096
_BOUNDARY = re.compile(r"""boundary=(?:"([^"\r\n]{1,70})"|([0-9A-Za-z'()+_,./:=?-]{1,70}))(?:\s*;|\s*$)""", re.I)
_NAME = re.compile(rb"""content-disposition:\s*form-data\s*;(?:[^\r\n]*;)?\s*name="([^"\r\n]{1,100})\"""", re.I)


def read_parts(data: bytes, content_type: str) -> dict[str, bytes]:
    """The parts of a body by name. Raises InvalidContent."""
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise _broken("its Content-Type names no boundary")
    boundary = (match[1] or match[2]).encode("ascii", "replace")
    pieces = (b"\r\n" + data).split(b"\r\n--" + boundary, MOST_PARTS + 2)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _broken(f"its last boundary is missing, or it has more than {MOST_PARTS} parts")
    parts: dict[str, bytes] = {}
    for piece in pieces[1:-1]:
        name, content = _part(piece)
        if name in parts:
            raise _broken(f'it has two parts "{name}"')
        parts[name] = content
    return parts


def _part(piece: bytes) -> tuple[str, bytes]:
    """-> name, content"""
    end = piece.find(b"\r\n\r\n", 0, HEADER_BYTES)
    if end < 0:
        raise _broken("a part of it has no headers")
    name = _NAME.search(piece[:end])
    if name is None:
        raise _broken("a part of it has no name")
    return name[1].decode("utf-8", "replace"), piece[end + 4 :]


def _broken(why: str) -> InvalidContent:
    return InvalidContent.at("", f"The multipart body cannot be read: {why}.")
