"""Avalanche and scikit-learn on the same streams, rows, epochs and memory: their figures as records beside ours.

    python -m benchmarks.peers --peers-python PYTHON --peers FOLDER --json FILE [--streams mnist10k,letter]
        [--methods replay,der++] [--seeds N] [--tuned FILE] [--bytes FILE] [--share 0.7]

PYTHON is an interpreter that has avalanche-lib; FOLDER holds the peers' `peers.py` and `scenarios.py`, called here.
Peers get the kinder rules: outputs for all classes from the start, every row to train on, and with --tuned (lines with
`scenario`, `method`, `hp`, `lr`) hyperparameters that were chosen on a validation split of the whole stream; without it
their first ones. Classes come in the order of our seed. Seconds are of the processor. With --bytes (lines of ours, with
`ridge` or `auto`) who rehearses keeps as many raw rows as fit into all that our exact head's lineage stored.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.running.command import checked, parser_of, seeds
from benchmarks.streams.frozen import WIDTHS
from benchmarks.streams.steps import PLANS, Plan
from benchmarks.tables.learned import Learned
from benchmarks.tables.records import keep, kept

SCENARIOS = {
    "mnist10k": "mnist10k",
    "letter": "letter",
    "clinc150": "clinc150",
    "emoji32-classes": "emoji32-class",
    "emoji32-styles": "emoji32-domain",
}
METHODS = ("naive", "ewc", "si", "mas", "lwf", "replay", "gdumb", "der++", "er-ace", "icarl", "slda")
REHEARSE = ("replay", "gdumb", "der++")
EXACT = ("ridge", "auto")
"""Ours whose bytes count, the first that is there."""

DRIVER = """
import json, sys, time, types
task = json.loads(sys.argv[1])
sys.path.insert(0, task["folder"])
import numpy as np, torch
import peers, scenarios
scenarios.time = types.SimpleNamespace(perf_counter=time.process_time)
steps, seed = scenarios.steps, task["seed"]
scenarios.steps = lambda classes, first, then: steps(classes, first, then, seed=seed or None)
if task["memory"]:
    peers.MEM = task["memory"]
stream = scenarios.Stream(task["scenario"])
draw = torch.Generator().manual_seed(seed)
for t, (x, y) in enumerate(stream.train):
    order = torch.randperm(len(y), generator=draw)[: round(task["share"] * len(y))]
    stream.train[t] = x[order], y[order]
for method, hyper in task["methods"].items():
    try:
        row = peers.run(method, stream, seed, hyper["lr"], hyper["hp"])
    except Exception as error:
        row = {"error": repr(error)[:300]}
    print("RESULT " + json.dumps({"method": method, **row}), flush=True)
"""


@dataclass(frozen=True)
class Task:
    """What the peers' interpreter runs. memory: rows they keep, 0: their own number · share: of each step's rows."""

    folder: str
    scenario: str
    methods: Mapping[str, Any]
    seed: int
    memory: int
    share: float


def run(python: str, task: Task, features: Path | None) -> Iterator[dict[str, Any]]:
    """Yields each method's row as soon as the peers print it. Raises SystemExit where their interpreter fails."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if features is not None:
        environment["IL_FEATS"] = str(features.absolute())
    command = [python, "-W", "ignore", "-c", DRIVER, json.dumps(asdict(task))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("RESULT "):
                yield json.loads(line.removeprefix("RESULT "))
    if process.returncode:
        raise SystemExit(f"{python} ended with {process.returncode} on {task.scenario}.")


def record(stream: Plan, row: Mapping[str, Any], seed: int, memory: int, share: float) -> Learned:
    """A peer's row as one of our records; names of methods with another memory or with fewer rows say so."""
    library = "scikit-learn" if row["method"].startswith("sk-") else "Avalanche"
    name = f"{library} {row['method']}" + (", rows in our bytes" if memory and row["method"] in REHEARSE else "")
    name += f", {share:g} of the rows" if share < 1 else ""
    if "error" in row:
        return Learned(stream.name, name, seed, refused=row["error"])
    return Learned(
        stream.name,
        name,
        seed,
        accuracy=row["final"],
        average=row.get("avg_inc"),
        forgetting=row.get("forgetting"),
        seconds=row["train_s"],
        last_seconds=row["last_s"],
        bytes=row["bytes"],
        kept=row["bytes"],
        details=row.get("hyper", {}) | ({"memory_rows": memory} if memory else {}),
    )


ROWS = {"mnist10k": 8000, "letter": 18000, "clinc150": 18000, "emoji32": 4144}


def rows_in_bytes(stream: Plan, seed: int, ours: Sequence[Learned]) -> int:
    """Raw rows that are as large as all that our exact head stored on that stream and seed, at most all there are.

    Raises SystemExit where none of ours is among the records.
    """
    bytes_by_method = {r.method: r.kept for r in ours if (r.stream, r.seed) == (stream.name, seed) and not r.refused}
    kept_bytes = next((bytes_by_method[name] for name in EXACT if name in bytes_by_method), None)
    if kept_bytes is None:
        raise SystemExit(f"No {' or '.join(EXACT)} of {stream.name}, seed {seed}, is in the file of --bytes.")
    width = WIDTHS[stream.backbone.name] if stream.backbone else 0
    return min(ROWS[stream.data], kept_bytes // {"mnist10k": 784, "letter": 64}.get(stream.name, 4 * width))


def tuned(file: Path | None, stream: str, method: str) -> Mapping[str, Any] | None:
    """The hyperparameters of a line, or None."""
    if file is None:
        return None
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines() if line]
    return next((r for r in lines if r["scenario"] == SCENARIOS[stream] and r["method"] == method), None)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    a = _arguments(words)
    done = {r.key for r in kept(a.json, Learned)}
    for stream in a.streams:
        for seed in a.seeds:
            memory = rows_in_bytes(stream, seed, kept(a.bytes, Learned)) if a.bytes else 0
            todo = {}
            for method in a.methods:
                if (memory and method not in REHEARSE) or (stream.kind == "domains" and method == "icarl"):
                    continue
                hyper = tuned(a.tuned, stream.name, method) or {"lr": stream.layers.lr, "hp": first(method)}
                name = record(stream, {"method": method, "error": ""}, seed, memory, a.share).method
                if (stream.name, name, seed) not in done:
                    todo[method] = hyper
            if todo:
                task = Task(str(a.peers), SCENARIOS[stream.name], todo, seed, memory, a.share)
                for row in run(a.peers_python, task, a.features):
                    learned = keep(record(stream, row, seed, memory, a.share), a.json)
                    print(f"{stream.name} {seed}: {learned.method}: {learned.accuracy:.4f}", file=sys.stderr)
    return 0


def first(method: str) -> dict[str, Any]:
    """The first point of the peers' own grid."""
    slow = {"slow": 3}
    points: dict[str, dict[str, Any]] = {
        "ewc": {"lam": 1.0, **slow},
        "si": {"lam": 1.0, **slow},
        "mas": {"lam": 1e-3, **slow},
        "lwf": {"lam": 1.0, "slow": 1},
        "der++": {"alpha": 0.1, "beta": 0.5, **slow},
        "gdumb": {"more": 1},
        "slda": {"shrink": 1e-4},
        "naive": {},
    }
    return points.get(method, {"slow": 1})


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of("peers", __doc__)
    parser.add_argument("--peers-python", required=True, help="an interpreter that has avalanche-lib")
    parser.add_argument("--peers", type=Path, required=True, help="folder of the peers' peers.py and scenarios.py")
    parser.add_argument("--features", type=Path, help="folder of the backbones' features, NAME.npz")
    parser.add_argument("--tuned", type=Path, help="lines with scenario, method, hp, lr")
    parser.add_argument("--bytes", type=Path, help="lines of ours: as many rows as fit into what our exact head stored")
    parser.add_argument("--share", type=float, default=1.0, help="of each step's rows; 0.7: as many as ours train on")
    parser.add_argument("--streams", type=checked(_streams), default=",".join(SCENARIOS), help="names, with commas")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=",".join(METHODS))
    parser.add_argument("--seeds", type=seeds, default="1", help="how many, or 1-4")
    arguments = parser.parse_args(words)
    if arguments.json is None:
        parser.error("--json FILE is where the results are kept")
    return arguments


def _streams(text: str) -> list[Plan]:
    names = text.split(",")
    if unknown := {*names} - {*SCENARIOS}:
        raise ValueError(f"no stream {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return [PLANS[name] for name in names]


if __name__ == "__main__":
    sys.exit(main())
