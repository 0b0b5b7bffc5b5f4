"""The load: wrk, one thread, each connection with one request in flight, the next one sent when it is answered."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers.contenders import Asked

MISSING = "wrk is not installed; it makes the load. On Debian and Ubuntu: apt-get install wrk"
PATIENCE_SECONDS = 10
MARK = "measured "
DONE = """
function done(summary, latency, requests)
  local e, parts = summary.errors, {}
  for k = 1, #latency do
    local value, count = latency(k)
    parts[k] = string.format('[%d,%d]', value, count)
  end
  print(string.format('MARK{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"latency":[%s]}', summary.requests,
    summary.duration, e.status, e.connect + e.read + e.write + e.timeout, table.concat(parts, ",")))
end
""".replace("MARK", MARK)


@dataclass(frozen=True)
class Load:
    """What came back. requests, rate: good answers. p50, p99, longest: milliseconds. refused: another status; broken:
    cut off or too late."""

    requests: int
    rate: float
    p50: float
    p99: float
    longest: float
    refused: int
    broken: int

    @property
    def failed(self) -> int:
        """Without a good answer."""
        return self.refused + self.broken


def missing() -> str | None:
    """What to install, if it is not there."""
    return None if shutil.which("wrk") else MISSING


def drive(url: str, asked: Asked, connections: int, seconds: int, core: int, pause: float = 0.0) -> Load:
    """Load for so long, from that core. `url`: of the server, without the path · pause: seconds between an answer and
    the next request of a connection."""
    with tempfile.TemporaryDirectory() as folder:
        body, script = Path(folder, "body"), Path(folder, "load.lua")
        body.write_bytes(asked.body)
        script.write_text(written(asked.headers, body, pause))
        words = ["-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={PATIENCE_SECONDS}s", "-s", str(script)]
        run = subprocess.run(
            ["taskset", "-c", str(core), "wrk", *words, url + asked.path], capture_output=True, text=True, check=False
        )
    if MARK not in run.stdout:
        raise RuntimeError(f"wrk measured nothing: {run.stderr or run.stdout}")
    told = json.loads(run.stdout.partition(MARK)[2])
    return read(told, connections)


def written(headers: Mapping[str, str], body: Path, pause: float = 0.0) -> str:
    """The script of a load: what is sent, and what is told at the end."""
    sent = "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in headers.items())
    waits = f"function delay() return {round(pause * 1000)} end\n" if pause else ""
    return f'wrk.method = "POST"\nwrk.body = io.open({json.dumps(str(body))}, "rb"):read("*a")\n{sent}{waits}{DONE}'


def read(told: Mapping[str, object], connections: int) -> Load:
    """What the script told -> the load."""
    values = {name: told[name] for name in ("requests", "microseconds", "refused", "broken")}
    requests, microseconds, refused, broken = (int(str(v)) for v in values.values())
    pairs = told["latency"]
    assert isinstance(pairs, list)
    interval = microseconds // (requests // connections) if requests >= connections else 0
    latency = measured({int(v): int(n) for v, n in pairs}, interval)
    good = requests - refused
    if not latency:
        return Load(good, 0.0, float("nan"), float("nan"), float("nan"), refused, broken)
    p50, p99 = (quantile(latency, q) / 1000 for q in (0.5, 0.99))
    return Load(good, good / microseconds * 1e6, p50, p99, max(latency) / 1000, refused, broken)


def measured(latency: Mapping[int, int], interval: int) -> dict[int, int]:
    """Microseconds -> requests that took them, without those that wrk adds.

    To a request that took twice the mean `interval` of its connection or more, wrk adds ones that would have been sent
    meanwhile at a fixed rate (n - interval, n - 2 * interval, ..., down to the interval). Nothing here has a fixed
    rate, so they are taken out again, from the longest down.
    """
    found = dict(latency)
    for value in sorted(latency, reverse=True):
        count = found[value]
        if not interval or value < 2 * interval or not count:
            continue
        for added in range(value - interval, interval, -interval):
            found[added] -= count
    return {value: count for value, count in found.items() if count}


def quantile(latency: Mapping[int, int], q: float) -> int:
    """The value below which that share of requests lies."""
    left = q * (sum(latency.values()) - 1)
    for value in sorted(latency):
        left -= latency[value]
        if left < 0:
            return value
    return max(latency)
