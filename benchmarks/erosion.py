"""What many small updates do: losses that no single one shows, and honest ones of a hard problem.

    python -m benchmarks.erosion [--data FOLDER] [--streams digits-images letter mnist10k] [--seeds N] [--json FILE]

*spread* and *in one class*: each of 100 updates brings three honest rows and a head that has lost 0.2 points more of
its accuracy on test rows, by noise on its weights or by a lower bias of one class; the gate decides, and what the live
version has lost when an update is stopped is measured. *honest*: a version of few rows learns 60 batches of one row
and 60 of five; *honest, grown*: one of so many that each class has trusted rows of its own. The gate should stop none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.running.workbench import Model
from benchmarks.streams.streams import STREAMS, Rows, Stream, data_option, load
from benchmarks.tables.terminal import bar, reached, table
from service.contract.enums import Outcome
from service.contract.strict import Strict
from service.learning.ledger.feature_space import Space, extracted
from service.learning.method import Data, Learned
from service.learning.methods import METHODS
from service.learning.methods.freeze import ridge
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run

UPDATES, ROWS = 100, 3
STEP = 0.002
"""Accuracy that an update loses."""
SPREAD, ONE_CLASS, HONEST, GROWN = "spread", "in one class", "honest", "honest, grown"
FIRST_ROWS = {
    HONEST: {"digits": 200, "letter": 400, "mnist10k": 400},
    GROWN: {"digits": 1000, "letter": 4000, "mnist10k": 4000},
}
"""Rows of the first version of an honest stream: few, so it is often wrong; or so many that a class is judged alone."""

Floats = NDArray[np.float64]


class Params(Strict):
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
    change, truth = h @ weight.T + bias, np.array([version.classes.index(name) for name in test.labels])
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


def eroded(stream: Stream, folder: Path | None, seed: int, kind: str) -> Course:
    """Ever smaller accuracy, until the gate stops an update."""
    METHODS["eroding"] = replace(ridge.METHOD, name="eroding", Params=Params, update=update, unfit=None)
    train, test = load(stream, folder, seed)
    first = len(train) - UPDATES * ROWS
    only = str(np.random.default_rng(seed).choice(np.unique(train.labels))) if kind == ONE_CLASS else None
    params, is_only = Params(only=only, noise_seed=seed), test.labels == only
    with Model(stream.input, secret=b"folds %d" % seed) as model:
        base = train.take(np.arange(first))
        model.learn(base.inputs, base.labels.tolist(), "ridge", seed=seed, promote=True)
        version = model.checkpoint()
        before, stopped, k = model.predict(test.inputs) == test.labels, list[list[int]](), 0
        for k, amount in enumerate(amounts(version, test, params)):
            rows = train.take(np.arange(first + ROWS * k, first + ROWS * (k + 1)))
            method = {"name": "eroding", **params.model_copy(update={"amount": amount}).model_dump()}
            result = model.learn(rows.inputs, rows.labels.tolist(), method, seed=seed)
            if result.outcome is not Outcome.PASS:
                stopped.append([rule.number for rule in result.report.gate.rules if rule.severity])
                break
        after = model.predict(test.inputs) == test.labels
    lost = before.astype(float) - after
    of_class = float(lost[is_only].mean()) if is_only.any() else 0.0
    return Course(stream.name, kind, seed, k if stopped else UPDATES, stopped, float(lost.mean()), of_class)


def honest(stream: Stream, folder: Path | None, seed: int, kind: str) -> Course:
    """Few rows, or more, then 120 small batches; a batch that is stopped is left out."""
    train, test = load(stream, folder, seed)
    arrivals = replace(stream, kind="small", first=FIRST_ROWS[kind][stream.data]).arrivals(train, seed)
    accuracy, stopped = list[float](), list[list[int]]()
    with Model(stream.input, secret=b"folds %d" % seed) as model:
        for k, arrival in enumerate(arrivals):
            rows = arrival.rows
            promote = True if k == 0 else None
            result = model.learn(rows.inputs, rows.labels.tolist(), "auto", seed=seed, promote=promote)
            if k and result.outcome is not Outcome.PASS:
                stopped.append([rule.number for rule in result.report.gate.rules if rule.severity])
            if k in (0, len(arrivals) - 1):
                accuracy.append(float((model.predict(test.inputs) == test.labels).mean()))
    return Course(stream.name, kind, seed, len(arrivals) - 1, stopped, accuracy[0] - accuracy[-1])


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
    parser = argparse.ArgumentParser("benchmarks.erosion", description=__doc__.split("\n\n")[0] if __doc__ else None)
    data_option(parser, "folder of letter.npz and mnist10k.npz")
    usual = ["digits-images", "letter", "mnist10k"]
    parser.add_argument("--streams", nargs="+", choices=usual, default=usual, help="which data")
    parser.add_argument("--seeds", type=int, default=5, help="draws of each stream")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)
    courses: list[Course] = []
    try:
        with bar(4 * len(arguments.streams) * arguments.seeds) as advance:
            for stream in (STREAMS[name] for name in arguments.streams):
                for seed in range(arguments.seeds):
                    for kind in (SPREAD, ONE_CLASS):
                        courses.append(eroded(stream, arguments.data, seed, kind))
                        advance(f"{stream.name} {seed}: {kind}")
                    for kind in FIRST_ROWS:
                        courses.append(honest(stream, arguments.data, seed, kind))
                        advance(f"{stream.name} {seed}: {kind}")
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(report(courses)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(c) for c in courses], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
