"""Waits until an update is final, and until what it promoted is served; a bar shows it where somebody looks on."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

from service.client.errors import StillRunning
from service.client.transport import Transport
from service.contract.enums import UpdateState, Verdict
from service.contract.resources import Model, Progress, Update

FINAL = (UpdateState.SUCCEEDED, UpdateState.FAILED, UpdateState.CANCELLED)

OnProgress = Callable[[Update], None]


async def until_final(
    transport: Transport, update: Update | str, seconds: float, on_progress: OnProgress | None = None
) -> Update:
    """The update once it is final and what it promoted is served. Raises StillRunning when `seconds` are over."""
    until = time.monotonic() + seconds
    async for current in looks(transport, update):
        if current.state in FINAL:
            continue
        if on_progress:
            on_progress(current)
        if time.monotonic() > until:
            raise StillRunning(f"{current.id} is {current.state} after {seconds:g} s. Ask again with wait().")
    if current is not update and current.verdict is Verdict.PROMOTED:
        await _until_served(transport, current, until)
    return current


async def looks(transport: Transport, update: Update | str) -> AsyncIterator[Update]:
    """The update as it is, again and again with growing pauses, until it is final."""
    pause = 0.02
    current = update if isinstance(update, Update) else await now(transport, update)
    yield current
    while current.state not in FINAL:
        await transport.pause(pause)
        pause = min(1.5 * pause, 0.25)
        current = await now(transport, current.id)
        yield current


async def now(transport: Transport, id: str) -> Update:
    """An update as it is now."""
    return await transport.call("GET", f"/v1/updates/{quote(id, safe='')}", Update)


async def _until_served(transport: Transport, update: Update, until: float) -> None:
    """The pointer has moved; replicas follow it within one poll."""
    while time.monotonic() < until:
        model = await transport.call("GET", f"/v1/models/{quote(update.model, safe='')}", Model)
        if model.serving_version == model.live_version:
            return
        await transport.pause(0.05)


def doing(progress: Progress) -> str:
    """What an update does, and its loss where one falls: "training, loss 0.213"."""
    return ", ".join([progress.phase, *(f"loss {epoch.training:.3g}" for epoch in progress.losses[-1:])])


@contextmanager
def bar(title: str) -> Iterator[OnProgress | None]:
    """A bar on stderr, where that is a terminal or a notebook: what to call with each look at an update; else None."""
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[phase]}"), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None, phase="sending")

        def look(update: Update) -> None:
            if update.progress is None:
                bars.update(task, phase=str(update.state))
            else:
                bars.update(
                    task,
                    phase=doing(update.progress),
                    completed=update.progress.done,
                    total=update.progress.total or None,
                )

        yield look
