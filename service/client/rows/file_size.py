"""How large a file is: as much as the service takes in one request, asked before its rows are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from service.client.errors import TooLarge
from service.guessing.picture_files import holds_pictures, unpacked_size

MB = 1_000_000
"""A smaller file is sent without asking: a service that takes less refuses it as soon."""


def size_of(rows: Any) -> int:
    """Bytes of a file, of all files of a folder, or of the pictures that a zip file unpacks to, by its path; 0 of rows,
    and of what is not there."""
    if not isinstance(rows, str | os.PathLike):
        return 0
    if os.path.isdir(rows):
        return sum(part.stat().st_size for part in Path(rows).rglob("*") if part.is_file())
    if not os.path.isfile(rows):
        return 0
    unpacked = unpacked_size(Path(rows)) if holds_pictures(Path(rows)) else 0
    return max(unpacked, os.path.getsize(rows))


def check_size(path: str | os.PathLike[str], size: int, most: float | None) -> None:
    """Raises TooLarge where the body of a request may not have so many bytes; most: None where there is no limit."""
    if most is not None and size > most:
        has = "unpacks to" if os.path.isfile(path) and size > os.path.getsize(path) else "has"
        raise TooLarge.of_file(
            f"{Path(path).name} {has} {size / MB:,.1f} MB, and the service takes {most / MB:,.1f} MB at once "
            "(TSUIKA_MAX_BODY_BYTES). Send it in several files. Nothing was sent."
        )
