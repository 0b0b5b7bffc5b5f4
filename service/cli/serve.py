"""`tsuika serve`: the service, on one port."""

from __future__ import annotations

import argparse

from service.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is stopped."""
    settings = Settings.from_environment(
        host=arguments.host,
        port=arguments.port,
        worker=False if arguments.no_worker else None,
        open=arguments.open or None,
    )
    from service.app import serve

    return serve(settings)
