"""How soon the gate sees losses that no single one of many small updates shows.

    python -m benchmarks.erosion [--data FOLDER] [--streams digits-images,letter,mnist10k] [--seeds N] [--json FILE]

*spread* and *in one class*: each of 100 updates brings three honest rows and a head that has lost 0.2 points more of
its accuracy on test rows, by noise on its weights or by a lower bias of one class; the gate decides, and what the live
version has lost when an update is stopped is measured. Honest streams: `benchmarks.long_streams`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.learners.service import fired, model_of, taught
from benchmarks.running.command import chosen_streams, finished, parser_of, seeds, streams_options
from benchmarks.streams.known import stream_of
from benchmarks.streams.stream import Rows, Stream
from benchmarks.tables.records import write
from benchmarks.tables.terminal import bar, reached, table
from service.contract.enums import Outcome
from service.learning.ledger.feature_space import Space, extracted
from service.learning.method import Learned
from service.learning.method_params import MethodParams
from service.learning.methods import METHODS
from service.learning.methods.freeze import ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.update_data import Data

UPDATES, ROWS = 100, 3
STEP = 0.002
"""Accuracy that an update loses."""
SPREAD, ONE_CLASS = "spread", "in one class"
USUAL = ("digits-images", "letter", "mnist10k")

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
    """One stream of updates. `updates`: that went live before the first that was stopped · `stopped`: the rules that
    stopped it · `lost`: accuracy of the live version at the first less that at the last; `lost_in_class`: of one."""

    stream: str
    kind: str
    seed: int
    updates: int
    stopped: list[int]
    lost: float
    lost_in_class: float

    @property
    def rules(self) -> str:
        return " ".join(map(str, sorted(self.stopped)))


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
        before, stopped, k = model.predict(test.inputs) == test.targets, list[int](), 0
        for k, amount in enumerate(amounts(version, test, params)):
            rows = train.take(np.arange(first + ROWS * k, first + ROWS * (k + 1)))
            method = {"name": "eroding", **params.model_copy(update={"amount": amount}).model_dump()}
            result = taught(model, rows, method, seed=seed)
            if result.outcome is not Outcome.PASS:
                stopped = [rule.number for rule in fired(result)]
                break
        after = model.predict(test.inputs) == test.targets
    lost = before.astype(float) - after
    of_class = float(lost[is_only].mean()) if is_only.any() else 0.0
    return Course(stream.name, kind, seed, k if stopped else UPDATES, stopped, float(lost.mean()), of_class)


def report(courses: Sequence[Course]) -> Iterator[str]:
    """A table, and the targets."""
    yield table(
        ("stream", "updates", "seed", "went live", "stopped by", "points lost", "of the class"),
        [
            [
                c.stream,
                c.kind,
                str(c.seed),
                str(c.updates),
                c.rules,
                f"{100 * c.lost:.1f}",
                f"{100 * c.lost_in_class:.1f}",
            ]
            for c in courses
        ],
    )
    yield ""
    for stream in dict.fromkeys(c.stream for c in courses):
        spread, in_one_class = (
            [c for c in courses if (c.stream, c.kind) == (stream, kind)] for kind in (SPREAD, ONE_CLASS)
        )
        yield reached(f"{stream}: spread, most lost before it was stopped", max(c.lost for c in spread), 0.05)
        most = max(c.lost_in_class for c in in_one_class)
        yield reached(f"{stream}: in one class, most lost there before it was stopped", most, 0.15)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("erosion", __doc__)
    streams_options(parser, "those of classes")
    parser.add_argument("--seeds", type=seeds, default="5", help="draws of each stream, how many or 1-4")
    arguments = parser.parse_args(words)

    def run() -> Iterator[str]:
        courses: list[Course] = []
        rounds = [(name, seed) for name in chosen_streams(arguments, USUAL) for seed in arguments.seeds]
        with bar(2 * len(rounds)) as advance:
            for name, seed in rounds:
                for kind in (SPREAD, ONE_CLASS):
                    courses.append(eroded(stream_of(name, arguments.data, seed), kind))
                    advance(f"{name} {seed}: {kind}")
        write(courses, arguments.json)
        yield from report(courses)

    return finished(run)


if __name__ == "__main__":
    sys.exit(main())
