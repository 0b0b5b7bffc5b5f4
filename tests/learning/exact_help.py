"""Small rows and spaces for tests of the ledger and the closed-form heads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.contract.inputs import RangeScale, VectorInput
from service.learning.data.rows import FeatureRows
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import identity_network
from service.learning.network.input_scale import declared_scale
from service.learning.network.lifts import make_lift
from tests.updating import make_rows

SECRET = b"a secret of tests"
VECTOR = VectorInput(kind="vector", size=5, scale=RangeScale(range=(0, 1)))
WIDTH = 12


def space() -> Space:
    """Random ReLU features of `VECTOR`."""
    scale = declared_scale(VECTOR)
    assert scale is not None
    return Space.of(identity_network(VECTOR, scale, [make_lift("relu", VECTOR.shape, WIDTH, reach=1)]))


def labelled(n: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """n rows around `classes` centres. [n, 5] float32"""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).random((classes, VECTOR.size))
    y = rng.integers(0, classes, n)
    x = np.clip(centres[y] + 0.1 * rng.standard_normal((n, VECTOR.size)), 0, 1)
    return x.astype(np.float32), [f"class {k}" for k in y]


def entry_of(
    features: np.ndarray, labels: Sequence[str], batch: str = "bat_0", source: str | None = None
) -> FeatureRows:
    """Rows whose inputs are these rounded features; folds from their hash."""
    features = np.asarray(features, np.int16)
    return make_rows(batch, features, list(labels), SECRET, source=source).with_features(features)


def random_entry(n: int, width: int = 6, classes: int = 3, seed: int = 0, batch: str = "bat_0") -> FeatureRows:
    """Rounded features over the whole grid."""
    rng = np.random.default_rng(seed)
    features = rng.integers(-(2**15) + 1, 2**15, (n, width))
    return entry_of(features, [f"class {k}" for k in rng.integers(0, classes, n)], batch)
