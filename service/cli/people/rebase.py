"""`tsuika rebase MODEL@N`: learns a version again on the one that is live."""

from __future__ import annotations

import math

from service.cli.connection import connected
from service.cli.names import VersionName, number_of
from service.cli.options import Json
from service.cli.progress import learning
from service.cli.verdicts import print_update


def run(name: VersionName, as_json: Json = False) -> int:
    """Learns a version that waits, or was set aside, again on the one that is live, where another went live since it
    was made: nothing of either is left out, and the gate judges anew."""
    model, number = number_of(name)
    with connected() as client, learning(None) as show:
        update = client.model(model).rebase(number, wait=math.inf, on_progress=show)
    return print_update("rebase", update, as_json)
