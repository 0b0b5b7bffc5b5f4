"""How long an update takes until its version answers over HTTP; whether that grows: `benchmarks.scale`.

    python -m benchmarks.updates [--updates N] [--rows N] [--json FILE]

Rows are scikit-learn's digits as 64 numbers with a little noise. A real `tsuika serve` in a folder of its own: each
update is posted with its rows and timed to the first answer of its version, alone and beside somebody who keeps asking.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.running.background import in_background
from benchmarks.running.memory import pss_of_children
from benchmarks.streams.steps import INK_VECTOR, noisy_digits
from benchmarks.streams.stream import Rows
from benchmarks.tables.terminal import bar, table
from service.cli.demonstration.process import running_service

ASKED_EVERY_SECONDS = 0.02


@dataclass(frozen=True)
class Posted:
    """One update over HTTP, in seconds: all of it, and where it went. `verdict`: its own, or "not served"."""

    total: float
    verdict: str
    parts: dict[str, float]


@dataclass
class Asked:
    """Predictions that were asked for meanwhile."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Served:
    """What a real service did; memory in MB, of the service and its child together, None where it is not known."""

    alone: list[Posted]
    beside: list[Posted]
    asked: Asked
    memory_at_start: float | None
    memory_after: float | None


def served(updates: int, rows: int, before: int, settle: float) -> Served:
    """A service learns `before` rows, then updates alone, then as many while predictions are asked for.

    `settle`: seconds for which memory must stand still before it is read.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder)) as url,
        httpx.Client(base_url=url, timeout=120) as http,
        bar(2 * updates) as advance,
    ):
        _expect(http.post("/v1/models", json={"name": "digits", "input": INK_VECTOR.model_dump(mode="json")}))
        at_start = _settled_memory(settle)
        _post(http, noisy_digits(before, seed=1_000))
        alone, beside = list[Posted](), list[Posted]()
        for k in range(updates):
            alone.append(_post(http, noisy_digits(rows, seed=2_000 + k)))
            advance(f"update {k + 1}: {alone[-1].total:.3f} s")
        with _predictions(url) as asked:
            for k in range(updates):
                beside.append(_post(http, noisy_digits(rows, seed=3_000 + k)))
                advance(f"update {k + 1} beside predictions: {beside[-1].total:.3f} s")
        return Served(alone, beside, asked, at_start, _settled_memory(settle))


def _post(http: httpx.Client, rows: Rows) -> Posted:
    """One update with its rows, until its version answers."""
    body = {"inputs": rows.inputs.tolist(), "labels": rows.targets.tolist(), "new_classes": "allow"}
    began = time.time()
    update = _expect(http.post("/v1/models/digits/updates", params={"wait": 60}, json=body))
    published = time.time()
    if update["report"] is None:
        raise RuntimeError(f"the update is {update['state']}: {update['error']}")
    answer = _expect(http.post("/v1/models/digits/predictions", json={"inputs": body["inputs"][:1]}))
    ended = time.time()
    cost = update["report"]["cost"]
    created, started, finished = (_seconds(update[name]) for name in ("created_at", "started_at", "finished_at"))
    since_claimed = sum(cost["parts"].values()) - cost["parts"]["queue"]
    parts = {
        "receive": created - began,
        **cost["parts"],
        "record": finished - started - since_claimed,
        "tell": published - finished,
        "first answer": ended - published,
    }
    return Posted(ended - began, update["verdict"] if answer["version"] == update["version"] else "not served", parts)


def _expect(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json()


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@contextmanager
def _predictions(url: str) -> Iterator[Asked]:
    """Asks for one prediction every 20 ms, in a thread, until the block ends."""
    asked = Asked()
    body = {"inputs": noisy_digits(1, seed=0).inputs.tolist()}

    def ask(stop: threading.Event) -> None:
        with httpx.Client(base_url=url, timeout=30) as http:
            while not stop.wait(ASKED_EVERY_SECONDS):
                began = time.perf_counter()
                try:
                    _expect(http.post("/v1/models/digits/predictions", json=body))
                    asked.seconds.append(time.perf_counter() - began)
                except httpx.HTTPError as error:
                    asked.failed.append(repr(error))

    with in_background(ask):
        yield asked


def _settled_memory(seconds: float) -> float | None:
    """MB of all children once it stands still so long: the warm child takes a while to load."""
    before = pss_of_children()
    for _ in range(60):
        time.sleep(seconds)
        now = pss_of_children()
        if before is None or now is None or abs(now - before) < 1.0:
            return now
        before = now
    return before


def report(service: Served) -> Iterator[str]:
    """What was measured, in words."""
    yield "over HTTP, seconds (p50)"
    alone = service.alone
    seen = dict.fromkeys(name for posted in alone for name in posted.parts)
    names = [name for name in seen if 2 * sum(name in posted.parts for posted in alone) > len(alone)]
    groups = {"alone": service.alone, "beside predictions": service.beside}
    yield table(
        ("", "all", "lowest-highest", *names, "live"),
        [
            [
                name,
                f"{_p50([p.total for p in group]):.3f}",
                f"{min(p.total for p in group):.3f}-{max(p.total for p in group):.3f}",
                *(f"{_p50([p.parts.get(n, 0.0) for p in group]):.3f}" for n in names),
                f"{sum(p.verdict == 'promoted' for p in group)} of {len(group)}",
            ]
            for name, group in groups.items()
        ],
    )
    asked = service.asked
    p50, p99 = (1e3 * float(np.quantile(asked.seconds or [np.nan], q)) for q in (0.5, 0.99))
    yield f"predictions meanwhile: {len(asked.seconds)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, failed {len(asked.failed)}"
    yield from dict.fromkeys(asked.failed)
    for when, memory in (("at start", service.memory_at_start), ("after updates", service.memory_after)):
        if memory is not None:
            yield f"PSS of the service with its warm child, idle {when}: {memory:.0f} MB"


def _p50(values: Sequence[float]) -> float:
    return float(np.median(values))


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    parser = argparse.ArgumentParser("benchmarks.updates", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--updates", type=int, default=15, help="updates over HTTP, twice")
    parser.add_argument("--rows", type=int, default=100, help="rows a batch")
    parser.add_argument("--learned", type=int, default=1_000, help="rows that the service learns first")
    parser.add_argument("--settle", type=float, default=1.0, help="seconds for which memory must stand still")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    service = served(arguments.updates, arguments.rows, arguments.learned, arguments.settle)
    print("\n".join(report(service)))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(service), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
