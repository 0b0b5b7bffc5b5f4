"""`tsuika migrate`: brings the tables of the database to this version of the code."""

from __future__ import annotations

import argparse

from service.cli.exits import DONE
from service.registry.sql import schema
from service.registry.sql.database import migrate
from service.settings import Settings
from service.storage.permissions import tighten


def run(arguments: argparse.Namespace) -> int:
    """Creates or upgrades the database."""
    settings = Settings.from_environment()
    tighten(settings)
    migrate(settings.database_url)
    print(f"Up to date: {schema.name_of(settings.database_url)}")
    return DONE
