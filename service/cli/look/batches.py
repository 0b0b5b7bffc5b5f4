"""`tsuika batches MODEL`: what was sent to a model, and whether the live version has it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text

from service.cli.connection import connected, url
from service.cli.exits import DONE
from service.cli.names import ModelName
from service.cli.options import Json, Most
from service.cli.output import print_items, stdout

if TYPE_CHECKING:
    from service.contract.resources import Batch

COLUMNS = ("batch", "", "state", "rows", "sent", "source", "what it holds")
COLOURS = {"pending": "yellow", "learned": "green", "rejected": "red"}


def run(model: ModelName, most: Most = 20, as_json: Json = False) -> int:
    """Lists the batches, newest first: what became of each, and whether the live version has it."""
    with connected() as client:
        batches = list(islice(client.model(model).batches(), most))
    if not batches and not as_json:
        stdout().print(f"{model} has no batch yet. Send one: tsuika push {model} FILE")
        return DONE
    print_items("batches", batches, COLUMNS, _row, "rows", as_json)
    if not as_json:
        ways = f"Look at one: {url()}/models/{model}/batches/BATCH   Take it back: tsuika retract {model} BATCH"
        stdout().print(Text(ways, style="dim"))
    return DONE


def _row(batch: Batch) -> list[str | Text]:
    from service.client.kinds import holds

    live = Text("● live", "green") if batch.in_live else Text("")
    stopped = f", in version {batch.stopped}" if batch.state == "pending" and batch.stopped is not None else ""
    state = Text(batch.state + stopped, COLOURS.get(batch.state, "dim"))
    rows, sent = f"{batch.rows:,}", f"{batch.received_at:%Y-%m-%d %H:%M}"
    return [batch.id, live, state, rows, sent, batch.source or "–", holds(batch) or "–"]
