"""A real `tsuika serve` in a process of its own: real port, real database, real signals."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

START_SECONDS = 120.0
STOP_SECONDS = 60.0
ROOT = Path(__file__).resolve().parent.parent


class Server:
    """Started at once; `with Server(folder) as server` stops it at the end.

    `folder` holds data and log. Settings by name: `Server(folder, worker=False)`. What learns and what reads large
    bodies has its share of a busy machine, unless they say otherwise. What it says goes to a file: nobody has to read a
    pipe. `migrated`: an empty database to begin with, which takes less time than to make one.
    """

    def __init__(self, folder: Path, wait: bool = True, migrated: Path | None = None, **settings: Any) -> None:
        self.folder, self.log = folder, folder / "serve.log"
        self.port = settings.pop("port", None) or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"data": folder / "data", "child_priority": "normal", **settings}
        if migrated is not None:
            self.data.mkdir(parents=True)
            shutil.copy(migrated, self.data / "tsuika.db")
        self.process = self._start()
        if wait:
            self.until_ready()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def data(self) -> Path:
        """The data folder."""
        return Path(self.settings["data"])

    @property
    def database_url(self) -> str:
        """The database of its registry."""
        return str(self.settings.get("database_url", f"sqlite:///{self.data / 'tsuika.db'}"))

    def client(self, **options: Any) -> httpx.Client:
        """A client with its base URL here; without certificates, which take longer to load than an answer."""
        return httpx.Client(base_url=self.url, timeout=options.pop("timeout", 30.0), verify=False, **options)

    def until_ready(self, seconds: float = START_SECONDS) -> None:
        """Waits for /readyz; raises with the log when the process ends or takes too long."""
        until = time.monotonic() + seconds
        with self.client(timeout=5.0) as client:
            while time.monotonic() < until and self.process.poll() is None:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == 200:
                        return
                time.sleep(0.05)
        raise AssertionError(f"not ready, exit code {self.process.poll()}:\n{self.said()}")

    def said(self) -> str:
        """The log."""
        return self.log.read_text(errors="replace")

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """TERM; -> the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {seconds:g} s after TERM:\n{self.said()}") from None

    def kill(self) -> None:
        """KILL, as when the power goes."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def restart(self, wait: bool = True, **settings: Any) -> None:
        """Starts again on the same port and folder, after stop() or kill()."""
        assert self.process.poll() is not None
        self.settings |= settings
        self.process = self._start()
        if wait:
            self.until_ready()

    def memory(self, peak: bool = False) -> int:
        """Resident bytes, or the most that there were."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        match = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB", status)
        assert match
        return int(match[1]) * 1024

    def _start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as sink:
            return subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve", "--port", str(self.port)],
                cwd=ROOT,
                env=environment(**self.settings),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                umask=0,  # it closes what it keeps by itself
            )

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()


def environment(**settings: Any) -> dict[str, str]:
    """Ours without any TSUIKA_ setting, then these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TSUIKA_")}
    given = {f"TSUIKA_{name.upper()}": _text(value) for name, value in settings.items()}
    return {**kept, "OMP_NUM_THREADS": "1", **given}


def free_port() -> int:
    """A port that nobody listens on now, and below those that the system gives to connections: until it is listened on,
    none of them takes it. Above those that Ray gives to its workers (10002 to 19999). As long as this process lives no
    other test gets it: the port of UDP with its number is taken."""
    while True:
        port, mark = 20_000 + secrets.randbelow(12_000), socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe, contextlib.suppress(OSError):
            mark.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            mark.detach()  # it stays open
            return port
        mark.close()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)
