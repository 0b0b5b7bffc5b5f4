"""`tsuika work`: a worker beside a service that runs without one."""

from __future__ import annotations

import argparse

from service.cli.exits import DONE
from service.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Learns until it is stopped."""
    settings = Settings.from_environment()
    from service.worker.parent.loop import work

    work(settings)
    return DONE
