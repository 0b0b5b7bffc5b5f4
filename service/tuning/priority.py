"""Lowers the priority of processes beside the serving one, and of threads beside its event loop."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from functools import cache
from pathlib import Path

GROUP = Path("/proc/self/autogroup")
"""The nice value of this session. Linux shares a core between sessions first: an idle process in a session of its own
takes half of a busy core (43 % against 43 %), with this 7 %. TSUIKA_CHILD_PRIORITY=normal switches it off."""
GROUP_NICE = 10
"""Of such a session, which then gets a tenth of a busy core."""
PR_SET_PDEATHSIG = 1
THREAD_NICE = 10
"""Added to a thread's nice value; it then gets a tenth of the core while the event loop is always busy."""
LOWEST_NICE = 19
LOW_NICE = 10
"""Of a process that is to get a tenth of a busy core."""
MOMENT = 0.00001
"""Seconds of sleep: without any the thread would take the interpreter again before another could."""

off: frozenset[str] = frozenset()
"""What this process does not do, as TSUIKA_TUNING_OFF says: `yield`, `batch`. Set once at the start."""
_thread = threading.local()

log = logging.getLogger("tsuika")


def step_aside(priority: str = "idle") -> None:
    """Lowers the priority of this process. Called before it starts threads: they inherit it.

    "idle": it runs only when nothing else in its session would. Other processes preempt it at once, while a process of
    low priority keeps the core for a slice, a dozen predictions long; on a core that is always busy it gets nearly
    nothing. "low": it gets a tenth of such a core. "normal": nothing changes.

    Unless "normal", it leaves the first core to predictions. The serving process itself is not pinned: its event loop,
    inference thread and handlers would share that core.
    """
    if priority == "normal":
        return
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])
    elif os.getsid(0) == os.getpid():
        _lower_group()  # with more cores this would favour other programs, not predictions
    if priority == "low":
        os.nice(LOW_NICE)
        return
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError) as error:  # not Linux, or not allowed
        log.info("no idle priority here (%s): the lowest of the usual ones", error)
        os.nice(LOWEST_NICE)


def end_with_parent() -> None:
    """Makes the kernel end this process when its parent ends, however: a process that hangs does not notice the end of
    its input. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def step_back() -> None:
    """Lowers the priority of this thread for its lifetime, so that the event loop need not wait for whole slices."""
    if sys.platform != "linux":  # elsewhere a thread has no priority of its own
        return
    thread = threading.get_native_id()
    try:
        nice = os.getpriority(os.PRIO_PROCESS, thread) + THREAD_NICE
        os.setpriority(os.PRIO_PROCESS, thread, min(nice, LOWEST_NICE))
    except OSError as error:
        not_taken("a lower priority of threads", error)


def give_way() -> None:
    """Lets the event loop run between two steps of work in another thread: on one core with two threads that query the
    database, its timers are 6 ms late at p99, without this 14 ms. TSUIKA_TUNING_OFF=yield switches it off.

    At its first call in a thread it also sets the policy SCHED_BATCH: woken, such a thread does not preempt the event
    loop in the middle of a turn, and its share of the core stays the same. With it an operation of 0.24 ms on the loop
    takes 0.4 ms at p99, without it 2.4 ms or more. TSUIKA_TUNING_OFF=batch switches it off.
    """
    if not hasattr(_thread, "batch") and threading.current_thread() is not threading.main_thread():
        _thread.batch = True
        if "batch" not in off:
            _set_batch_policy()
    if "yield" not in off:
        time.sleep(MOMENT)


def _set_batch_policy() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except (AttributeError, OSError) as error:  # not Linux, or not allowed
        not_taken("SCHED_BATCH", error)


@cache
def _log_once(sentence: str) -> None:
    log.info("%s", sentence)


def not_taken(what: str, why: object) -> None:
    """Logs, once, that the system did not take what a process asked of it."""
    _log_once(f"not set here: {what} ({why})")


def _lower_group() -> None:
    for _ in range(5):
        try:
            GROUP.write_text(str(GROUP_NICE))
            return
        except BlockingIOError:
            time.sleep(0.1)  # the kernel accepts few such writes a second
        except OSError as error:  # no such file, or not allowed
            not_taken("the priority of the session", error)
            return
    not_taken("the priority of the session", "the kernel was busy")
