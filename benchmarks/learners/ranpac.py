"""RanPAC, the nearest published relative of our exact head, in numpy: McDonnell et al., NeurIPS 2023, arXiv 2307.02251.

Own implementation of the paper's algorithm 1, not the authors' code. Features go through a random projection and ReLU;
all rows h so far add to G = sum of h h' and C = sum of h y'; W = (G + lambda I)^-1 C, with the lambda that has the
least squared error on a fifth of the step's rows. Left out is the adapter that the paper may train on the first step:
features are those that our head stands on.
"""

from __future__ import annotations

import numpy as np

from benchmarks.learners.learner import Answers, Learner, given
from benchmarks.learners.network import Encoder, encoder
from benchmarks.streams.stream import Floats, Rows, Stream

RANPAC = "RanPAC"
WIDTH = 2000
"""Random features, as many as `auto` makes at most; the paper has 10,000."""
LAMBDAS = tuple(10.0**k for k in range(-8, 9))
LEARNED = 0.8
"""The first part of a step's rows, which the others choose lambda for."""


class Ranpac(Learner):
    """words: the name, and `width` behind a colon. On a backbone's features as they are, elsewhere on scaled inputs."""

    def __init__(self, stream: Stream, words: str) -> None:
        super().__init__(stream.plain)
        self._width = int(given(words)[1].get("width", WIDTH))
        self._names = list[str]()
        self._encode: Encoder | None = _as_they_are if stream.backbone else None

    def learn(self, rows: Rows) -> None:
        if not self._names:
            self._encode = self._encode or encoder(self.stream, rows)
            size = self._encode(rows.take(np.arange(1))).shape[1]
            self._projection = np.random.default_rng(self.stream.seed).normal(size=(size, self._width))
            self._gram, self._targets = np.zeros((self._width, self._width)), np.zeros((self._width, 0))
        self._names += sorted({*rows.targets.tolist()} - {*self._names})
        self._targets = np.pad(self._targets, ((0, 0), (0, len(self._names) - self._targets.shape[1])))
        h, y = self._features(rows), (rows.targets[:, None] == np.array(self._names)).astype(np.float64)
        cut = int(LEARNED * len(h))
        self._add(h[:cut], y[:cut])
        errors = [((h[cut:] @ self._solved(strength) - y[cut:]) ** 2).mean() for strength in LAMBDAS]
        self._add(h[cut:], y[cut:])
        self._weight = self._solved(LAMBDAS[int(np.argmin(errors))])

    def answer(self, rows: Rows) -> Answers:
        return Answers(self._features(rows) @ self._weight, [*self._names])

    def _features(self, rows: Rows) -> Floats:
        assert self._encode is not None
        return np.maximum(self._encode(rows).astype(np.float64) @ self._projection, 0)

    def _add(self, h: Floats, y: Floats) -> None:
        self._gram += h.T @ h
        self._targets += h.T @ y

    def _solved(self, strength: float) -> Floats:
        return np.asarray(np.linalg.solve(self._gram + strength * np.eye(self._width), self._targets))

    @property
    def bytes(self) -> int:
        """The sums and the head."""
        return self._gram.nbytes // 2 + 2 * self._targets.nbytes


def _as_they_are(rows: Rows) -> Floats:
    return np.asarray(rows.inputs, np.float64)
