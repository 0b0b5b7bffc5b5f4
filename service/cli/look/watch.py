"""`tsuika watch MODEL`: what a model does now, as it happens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from typer import Option

from service.cli.connection import connected
from service.cli.exits import DONE
from service.cli.look.models import predicts, takes
from service.cli.names import ModelName
from service.cli.output import MARKS, plain, stdout
from service.cli.progress import stage
from service.cli.verdicts import marked, sentence_of

if TYPE_CHECKING:
    from service.client import RemoteModel
    from service.contract.resources import Model, Update

PAUSE_SECONDS = 0.5
ENDED = 5
"""Updates that have ended and are shown."""
LOOKED_AT = 20
"""Updates that are looked at, the newest."""


def run(
    model: ModelName,
    until_idle: Annotated[bool, Option("--until-idle", help="End once nothing waits and nothing is learned.")] = False,
    as_json: Annotated[
        bool, Option("--json", help="Print a JSON object a line, whenever an update has changed.")
    ] = False,
) -> int:
    """Shows what a model does, as it happens, until CTRL+C; in a pipe a line for each thing that happens."""
    with connected() as client:
        remote, console = client.model(model), stdout()
        if as_json:
            _print_changes(remote, until_idle)
        elif console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                for info, updates in _looks(remote, until_idle):
                    live.update(_picture(info, updates), refresh=True)
        else:
            said: set[str] = set()
            for info, updates in _looks(remote, until_idle):
                for line in _lines(info, updates):
                    if line not in said:
                        said.add(line)
                        print(line, flush=True)
    return DONE


def _print_changes(remote: RemoteModel, until_idle: bool) -> None:
    """Each update as it is, again whenever it has changed, oldest first."""
    seen: dict[str, Update] = {}
    for _, updates in _looks(remote, until_idle):
        for update in reversed(updates):
            if seen.get(update.id) != update:
                members = {"schema": "tsuika.watch/1", **update.model_dump(mode="json", by_alias=True)}
                print(json.dumps(members, ensure_ascii=False), flush=True)
        seen = {update.id: update for update in updates}


def _looks(remote: RemoteModel, until_idle: bool) -> Iterator[tuple[Model, list[Update]]]:
    """The model and its newest updates, again and again."""
    while True:
        info = remote.info()
        updates = [update for update, _ in zip(remote.updates(), range(LOOKED_AT), strict=False)]
        yield info, updates
        if until_idle and not (info.updates.queued or info.updates.running):
            return
        time.sleep(PAUSE_SECONDS)


def _picture(info: Model, updates: list[Update]) -> Group:
    live = "no version is live" if info.live_version is None else f"version {info.live_version} is live"
    head = Text.assemble((info.name, "bold"), f": {live}; {takes(info)}, {predicts(info)}")
    if info.pending.rows:
        head.append(f"; {info.pending.rows:,} rows wait")
    grid = Table.grid(padding=(0, 1))
    for update in reversed([update for update in updates if update.verdict is None and not update.finished_at]):
        title, done, total, note = stage(update)
        bar = ProgressBar(total=total or None, completed=done, width=24, pulse=not total)
        grid.add_row(Text(update.id, "dim"), title, bar, note)
    ended = [update for update in updates if update.finished_at][:ENDED]
    return Group(head, grid, *(_ended(update) for update in ended))


def _ended(update: Update) -> Text:
    if update.verdict is None:
        return Text(plain(f"✕ {update.id} {sentence_of(update)}"), "red")
    return marked(update.verdict, sentence_of(update))


def _lines(info: Model, updates: list[Update]) -> Iterator[str]:
    """What has happened so far, oldest first."""
    for update in reversed(updates):
        if update.started_at:
            yield f"{update.started_at:%H:%M:%S} {update.id} began"
        if update.finished_at:
            mark = MARKS[update.verdict][0] if update.verdict else "✕"
            yield plain(f"{update.finished_at:%H:%M:%S} {update.id} {mark} {sentence_of(update)}")
    yield f"live: {'no version' if info.live_version is None else f'version {info.live_version}'}"
