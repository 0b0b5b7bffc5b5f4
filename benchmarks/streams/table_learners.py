"""Who answers a stream of tables with two classes: the service by its own updates, boosting trained anew.

Every batch from the second on is answered by what has learned the batches before it, then it is learned.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.running.workbench import Model
from benchmarks.streams.learners import verdict
from benchmarks.streams.mixed import ClassTable
from benchmarks.streams.number_learners import LATE
from benchmarks.streams.numbers import Floats
from benchmarks.tables.answered import BOOSTING, PROMOTED, SERVICE
from benchmarks.tables.ranked import Ranked

NEVER = "boosting of the first tenth"


def by_service(stream: ClassTable, name: str = SERVICE) -> Ranked:
    """`auto` with its defaults; the gate alone decides what goes live, or (`PROMOTED`) a person promotes all."""
    second = str(np.unique(stream.labels)[1])
    scores, seconds, gate, methods, features = np.full(len(stream.labels), np.nan), list[float](), list[str](), [], 0
    with Model(stream.mixed.input) as model:
        model.named = stream.mixed.named
        for places in stream.batches():
            rows, labels = stream.mixed.rows[places], stream.labels[places].tolist()
            if model.live is not None:
                predictor = model.predictor()
                given = predictor.probabilities(rows)
                scores[places] = given[:, predictor.names.index(second)] if second in predictor.names else 0.0
            elif places[0]:
                scores[places] = 0.5
            began, before = time.process_time(), model.challenge_seconds
            made = model.learn(rows, labels, SERVICE, promote=True if name == PROMOTED else None)
            seconds.append(time.process_time() - began - (model.challenge_seconds - before))
            gate.append(verdict(made))
            methods.append(str(made.report.method.get("form") or made.report.method.get("name")))
        if model.live is not None:
            features = int(model.checkpoint().parts["head.0"]["weight"].shape[1]) if methods[-1] else 0
        return _ranked(
            stream,
            name,
            scores,
            seconds,
            challenge_seconds=model.challenge_seconds,
            features=features,
            gate=gate,
            details={"methods": methods, "challenges": model.challenges, "last": dict(made.report.method)},
        )


def by_boosting(stream: ClassTable, every: int, once: bool = False) -> Ranked:
    """Trained anew on all rows so far: after each of the first batches, then after every so many; or `once`, on the
    first tenth."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    table, second = stream.mixed.table, stream.labels == np.unique(stream.labels)[1]
    scores, seconds, model = np.full(len(second), np.nan), list[float](), None
    tenth = int(stream.batch.max() + 1) // 10 or 1
    for k, places in enumerate(stream.batches()):
        if not k:
            continue
        if model is None or (k <= tenth if once else k < LATE or k % every == 0):
            before = stream.batch < k
            began = time.process_time()
            model = HistGradientBoostingClassifier(categorical_features=[*stream.mixed.coded] or None, random_state=0)
            model.fit(table[before], second[before])
            seconds.append(time.process_time() - began)
        scores[places] = model.predict_proba(table[places])[:, 1]
    return _ranked(stream, NEVER if once else BOOSTING, scores, seconds, details={"every": every})


def _ranked(stream: ClassTable, learner: str, scores: Floats, seconds: list[float], **more: Any) -> Ranked:
    from sklearn.metrics import roc_auc_score

    answered = np.flatnonzero(~np.isnan(scores))
    second = stream.labels[answered] == np.unique(stream.labels)[1]
    return Ranked(
        stream.name,
        learner,
        auc=float(roc_auc_score(second, scores[answered])),
        accuracy=float(((scores[answered] > 0.5) == second).mean()),
        rows=len(answered),
        batches=int(stream.batch.max()),
        seconds=seconds,
        **more,
    )
