"""How well each method learns what arrives in steps, beside joint retraining, by the service's own updates.

    python -m benchmarks.learning [--data FOLDER] [--streams digits,letter,hotel] [--methods auto,ridge] [--seeds N]

FOLDER (or TSUIKA_BENCH_DATA) holds NAME.npz of each stream's data; digits come with scikit-learn. A version that the
gate stops is promoted by hand and counted, so that each stream is learned to its end. Rows kept aside are asked after
every step: test rows, or where a stream has none a fifth of each batch. `joint` stands for those that a stream has, and
`avalanche`, `sklearn` and `river` for all learners of that package; parameters follow a name behind colons.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.learners.known import LEARNING, OURS, absent, learner_of, learners_of
from benchmarks.running.command import chosen_streams, finished, methods_options, parser_of, seeds, streams_options
from benchmarks.streams.known import stream_of
from benchmarks.streams.steps import PLANS
from benchmarks.streams.stream import Stream
from benchmarks.tables.learned import Learned, report
from benchmarks.tables.records import JOINT, keep, kept
from benchmarks.tables.scores import Course
from benchmarks.tables.terminal import bar
from service.errors import MethodRefused


def learned(stream: Stream, name: str, every: int = 1) -> Learned:
    """One method learns the stream step by step, each version promoted whatever the gate says of it."""
    with learner_of(stream, name, every, promote=True, secret=b"folds %d" % stream.seed) as learner:
        test, seconds = learner.stream.test, list[float]()
        assert test is not None
        course = Course(test.targets, learner.stream.groups(), alike=stream.by_domain)
        for rows in learner.stream.batches:
            places = course.asked(stream.keys(rows))
            try:
                seconds.append(learner.timed(rows))
            except MethodRefused as refused:
                return Learned(stream.name, name, stream.seed, refused=refused.detail)
            answers = learner.answer(test.take(places))
            course.after(answers.names, answers.values)
        several = len(course.plain) > 1
        return Learned(
            stream.name,
            name,
            stream.seed,
            seconds=sum(seconds),
            last_seconds=seconds[-1],
            accuracy=course.accuracy,
            training_seconds=learner.training_seconds,
            average=course.average if several else None,
            accuracies=course.accuracies,
            forgetting=course.forgetting if several else None,
            masked_forgetting=course.masked_forgetting if several else None,
            backward=course.backward if several else None,
            intrusion=course.intrusion if several else None,
            numbers=stream.numbers is not None,
            **learner.facts(),
        )


def run(arguments: argparse.Namespace) -> Iterator[str]:
    """All streams, seeds and methods. What the file of results already has is not run again."""
    for peer, why in absent(arguments.methods).items():
        print(f"{peer} is left out, since it cannot be imported: {why}. pip install -e '.[peers]'", file=sys.stderr)
    runs = {r.key: r for r in kept(arguments.json, Learned)}
    rounds = [(s, seed) for s in arguments.streams for seed in arguments.seeds or _usual(s)]
    with bar(len(rounds)) as advance:
        for name, seed in rounds:
            stream = stream_of(name, arguments.data, seed, arguments.features).first(arguments.batches).aside()
            for method in learners_of(stream, [JOINT, *arguments.methods]):
                if (name, method, seed) not in runs:
                    made = keep(learned(stream, method, arguments.every), arguments.json)
                    runs[made.key] = made
                advance(f"{name} {seed}: {method}")
    yield from report([*runs.values()])


def _usual(name: str) -> range:
    return range(PLANS[name].seeds if name in PLANS else 1)


def warm() -> None:
    """What torch does once in a process is no stream's doing."""
    layer = torch.nn.Linear(8, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    torch.autograd.backward(
        torch.nn.functional.cross_entropy(layer(torch.ones(4, 8)), torch.zeros(4, dtype=torch.int64))
    )
    optimizer.step()


def main(
    words: Sequence[str] | None = None,
    command: str = "learning",
    doc: str | None = __doc__,
    usual: str = ",".join(OURS),
) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of(command, doc)
    streams_options(parser)
    parser.add_argument(
        "--features", type=Path, help="folder that keeps the backbones' features, NAME.npz; made where they are missing"
    )
    methods_options(parser, usual, LEARNING)
    parser.add_argument(
        "--seeds", type=seeds, help="how many, or 1-4: splits of digits, class orders; by default 5 where cheap"
    )
    arguments = parser.parse_args(words)
    arguments.streams = chosen_streams(arguments, [*PLANS])
    warm()
    return finished(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
