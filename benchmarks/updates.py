"""What an update costs: whether it grows with the history, and how long until its version answers over HTTP.

    python -m benchmarks.updates [--batches N] [--updates N] [--rows N] [--json FILE]

Rows are scikit-learn's digits as 64 numbers with a little noise. First in process: equal batches by `ridge` on 1,000
features, after one large batch that fills the exam. Then a real `tsuika serve` in a folder of its own: each update is
posted with its rows and timed to the first answer of its version, alone and beside somebody who keeps asking.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

from benchmarks.memory import pss_of_children
from benchmarks.streams import Rows
from benchmarks.telling import bar, reached, table
from benchmarks.workbench import Model
from service.cli.demonstration.process import running_service
from service.contract.inputs import RangeScale, VectorInput

INPUT = VectorInput(kind="vector", size=64, scale=RangeScale(range=(0, 16)))
RIDGE = {"name": "ridge", "lift": "relu", "width": 1000}
ASKED_EVERY_SECONDS = 0.02
FLAT, ANSWER_SECONDS, MEMORY_MB = 1.2, 0.4, 700.0
"""What is aimed at."""


@dataclass(frozen=True)
class Flatness:
    """Seconds of each equal batch. With 105 of them: `early` the median of 15-25, `late` that of 95-105."""

    seconds: list[float]

    @property
    def early(self) -> float:
        start = len(self.seconds) // 7 - 1
        return float(np.median(self.seconds[max(start, 0) : start + self._some]))

    @property
    def late(self) -> float:
        return float(np.median(self.seconds[-self._some :]))

    @property
    def _some(self) -> int:
        return len(self.seconds) // 10 + 1


@dataclass(frozen=True)
class Posted:
    """One update over HTTP, in seconds: all of it, and where it went. `verdict`: promoted, or it was never answered."""

    total: float
    verdict: str
    parts: dict[str, float]


@dataclass
class Asked:
    """Predictions that somebody asked for all the while."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Served:
    """What a real service did; memory in MB, of the service and its child together, null where it cannot be told."""

    alone: list[Posted]
    beside: list[Posted]
    asked: Asked
    memory_at_start: float | None
    memory_after: float | None


def digits(rows: int, seed: int) -> Rows:
    """Digits drawn at random, each with a little noise of its own."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    which = random.integers(0, len(labels), rows)
    noisy = np.clip(inputs[which] + random.normal(0, 0.3, (rows, 64)), 0, 16)
    return Rows(np.round(noisy, 2).astype(np.float32), labels[which].astype(str))


def flatness(batches: int, rows: int, before: int) -> Flatness:
    """Learn `before` rows, then equal batches, each timed from its rows to its stored version."""
    seconds = []
    with Model(INPUT) as model, bar(batches) as advance:
        for k in range(batches + 1):
            batch = digits(before if k == 0 else rows, seed=k)
            began = time.perf_counter()
            model.learn(batch.inputs, batch.labels.tolist(), RIDGE, promote=True)
            seconds.append(time.perf_counter() - began)
            if k:
                advance(f"batch {k}: {seconds[-1]:.3f} s")
    return Flatness(seconds[1:])


def served(updates: int, rows: int, before: int) -> Served:
    """A service that learned `before` rows, then updates alone, then as many beside somebody who asks."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(Path(folder)) as url,
        httpx.Client(base_url=url, timeout=120) as http,
        bar(2 * updates) as advance,
    ):
        _expect(http.post("/v1/models", json={"name": "digits", "input": INPUT.model_dump(mode="json")}))
        at_start = _settled_memory()
        _post(http, digits(before, seed=1_000))
        alone, beside = list[Posted](), list[Posted]()
        for k in range(updates):
            alone.append(_post(http, digits(rows, seed=2_000 + k)))
            advance(f"update {k + 1}: {alone[-1].total:.3f} s")
        with _somebody(url) as asked:
            for k in range(updates):
                beside.append(_post(http, digits(rows, seed=3_000 + k)))
                advance(f"update {k + 1} beside predictions: {beside[-1].total:.3f} s")
        return Served(alone, beside, asked, at_start, _settled_memory())


def _post(http: httpx.Client, rows: Rows) -> Posted:
    """One update with its rows, until its version answers."""
    body = {"inputs": rows.inputs.tolist(), "labels": rows.labels.tolist(), "new_classes": "allow"}
    began = time.time()
    update = _expect(http.post("/v1/models/digits/updates", params={"wait": 60}, json=body))
    told = time.time()
    answer = _expect(http.post("/v1/models/digits/predictions", json={"inputs": body["inputs"][:1]}))
    ended = time.time()
    learned = update["report"]["cost"]["seconds"]
    created, started, finished = (_seconds(update[name]) for name in ("created_at", "started_at", "finished_at"))
    parts = {
        "receive": created - began,
        "queue": started - created,
        "learn and judge": learned,
        "publish": finished - started - learned,
        "tell": told - finished,
        "first answer": ended - told,
    }
    return Posted(ended - began, update["verdict"] if answer["version"] == update["version"] else "not served", parts)


def _expect(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json()


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


@contextmanager
def _somebody(url: str) -> Iterator[Asked]:
    """Asks for one prediction every 20 ms in a thread of its own."""
    asked, stop = Asked(), threading.Event()
    body = {"inputs": digits(1, seed=0).inputs.tolist()}

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=30) as http:
            while not stop.wait(ASKED_EVERY_SECONDS):
                began = time.perf_counter()
                try:
                    _expect(http.post("/v1/models/digits/predictions", json=body))
                    asked.seconds.append(time.perf_counter() - began)
                except httpx.HTTPError as error:
                    asked.failed.append(repr(error))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        stop.set()
        thread.join()


def _settled_memory() -> float | None:
    """MB of all children once it stands still for a second: the warm child takes a while to load."""
    before = pss_of_children()
    for _ in range(60):
        time.sleep(1.0)
        now = pss_of_children()
        if before is None or now is None or abs(now - before) < 1.0:
            return now
        before = now
    return before


def told(flat: Flatness | None, service: Served | None) -> Iterator[str]:
    """What was measured, in words, and what was aimed at."""
    if flat:
        yield f"in process, {len(flat.seconds)} equal batches: early {flat.early:.3f} s, late {flat.late:.3f} s"
        yield reached("late / early", flat.late / flat.early, FLAT)
        yield ""
    if service:
        yield "over HTTP, seconds (p50)"
        names = list(service.alone[0].parts)
        groups = {"alone": service.alone, "beside predictions": service.beside}
        yield table(
            ("", "all", *names, "live"),
            [
                [
                    name,
                    *(f"{t:.3f}" for t in (_all(group), *(_p50([p.parts[n] for p in group]) for n in names))),
                    f"{sum(p.verdict == 'promoted' for p in group)} of {len(group)}",
                ]
                for name, group in groups.items()
            ],
        )
        asked = service.asked
        p50, p99 = (1e3 * float(np.quantile(asked.seconds or [np.nan], q)) for q in (0.5, 0.99))
        yield f"predictions meanwhile: {len(asked.seconds)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        yield from dict.fromkeys(asked.failed)
        yield reached("post to first answer, p50, seconds", _all(service.alone), ANSWER_SECONDS)
        yield reached("failed predictions", len(asked.failed), 0)
        for when, memory in (("idle at start", service.memory_at_start), ("idle after updates", service.memory_after)):
            yield (
                reached(f"PSS with the warm child, {when}, MB", memory, MEMORY_MB) if memory else "no /proc: no memory"
            )


def _all(posted: Sequence[Posted]) -> float:
    return _p50([p.total for p in posted])


def _p50(values: Sequence[float]) -> float:
    return float(np.median(values))


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    parser = argparse.ArgumentParser("benchmarks.updates", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--batches", type=int, default=105, help="equal batches in process; 0 leaves this part out")
    parser.add_argument("--updates", type=int, default=15, help="updates over HTTP, twice; 0 leaves this part out")
    parser.add_argument("--rows", type=int, default=100, help="rows a batch")
    parser.add_argument("--before", type=int, default=12_000, help="rows that fill the exam in process")
    parser.add_argument("--learned", type=int, default=1_000, help="rows that the service learns first")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    flat = flatness(arguments.batches, arguments.rows, arguments.before) if arguments.batches else None
    service = served(arguments.updates, arguments.rows, arguments.learned) if arguments.updates else None
    print("\n".join(told(flat, service)))
    if arguments.json:
        found = {"flatness": flat and asdict(flat), "served": service and asdict(service)}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
