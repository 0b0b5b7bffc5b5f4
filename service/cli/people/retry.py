"""`tsuika retry UPDATE`: tries an update again that failed or was cancelled."""

from __future__ import annotations

import math
from typing import Annotated

from typer import Argument

from service.cli.connection import connected
from service.cli.options import Json
from service.cli.progress import learning
from service.cli.verdicts import print_update


def run(
    update: Annotated[str, Argument(metavar="UPDATE", help="Its id, upd_..., as `tsuika updates MODEL` lists it.")],
    as_json: Json = False,
) -> int:
    """Tries an update again that failed or was cancelled, with the same batches, and says what came of it."""
    with connected() as client, learning(None) as show:
        ended = client.wait(client.retry(update), math.inf, show)
    return print_update("retry", ended, as_json)
