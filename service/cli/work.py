"""`tsuika work`: a worker beside a service that runs without one."""

from __future__ import annotations

import argparse

from service.cli.exits import DONE
from service.settings import Settings


def run(arguments: argparse.Namespace) -> int:
    """Learns until it is stopped."""
    settings = Settings.from_environment(metrics_port=arguments.metrics_port)
    from service.worker.parent.loop import work

    if settings.metrics_port is None:
        work(settings)
    else:
        from service.server.metrics_port import answering

        work(settings, answering)
    return DONE
