"""`tsuika migrate`: brings the tables of the database to this version of the code."""

from __future__ import annotations

from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_result


def run(as_json: Json = False) -> int:
    """Creates or upgrades the database that the settings name."""
    from service.registry.sql import schema
    from service.registry.sql.engines import migrate
    from service.settings import Settings
    from service.storage.permissions import tighten

    settings = Settings.from_environment()
    tighten(settings)
    migrate(settings.database_url)
    name = schema.name_of(settings.database_url)
    print_result("migrate", {"database": name}, [f"Up to date: {name}"], as_json)
    return DONE
