"""mas: weights held by how much the outputs move with them, without a label."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.learning.methods.constrain import mas
from service.learning.methods.constrain.importance import Importance
from service.learning.methods.rehearse import replay
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import Learner
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.samples import NEW, OLD, digits, stream


def prepared(hidden: list[int] | None = None) -> tuple[Stream, Checkpoint]:
    s, d = stream([16] if hidden is None else hidden), digits().of(OLD)
    s.learn(mas.METHOD, d.X[:200], d.y[:200], epochs=3)
    assert s.checkpoint is not None
    return s, s.checkpoint


def test_the_sensitivity_is_one_backward_pass_a_row() -> None:
    s, base = prepared()
    d = digits().of(OLD)
    learner = Learner.start(base, s.data(d.X[200:230], d.y[200:230]), Run())
    got = mas.output_sensitivity(learner, learner.batch, 5)
    params = dict(learner.body.named_parameters())
    expected = {name: torch.zeros_like(p) for name, p in params.items()}
    for row in learner.batch.x:
        score = (learner.body(row[None]) ** 2).sum() / 5
        for name, g in zip(params, torch.autograd.grad(score, list(params.values())), strict=True):
            expected[name] += g.abs()
    for name, value in expected.items():
        assert torch.allclose(got[name], value, rtol=1e-4, atol=1e-5 * float(value.max())), name
        assert value.any()


def test_sizes_are_taken_before_the_mean() -> None:
    """Of two rows whose gradients cancel each counts; public code that takes the batch's gradient would say 0."""
    s, base = prepared([])
    learner = Learner.start(base, s.data(digits().X[:2], digits().y[:2]), Run())
    x = learner.batch.x[:1]
    one = mas.output_sensitivity(learner, learner.batch._replace(x=x, y=learner.batch.y[:1]), 5)
    two = mas.output_sensitivity(learner, learner.batch._replace(x=x.repeat(2, 1), y=learner.batch.y[:1].repeat(2)), 5)
    assert torch.allclose(two["head.blocks.0.weight"], 2 * one["head.blocks.0.weight"], rtol=1e-4)


@pytest.mark.parametrize("memory", [0.0, 0.25, 1.0, None])
def test_the_past_counts_by_its_rows_or_by_a_share(memory: float | None) -> None:
    s, base = prepared()
    d = digits().of(OLD)
    data = s.data(d.X[200:240], d.y[200:240])
    made = mas.update(base, data, mas.Params(epochs=2, strength=1.0, memory=memory), Run())
    again = Learner.start(made.checkpoint, data, Run())
    held = Importance.recalled(Learner.start(base, data, Run()), mas.STATE)
    new = Importance.normalised(mas.output_sensitivity(again, again.batch, 5), 1.0)
    got = Importance.recalled(again, mas.STATE)
    for name, value in got.values.items():
        share = held.rows / (held.rows + len(data.batch)) if memory is None else memory
        expected = share * held.values[name] + (1 - share) * new.values[name]
        assert torch.allclose(value, expected, rtol=1e-3, atol=1e-4 * float(expected.max())), name


def test_an_imported_network_is_measured_on_the_new_rows() -> None:
    _, base = prepared()
    served = {part: ts for part, ts in base.parts.items() if not part.startswith("state.")}
    imported = Checkpoint(base.layout, served, dict.fromkeys(served, frozenset()))
    d = digits().of(OLD)
    data = stream([16]).data(d.X[200:260], d.y[200:260])
    made = mas.update(imported, data, mas.Params(epochs=2), Run())
    assert any("rows of this update" in note for note in made.notes)
    assert any("alone chose" in note for note in made.notes)
    assert made.details["penalty"] > 0
    assert mas.STATE in made.checkpoint.parts


def test_rows_without_a_label_are_measured_and_not_learned() -> None:
    s, base = prepared()
    d = digits().of(OLD)
    rows = s.rows(d.X[200:240], d.y[200:240])
    alone = MemoryData(s.input, s.architecture, s.history, rows)
    beside = MemoryData(s.input, s.architecture, s.history, rows, unlabelled=digits().of(NEW).X[:60])
    params = mas.Params(epochs=2, strength=1.0)
    a, b = mas.update(base, alone, params, Run()), mas.update(base, beside, params, Run())
    assert b.details["sensitivity"]["unlabelled"] == 60
    assert torch.equal(a.checkpoint.parts["head.0"]["weight"], b.checkpoint.parts["head.0"]["weight"])
    assert not torch.equal(a.checkpoint.parts[mas.STATE]["head.weight"], b.checkpoint.parts[mas.STATE]["head.weight"])


def test_an_update_of_unlabelled_rows_alone_moves_no_weight_and_measures() -> None:
    s, base = prepared()
    none = s.rows(np.zeros((0, 64), np.float32), [])
    data = MemoryData(s.input, s.architecture, s.history, none, unlabelled=digits().of(NEW).X[:60])
    made = mas.update(base, data, mas.Params(epochs=2), Run())
    for part in ("backbone.0", "head.0"):
        assert all(torch.equal(t, base.parts[part][key]) for key, t in made.checkpoint.parts[part].items())
    now, before = made.checkpoint.parts[mas.STATE], base.parts[mas.STATE]
    assert now["rows"].item() == before["rows"].item() + 60
    assert not torch.equal(now["head.weight"], before["head.weight"])


def test_after_another_method_the_base_is_measured_on_kept_rows() -> None:
    s, d = prepared()[0], digits().of(OLD)
    s.learn(replay.METHOD, d.X[200:260], d.y[200:260], epochs=1)
    made = s.learn(mas.METHOD, d.X[260:300], d.y[260:300], epochs=2, strength=1.0)
    assert any("not made by mas" in note for note in made.notes)
    assert made.details["held_by"] == "rows of what was known"
