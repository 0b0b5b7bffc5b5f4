"""A stream that drifts: two and a half years of an electricity market, each week answered before it is learned.

    python -m benchmarks.drift [--data FOLDER] [--methods auto,ridge,lda,fine_tune] [--weeks N] [--json FILE]

FOLDER (or TSUIKA_BENCH_DATA) holds elec2.npz with X_train, y_train in order of time, a row each half hour. Labels come
with the end of the week, as a batch; the gate alone decides what goes live, on a model with `trusted: recent`. Beside
it stand the last known label (elec2's labels come in runs), the label of the same half hour a week ago, the commonest
label so far, and joint retraining on everything after every eighth week.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.running.workbench import Model
from benchmarks.streams.joint import joint
from benchmarks.streams.learners import ON_BACKBONE, request, verdict
from benchmarks.streams.streams import Rows, Stream, data_option, load
from benchmarks.tables.terminal import bar, reached, table
from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from service.contract.policy import GatePolicy
from service.learning.methods import AUTO, METHODS

ELEC2 = Stream("elec2", "elec2", VectorInput(kind="vector", size=6), (128, 128), 0.1, epochs=5, ordered=True)
WEEK = 336
AIM = 0.770
"""Accuracy aimed at by `auto`."""
RETRAINED = 8
"""Weeks between two joint retrainings."""

Labels = NDArray[np.str_]


@dataclass(frozen=True)
class Course:
    """One way to answer: accuracy from the second week on, core-seconds of all updates, the last one
    and challengers, what the gate said of each week's batch."""

    method: str
    accuracy: float
    seconds: float
    last_seconds: float = 0.0
    challenge_seconds: float = 0.0
    gate: list[str] = field(default_factory=list)
    chosen: dict[str, int] = field(default_factory=dict)
    by_week: list[float] = field(default_factory=list)


def weeks_of(rows: Rows, most: int | None) -> list[Rows]:
    """In order of time, a week each."""
    cut = [rows.take(np.arange(k, min(k + WEEK, len(rows)))) for k in range(0, len(rows), WEEK)]
    return cut[:most]


def by_service(weeks: Sequence[Rows], words: str) -> Course:
    """Each week is answered by the live version, then posted as a batch. words: see `learners.request`."""
    wanted = request(words, ELEC2)
    exact = wanted["name"] in ON_BACKBONE
    architecture = None if exact else Architecture(backbone=MlpBackbone(name="mlp", hidden=list(ELEC2.hidden)))
    policy = GatePolicy.model_validate({"trusted": "recent"})
    hits, seconds, gate, chosen = list[float](), list[float](), list[str](), Counter[str]()
    with Model(ELEC2.input, architecture, policy) as model:
        for rows in weeks:
            if model.live is not None:
                hits.append(float((model.predict(rows.inputs) == rows.labels).mean()))
            began, before = time.process_time(), model.challenge_seconds
            made = model.learn(rows.inputs, rows.labels.tolist(), wanted)
            seconds.append(time.process_time() - began - (model.challenge_seconds - before))
            gate.append(verdict(made))
            chosen[str(made.method["name"]) if made.method else "none"] += 1
        challengers = model.challenge_seconds
    return Course(words, _mean(hits, weeks), sum(seconds), seconds[-1], challengers, gate, dict(chosen), hits)


def by_rule(weeks: Sequence[Rows], name: str, answer: Callable[[Labels, int], Labels]) -> Course:
    """`answer` sees the labels so far and gives as many as it is asked for."""
    known, hits = weeks[0].labels, list[float]()
    for rows in weeks[1:]:
        hits.append(float((answer(known, len(rows)) == rows.labels).mean()))
        known = np.concatenate([known, rows.labels])
    return Course(name, _mean(hits, weeks), 0.0, by_week=hits)


def at_once(weeks: Sequence[Rows]) -> Course:
    """The label before, known half an hour later: what no weekly batch can tell, and why the stream looks easy."""
    labels = np.concatenate([w.labels for w in weeks])
    hits = [float(h.mean()) for h in np.split(labels[:-1] == labels[1:], np.cumsum([len(w) for w in weeks])[:-1] - 1)]
    return Course("the label before, were it known at once", _mean(hits[1:], weeks), 0.0, by_week=hits[1:])


def by_joint(weeks: Sequence[Rows]) -> Course:
    """One network, trained anew on everything so far after the first week and after every eighth."""
    hits, seconds = list[float](), list[float]()
    for start in range(0, len(weeks) - 1, RETRAINED):
        ahead = weeks[start + 1 : start + 1 + RETRAINED]
        so_far = Rows(
            np.concatenate([w.inputs for w in weeks[: start + 1]]),
            np.concatenate([w.labels for w in weeks[: start + 1]]),
        )
        judged = Rows(np.concatenate([w.inputs for w in ahead]), np.concatenate([w.labels for w in ahead]))
        retrained = joint(ELEC2, so_far, judged, seed=0)
        right = retrained.names[retrained.probabilities.argmax(1)] == judged.labels
        hits += [float(part.mean()) for part in np.split(right, np.cumsum([len(w) for w in ahead])[:-1])]
        seconds.append(retrained.seconds)
    name = f"joint, every {RETRAINED} weeks"
    return Course(name, _mean(hits, weeks), sum(seconds), seconds[-1], by_week=hits)


def _mean(hits: Sequence[float], weeks: Sequence[Rows]) -> float:
    return float(np.average(hits, weights=[len(w) for w in weeks[1:]]))


def _commonest(known: Labels, n: int) -> Labels:
    names, counts = np.unique(known, return_counts=True)
    return np.repeat(names[counts.argmax()], n)


RULES: dict[str, Callable[[Labels, int], Labels]] = {
    "last known label": lambda known, n: np.repeat(known[-1], n),
    "same half hour a week ago": lambda known, n: known[-WEEK:][:n],
    "commonest label so far": _commonest,
}


def run(arguments: argparse.Namespace) -> list[Course]:
    """Every rule, joint retraining, and each method; a request is a name, or a name with parameters in JSON."""
    weeks = weeks_of(load(ELEC2, arguments.data, seed=None)[0], arguments.weeks)
    courses = [at_once(weeks), *(by_rule(weeks, name, rule) for name, rule in RULES.items())]
    with bar(1 + len(arguments.methods)) as advance:
        courses.append(by_joint(weeks))
        advance("joint")
        for words in arguments.methods:
            courses.append(by_service(weeks, words))
            advance(words)
    return courses


def report(courses: Sequence[Course]) -> Iterator[str]:
    """The table, what the gate stopped, and the target."""
    columns = ("method", "accuracy", "core s", "last", "challengers", "live")
    yield table(
        columns,
        [
            [
                c.method,
                f"{c.accuracy:.4f}",
                f"{c.seconds:.2f}" if c.seconds else "–",
                f"{c.last_seconds:.2f}" if c.seconds else "–",
                f"{c.challenge_seconds:.2f}" if c.challenge_seconds else "–",
                f"{c.gate.count('live')} of {len(c.gate)}" if c.gate else "–",
            ]
            for c in courses
        ],
    )
    for c in courses:
        stopped = Counter(outcome for outcome in c.gate if outcome != "live")
        yield from (
            f"  {c.method}: {outcome}, {'once' if k == 1 else f'{k} times'}" for outcome, k in stopped.most_common()
        )
        if c.method == AUTO:
            yield reached("elec2, auto: accuracy, labels a week late", c.accuracy, AIM, most=False)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = argparse.ArgumentParser("benchmarks.drift", description=__doc__.split("\n\n")[0] if __doc__ else None)
    data_option(parser, "folder of elec2.npz")
    parser.add_argument(
        "--methods",
        type=_methods,
        default="auto,ridge,lda,fine_tune",
        help="names, with commas; parameters behind colons: ridge:decay=0.7",
    )
    parser.add_argument("--weeks", type=int, help="stop after so many")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    try:
        courses = run(arguments)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(report(courses)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(c) for c in courses], indent=1) + "\n")
    return 0


def _methods(text: str) -> list[str]:
    names = text.split(",")
    if unknown := {n.partition(":")[0] for n in names} - {AUTO, *METHODS}:
        raise argparse.ArgumentTypeError(f"no method {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
