"""Memory of processes as Linux tells it: pages that several share are counted once, in parts."""

from __future__ import annotations

import os
from pathlib import Path


def pss_of_children() -> float | None:
    """MB (proportional set size) of every process that this one started, and of theirs; null without /proc."""
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    return sum(_pss(pid) for pid in _descendants(os.getpid()))


def _descendants(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        mine = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except FileNotFoundError:  # it ended meanwhile
        return []
    return mine + [other for child in mine for other in _descendants(child)]


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
