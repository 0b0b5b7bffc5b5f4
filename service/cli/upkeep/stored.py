"""The data folder that the settings name, as commands beside the service open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.errors import NotFound

if TYPE_CHECKING:
    from service.registry.sql.database import Database
    from service.runtime import Runtime
    from service.settings import Settings


@contextmanager
def runtime() -> Iterator[Runtime]:
    """Opens the data folder. Raises as `settings` does."""
    from service.runtime import Runtime

    opened = Runtime(settings())
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def database() -> Iterator[Database]:
    """Opens the database alone. Raises as `settings` does."""
    from service.registry.sql.engines import open_database

    opened = open_database(settings().database_url)
    try:
        yield opened
    finally:
        opened.close()


def settings() -> Settings:
    """The settings of the environment. Raises NotFound where there is no database, for a typing error must not make an
    empty folder, and SchemaMismatch where the database is another version's or has no tables."""
    from service.registry.sql import unopened
    from service.settings import Settings

    settings = Settings.from_environment()
    if settings.database_file is not None and not settings.database_file.exists():
        raise NotFound(
            f"There is no database at {settings.database_file}. Set TSUIKA_DATA to the folder of the service."
        )
    unopened.require(settings.database_url)
    return settings
