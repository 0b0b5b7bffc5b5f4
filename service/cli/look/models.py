"""`tsuika models`: all models of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from service.cli.connection import connected
from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_items, stdout

if TYPE_CHECKING:
    from service.contract.resources import Model

COLUMNS = ("model", "takes", "predicts", "live", "pending rows", "promotion")


def run(as_json: Json = False) -> int:
    """Lists the models: what each takes and predicts, which version is live, what waits."""
    with connected() as client:
        models = list(client.models())
    if models or as_json:
        print_items("models", models, COLUMNS, _row, "live pending rows", as_json)
    else:
        stdout().print("There is no model yet. Make one: tsuika init MODEL FILE")
    return DONE


def _row(model: Model) -> list[str | Text]:
    live = Text("–", "dim") if model.live_version is None else Text(str(model.live_version), "green")
    running = f", {model.updates.running} learning" if model.updates.running else ""
    queued = f", {model.updates.queued} queued" if model.updates.queued else ""
    state = "archived" if model.archived_at else f"{model.promotion}{running}{queued}"
    return [model.name, takes(model), predicts(model), live, f"{model.pending.rows:,}", state]


def takes(model: Model) -> str:
    """What a row is."""
    spec = model.input
    if spec.kind == "vector":
        return f"{spec.size:,} numbers"
    if spec.kind == "table":
        return f"{len(spec.columns):,} columns"
    return f"pictures {spec.width} x {spec.height}" if spec.kind == "image" else "texts"


def predicts(model: Model) -> str:
    """What it says of a row."""
    from service.client.kinds import kind_of

    return kind_of(model.target).predicts(model)
