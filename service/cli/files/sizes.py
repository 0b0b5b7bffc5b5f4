"""How large a file may be: as much as the service takes in one request, asked before a byte of it is sent."""

from __future__ import annotations

from service.cli.connection import limit
from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile

MB = 1_000_000


def check_size(file: DataFile) -> None:
    """Raises WrongUsage, with the limit, for a file that is larger than a body may be."""
    if file.path.is_dir():
        size = sum(part.stat().st_size for part in file.path.rglob("*") if part.is_file())
    else:
        size = file.path.stat().st_size
    if size < MB:
        return
    most = limit("body")
    if most is not None and size > most:
        raise WrongUsage(
            f"{file.name} has {size / MB:,.1f} MB, and the service takes {most / MB:,.1f} MB at once "
            "(TSUIKA_MAX_BODY_BYTES). Send it in several files. Nothing was sent."
        )
