"""Our server when it is asked three times what it can answer, beside what it answers when it is just busy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.servers.contenders import CONTENDERS
from benchmarks.servers.ours import serving
from benchmarks.servers.running import Place

BUSY, CROWD, TIMES = 64, 4000, 3
"""Connections that just keep it busy; those of the crowd, which asks so many times as often as it can answer. They are
so many that one which waits for its answer as long as it may can still ask as often as it should."""
GATHERING_SECONDS = 3
"""Of the crowd's load before it counts: all have been let in by then, and wait as long as they may."""


@dataclass(frozen=True)
class Overload:
    """goodput: good answers a second, of what it answers when it is busy, the mean of before and after · offered: all
    that was asked and answered, likewise (fewer than three times where every connection waits for an answer) · refused:
    503 · broken: cut off · p99: milliseconds that good answers took."""

    goodput: float
    offered: float
    refused: int
    broken: int
    p99: float


def overloaded(place: Place, settings: dict[str, str], seconds: int) -> Overload:
    """One round. Raises NotStarted, RuntimeError."""
    with serving(CONTENDERS["ours"], place, settings) as server:
        server.warm(seconds)
        before = server.drive(BUSY, seconds).rate
        driven = server.drive(CROWD, seconds, each=TIMES * before / CROWD, before=GATHERING_SECONDS)
        capacity = (before + server.drive(BUSY, seconds).rate) / 2
        offered = (driven.requests + driven.refused) / seconds
        return Overload(driven.rate / capacity, offered / capacity, driven.refused, driven.broken, driven.p99)


def table_rows(rounds: Sequence[Overload]) -> list[list[str]]:
    """Rows of the table."""
    return [[f"{r.goodput:.2f}", f"{r.offered:.2f}", str(r.refused), str(r.broken), f"{r.p99:.0f}"] for r in rounds]
