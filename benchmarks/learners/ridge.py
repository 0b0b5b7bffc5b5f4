"""A ridge head written down once more, in bare numpy: what the service's exact head must come to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.learners.service import Service
from benchmarks.streams.stream import Floats, together
from service.learning.ledger.feature_space import Space, feature_blocks


def in_numpy(learner: Service) -> float | None:
    """Accuracy of a ridge head over the live version's features, with its strength and prior, in floats."""
    checkpoint = learner.model.checkpoint()
    network, exact = Space.of(checkpoint).network, checkpoint.layout.exact
    if exact is None or exact.alpha is None:
        return None
    rows, test = together(learner.stream.batches), learner.stream.test
    assert test is not None
    h, u = (
        np.concatenate([f.double().numpy() for _, f in feature_blocks(network, inputs)])
        for inputs in (rows.inputs, test.inputs)
    )
    return float((ridge_head(h, rows.targets, exact.alpha, exact.prior).answers(u) == test.targets).mean())


@dataclass(frozen=True, eq=False)
class RidgeHead:
    """names [C] · weight [M + 1, C], the bias last"""

    names: NDArray[np.str_]
    weight: Floats

    def answers(self, features: Floats) -> NDArray[np.str_]:
        """[n, M] -> [n]"""
        return np.asarray(self.names[(features @ self.weight[:-1] + self.weight[-1]).argmax(1)])


def ridge_head(features: Floats, labels: NDArray[np.str_], alpha: float, prior: float) -> RidgeHead:
    """(G_b + alpha D) W = [pi_k mu_k], written down once more from rows, in floats. features [n, M]

    G_b = S_w + sum_k pi_k mu_k mu_k' over h = [features; 1], pi_k ~ n_k^prior, D the variance of each feature and 0 for
    the bias.
    """
    names = np.unique(labels)
    h = np.hstack([features, np.ones((len(features), 1))])
    by_class = [h[labels == name] for name in names]
    counts = np.array([len(rows) for rows in by_class], float)
    means = np.stack([rows.mean(0) for rows in by_class])
    within = sum((rows - mean).T @ (rows - mean) for rows, mean in zip(by_class, means, strict=True)) / (
        len(h) - len(names)
    )
    pi = counts**prior / (counts**prior).sum()
    variance = h.var(0)
    variance[:-1] = np.maximum(variance[:-1], 1e-6 * variance[:-1].mean())
    equations = within + (means.T * pi) @ means + alpha * np.diag(variance)
    return RidgeHead(names, np.linalg.solve(equations, means.T * pi))
