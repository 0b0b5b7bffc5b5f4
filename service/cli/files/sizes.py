"""How large a file may be: as much as the service takes in one request, asked before a byte of it is sent."""

from __future__ import annotations

from service.cli.connection import limit
from service.cli.exits import WrongUsage
from service.cli.files.data_file import DataFile


def check_size(file: DataFile) -> None:
    """Raises WrongUsage, with the limit, for a file that is larger than a body may be."""
    from service.client import TooLarge
    from service.client.rows import file_size

    size = file_size.size_of(file.path)
    if size < file_size.MB:
        return
    try:
        file_size.check_size(file.path, size, limit("body"))
    except TooLarge as refused:
        raise WrongUsage(str(refused)) from None
