"""The load: h2load, one thread, each connection with one request in flight, the next one sent when it is answered.

It logs every request, so that percentiles are those of what was asked, and nothing is estimated or corrected. All
connections are opened as the load begins, while the first of them ask already, and a request waits, too, while the
server has not yet taken in its connection. Servers on libuv, ours among them, take in one connection each turn of their
loop: one that is busy before all are in lets the last of 64 wait for seconds. What is under way at the end is not
counted, however long it has waited.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.servers.contenders import Asked

MISSING = "h2load is not installed; it makes the load. On Debian and Ubuntu: apt-get install nghttp2-client"
ERRORS = re.compile(r"^requests: .* (\d+) errored", re.MULTILINE)
GOOD = 200


@dataclass(frozen=True)
class Load:
    """What came back. requests, rate: good answers · p50, p99, longest: milliseconds that these took · settled: the
    p99 of those asked in the second half, when all connections have been taken in · refused: another status · broken:
    cut off."""

    requests: int
    rate: float
    p50: float
    p99: float
    settled: float
    longest: float
    refused: int
    broken: int

    @property
    def failed(self) -> int:
        """Without a good answer."""
        return self.refused + self.broken


def missing() -> str | None:
    """What to install, if it is not there."""
    return None if shutil.which("h2load") else MISSING


def drive(
    url: str, asked: Asked, connections: int, seconds: int, core: int, each: float | None = None, before: int = 0
) -> Load:
    """Load for so long, from that core. Raises RuntimeError where h2load measures nothing.

    url: of the server, without the path · each: requests a second that a connection makes at most; one whose answer
    came late asks the more often afterwards · before: seconds of the same load that come first and do not count.
    """
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(asked.body)
        words = ["--h1", "-t1", f"-c{connections}", f"-D{seconds}", f"--warm-up-time={before}"]
        words += [] if each is None else [f"--rps={each}"]
        words += ["-d", str(body), *(w for k, v in asked.headers.items() for w in ("-H", f"{k}: {v}"))]
        words = ["taskset", "-c", str(core), "h2load", *words, f"--log-file={log}", url + asked.path]
        run = subprocess.run(words, capture_output=True, text=True, check=False)
        if (errors := ERRORS.search(run.stdout)) is None:
            raise RuntimeError(f"h2load measured nothing: {run.stderr or run.stdout}")
        return read(log.read_text(), seconds, int(errors[1]))


def read(log: str, seconds: int, broken: int) -> Load:
    """A line for each request (when it was sent, status, how long it took, in microseconds) -> the load."""
    sent, status, took = np.array(log.split(), np.int64).reshape(-1, 3).T
    good = status == GOOD
    requests, refused = int(good.sum()), int((~good).sum())
    if not requests:
        nothing = float("nan")
        return Load(0, 0.0, nothing, nothing, nothing, nothing, refused, broken)
    late = good & (sent >= sent.min() + seconds * 500_000)
    p50, p99, longest = _milliseconds(took[good], (50, 99, 100))
    settled = _milliseconds(took[late], (99,))[0] if late.any() else float("nan")
    return Load(requests, requests / seconds, p50, p99, settled, longest, refused, broken)


def _milliseconds(took: np.ndarray, percents: Sequence[int]) -> list[float]:
    """Percentiles, each the time of one request."""
    return [float(v) / 1000 for v in np.percentile(took, percents, method="lower")]
