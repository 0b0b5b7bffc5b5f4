"""Memory (a page that several processes share is divided among them) and core-seconds of processes, from /proc."""

from __future__ import annotations

import os
from pathlib import Path


def pss_of_children() -> float | None:
    """MB (proportional set size) of every process that this one started, and of theirs; None without /proc."""
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    return sum(_pss(pid) for pid in descendants(os.getpid()))


def pss_of(process: int) -> float:
    """MB of a process and of all that it started."""
    return sum(_pss(pid) for pid in [process, *descendants(process)])


def core_seconds_of_children() -> float:
    """Core-seconds of every process that this one started and of theirs, that still run."""
    return sum(_core_seconds(pid) for pid in descendants(os.getpid()))


def core_seconds_of(process: int) -> float:
    """Core-seconds, user and system, that a process and all that it started and that still runs have had."""
    return sum(_core_seconds(pid) for pid in [process, *descendants(process)])


def descendants(pid: int) -> list[int]:
    """All processes below one: those that it started, those that these started, and so on."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except FileNotFoundError:  # it ended meanwhile
        return []
    return children + [other for child in children for other in descendants(child)]


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def _core_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
