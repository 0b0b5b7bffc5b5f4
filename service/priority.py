"""Processes beside the one that serves step aside for it: low priority, and another core where there is one."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

NICE = 10
"""A tenth of a core that is busy otherwise: nobody starves, and predictions hardly notice."""
GROUP = Path("/proc/self/autogroup")
"""Linux shares a core between sessions first: without this the priority of a process with a session of its own means
nothing to the others."""

log = logging.getLogger("tsuika")


def step_aside(idle: bool = False) -> None:
    """Lowers this process, before it has other threads: they inherit it. `idle`: it runs where nothing else would.

    The first core that the process may use is left to predictions. The serving process itself is not pinned: its event
    loop, inference thread and handlers would share that core.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    else:
        _lower_group()  # on another core that would favour strangers, not predictions
    if not idle:
        os.nice(NICE)
        return
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError) as error:  # not Linux, or not allowed
        log.info("no idle priority here (%s): the lowest of the usual ones", error)
        os.nice(19)


def _lower_group() -> None:
    for _ in range(5):
        try:
            GROUP.write_text(str(NICE))
            return
        except BlockingIOError:
            time.sleep(0.1)  # the kernel takes few such orders a second from all of us together
        except OSError:
            return  # no such file, or not ours to write
