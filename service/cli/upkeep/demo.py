"""`tsuika demo`: a real service, real data, five acts, about a minute."""

from __future__ import annotations

import json
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from service.cli.exits import DONE

if TYPE_CHECKING:
    from service.cli.demonstration.data import Rows
    from service.cli.demonstration.teller import Teller

WIDTH = 100
"""Columns when the output goes to a file, and at most: longer lines are hard to read."""


def run(
    keep: Annotated[bool, Option("--keep", help="Leave the service running at the end, to try more.")] = False,
) -> int:
    """Starts a service with a temporary folder and shows, over HTTP: new classes, a shifted world, and a mistake taken
    back."""
    from rich.console import Console

    from service.cli.demonstration.acts import mistakes, new_classes, shifted_world
    from service.cli.demonstration.data import digits
    from service.cli.demonstration.deliveries import deliveries
    from service.cli.demonstration.prices import prices
    from service.cli.demonstration.process import running_service
    from service.cli.demonstration.teller import Teller
    from service.client import Client

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stop by SIGTERM ends the service, too
    out, err = Console(highlight=False), Console(highlight=False, stderr=True)
    out.width = min(out.width, WIDTH) if out.is_terminal else WIDTH
    teller = Teller(out, err)
    began = time.perf_counter()
    err.print("Starting a service with a temporary folder ...")
    with (
        tempfile.TemporaryDirectory(prefix="tsuika-demo-") as folder,
        running_service(Path(folder)) as url,
        Client(url) as client,
    ):
        sent, aside = digits()
        teller.say(
            f"{len(sent)} images of handwritten digits are sent bit by bit to a service at {url}, through its HTTP "
            f"interface alone. {len(aside)} more are kept aside, to measure what it can do. Which rows judge is "
            "decided by a secret of the service, so a verdict near its limit may differ from run to run."
        )
        new_classes(client, teller, sent, aside)
        shifted_world(client, teller, sent, aside)
        mistakes(client, teller, sent, aside)
        prices(client, teller)
        deliveries(client, teller)
        teller.say(
            f"\nThat took {time.perf_counter() - began:.0f} seconds. With data of your own: README, the first hour."
        )
        if keep:
            _keep(teller, url, aside)
    return DONE


def _keep(teller: Teller, url: str, aside: Rows) -> None:
    """Lists commands to try, and waits for Ctrl-C."""
    row = json.dumps(aside.inputs[0].astype(int).tolist(), separators=(",", ":"))
    json_header = "-H 'Content-Type: application/json'"
    exact = f"{url}/v1/models/new-classes.ridge"
    teller.heading(f"Still running at {url}", "Try, in another terminal:")
    for line in (
        f"curl {url}/v1/models",
        f"curl {url}/v1/models/mistakes/versions",
        f"curl {url}/v1/models/mistakes/deployments",
        f"curl -g '{exact}/predictions?input={row}&top=3'",
        f'curl {json_header} -d \'{{"reason": "just to see"}}\' {exact}/rollback',
    ):
        teller.command(line)
    teller.say(f"Press CTRL+C to stop it and to delete its folder. What you saw is on a page, too:\n{url}")
    threading.Event().wait()
