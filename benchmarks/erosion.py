"""What many small updates do: losses that no single one shows, and honest ones of a hard problem.

    python -m benchmarks.erosion [--data FOLDER] [--streams digits-images,letter,mnist10k] [--seeds N] [--json FILE]

*spread* and *in one class*: each of 100 updates brings three honest rows and a head that has lost 0.2 points more of
its accuracy on test rows, by noise on its weights or by a lower bias of one class; the gate decides, and what the live
version has lost when an update is stopped is measured. *honest*: a version of few rows learns 60 batches of one row
and 60 of five; *honest, grown*: one of so many that each class has trusted rows of its own. The gate should stop none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.learners.service import model_of, taught
from benchmarks.running.command import finished, parser_of, seeds, streams_options
from benchmarks.streams.known import stream_of
from benchmarks.streams.steps import small
from benchmarks.streams.stream import Rows, Stream
from benchmarks.tables.records import write
from benchmarks.tables.terminal import bar, reached, table
from service.contract.enums import Outcome
from service.learning.ledger.feature_space import Space, extracted
from service.learning.method import Data, Learned, MethodParams
from service.learning.methods import METHODS
from service.learning.methods.freeze import ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run

UPDATES, ROWS = 100, 3
STEP = 0.002
"""Accuracy that an update loses."""
SPREAD, ONE_CLASS, HONEST, GROWN = "spread", "in one class", "honest", "honest, grown"
FIRST_ROWS = {
    HONEST: {"digits-images": 200, "letter": 400, "mnist10k": 400},
    GROWN: {"digits-images": 1000, "letter": 4000, "mnist10k": 4000},
}
"""Rows of the first version of an honest stream: few, so it is often wrong; or so many that a class is judged alone."""

Floats = NDArray[np.float64]


class Params(MethodParams):
    """`amount`: how much noise is on the weights, or, with `only`, how much lower the bias of that class is."""

    amount: float = 0.0
    only: str | None = None
    noise_seed: int = 0


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Ridge, and then the loss: alike in the head that is served, in the one that judges and out of fold."""
    learned = ridge.METHOD.update(base, data, ridge.Params(), run)
    version = learned.checkpoint
    weight, bias = _loss(version, params)
    parts = dict(version.parts)
    for part in ("head.0", "judge"):
        head = parts[part]
        parts[part] = {
            "weight": head["weight"] + torch.from_numpy(weight).float(),
            "bias": head["bias"] + torch.from_numpy(bias).float(),
        }
    space = Space.of(version)
    own = data.entry(space).inputs.astype(np.float64) * space.step @ weight.T + bias
    assert learned.out_of_fold is not None
    eroded = Checkpoint(version.layout, parts, version.learned)
    return replace(learned, checkpoint=eroded, out_of_fold=learned.out_of_fold + own)


def _loss(version: Checkpoint, params: Params) -> tuple[Floats, Floats]:
    """What is added to weights [C, M] and biases [C]; twice the amount is twice as much."""
    shape = tuple(version.parts["head.0"]["weight"].shape)
    weight, bias = np.zeros(shape), np.zeros(shape[0])
    if params.only is None:
        weight = params.amount * np.random.default_rng(params.noise_seed).normal(0, 1, shape)
    else:
        bias[version.classes.index(params.only)] = -params.amount
    return weight, bias


def amounts(version: Checkpoint, test: Rows, params: Params) -> list[float]:
    """For each update the amount by which the version would have lost so many steps on the test rows."""
    head = version.parts["head.0"]
    h = extracted(Space.of(version).network, test.inputs).double().numpy()
    logits = h @ head["weight"].double().numpy().T + head["bias"].double().numpy()
    weight, bias = _loss(version, params.model_copy(update={"amount": 1.0}))
    change, truth = h @ weight.T + bias, np.array([version.classes.index(name) for name in test.targets])
    tried = np.geomspace(1e-4, 1e3, 1000) * logits.std() / change.std()
    lost = [
        float((logits.argmax(1) == truth).mean() - ((logits + m * change).argmax(1) == truth).mean()) for m in tried
    ]
    enough = [next((k for k, x in enumerate(lost) if x >= STEP * (i + 1)), len(lost) - 1) for i in range(UPDATES)]
    return [float(tried[k]) for k in enough]


@dataclass(frozen=True)
class Course:
    """One stream of updates. `updates`: that went live before the first that was stopped (honest: all) · `stopped`:
    what was, by which rules · `lost`: accuracy of the live version at the first and at the last · `lost_in_class`."""

    stream: str
    kind: str
    seed: int
    updates: int
    stopped: list[list[int]]
    lost: float
    lost_in_class: float = 0.0


def eroded(stream: Stream, kind: str) -> Course:
    """Ever smaller accuracy, until the gate stops an update."""
    eroding = replace(ridge.METHOD, name="eroding", Params=Params, update=update)
    train, test, seed = stream.rows, stream.test, stream.seed
    assert test is not None
    first = len(train) - UPDATES * ROWS
    only = str(np.random.default_rng(seed).choice(np.unique(train.targets))) if kind == ONE_CLASS else None
    params, is_only = Params(only=only, noise_seed=seed), test.targets == only
    with patch.dict(METHODS, eroding=eroding), model_of(stream, secret=b"folds %d" % seed) as model:
        taught(model, train.take(np.arange(first)), "ridge", seed=seed, promote=True)
        version = model.checkpoint()
        before, stopped, k = model.predict(test.inputs) == test.targets, list[list[int]](), 0
        for k, amount in enumerate(amounts(version, test, params)):
            rows = train.take(np.arange(first + ROWS * k, first + ROWS * (k + 1)))
            method = {"name": "eroding", **params.model_copy(update={"amount": amount}).model_dump()}
            result = taught(model, rows, method, seed=seed)
            if result.outcome is not Outcome.PASS:
                stopped.append([rule.number for rule in result.report.gate.rules if rule.severity])
                break
        after = model.predict(test.inputs) == test.targets
    lost = before.astype(float) - after
    of_class = float(lost[is_only].mean()) if is_only.any() else 0.0
    return Course(stream.name, kind, seed, k if stopped else UPDATES, stopped, float(lost.mean()), of_class)


def honest(stream: Stream, kind: str) -> Course:
    """Few rows, or more, then 120 small batches; a batch that is stopped is left out."""
    test, seed, parts = stream.test, stream.seed, small(stream.rows, FIRST_ROWS[kind][stream.name])
    assert test is not None
    accuracy, stopped = list[float](), list[list[int]]()
    with model_of(stream, secret=b"folds %d" % seed) as model:
        for k, part in enumerate(parts):
            result = taught(model, stream.rows.take(part), "auto", seed=seed, promote=True if k == 0 else None)
            if k and result.outcome is not Outcome.PASS:
                stopped.append([rule.number for rule in result.report.gate.rules if rule.severity])
            if k in (0, len(parts) - 1):
                accuracy.append(float((model.predict(test.inputs) == test.targets).mean()))
    return Course(stream.name, kind, seed, len(parts) - 1, stopped, accuracy[0] - accuracy[-1])


def report(courses: Sequence[Course]) -> Iterator[str]:
    """A table, and the targets."""
    yield table(
        ("stream", "updates", "seed", "went live", "stopped by", "points lost", "of the class"),
        [
            [c.stream, c.kind, str(c.seed), _live(c), _rules(c), f"{100 * c.lost:.1f}", f"{100 * c.lost_in_class:.1f}"]
            for c in courses
        ],
    )
    yield ""
    for stream in dict.fromkeys(c.stream for c in courses):
        of_stream = [c for c in courses if c.stream == stream]
        spread, in_one_class = ([c for c in of_stream if c.kind == kind] for kind in (SPREAD, ONE_CLASS))
        yield reached(f"{stream}: spread, most lost before it was stopped", max(c.lost for c in spread), 0.05)
        most = max(c.lost_in_class for c in in_one_class)
        yield reached(f"{stream}: in one class, most lost there before it was stopped", most, 0.15)
        stopped = max(len(c.stopped) for c in of_stream if c.kind in FIRST_ROWS)
        yield reached(f"{stream}: honest, stopped of 120 at worst", stopped, 1)


def _live(course: Course) -> str:
    return str(course.updates - (len(course.stopped) if course.kind in FIRST_ROWS else 0))


def _rules(course: Course) -> str:
    return " ".join(map(str, sorted({rule for rules in course.stopped for rule in rules})))


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("erosion", __doc__)
    usual = [*FIRST_ROWS[HONEST]]
    streams_options(parser, usual, of=", ".join(usual))
    parser.add_argument("--seeds", type=seeds, default="5", help="draws of each stream, how many or 1-4")
    arguments = parser.parse_args(words)

    def run() -> Iterator[str]:
        courses: list[Course] = []
        with bar(4 * len(arguments.streams) * len(arguments.seeds)) as advance:
            for name in arguments.streams:
                for seed in arguments.seeds:
                    stream = stream_of(name, arguments.data, seed)
                    for kind in (SPREAD, ONE_CLASS, *FIRST_ROWS):
                        courses.append((honest if kind in FIRST_ROWS else eroded)(stream, kind))
                        advance(f"{name} {seed}: {kind}")
        write(courses, arguments.json)
        yield from report(courses)

    return finished(run)


if __name__ == "__main__":
    sys.exit(main())
