"""`tsuika updates MODEL`: what was sent to a model and what became of it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from rich.text import Text

from service.cli.connection import connected
from service.cli.exits import DONE
from service.cli.names import ModelName
from service.cli.options import Json, Most
from service.cli.output import MARKS, print_items
from service.cli.verdicts import sentence_of

if TYPE_CHECKING:
    from service.contract.resources import Update

COLUMNS = ("update", "", "version", "rows", "sent", "what became of it")


def run(model: ModelName, most: Most = 20, as_json: Json = False) -> int:
    """Lists the updates, newest first: the verdict on each, and why."""
    with connected() as client:
        updates = list(islice(client.model(model).updates(), most))
    print_items("updates", updates, COLUMNS, _row, "version rows", as_json)
    return DONE


def _row(update: Update) -> list[str | Text]:
    mark, colour = MARKS.get(update.verdict or "", ("", "dim"))
    state = Text(f"{mark} {update.verdict}" if update.verdict else update.state, colour)
    version = "–" if update.version is None else str(update.version)
    count = update.learned_rows if update.report is None else update.report.cost.rows  # those kept back, too
    rows = "–" if count is None else f"{count:,}"
    said = sentence_of(update)
    return [update.id, state, version, rows, f"{update.created_at:%Y-%m-%d %H:%M}", said]
