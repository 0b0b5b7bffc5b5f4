"""What stands around every page: its headers, and the files that it loads."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from service.errors import NotFound

Fields = tuple[tuple[str, str], ...]
"""Headers: names and values."""

STATIC = Path(__file__).parent / "static"
MEDIA = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
HTML = "text/html; charset=utf-8"
KEPT = "public, max-age=31536000, immutable"
POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("style", "script", "connect")),
        "img-src 'self' data:",  # rows that are images
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (  # beside those of every answer
    ("content-security-policy", POLICY),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),  # with no-referrer a browser would not say from which origin a form comes
)


def static(path: str, query: bytes) -> tuple[Fields, bytes]:
    """Headers and bytes of a file of `static/`, by its address; a browser keeps it where that names its content.
    Raises NotFound."""
    media, data, digest = _file(path.removeprefix("/static/"))
    kept = (("cache-control", KEPT),) if query == digest.encode() else ()
    return (("content-type", media), *kept), data


def static_address(name: str) -> str:
    """Where pages load a file of `static/` from: another address once its content is another."""
    return f"/static/{name}?{_file(name)[2]}"


@cache
def _file(name: str) -> tuple[str, bytes, str]:
    """Media type, bytes, digest."""
    if name not in {file.name for file in STATIC.iterdir()}:
        raise NotFound("There is no such file.")
    file = STATIC / name
    data = file.read_bytes()
    return MEDIA[file.suffix], data, sha256(data).hexdigest()[:16]


def encoded(fields: Fields) -> list[tuple[bytes, bytes]]:
    """Headers of every page and these, as they are sent."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in (*HEADERS, *fields)]
