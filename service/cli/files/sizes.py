"""How large a file may be: as much as the service takes in one request, asked before it is opened.

Files of some kinds are read whole as soon as they are opened.
"""

from __future__ import annotations

from pathlib import Path

from service.cli.connection import limit
from service.cli.exits import WrongUsage


def check_size(path: Path) -> None:
    """Raises WrongUsage, with the limit, for a file that is larger than a body may be."""
    from service.client import TooLarge
    from service.client.rows import file_size

    size = file_size.size_of(path)
    if size < file_size.MB:
        return
    try:
        file_size.check_size(path, size, limit("body"))
    except TooLarge as refused:
        raise WrongUsage(str(refused)) from None
