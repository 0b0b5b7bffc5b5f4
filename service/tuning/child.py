"""A process beside the one that serves: how its parent starts and ends it, and how it begins. They talk in lines of
JSON over its standard input and output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TextIO

from service.tuning.priority import end_with_parent, step_aside

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What numerical libraries ask for the number of their threads."""


def start(program: str, *arguments: str, threads: int = 1, session: bool = False) -> subprocess.Popen[bytes]:
    """Starts `python -m program` in a group of its own, so that Ctrl-C is for the parent alone.

    `session`: in a session of its own, too. There its priority means nothing to processes of the parent's session.
    """
    return subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=session,
        process_group=None if session else 0,
        env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and everything in its group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def begin(priority: str) -> TextIO:
    """Steps aside and ends with the parent from now on. -> where answers go; what else prints goes to standard error"""
    sink = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    end_with_parent()
    step_aside(priority)
    return sink
