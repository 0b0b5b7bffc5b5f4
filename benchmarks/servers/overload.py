"""Our server when it is asked three times what it can answer, beside what it answers when it is just busy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.servers.contenders import CONTENDERS
from benchmarks.servers.ours import serving
from benchmarks.servers.running import Place

BUSY, CROWD, TIMES = 64, 2000, 3
"""Connections that just keep it busy; those of the crowd, which asks so many times as often as it can answer."""
LONGER = 5
"""What waits at the end of a load is not counted, and of a crowd much waits: its load takes so many times as long."""


@dataclass(frozen=True)
class Overload:
    """goodput: good answers a second, of what it answers when it is busy · offered: requests that came, likewise (fewer
    than three times where wrk makes no more) · refused: 503 · broken: no answer at all."""

    goodput: float
    offered: float
    refused: int
    broken: int

    @property
    def kept(self) -> float:
        """Good answers, of what could be answered of what came."""
        return self.goodput / min(1.0, self.offered)


def overloaded(place: Place, settings: dict[str, str], seconds: int) -> Overload:
    """One round. Raises NotStarted, RuntimeError."""
    with serving(CONTENDERS["ours"], place, settings) as server:
        server.warm(seconds)
        capacity = server.load(BUSY, seconds)["rate"]
        found = server.load(CROWD, LONGER * seconds, pause=CROWD / (TIMES * capacity))
        offered = found["rate"] * (found["requests"] + found["refused"]) / found["requests"]
        return Overload(found["rate"] / capacity, offered / capacity, found["refused"], found["broken"])


def told(rounds: Sequence[Overload]) -> list[list[str]]:
    """Rows of the table."""
    return [[f"{r.goodput:.2f}", f"{r.offered:.2f}", str(r.refused), str(r.broken)] for r in rounds]
