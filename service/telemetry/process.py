"""Figures of the process itself, under the names that clients of Prometheus have agreed on. Linux has them all."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from service import __version__
from service.telemetry.metrics import Family, Sample, gauge

_STARTED = time.time()
_PROC = Path("/proc/self")


def families(data: Path) -> Iterator[Family]:
    """What it is, what it takes, and how much room is left where the folder `data` is."""
    yield Family("tsuika_build_info", "gauge", "The version of Tsuika.", [Sample((("version", __version__),), 1)])
    yield gauge("process_start_time_seconds", "When it started, since the epoch.", _STARTED)
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield gauge("process_cpu_seconds_total", "Processor time.", used.ru_utime + used.ru_stime, "counter")
    if _PROC.exists():
        pages = int((_PROC / "statm").read_text().split()[1])
        yield gauge("process_resident_memory_bytes", "Resident memory.", pages * os.sysconf("SC_PAGE_SIZE"))
        yield gauge("process_open_fds", "Open files and connections.", len(os.listdir(_PROC / "fd")))
        yield gauge("process_max_fds", "As many may be open.", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        disk = shutil.disk_usage(data)
    except OSError:  # the folder was moved: /readyz says so
        return
    yield gauge("tsuika_disk_free_bytes", "Room left where the data folder is.", disk.free)
    yield gauge("tsuika_disk_size_bytes", "Size of the disk where the data folder is.", disk.total)
