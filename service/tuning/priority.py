"""Processes beside the one that serves step aside for it: low priority, and another core where there is one. Threads
beside its event loop step back."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

GROUP = Path("/proc/self/autogroup")
"""Linux shares a core between sessions first: the priority of a process with a session of its own means nothing to the
others, only that of the session does."""
GROUP_NICE = 10
"""Of such a session: a tenth of a core that is busy otherwise."""
PR_SET_PDEATHSIG = 1
THREAD_BEHIND = 10
"""Steps of priority; where the event loop is busy all the time, a tenth of the core is left to such a thread."""
LOWEST_NICE = 19
LOW_NICE = 10
"""Of a process that is to get a tenth of a core that is busy otherwise."""
MOMENT = 0.00001
"""Seconds. To let go of the interpreter without waiting at all would be to take it again before anybody else could."""

_own = threading.local()

log = logging.getLogger("tsuika")


def step_aside(priority: str = "idle") -> None:
    """Lowers this process, before it has other threads: they inherit it.

    "idle": it runs where nothing else of its session would. What is not idle takes the core from it at once, where a
    process of low priority keeps it for a slice, which is a dozen predictions long; so it gets nearly nothing of a
    core on which anything else is always at work. "low": it gets a tenth of such a core. "normal": as any other
    process, on any core.

    Else the first core that the process may use is left to predictions. The serving process itself is not pinned: its
    event loop, inference thread and handlers would share that core.
    """
    if priority == "normal":
        return
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    elif os.getsid(0) == os.getpid():
        _lower_group()  # on another core that would favour strangers, not predictions
    if priority == "low":
        os.nice(LOW_NICE)
        return
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError) as error:  # not Linux, or not allowed
        log.info("no idle priority here (%s): the lowest of the usual ones", error)
        os.nice(LOWEST_NICE)


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however: one that is stopped or hangs does not read that
    its input has ended. Linux alone does so."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def step_back() -> None:
    """Lowers this thread alone, for as long as it lives: beside it the event loop need not wait for whole slices."""
    if sys.platform != "linux":  # elsewhere a thread has no priority of its own
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # not allowed
        nice = os.getpriority(os.PRIO_PROCESS, thread) + THREAD_BEHIND
        os.setpriority(os.PRIO_PROCESS, thread, min(nice, LOWEST_NICE))


def give_way() -> None:
    """Between two steps of work in a thread beside an event loop: what waits there waits for one of the steps, not for
    all of them. From the first time on the thread wakes up without pushing aside whoever is at work."""
    if not hasattr(_own, "waits") and threading.current_thread() is not threading.main_thread():
        _own.waits = True
        _push_nobody_aside()
    time.sleep(MOMENT)


def _push_nobody_aside() -> None:
    """Else this thread would take the core, and with it the interpreter, in the middle of a turn of the loop, whenever
    the loop lets go of it for some microseconds. Its share of the core stays what it was."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # not allowed
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _lower_group() -> None:
    for _ in range(5):
        try:
            GROUP.write_text(str(GROUP_NICE))
            return
        except BlockingIOError:
            time.sleep(0.1)  # the kernel takes few such orders a second from all of us together
        except OSError:
            return  # no such file, or not ours to write
