"""Ends what tests have started once their process is gone, however it ended: SIGKILL leaves it no time to do so.

Whatever a test starts inherits a mark in its environment, with all that it starts in turn. A process of the guard's own
waits for the end of the run, and then ends everything that has the mark.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from contextlib import suppress

import psutil

MARK = "STARTED_BY_TESTS"
ROUNDS = 20
"""Looks for what is left, a moment apart: a process that is just being started may be missed by one."""


def start() -> None:
    """Watch over this process; the workers of a run that is spread over several have the mark, and are watched over."""
    if MARK in os.environ:
        return
    os.environ[MARK] = uuid.uuid4().hex
    # the guard holds one end of the pipe; the other closes when this process is gone
    ours, for_children = os.pipe()
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    command = [sys.executable, "-m", "tests.guard", os.environ[MARK]]
    as_input = [(os.POSIX_SPAWN_DUP2, ours, 0)]
    os.posix_spawn(sys.executable, command, environment, file_actions=as_input, setsid=True)
    os.close(ours)
    os.set_inheritable(for_children, False)


def main(mark: str) -> None:
    """Waits for the end of standard input, then ends all that has the mark."""
    sys.stdin.read()
    for _ in range(ROUNDS):
        marked = [process for process in psutil.process_iter() if _mark(process) == mark]
        for process in marked:
            with suppress(psutil.Error):
                process.kill()
        if not marked:
            return
        time.sleep(0.1)


def _mark(process: psutil.Process) -> str | None:
    try:
        mark: str | None = process.environ().get(MARK)
    except (psutil.Error, OSError):  # of another user, or gone
        return None
    return mark


if __name__ == "__main__":
    main(sys.argv[1])
