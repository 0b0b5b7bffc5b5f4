"""Rows unlike anything seen: the base cannot judge their labels, so the labels must at least be learnable."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.running.workbench import Model
from service.contract.enums import Outcome
from service.contract.inputs import RangeScale, VectorInput
from tests.learning.samples import load_digits

SPEC = VectorInput(kind="vector", size=64, scale=RangeScale(range=(0, 16)))


def test_noise_with_labels_at_random_is_held_and_a_strange_but_honest_world_is_not(tmp_path: Path) -> None:
    X, y = load_digits()
    X, y = X.astype(np.float32), y.astype(str)
    model = Model(SPEC, folder=tmp_path)
    model.learn(X[:600], y[:600], {"name": "ridge", "lift": "none"})
    rng = np.random.default_rng(0)
    noise = rng.uniform(0, 16, (200, 64)).astype(np.float32)
    held = model.learn(noise, y[rng.integers(0, 600, 200)], {"name": "ridge", "lift": "none"})
    assert held.outcome is Outcome.UNDECIDED
    assert "unlike anything seen" in held.report.gate.why
    inverted = 16 - X[600:900]
    honest = model.learn(inverted, y[600:900], {"name": "ridge", "lift": "none"})
    assert "unlike anything seen before, and no rule" not in honest.report.gate.why


def test_one_class_in_another_style_is_no_noise_but_unproven(tmp_path: Path) -> None:
    X, y = load_digits()
    X, y = X.astype(np.float32), y.astype(str)
    model = Model(SPEC, folder=tmp_path)
    model.learn(X[:600], y[:600], {"name": "ridge", "lift": "none"})
    threes, fours = (np.flatnonzero(y[600:] == name) + 600 for name in "34")
    rows = np.r_[threes[:60], fours[:2]]
    made = model.learn(16 - X[rows], y[rows], {"name": "ridge", "lift": "none"})
    assert made.outcome is Outcome.PASS, made.report.gate.why
    assert "nearly one class, so nothing can be told of their labels" in made.report.gate.why
    assert made.report.gate.unproven
