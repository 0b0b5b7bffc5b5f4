"""The data folder that the settings name, as commands beside the service open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import NotFound
from service.registry.sql import schema
from service.runtime import Runtime
from service.settings import Settings


@contextmanager
def runtime() -> Iterator[Runtime]:
    """Opens the data folder. Raises NotFound where there is no database, for a typing error must not make an empty
    folder, and SchemaMismatch where the database is another version's."""
    settings = Settings.from_environment()
    if not settings.database_file.exists():
        raise NotFound(
            f"There is no database at {settings.database_file}. Set TSUIKA_DATA to the folder of the service."
        )
    schema.require(settings.database_file)
    opened = Runtime(settings)
    try:
        yield opened
    finally:
        opened.close()
