"""Published heads on frozen features, written down here in a few lines of numpy each, to stand beside our own.

They are named with a star: own implementations, of the papers' formulas, not the authors' code. Widths are smaller than
the papers' (2,000 random features where RanPAC takes 10,000).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.learners.learner import Answers, Learner
from benchmarks.learners.network import Encoder, encoder
from benchmarks.streams.stream import Floats, Rows, Stream

WIDTH = 2000


class Published(Protocol):
    """Learns batches of features, in order, and scores rows over the classes so far."""

    def learn(self, h: Floats, y: NDArray[np.int64], classes: int) -> None:
        """h [n, L], y [n] < classes"""
        ...

    def scores(self, h: Floats) -> Floats:
        """[n, L] -> [n, C]"""
        ...

    @property
    def bytes(self) -> int:
        """What must be kept between updates."""
        ...


class Ncm:
    """Nearest class mean by angle."""

    def __init__(self) -> None:
        self.means: dict[int, Floats] = {}
        self.counts: dict[int, int] = {}

    def learn(self, h: Floats, y: NDArray[np.int64], classes: int) -> None:
        for k in np.unique(y):
            of_class, before = h[y == k], self.counts.get(int(k), 0)
            self.counts[int(k)] = n = before + len(of_class)
            self.means[int(k)] = (self.means.get(int(k), 0.0) * before + of_class.sum(0)) / n

    def scores(self, h: Floats) -> Floats:
        return _unit(h) @ _unit(np.stack([self.means[k] for k in sorted(self.means)])).T

    @property
    def bytes(self) -> int:
        return sum(m.nbytes for m in self.means.values())


class Fecam(Ncm):
    """Goswami et al., FeCAM, 2023: a covariance a class, shrunk twice by 1, made a correlation; Mahalanobis distance.

    Features to the power 0.5, the sign kept. A class that comes back keeps the covariance of its first batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inverses: dict[int, NDArray[np.float32]] = {}

    def learn(self, h: Floats, y: NDArray[np.int64], classes: int) -> None:
        h = np.sign(h) * np.abs(h) ** 0.5
        super().learn(h, y, classes)
        for k in {*np.unique(y).tolist()} - {*self.inverses}:
            spread = np.cov(h[y == k].T) if (y == k).sum() > 1 else np.eye(h.shape[1])
            diagonal = np.diag(spread).mean()
            apart = (spread.sum() - np.trace(spread)) / (len(spread) * (len(spread) - 1))
            spread = spread + (diagonal - apart) * np.eye(len(spread)) + apart
            scale = np.sqrt(np.diag(spread))
            self.inverses[k] = np.linalg.pinv(spread / np.outer(scale, scale), hermitian=True).astype(np.float32)

    def scores(self, h: Floats) -> Floats:
        h = _unit(np.sign(h) * np.abs(h) ** 0.5).astype(np.float32)
        columns = []
        for k in sorted(self.means):
            away = h - _unit(self.means[k][None]).astype(np.float32)
            columns.append(-((away @ self.inverses[k]) * away).sum(1))
        return np.stack(columns, 1).astype(np.float64)

    @property
    def bytes(self) -> int:
        return super().bytes + sum(i.nbytes for i in self.inverses.values())


class Gacil:
    """Zhuang et al., ACIL 2022 and G-ACIL 2024: ridge on random ReLU features, gamma fixed. Their recursion has the
    solution of these sums."""

    def __init__(self, gamma: float = 100.0, seed: int = 0) -> None:
        self.gamma, self.random = gamma, np.random.default_rng(seed)
        self.lift: Floats | None = None

    def learn(self, h: Floats, y: NDArray[np.int64], classes: int) -> None:
        z = self._lifted(h)
        if not hasattr(self, "gram"):
            self.gram, self.target = np.zeros((z.shape[1], z.shape[1])), np.zeros((z.shape[1], 0))
        self.target = np.pad(self.target, ((0, 0), (0, classes - self.target.shape[1])))
        self._choose(z, y, classes)
        self.gram += z.T @ z
        self.target += z.T @ np.eye(classes)[y]
        self.weight = self._solve(self.gram, self.target, self.gamma)

    def _choose(self, z: Floats, y: NDArray[np.int64], classes: int) -> None:
        """gamma is fixed."""

    def scores(self, h: Floats) -> Floats:
        return self._lifted(h) @ self.weight

    def _lifted(self, h: Floats) -> Floats:
        if self.lift is None:
            self.lift = self.random.normal(size=(h.shape[1], WIDTH))
        return np.maximum(h @ self.lift, 0)

    @staticmethod
    def _solve(gram: Floats, target: Floats, gamma: float) -> Floats:
        return np.asarray(np.linalg.solve(gram + gamma * np.eye(len(gram)), target), np.float64)

    @property
    def bytes(self) -> int:
        return self.gram.nbytes // 2 + self.target.nbytes


class Ranpac(Gacil):
    """McDonnell et al., RanPAC, 2023: the same, its strength chosen anew at each step on a fifth of the step's rows by
    squared error."""

    GRID = tuple(10.0**k for k in range(-2, 7))

    def _choose(self, z: Floats, y: NDArray[np.int64], classes: int) -> None:
        cut = int(0.8 * len(y))
        if cut in (0, len(y)):
            return
        hot = np.eye(classes)[y]
        gram, target = self.gram + z[:cut].T @ z[:cut], self.target + z[:cut].T @ hot[:cut]
        errors = [((z[cut:] @ self._solve(gram, target, g) - hot[cut:]) ** 2).mean() for g in self.GRID]
        self.gamma = self.GRID[int(np.argmin(errors))]


PUBLISHED: dict[str, Callable[[], Published]] = {"NCM*": Ncm, "FeCAM*": Fecam, "G-ACIL*": Gacil, "RanPAC*": Ranpac}


class PublishedHead(Learner):
    """On the scaled inputs, or on the backbone's features as they are."""

    def __init__(self, stream: Stream, name: str) -> None:
        super().__init__(stream.plain)
        self._head, self._names = PUBLISHED[name](), list[str]()
        self._encode: Encoder | None = _as_they_are if stream.backbone else None

    def learn(self, rows: Rows) -> None:
        self._encode = self._encode or encoder(self.stream, rows)
        self._names += [str(n) for n in dict.fromkeys(rows.targets) if n not in self._names]
        codes = np.array([self._names.index(n) for n in rows.targets], np.int64)
        self._head.learn(self._encode(rows).astype(np.float64), codes, len(self._names))

    def answer(self, rows: Rows) -> Answers:
        assert self._encode is not None
        return Answers(self._head.scores(self._encode(rows).astype(np.float64)), [*self._names])

    @property
    def bytes(self) -> int:
        return self._head.bytes


def _as_they_are(rows: Rows) -> NDArray[np.float32]:
    return np.asarray(rows.inputs, np.float32).reshape(len(rows), -1)


def _unit(h: Floats) -> Floats:
    return np.asarray(h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12))
