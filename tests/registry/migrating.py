"""A migration in a process of its own, killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.running import ROOT

PROGRAM = """
import os, signal, sys
from sqlalchemy import Engine, event
from service.registry.sql.engines import migrate

left = int(sys.argv[2])

@event.listens_for(Engine, "after_cursor_execute")
def count(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

migrate(sys.argv[1])
"""


def killed_amid(url: str, statements: int) -> bool:
    """Migrates a database up to so many statements; -> whether it was killed, and not done before."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, url, str(statements)], cwd=ROOT, timeout=60)
    return ended.returncode == -signal.SIGKILL
