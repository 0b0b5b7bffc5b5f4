"""`tsuika work`: a worker beside a service that runs without one."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from service.cli.exits import DONE


def run(
    metrics_port: Annotated[
        int | None, Option(help="Answer /metrics there, 0 for a free port (TSUIKA_METRICS_PORT).")
    ] = None,
) -> int:
    """Claims updates and learns them, until stopped."""
    from service.settings import Settings

    settings = Settings.from_environment(metrics_port=metrics_port)
    from service.worker.parent.child_process import WarmChild

    child = WarmChild.of(settings)
    child.warm()  # it loads its libraries while this process does
    from service.worker.parent.worker_process import work

    if settings.metrics_port is None:
        work(settings, child=child)
    else:
        from service.server.metrics_port import answering

        work(settings, answering, child=child)
    return DONE
