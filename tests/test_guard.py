"""What tests have started ends with them, also when their process is killed."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from tests.guard import MARK

RUN = """
import subprocess, sys, time
from tests import guard
guard.start()
code = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '600'], start_new_session=True); "
code += "print(p.pid, flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
time.sleep(600)
"""


def test_what_a_killed_run_has_started_is_ended_with_all_that_it_started_in_turn() -> None:
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    with subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=environment) as run:
        grandchild = psutil.Process(int(run.stdout.readline()))
        family = [grandchild, psutil.Process(grandchild.ppid())]
        assert all(process.is_running() for process in family)
        run.kill()
        _, left = psutil.wait_procs(family, timeout=60.0)
        left = [process for process in left if process.status() != psutil.STATUS_ZOMBIE]
        assert not left
