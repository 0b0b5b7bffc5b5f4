"""interpolate: from the base to the fine-tuned network, and the point that rows kept back like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.constrain import interpolate
from service.learning.methods.constrain.interpolate import Segment
from service.learning.methods.constrain.strength_search import Point
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import Learner
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, stream


def prepared(classes: str = OLD) -> tuple[Stream, Checkpoint]:
    s, d = stream([32]), digits().of(classes)
    s.learn(retrain.METHOD, d.X[:500], d.y[:500])
    assert s.checkpoint is not None
    return s, s.checkpoint


def known_only() -> tuple[Checkpoint, MemoryData]:
    s, base = prepared()
    d = digits().of(OLD)
    return base, s.data(d.X[300:400, ::-1].copy(), d.y[300:400])


def at(alpha: float | str) -> Checkpoint:
    base, data = known_only()
    return interpolate.update(base, data, interpolate.Params(alpha=alpha), Run(seed=5)).checkpoint


def test_the_ends_have_the_bits_of_both_networks() -> None:
    base, data = known_only()
    tuned = fine_tune.update(base, data, fine_tune.Params(), Run(seed=5)).checkpoint
    for part in ("backbone.0", "head.0"):
        for key, tensor in at(0).parts[part].items():
            assert torch.equal(tensor, base.parts[part][key]), key
        for key, tensor in at(1).parts[part].items():
            assert torch.equal(tensor, tuned.parts[part][key]), key


def test_between_the_ends_weights_are_in_proportion() -> None:
    base, half, tuned = known_only()[0], at(0.5), at(1)
    for part in ("backbone.0", "head.0"):
        for key, tensor in half.parts[part].items():
            middle = (base.parts[part][key] + tuned.parts[part][key]) / 2
            assert torch.allclose(tensor, middle, atol=1e-6), key


def test_rows_of_new_classes_are_kept_as_they_were_tuned() -> None:
    s, base = prepared()
    d = digits().of("56")
    data = s.data(d.X[:80], d.y[:80])
    tuned = fine_tune.update(base, data, fine_tune.Params(), Run(seed=5)).checkpoint.parts["head.0"]
    start = interpolate.update(base, data, interpolate.Params(alpha=0), Run(seed=5)).checkpoint.parts["head.0"]
    assert torch.equal(start["weight"][5:], tuned["weight"][5:])
    assert torch.equal(start["weight"][:5], base.parts["head.0"]["weight"])


def test_the_search_tells_eleven_points_and_why() -> None:
    base, data = known_only()
    made = interpolate.update(base, data, interpolate.Params(), Run(seed=5))
    points = made.details["points"]
    assert [p["alpha"] for p in points] == pytest.approx([k / 10 for k in range(11)])
    chosen = next(p for p in points if p["alpha"] == made.details["alpha"])
    assert chosen["score"] == pytest.approx((chosen["old"] + chosen["new"]) / 2)
    assert max(p["score"] for p in points) - chosen["score"] < 0.1
    assert 0 < chosen["alpha"] < 1


def test_where_the_base_is_best_it_is_kept_and_the_notes_say_so() -> None:
    """The labels of the learning rows alone are turned round: each step away from the start is a step down."""
    s, base = prepared()
    d = digits().of(OLD)
    rows = s.rows(d.X[300:500], d.y[300:500])
    wrong = replace(rows, labels=np.where(rows.learning, (rows.labels + 1) % 5, rows.labels))
    data = MemoryData(s.input, s.architecture, s.history, wrong)
    made = interpolate.update(base, data, interpolate.Params(lr=1.0, epochs=20), Run())
    assert made.details["alpha"] == 0
    assert any("alpha is 0" in note for note in made.notes)
    for key, tensor in made.checkpoint.parts["backbone.0"].items():
        assert torch.equal(tensor, base.parts["backbone.0"][key])


def test_a_barrier_between_the_two_is_told() -> None:
    """Accuracy half-way below both ends: no basin in common. A way that only falls, or rises between, is none."""

    def points(*right: int) -> list[Point]:
        rows = [torch.arange(100) < n for n in right]
        return [Point(k / (len(right) - 1), (r, r)) for k, r in enumerate(rows)]

    notes = interpolate._notes(points(90, 40, 80), 1.0, searched=True)
    assert any("falls to 0.400 (alpha 0.5)" in note and "basin" in note for note in notes)
    for way in ((90, 85, 80), (80, 95, 80), (80, 79, 80)):
        assert not interpolate._notes(points(*way), 1.0, searched=True)


def test_without_a_row_of_the_past_the_new_ones_choose_and_the_notes_say_so() -> None:
    base, _ = known_only()
    d = digits().of(OLD)
    made = interpolate.update(base, stream([32]).data(d.X[:60], d.y[:60]), interpolate.Params(epochs=1), Run())
    assert any("alone chose" in note for note in made.notes)


def test_it_forgets_less_than_fine_tuning() -> None:
    s, base = prepared("0123456789")
    d = digits()
    data = s.data(d.X[500:700, ::-1].copy(), d.y[500:700])
    half = interpolate.update(base, data, interpolate.Params(), Run()).checkpoint
    free = fine_tune.update(base, data, fine_tune.Params(), Run()).checkpoint
    assert accuracy(half, d.held_X, d.held_y) > accuracy(free, d.held_X, d.held_y)


def test_old_rows_that_new_classes_take_are_told() -> None:
    s, base = prepared()
    d = digits().of(NEW)
    made = interpolate.update(base, s.data(d.X[:200], d.y[:200]), interpolate.Params(alpha=1), Run())
    assert any("answered with a new class" in note for note in made.notes)


def test_shared_weights_are_all_but_the_added_ones() -> None:
    s, base = prepared()
    d = digits().of("5")
    learner = Learner.start(base, s.data(d.X[:20], d.y[:20]), Run())
    assert sum(p.numel() for p in Segment(learner).shared) == 64 * 32 + 32 + 5 * 32 + 5
