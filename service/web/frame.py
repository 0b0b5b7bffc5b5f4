"""What stands around every page: its headers, and the files that it loads."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from service.errors import NotFound

STATIC = Path(__file__).parent / "static"
MEDIA = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
HTML = "text/html; charset=utf-8"
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


@cache
def static(path: str) -> tuple[str, bytes]:
    """Media type and bytes of a file of `static/`, by its address. Raises NotFound."""
    name = path.removeprefix("/static/")
    if name not in {file.name for file in STATIC.iterdir()}:
        raise NotFound("There is no such file.")
    file = STATIC / name
    return MEDIA[file.suffix], file.read_bytes()


def encoded(fields: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    """Headers of every page and these, as they are sent."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in (*HEADERS, *fields)]
