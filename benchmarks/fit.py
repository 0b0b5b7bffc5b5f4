"""How fast `fit`, the service's only training loop, is: beside a bare torch loop, and beside Avalanche's if it is here.

    python -m benchmarks.fit [--data FOLDER] [--repeats N] [--device cuda] [--json FILE]
                             [--peers-python PYTHON --peers FOLDER]

The same network, rows, batch size and optimiser (SGD with momentum) on mnist10k's rows and layers and on letter's. The
loops take turns, so that a busy machine slows all of them; medians, and the median of the ratios. The bare loop's step
is fused, too, and it has nothing but the step; `fit` also clips, looks for numbers that are not finite, and can be
stopped. On another device both train there in the precision of `fit`, rows and network go there within the time, and
seconds are those of the clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.learners.network import MOMENTUM, encoder, network_of
from benchmarks.running.command import checked, finished, parser_of, streams_options
from benchmarks.streams.known import stream_of
from benchmarks.tables.records import write
from benchmarks.tables.terminal import bar, reached, table
from service.errors import DeviceMissing
from service.learning.devices import described, device_named
from service.learning.method import GradientParams
from service.learning.run import Run
from service.learning.training.fit import Labelled, TrainingSet, fit
from service.learning.training.optimiser import precision

BATCH, LR = 64, 0.03
BARE = 0.9
AVALANCHE = {"mnist10k": 1.25, "letter": 1.7}
"""What is aimed at: times the rows a second of the others."""

DRIVER = """
import json, sys, time
task = json.loads(sys.argv[1])
sys.path.insert(0, task["folder"])
import peers, scenarios, torch
from avalanche.training import Naive
stream = scenarios.Stream(task["stream"])
x, y = stream.joint()
stream.train = [(x, y)]
experience = next(iter(peers.benchmark(stream).train_stream))
for line in sys.stdin:
    net = scenarios.mlp(stream.L, stream.hidden, stream.C, 0)
    optimizer = torch.optim.SGD(net.parameters(), lr=task["lr"], momentum=0.9)
    naive = Naive(model=net, optimizer=optimizer, criterion=torch.nn.CrossEntropyLoss(), train_mb_size=task["batch"],
                  train_epochs=task["epochs"], evaluator=None)
    began = time.process_time()
    naive.train(experience)
    print("RESULT", task["epochs"] * len(x) / (time.process_time() - began), flush=True)
"""


@dataclass(frozen=True)
class Speed:
    """Rows of one training a core-second, of each turn; on another device a second."""

    stream: str
    device: str = "cpu"
    fit: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    avalanche: list[float] = field(default_factory=list)

    def times(self, other: str) -> float:
        """Median over the turns of fit / other."""
        return float(np.median(np.array(self.fit) / np.array(getattr(self, other))))


@dataclass(frozen=True)
class Turns:
    """How often each loop has its turn, and how long it trains."""

    repeats: int
    epochs: int


class Avalanche:
    """Its Naive strategy in an interpreter of its own, which trains once whenever it is asked."""

    def __init__(self, python: str, folder: Path, stream: str, epochs: int) -> None:
        task = {"folder": str(folder), "stream": stream, "epochs": epochs, "batch": BATCH, "lr": LR}
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [python, "-W", "ignore", "-c", DRIVER, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __call__(self) -> float:
        """-> rows a core-second. Raises RuntimeError where the interpreter ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("RESULT "):
                return float(line.split()[1])
        raise RuntimeError("The peers' interpreter ended; its own words are above.")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def measured(
    name: str, data: Path | None, turns: Turns, device: torch.device, avalanche: Avalanche | None
) -> Iterator[Speed]:
    """One turn after another; a first one that is not counted. Raises FileNotFoundError."""
    epochs = turns.epochs
    stream = stream_of(name, data)
    train = stream.rows
    names, codes = np.unique(train.targets, return_inverse=True)
    rows = Labelled(torch.from_numpy(encoder(stream, train)(train)), torch.from_numpy(codes.astype(np.int64)))
    widths = (rows.x.shape[1], *stream.layers.hidden, len(names))
    loops: dict[str, Callable[[], float]] = {
        "fit": lambda: _timed(
            lambda net: fit(net, TrainingSet(rows), GradientParams(epochs=epochs, lr=LR), Run(device=device)),
            network_of(widths, 0),
            device,
        ),
        "bare": lambda: _timed(lambda net: _bare(net, rows, epochs, device), network_of(widths, 0), device),
    }
    if avalanche is not None:
        loops["avalanche"] = avalanche
    speed = Speed(name, described(device))
    for turn in range(turns.repeats + 1):
        for loop, go in loops.items():
            seconds = go()
            if turn:
                getattr(speed, loop).append(seconds if loop == "avalanche" else epochs * rows.rows / seconds)
        yield speed


def _timed(go: Callable[[torch.nn.Sequential], Any], network: torch.nn.Sequential, device: torch.device) -> float:
    """Seconds: of the core, or of the clock until another device has done all that was asked of it."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    go(network)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began


def _bare(network: torch.nn.Sequential, rows: Labelled, epochs: int, device: torch.device) -> None:
    network.to(device)
    x, y = rows.x.to(device), rows.y.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, fused=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        order = torch.randperm(rows.rows, generator=generator).to(device)
        for i in order.split(BATCH):  # type: ignore[no-untyped-call]
            optimizer.zero_grad(set_to_none=True)
            with precision(device):
                loss = torch.nn.functional.cross_entropy(network(x[i]), y[i])
            torch.autograd.backward(loss)
            optimizer.step()
    network.cpu()


def _device(name: str) -> torch.device:
    try:
        return device_named(name)
    except DeviceMissing as missing:
        raise ValueError(missing.detail) from None


def report(speeds: Sequence[Speed]) -> Iterator[str]:
    """One table, and what was aimed at."""
    loops = ("fit", "bare", "avalanche")
    yield table(
        ("rows a core-second" if speeds[0].device == "cpu" else f"rows a second, {speeds[0].device}", *loops),
        [[s.stream, *(f"{np.median(v):.0f}" if (v := getattr(s, loop)) else "–" for loop in loops)] for s in speeds],
    )
    for s in speeds:
        yield reached(f"{s.stream}: times a bare loop", s.times("bare"), BARE, most=False)
        if s.avalanche:
            yield reached(f"{s.stream}: times Avalanche's Naive", s.times("avalanche"), AVALANCHE[s.stream], most=False)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("fit", __doc__)
    streams_options(parser, AVALANCHE, of=", ".join(AVALANCHE))
    parser.add_argument("--repeats", type=int, default=9, help="turns of each loop")
    parser.add_argument("--epochs", type=int, default=1, help="epochs of a turn")
    parser.add_argument("--device", type=checked(_device), default="cpu", help="cpu, cuda, cuda:1, mps or auto")
    parser.add_argument("--peers-python", help="an interpreter that has avalanche-lib")
    parser.add_argument("--peers", type=Path, help="folder of the peers' peers.py and scenarios.py")
    a = parser.parse_args(words)

    def run() -> Iterator[str]:
        speeds = []
        with bar(len(a.streams) * (a.repeats + 1)) as advance:
            for name in a.streams:
                beside = Avalanche(a.peers_python, a.peers, name, a.epochs) if a.peers_python else None
                turns = measured(name, a.data, Turns(a.repeats, a.epochs), a.device, beside)
                *_, speed = (advance(name) or s for s in turns)
                speeds.append(speed)
                if beside is not None:
                    beside.close()
        write(speeds, a.json)
        yield from report(speeds)

    return finished(run)


if __name__ == "__main__":
    sys.exit(main())
