"""A Ray cluster on this machine: its head, and nodes that join it. Each is a `ray start` of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.running import ROOT, free_port

START_SECONDS = 180.0
STORE_BYTES = 100 * 2**20
"""Memory for objects of a node."""
VARIABLES = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "1f" * 32,
    "RAY_worker_niceness": "0",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
}
"""Of nodes, and of what connects to them. Ray's own nice value is 15: beside other work its processes get next to
nothing of a core."""


class Node:
    """A node, alone the head of a cluster, or one that joins the head at `address`. `gpus` are said to be
    there; `variables`: of its environment."""

    def __init__(self, cpus: int, address: str = "", port: int = 0, gpus: int = 0, **variables: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # names of sockets must be short
        self.log = self._folder / "start.log"
        self.address = address or f"127.0.0.1:{port or free_port()}"
        role = (
            [f"--address={address}"]
            if address
            else ["--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false"]
        )
        command = [str(Path(sys.executable).with_name("ray")), "start", *role, "--block", "--disable-usage-stats"]
        command += ["--node-ip-address=127.0.0.1", f"--num-cpus={cpus}", f"--num-gpus={gpus}"]
        command += [f"--object-store-memory={STORE_BYTES}"]
        command += [] if address else [f"--temp-dir={self._folder / 's'}"]
        with self.log.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={**os.environ, **VARIABLES, **variables},
            )
        until = time.monotonic() + START_SECONDS
        try:
            while "Ray runtime started" not in self.said():
                assert self._process.poll() is None, self.said()
                assert time.monotonic() < until, self.said()
                time.sleep(0.05)
        except BaseException:
            self.kill()
            raise

    def said(self) -> str:
        """What `ray start` printed."""
        return self.log.read_text(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """What runs on it, but for the process that started it."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def leave(self) -> None:
        """Has it say good-bye to the head, and ends what is left of it."""
        processes = self.processes()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """KILL, as when its machine is switched off."""
        if self._process.poll() is not None:
            return
        processes = [*self.processes(), psutil.Process(self._process.pid)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(processes, timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def started(cpus: int = 2) -> Iterator[Node]:
    """A cluster of one node."""
    head = Node(cpus)
    try:
        yield head
    finally:
        head.kill()
