"""ewc: weights held by the Fisher information of every update, joined by rows."""

from __future__ import annotations

import pytest
import torch

from service.learning.methods.baseline import retrain
from service.learning.methods.constrain import ewc
from service.learning.methods.constrain.importance import Importance
from service.learning.methods.rehearse import replay
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, digits, stream

EPOCHS = 3


def learned(*parts: tuple[str, slice], hidden: list[int] | None = None, **params: object) -> Stream:
    """A stream that ewc learned part after part: classes, and which of their rows."""
    s = stream([16] if hidden is None else hidden)
    for classes, rows in parts:
        d = digits().of(classes)
        s.learn(ewc.METHOD, d.X[rows], d.y[rows], epochs=EPOCHS, **params)
    return s


def base_of(s: Stream) -> Checkpoint:
    assert s.checkpoint is not None
    return s.checkpoint


def test_a_huge_strength_leaves_every_weight_that_matters_where_it_was() -> None:
    s, d = learned((OLD, slice(200))), digits().of(OLD)
    data, base = s.data(d.X[200:300], d.y[200:300]), base_of(s)
    held = Importance.recalled(Learner.start(base, data, Run()), ewc.STATE)
    assert held is not None
    got = ewc.update(base, data, ewc.Params(strength=1e9), Run())
    free = ewc.update(base, data, ewc.Params(strength=0), Run()).checkpoint
    matters = base.parts[ewc.STATE]["trunk.layers.0.weight"] > 0
    moved = (got.checkpoint.parts["backbone.0"]["0.weight"] - base.parts["backbone.0"]["0.weight"]).abs()
    freely = (free.parts["backbone.0"]["0.weight"] - base.parts["backbone.0"]["0.weight"]).abs()
    assert matters.double().mean() > 0.5
    assert float(moved[matters].max()) < 1e-4 < float(freely[matters].max())
    assert got.details["penalty"] >= 0


def test_the_penalty_is_not_zero_after_a_step_and_holds_what_was_known() -> None:
    s, d = learned((OLD, slice(200))), digits()
    new = d.of(NEW)
    data = s.data(new.X[:100], new.y[:100])
    details = ewc.update(base_of(s), data, ewc.Params(strength=1.0, epochs=1, batch_size=8192), Run()).details
    assert details["penalty"] > 0
    moved = [
        ewc.update(base_of(s), data, ewc.Params(strength=k, epochs=EPOCHS), Run()).details["distance"]
        for k in (0.1, 100)
    ]
    assert moved[1] < moved[0] / 2


def test_the_fisher_is_that_of_logistic_regression() -> None:
    """A head alone: F of w_k is the mean over rows of p_k (1 - p_k) x x', and the state is it at mean 1."""
    s = learned((OLD, slice(300)), hidden=[])
    d = digits().of(OLD)
    learner = Learner.start(base_of(s), s.data(d.X[300:350], d.y[300:350]), Run())
    rows = learner.batch
    p = torch.softmax(learner.body(rows.x), 1).detach()
    got = ewc.fisher(learner, rows, 5)
    expected = (p * (1 - p)).T @ rows.x**2
    assert torch.allclose(got["head.blocks.0.weight"], expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


def test_three_updates_are_joined_by_their_rows() -> None:
    """sum_t n_t F_t / sum_t n_t, each F_t at mean 1, in the frame of its update."""
    d = digits().of(OLD)
    s, by_hand, rows = stream([16]), None, 0
    for part in (slice(0, 150), slice(150, 250), slice(250, 290)):
        before, data = s.checkpoint, s.data(d.X[part], d.y[part])
        learned = s.learn(ewc.METHOD, d.X[part], d.y[part], Run(seed=3), epochs=EPOCHS, strength=1.0)
        state = learned.checkpoint.parts[ewc.STATE]
        again = Learner.start(learned.checkpoint, data, Run(seed=3))
        if before is None:  # measured in the frame of its own rows
            one = state
            by_hand = {k: v * 150 for k, v in one.items()}
        else:
            fisher = Importance.normalised(ewc.fisher(again, again.batch, 5), 1.0)
            own = fisher.stored(again)
            by_hand = {k: by_hand[k] + v * len(data.batch) for k, v in own.items()}
        rows += len(data.batch)
        assert state["rows"].item() == rows
        for key in ("trunk.layers.0.weight", "trunk.layers.0.bias", "head.weight", "head.bias"):
            expected = by_hand[key] / rows
            assert torch.allclose(state[key], expected, rtol=1e-3, atol=1e-4 * float(expected.max())), key


def test_importances_of_new_rows_of_the_head_begin_at_zero() -> None:
    s = learned((OLD, slice(200)))
    d = digits().of("012345")
    learner = Learner.start(base_of(s), s.data(d.X[:50], d.y[:50]), Run())
    held = Importance.recalled(learner, ewc.STATE)
    assert held.values["head.blocks.0.weight"].shape == (5, 16)
    assert held.values["head.blocks.0.weight"].any()
    assert held.values["head.blocks.1.weight"].shape == (1, 16)
    assert not held.values["head.blocks.1.weight"].any()
    s.learn(ewc.METHOD, d.X[:50], d.y[:50], epochs=EPOCHS, strength=1.0)
    assert base_of(s).parts[ewc.STATE]["head.weight"].shape == (6, 16)
    assert base_of(s).parts[ewc.STATE]["head.weight"][5].any(), "what the update itself found"


def test_after_another_method_the_base_is_measured_anew_on_kept_rows_and_the_notes_say_so() -> None:
    s, d = learned((OLD, slice(200))), digits().of(OLD)
    s.learn(replay.METHOD, d.X[200:260], d.y[200:260], epochs=1)
    assert ewc.STATE not in base_of(s).parts
    made = s.learn(ewc.METHOD, d.X[260:300], d.y[260:300], epochs=EPOCHS, strength=1.0)
    assert any("not made by ewc" in note and "kept rows" in note for note in made.notes)
    assert made.details["held_by"].startswith("the Fisher information of the base")


def test_without_anything_of_the_past_all_weights_are_held_alike() -> None:
    d = digits().of(OLD)
    known = stream([16])
    known.learn(retrain.METHOD, d.X[:200], d.y[:200], epochs=EPOCHS)
    alone = stream([16])
    made = ewc.update(
        known.checkpoint, alone.data(d.X[200:260], d.y[200:260]), ewc.Params(epochs=1, strength=1.0), Run()
    )
    assert any("held alike" in note for note in made.notes)
    assert ewc.STATE in made.checkpoint.parts


def test_one_drawn_label_a_row_is_near_the_expectation(monkeypatch: pytest.MonkeyPatch) -> None:
    s, d = learned((OLD, slice(200)), hidden=[]), digits().of(OLD)
    learner = Learner.start(base_of(s), s.data(d.X[200:340], d.y[200:340]), Run(seed=1))
    rows = Labelled(learner.batch.x.repeat(40, 1), learner.batch.y.repeat(40))
    exact, drawn = {}, {}
    for limit, into in ((10**9, exact), (0, drawn)):
        monkeypatch.setattr(ewc, "EXACT", limit)
        into |= ewc.fisher(learner, rows, 5)
    a, b = exact["head.blocks.0.weight"], drawn["head.blocks.0.weight"]
    assert not torch.equal(a, b)
    assert float((a - b).abs().sum() / a.abs().sum()) < 0.2


def test_a_network_that_is_too_sure_is_told() -> None:
    s, d = learned((OLD, slice(200)), hidden=[]), digits().of(OLD)
    base = base_of(s)
    sure = Checkpoint(
        base.layout, {**base.parts, "head.0": {k: t * 1e3 for k, t in base.parts["head.0"].items()}}, base.learned
    )
    data = s.data(d.X[200:240], d.y[200:240])
    made = ewc.update(sure, data, ewc.Params(strength=0.0, epochs=1, lr=1e-6), Run())
    assert any("so sure" in note for note in made.notes)
    assert all(torch.isfinite(t).all() for part in made.checkpoint.parts.values() for t in part.values())
