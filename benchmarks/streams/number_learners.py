"""Who answers a stream of numbers: the service by its own updates, rules, joint retraining, river. One record each.

Every batch from the second on is answered by what has learned the batches before it, then it is learned.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from benchmarks.running.workbench import Model
from benchmarks.streams.learners import verdict
from benchmarks.streams.numbers import Floats, NumberStream
from benchmarks.tables.answered import BOOSTING, PLAIN, PROMOTED, SERVICE, Answered
from service.contract.inputs import VectorInput
from service.contract.targets import ColumnYardstick
from service.serving.kinds.kind import PredictOptions

LEVEL = 0.9
MEAN, LAST, COLUMN = "mean so far", "mean of the last batch", "same as the column"
MLP = "joint MLP"
RIVER = ("river linear", "river tree", "river forest")
LATE = 4
"""Batches from which retraining need not follow each."""


class Regressor(Protocol):
    """What scikit-learn gives."""

    def fit(self, rows: Floats, targets: Floats) -> object: ...
    def predict(self, rows: Floats) -> Floats: ...


def by_service(stream: NumberStream, name: str = SERVICE) -> Answered:
    """`auto` with its defaults; the gate alone decides what goes live, or (`PROMOTED`) a person promotes all."""
    errors, seconds, gate = list[Floats](), list[float](), list[str]()
    covered, widths, unanswered, known = list[Floats](), list[Floats](), 0, list[Floats]()
    features, methods = 0, list[str]()
    spec = stream.input or VectorInput(kind="vector", size=stream.inputs.shape[1])
    with Model(spec, target=stream.target) as model:
        model.named = stream.named
        for inputs, targets in stream.batches():
            if model.live is not None:
                answer = model.predictor().answer(inputs, PredictOptions(level=LEVEL))
                errors.append(np.abs(answer.values - targets)[:, 0])
                intervals = getattr(answer, "intervals", None)
                if intervals is not None:
                    low, high = intervals[:, 0, 0], intervals[:, 0, 1]
                    covered.append((low <= targets[:, 0]) & (targets[:, 0] <= high))
                    widths.append(high - low)
            elif known:
                errors.append(np.abs(np.concatenate(known).mean() - targets[:, 0]))
                unanswered += len(targets)
            began, before = time.process_time(), model.challenge_seconds
            made = model.learn_numbers(inputs, targets, SERVICE, promote=True if name == PROMOTED else None)
            seconds.append(time.process_time() - began - (model.challenge_seconds - before))
            gate.append(verdict(made))
            methods.append(str(made.report.method.get("name")))
            known.append(targets)
        if model.live is not None:
            features = int(
                next(t for name, t in model.checkpoint().parts["head.0"].items() if name == "weight").shape[1]
            )
        return _answered(
            stream,
            name,
            errors,
            seconds,
            challenge_seconds=model.challenge_seconds,
            coverage=float(np.concatenate(covered).mean()) if covered else None,
            width=float(np.concatenate(widths).mean()) if widths else None,
            features=features,
            unanswered=unanswered,
            gate=gate,
            details={"methods": methods, "last": made.report.method},
        )


def by_rule(stream: NumberStream, name: str) -> Answered:
    """What needs no learning."""
    errors, known = list[Floats](), list[Floats]()
    for inputs, targets in stream.batches():
        if known:
            if name == COLUMN:
                answers = inputs[:, _column(stream)].astype(np.float64)
            else:
                answers = np.full(len(targets), np.mean(known[-1] if name == LAST else np.concatenate(known)))
            errors.append(np.abs(answers - targets[:, 0]))
        known.append(targets[:, 0])
    return _answered(stream, name, errors, [])


def by_joint(stream: NumberStream, name: str, every: int) -> Answered:
    """Trained anew on all rows so far: after each of the first batches, then after every so many."""
    plain = name == PLAIN
    rows = stream.inputs.astype(np.float64) if name == MLP or stream.table is None else stream.table
    goals = _goals(stream, plain)
    errors, seconds, model = list[Floats](), list[float](), None
    for k in range(1, int(stream.batch.max()) + 1):
        now, before = stream.batch == k, stream.batch < k
        if model is None or k < LATE or k % every == 0:
            began = time.process_time()
            model = _mlp(rows[before], goals[before]) if name == MLP else _boosting(stream, rows[before], goals[before])
            seconds.append(time.process_time() - began)
        errors.append(np.abs(_back(stream, model(rows[now]), now, plain) - stream.targets[now]))
    return _answered(stream, name, errors, seconds, details={"every": every})


def by_river(stream: NumberStream, name: str) -> Answered:
    """Row by row, with river's defaults; targets scaled by the first batch. Raises ImportError"""
    model = _river(name)
    goals = _goals(stream, plain=False)
    of_first = goals[stream.batch == 0]
    mean, spread = float(of_first.mean()), float(of_first.std()) or 1.0
    errors, seconds = list[Floats](), list[float]()
    for k in range(int(stream.batch.max()) + 1):
        now = stream.batch == k
        rows = [dict(enumerate(row)) for row in stream.inputs[now].astype(np.float64).tolist()]
        if k:
            given = np.array([model.predict_one(row) for row in rows], np.float64)
            errors.append(np.abs(_back(stream, mean + spread * given, now, plain=False) - stream.targets[now]))
        began = time.process_time()
        for row, goal in zip(rows, ((goals[now] - mean) / spread).tolist(), strict=True):
            model.learn_one(row, goal)
        seconds.append(time.process_time() - began)
    return _answered(stream, name, errors, seconds)


def rules_of(stream: NumberStream) -> list[str]:
    """The rules that there are on a stream."""
    return [MEAN, COLUMN if isinstance(stream.target.usual, ColumnYardstick) else LAST]


def joint_of(stream: NumberStream) -> list[str]:
    """Boosting of what the service learns, and of the plain target where that is another thing; the network."""
    other = stream.target.from_ is not None or stream.target.scale == "log"
    return [BOOSTING, *([PLAIN] if other else []), MLP]


def _answered(
    stream: NumberStream, learner: str, errors: Sequence[Floats], seconds: list[float], **more: Any
) -> Answered:
    every = np.concatenate(errors)
    usual = stream.target.usual
    yardstick = COLUMN if isinstance(usual, ColumnYardstick) else LAST if usual == "last" else MEAN
    by_batch = [float(e.mean()) for e in errors]
    return Answered(
        stream.name, learner, yardstick, float(every.mean()), len(every), len(errors), by_batch, seconds, **more
    )


def _column(stream: NumberStream) -> int:
    usual = stream.target.usual
    assert isinstance(usual, ColumnYardstick)
    return usual.column


def _goals(stream: NumberStream, plain: bool) -> Floats:
    """What is learned of the targets, as the service does it: their logarithm, or the difference to a column."""
    if plain:
        return stream.targets
    if stream.target.scale == "log":
        return np.asarray(np.log(stream.targets))
    if stream.target.from_ is not None:
        return np.asarray(stream.targets - stream.inputs[:, stream.target.from_].astype(np.float64))
    return stream.targets


def _back(stream: NumberStream, answers: Floats, rows: Any, plain: bool) -> Floats:
    if plain:
        return answers
    if stream.target.scale == "log":
        return np.asarray(np.exp(answers))
    if stream.target.from_ is not None:
        return np.asarray(answers + stream.inputs[rows, stream.target.from_])
    return answers


def _boosting(stream: NumberStream, rows: Floats, goals: Floats) -> Callable[[Floats], Floats]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    coded = [*stream.coded] or None
    model: Regressor = HistGradientBoostingRegressor(categorical_features=coded, random_state=0)
    model.fit(rows, goals)
    return model.predict


def _mlp(rows: Floats, goals: Floats) -> Callable[[Floats], Floats]:
    """Two layers of 128, 20 epochs of Adam in batches of 64, on standardised rows and goals."""
    from sklearn.neural_network import MLPRegressor

    mean, spread = rows.mean(0), rows.std(0)
    spread = np.where(spread > 0, spread, 1)
    centre, scale = float(goals.mean()), float(goals.std()) or 1.0
    network: Regressor = MLPRegressor(
        hidden_layer_sizes=(128, 128), max_iter=20, batch_size=min(64, len(rows)), random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 20 epochs are meant, converged or not
        network.fit((rows - mean) / spread, (goals - centre) / scale)
    return lambda asked: centre + scale * network.predict((asked - mean) / spread)


def _river(name: str) -> Any:
    from river import compose, forest, linear_model, optim, preprocessing, tree

    if name == "river linear":
        linear = linear_model.LinearRegression(optimizer=optim.Adam(0.01), intercept_lr=0.01)
        return compose.Pipeline(preprocessing.StandardScaler(), linear)
    return tree.HoeffdingTreeRegressor() if name == "river tree" else forest.ARFRegressor(n_models=10, seed=0)
