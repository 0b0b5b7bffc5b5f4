"""How fast `fit`, the service's only training loop, is beside a bare loop in torch.

    python -m benchmarks.fit [--data FOLDER] [--streams letter,mnist10k] [--turns N] [--device cuda] [--json FILE]

Both train the same network on the same rows with the same batch size and optimiser (SGD with momentum), in turns, so
that a busy machine slows both; medians, and the median of the ratios. The bare loop's step is fused, too, and it has
nothing but the step; `fit` also clips, looks for numbers that are not finite, and can be stopped. On another device
both train there in the precision of `fit`, and rows and network go there within the time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from benchmarks.learners.network import BATCH, MOMENTUM, encoder, network_of
from benchmarks.running.command import checked, chosen_streams, finished, parser_of, streams_options
from benchmarks.streams.known import stream_of
from benchmarks.streams.stream import Stream
from benchmarks.tables.records import write
from benchmarks.tables.terminal import bar, reached, table
from service.errors import DeviceMissing
from service.learning.devices import described, device_named
from service.learning.method_params import GradientParams
from service.learning.run import Run
from service.learning.training.fit import fit
from service.learning.training.optimiser import precision
from service.learning.training.training_set import Labelled, TrainingSet

USUAL = ("digits-images", "letter", "mnist10k")
LR = 0.03
BARE = 0.9
"""What is aimed at: times the rows a second of a bare loop."""


@dataclass(frozen=True)
class Speed:
    """Rows of one training a core-second, of each turn; on another device a second of the clock."""

    stream: str
    device: str
    fit: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Median over the turns of fit / bare."""
        return float(np.median(np.array(self.fit) / np.array(self.bare)))


def measured(stream: Stream, turns: int, epochs: int, device: torch.device) -> Speed:
    """Both loops in turns, and a first one that is not counted."""
    arrived = stream.rows.take(np.concatenate(stream.parts))
    names, codes = np.unique(arrived.targets, return_inverse=True)
    rows = Labelled(torch.from_numpy(encoder(stream, arrived)(arrived)), torch.from_numpy(codes))
    params = GradientParams(epochs=epochs, lr=LR, batch_size=BATCH)
    loops: dict[str, Callable[[torch.nn.Sequential], object]] = {
        "fit": lambda network: fit(network, TrainingSet(rows), params, Run(device=device)),
        "bare": lambda network: _bare(network, rows, epochs, device),
    }
    speed, clock = Speed(stream.name, described(device)), time.process_time
    if device.type != "cpu":
        clock = time.perf_counter
    for turn in range(turns + 1):
        for name, train in loops.items():
            network = network_of((rows.x.shape[1], *stream.layers.hidden, len(names)), 0)
            began = clock()
            train(network)  # which is on the CPU again at the end: the device has done all that was asked of it
            if turn:
                getattr(speed, name).append(epochs * rows.rows / (clock() - began))
    return speed


def _bare(network: torch.nn.Sequential, rows: Labelled, epochs: int, device: torch.device) -> None:
    network.to(device)
    x, y = rows.x.to(device), rows.y.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, fused=True)
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        order = torch.randperm(rows.rows, generator=generator).to(device)
        for at in torch.split(order, BATCH):
            optimizer.zero_grad(set_to_none=True)
            with precision(device):
                loss = torch.nn.functional.cross_entropy(network(x[at]), y[at])
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
    heading = "rows a core-second" if speeds[0].device == "cpu" else f"rows a second, {speeds[0].device}"
    yield table(
        (heading, "fit", "bare"), [[s.stream, *(f"{np.median(took):,.0f}" for took in (s.fit, s.bare))] for s in speeds]
    )
    for s in speeds:
        yield reached(f"{s.stream}: times a bare loop", s.ratio, BARE, most=False)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("fit", __doc__)
    streams_options(parser, of=", ".join(USUAL))
    parser.add_argument("--turns", type=int, default=9, help="of each loop")
    parser.add_argument("--epochs", type=int, default=1, help="of a turn")
    parser.add_argument("--device", type=checked(_device), default="cpu", help="cpu, cuda, cuda:1, mps or auto")
    a = parser.parse_args(words)

    def run() -> Iterator[str]:
        names, speeds = chosen_streams(a, USUAL), []
        with bar(len(names)) as advance:
            for name in names:
                speeds.append(measured(stream_of(name, a.data).first(a.batches), a.turns, a.epochs, a.device))
                advance(name)
        write(speeds, a.json)
        yield from report(speeds)

    return finished(run)


if __name__ == "__main__":
    sys.exit(main())
