"""scikit-learn's `partial_fit`, for joint retraining's epochs over each batch: a linear model and a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.learners.learner import Answers, Learner
from benchmarks.learners.network import BATCH, MOMENTUM, encoder
from benchmarks.streams.stream import Rows, Stream
from service.errors import MethodRefused

LINEAR, NETWORK = "scikit-learn linear", "scikit-learn network"
SCIKIT = (LINEAR, NETWORK)


class Scikit(Learner):
    """Outputs for all classes are there from the start; the network has joint retraining's layers and rate."""

    def __init__(self, stream: Stream, name: str) -> None:
        super().__init__(stream.plain)
        from sklearn.linear_model import SGDClassifier
        from sklearn.neural_network import MLPClassifier

        self._names = sorted({*self.stream.rows.targets.tolist()})
        self._seen = np.zeros(len(self._names), bool)
        layers, seed = self.stream.layers, self.stream.seed
        self._random = np.random.default_rng(seed)
        sgd = {"solver": "sgd", "learning_rate_init": layers.lr, "momentum": MOMENTUM, "nesterovs_momentum": False}
        self._model: Any = (
            SGDClassifier(loss="log_loss", random_state=seed)
            if name == LINEAR
            else MLPClassifier(layers.hidden, batch_size=BATCH, alpha=0.0, random_state=seed, **sgd)
        )
        self._encode = encoder(self.stream, self.stream.batches[0])

    def learn(self, rows: Rows) -> None:
        x = self._encode(rows)
        self._seen |= np.isin(self._names, rows.targets)
        for _ in range(self.stream.layers.epochs):
            order = self._random.permutation(len(x))
            try:
                self._model.partial_fit(x[order], rows.targets[order], classes=self._names)
            except ValueError as diverged:
                raise MethodRefused(f"scikit-learn: {diverged}") from diverged

    def answer(self, rows: Rows) -> Answers:
        scores = self._model.predict_proba(self._encode(rows))
        return Answers(scores[:, self._seen], [n for n, seen in zip(self._names, self._seen, strict=True) if seen])

    @property
    def bytes(self) -> int:
        parts = ("coef_", "intercept_", "coefs_", "intercepts_")
        return sum(np.asarray(w).nbytes for part in parts for w in getattr(self._model, part, ()))
