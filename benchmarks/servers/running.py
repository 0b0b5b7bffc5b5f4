"""A server that runs: in its own environment, on a core of its own, until it answers rightly; and what it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import torch

from benchmarks.running.memory import core_seconds_of, descendants, pss_of
from benchmarks.servers.contenders import Asked, Contender, Row
from benchmarks.servers.load import Load, drive
from benchmarks.servers.network import build, free_port, row

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 120.0, 12.0
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "LITSERVE_DISABLE_VERSION_CHECK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
}
WARM_SECONDS = 2


class NotStarted(RuntimeError):
    """A server that does not answer, or wrongly. The text ends with its log."""


@dataclass(frozen=True)
class Place:
    """Where servers run. folder: data and logs · cores: of the server, and of the load."""

    folder: Path
    venvs: Path
    network: str
    cores: tuple[int, int]

    def interpreter(self, contender: Contender) -> str:
        """The Python of a contender; its environment is made on first use, anew where that was cut off. Raises
        NotStarted."""
        if not contender.packages:
            return sys.executable
        home = self.venvs / contender.name
        python, complete = home / "bin" / "python", home / "complete"
        if not complete.exists():
            print(f"installing {contender.name} into {home}", file=sys.stderr)
            make = [sys.executable, "-m", "venv", "--clear", str(home)]
            for words in (make, [python, "-m", "pip", "install", "--quiet", *contender.packages]):
                made = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
                if made.returncode:
                    raise NotStarted(f"{contender.name} cannot be installed:\n{made.stdout.strip()[-1500:]}")
            complete.touch()
        return str(python)


class Running:
    """One server. `row` is what everybody asks, `expected` the class that the network gives for it."""

    def __init__(self, contender: Contender, place: Place, process: subprocess.Popen[bytes], port: int) -> None:
        self.contender, self.place, self.process = contender, place, process
        self.url = f"http://127.0.0.1:{port}"
        self.row = row(place.network)
        with torch.inference_mode():
            self.expected = int(build(place.network)(torch.tensor([self.row])).argmax())

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        return _log(self.place, self.contender).read_text(errors="replace").strip()[-1500:]

    def ask(self, changed: Row | None = None, body: bytes | None = None) -> httpx.Response:
        """One request, with another row or another body if one is given."""
        asked = self.contender.asks(self.row if changed is None else changed)
        content = asked.body if body is None else body
        return httpx.post(self.url + asked.path, content=content, headers=asked.headers, timeout=10.0)

    def right(self) -> bool:
        """Whether it answers, and as the network does."""
        with suppress(httpx.TransportError, ValueError, KeyError, IndexError, TypeError):
            return self.contender.best(self.ask().content) == self.expected
        return False

    def drive(
        self, connections: int, seconds: int, each: float | None = None, before: int = 0, asked: Asked | None = None
    ) -> Load:
        """Load it as `load.drive` does, by default with what everybody asks."""
        return drive(
            self.url, asked or self.contender.asks(self.row), connections, seconds, self.place.cores[1], each, before
        )

    def load(self, connections: int, seconds: int, asked: Asked | None = None) -> dict[str, Any]:
        """Load it, and tell what came back and what it took: core-milliseconds a request, MB."""
        before = core_seconds_of(self.process.pid)
        driven = self.drive(connections, seconds, asked=asked)
        used = core_seconds_of(self.process.pid) - before
        cost = 1000 * used / max(driven.requests, 1)
        return {**asdict(driven), "failed": driven.failed, "core_ms": cost, "pss": pss_of(self.process.pid)}

    def warm(self, seconds: int) -> None:
        self.load(8, min(WARM_SECONDS, seconds))


@contextmanager
def running(contender: Contender, place: Place, **settings: str) -> Iterator[Running]:
    """Starts it and waits for a right answer; stops it and all that it started at the end. Raises NotStarted.

    `settings`: variables of its environment.
    """
    with started(contender, place, **settings) as server:
        until = time.monotonic() + START_SECONDS
        while not server.right():
            if server.process.poll() is not None or time.monotonic() > until:
                raise NotStarted(f"{contender.name} gives no right answer:\n{server.log}")
            time.sleep(0.1)
        yield server


@contextmanager
def started(contender: Contender, place: Place, **settings: str) -> Iterator[Running]:
    """The same without the wait."""
    port = free_port()
    words = [place.interpreter(contender), *contender.command.format(port=port).split()]
    with process(words, place, _log(place, contender), place.cores[0], BENCH_PORT=str(port), **settings) as one:
        yield Running(contender, place, one, port)


@contextmanager
def process(
    words: Sequence[str], place: Place, log: Path, core: int, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on that core; at the end it is stopped, and all that it started."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TSUIKA_", "BENCH_"))}
    benchmark = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "BENCH_NETWORK": place.network,
    }
    path = f"{Path(words[0]).parent}{os.pathsep}{clean.get('PATH', '')}"
    env = {**clean, **QUIET, **benchmark, "TMPDIR": str(place.folder), "PATH": path, **settings}
    with log.open("ab") as sink:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *words],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(one: subprocess.Popen[bytes]) -> None:
    others = descendants(one.pid)
    one.terminate()
    with suppress(subprocess.TimeoutExpired):
        one.wait(STOP_SECONDS)
    for pid in others:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    one.kill()
    one.wait()


def _log(place: Place, contender: Contender) -> Path:
    return place.folder / f"{contender.name}.log"
