"""Steady load with an update again and again: nothing grows, nothing fails, and answers stay as quick as they were.

    python -m tests.soak.steady [--minutes 30] [--scaled]

Predictions come at a fixed rate over connections that stay open, and an update every half minute (of a short run: every
tenth of it). Memory, open files and connections of each process are watched from outside. Without --scaled it is one
`tsuika serve`; with it, two services and two workers on PostgreSQL and a store in S3. It ends with a table, and with
status 1 where anything is beyond its bound. Fewer minutes than LONG_MINUTES cannot tell growth from warming up: the
bound of memory is wide then, and answers are not compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from tests.acceptance.environments import Environment
from tests.acceptance.service import Caller
from tests.soak.kills import opened
from tests.soak.load import Predicting, Sending, ended

CALLERS, RATE = 4, 25.0
"""Who predicts, and how often a second each."""
UPDATE_SECONDS = 30.0
LONG_MINUTES = 20.0
WARM = 0.3
"""The share of a run that is not looked at: caches fill, and libraries load."""
MB_A_MINUTE, SHORT_MB_A_MINUTE = 1.0, 5.0
FILES, SLOWER = 4, 1.2
"""More files or connections at the end than after the start, and the p99 of the end over that of the start."""
WINDOW_SECONDS = 300.0
SAMPLE_SECONDS = 2.0


@dataclass(frozen=True)
class Sample:
    """What a process has at a moment."""

    at: float
    memory: int
    files: int
    connections: int


@dataclass(eq=False)
class Watch(threading.Thread):
    """Samples of each process of an environment, those that learn and that read large bodies among them."""

    environment: Environment
    stop: threading.Event
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        while not self.stop.wait(SAMPLE_SECONDS):
            at = time.monotonic()
            for name, process in self._processes():
                with suppress(psutil.NoSuchProcess), process.oneshot():
                    files, lines = process.num_fds(), len(process.net_connections("inet"))
                    sample = Sample(at, process.memory_info().rss, files, lines)
                    self.samples.setdefault(name, []).append(sample)

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        environment = self.environment
        parents = {f"service {k + 1}": each.process.pid for k, each in enumerate(environment.services)}
        parents |= {f"worker {k + 1}": each.process.pid for k, each in enumerate(environment.workers)}
        for name, pid in parents.items():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                yield name, process
                for child in process.children(recursive=True):
                    yield f"{name}: {child.pid}", child


@dataclass(frozen=True)
class Outcome:
    """What was seen. `wrong`: what is beyond its bound, in words."""

    table: list[str]
    wrong: list[str]


def run(environment: Environment, seconds: float) -> Outcome:
    """Load for so long, and a look at what was seen."""
    with Caller(environment.services[0], "digits") as caller:
        caller.create().learn(0)
    stop = threading.Event()
    callers = [Predicting(environment, "digits", stop, RATE) for _ in range(CALLERS)]
    sending = Sending(environment, "digits", stop, pause=min(UPDATE_SECONDS, seconds / 10.0))
    watch = Watch(environment, stop)
    began = time.monotonic()
    for thread in (*callers, sending, watch):
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in (*callers, sending, watch):
        thread.join()
    done = ended(environment, sending.sent)
    environment.hold(each.batch for each in sending.sent)
    statuses = sum((each.statuses for each in callers), Counter[int]())
    wrong = [text for each in callers for text in each.strange] + [sending.failure] * (sending.failure is not None)
    wrong += [f"{update['id']} ended as {update['state']}" for update in done if update["state"] != "succeeded"]
    broken = sum(each.anywhere.broken for each in callers)
    if set(statuses) != {200} or broken:
        wrong.append(f"predictions were answered with {dict(statuses)}, and {broken} were cut off")
    table = [f"{environment.name}, {seconds / 60:g} minutes, {len(done)} updates, {statuses[200]:,} predictions"]
    since = began + WARM * seconds
    long = seconds >= 60.0 * LONG_MINUTES
    for name, samples in watch.samples.items():
        seen = [sample for sample in samples if sample.at >= since]
        if len(seen) >= 10:
            line, faults = _of_process(name, seen, MB_A_MINUTE if long else SHORT_MB_A_MINUTE)
            table.append(line)
            wrong += faults
    took = [each for caller in callers for each in caller.took]
    window = WINDOW_SECONDS if long else seconds / 2.0
    first, last = (_p99(took, low, low + window) for low in (began, began + seconds - window))
    table.append(f"p99 of predictions: {first:.1f} ms in the first {window:.0f} s, {last:.1f} ms in the last")
    if long and last > SLOWER * first:
        wrong.append(f"answers became slower: {last / first:.2f} x, at most {SLOWER:g}")
    return Outcome(table, [each for each in wrong if each is not None])


def _p99(took: Sequence[tuple[float, float]], since: float, until: float) -> float:
    """Of what began then, in milliseconds."""
    return float(np.quantile([seconds for at, seconds in took if since <= at < until], 0.99)) * 1000.0


def _of_process(name: str, seen: Sequence[Sample], most: float) -> tuple[str, list[str]]:
    """-> a line of the table; what is beyond its bound"""
    minutes = [(sample.at - seen[0].at) / 60.0 for sample in seen]
    slope = float(np.polyfit(minutes, [sample.memory / 1e6 for sample in seen], 1)[0])
    third = max(len(seen) // 3, 1)
    begins, ends = seen[:third], seen[-third:]
    more_files, more_lines = (
        min(count(sample) for sample in ends) - max(count(sample) for sample in begins)
        for count in (lambda sample: sample.files, lambda sample: sample.connections)
    )
    wrong = []
    if slope > most:
        wrong.append(f"{name}: memory grows by {slope:.1f} MB a minute, at most {most:g}")
    if max(more_files, more_lines) > FILES:
        wrong.append(f"{name}: {more_files} files and {more_lines} connections more at the end, at most {FILES}")
    memory, files, lines = seen[-1].memory / 1e6, seen[-1].files, seen[-1].connections
    return f"{name:20} {memory:6.0f} MB {slope:+6.2f} MB/min {files:4} files {lines:4} connections", wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.steady", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--scaled", action="store_true")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        outcome = run(opened(stack, folder, chosen.scaled), chosen.minutes * 60.0)
    print("\n".join(outcome.table + outcome.wrong))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
