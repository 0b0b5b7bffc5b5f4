"""`tsuika serve`: the service, on one port."""

from __future__ import annotations

from typing import Annotated

from typer import Option


def run(
    host: Annotated[str | None, Option(help="Address to listen on (TSUIKA_HOST, 127.0.0.1).")] = None,
    port: Annotated[int | None, Option(help="Port to listen on, 0 for a free one (TSUIKA_PORT, 8000).")] = None,
    no_worker: Annotated[bool, Option("--no-worker", help="Do not learn here; run `tsuika work` beside it.")] = False,
    open: Annotated[bool, Option("--open", help="Listen beyond loopback without a key.")] = False,
) -> int:
    """Answers predictions and takes batches over HTTP; learns in a process of its own, unless told not to."""
    from service.settings import Settings

    settings = Settings.from_environment(host=host, port=port, worker=False if no_worker else None, open=open or None)
    from service.app import serve

    return serve(settings)
