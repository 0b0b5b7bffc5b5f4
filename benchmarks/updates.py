"""What an update costs: whether it grows with the history, and how long until its version answers over HTTP.

    python -m benchmarks.updates [--batches N] [--updates N] [--rows N] [--json FILE]

Rows are scikit-learn's digits as 64 numbers with a little noise. First in process: equal batches by `ridge` on 1,000
features, after one large batch that fills the exam. Then a real `tsuika serve` in a folder of its own: each update is
posted with its rows and timed to the first answer of its version, alone and beside somebody who keeps asking.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.running.served import Posted, Served, served
from benchmarks.running.workbench import Model
from benchmarks.streams.steps import INK_VECTOR, noisy_digits
from benchmarks.tables.terminal import bar, reached, table

RIDGE = {"name": "ridge", "lift": "relu", "width": 1000}
FLAT, ANSWER_SECONDS, MEMORY_MB = 1.2, 0.25, 700.0
"""What is aimed at."""


@dataclass(frozen=True)
class Flatness:
    """Seconds of each equal batch, and those of the processor (the same on a machine that others use, too)."""

    seconds: list[float]
    processor: list[float]


def early_and_late(seconds: Sequence[float]) -> tuple[float, float]:
    """Of 105 batches the medians of 15-25 and of 95-105."""
    some, start = len(seconds) // 10 + 1, max(len(seconds) // 7 - 1, 0)
    return _p50(seconds[start : start + some]), _p50(seconds[-some:])


def flatness(batches: int, rows: int, before: int) -> Flatness:
    """Learn `before` rows, then equal batches, each timed from its rows to its stored version."""
    seconds, processor = [], []
    with Model(INK_VECTOR) as model, bar(batches) as advance:
        for k in range(batches + 1):
            batch = noisy_digits(before if k == 0 else rows, seed=k)
            labels, began, used = batch.targets.tolist(), time.perf_counter(), time.process_time()
            model.learn(batch.inputs, labels, RIDGE, promote=True)
            seconds.append(time.perf_counter() - began)
            processor.append(time.process_time() - used)
            if k:
                advance(f"batch {k}: {seconds[-1]:.3f} s")
    return Flatness(seconds[1:], processor[1:])


def report(flat: Flatness | None, service: Served | None) -> Iterator[str]:
    """What was measured, in words, and what was aimed at."""
    if flat:
        for what, seconds in (("seconds", flat.seconds), ("of the processor", flat.processor)):
            early, late = early_and_late(seconds)
            yield f"in process, {len(seconds)} equal batches, {what}: early {early:.3f}, late {late:.3f}"
            yield reached("late / early", late / early, FLAT)
        yield ""
    if service:
        yield "over HTTP, seconds (p50)"
        alone = service.alone
        seen = dict.fromkeys(name for posted in alone for name in posted.parts)
        names = [name for name in seen if 2 * sum(name in posted.parts for posted in alone) > len(alone)]
        groups = {"alone": service.alone, "beside predictions": service.beside}
        yield table(
            ("", "all", *names, "live"),
            [
                [
                    name,
                    *(f"{t:.3f}" for t in (_all(group), *(_p50([p.parts.get(n, 0.0) for p in group]) for n in names))),
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
        for when, memory in (("at start", service.memory_at_start), ("after updates", service.memory_after)):
            if memory is not None:
                yield reached(f"PSS of the service with its warm child, idle {when}, MB", memory, MEMORY_MB)


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
    parser.add_argument("--settle", type=float, default=1.0, help="seconds for which memory must stand still")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    flat = flatness(arguments.batches, arguments.rows, arguments.before) if arguments.batches else None
    service = (
        served(arguments.updates, arguments.rows, arguments.learned, arguments.settle) if arguments.updates else None
    )
    print("\n".join(report(flat, service)))
    if arguments.json:
        measured = {"flatness": flat and asdict(flat), "served": service and asdict(service)}
        arguments.json.write_text(json.dumps(measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
