"""New columns beside old ones that stay: the bits of old scores, what it costs, and how it is undone."""

from __future__ import annotations

import pytest
import torch

from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.methods import METHODS, resolve
from service.learning.run import Run
from tests.learning.samples import accuracy, digits, logits, stream
from tests.updating import run_update

RIDGE, NET = METHODS["ridge"], METHODS["fine_tune"]


@pytest.mark.parametrize("discriminants", [False, True], ids=["ridge", "both"])
def test_old_scores_keep_their_bits_over_and_over_and_new_classes_are_learned(discriminants: bool) -> None:
    d, s = digits(), stream()
    params = {"lift": "relu", "width": 200, "discriminants": discriminants}
    s.learn(RIDGE, d.of("01234").X, d.of("01234").y, **params)
    for known, new in (("01234", "567"), ("01234567", "89")):
        base = s.checkpoint
        learned = s.learn(RIDGE, d.of(new).X, d.of(new).y, stable_scores=True, **params)
        seen = d.of(known + new)
        assert torch.equal(logits(learned.checkpoint, seen.held_X)[:, : len(known)], logits(base, seen.held_X))
        assert learned.checkpoint.layout.temperature == base.layout.temperature
        assert any("Raw scores (logits) of old classes are the same to the bit" in note for note in learned.notes)
        assert accuracy(learned.checkpoint, seen.held_X, seen.held_y) > 0.88
    assert [block.part for block in learned.checkpoint.layout.head] == ["head.0", "head.1", "head.2"]
    assert learned.checkpoint.learned["head.0"] == {"bat_000"}
    tuned = s.learn(NET, d.of("89").X[:20], d.of("89").y[:20], epochs=1).checkpoint
    assert tuned.layout.exact is None
    assert len(tuned.classes) == 10


def test_it_is_not_called_exact_and_what_comes_without_new_classes_solves_all() -> None:
    d, s = digits(), stream()
    old, new = d.of("01234"), d.of("56789")
    for rows in (old, new):
        data = s.data(rows.X, rows.y)
        method, params = resolve({"name": "ridge", "lift": "none", "stable_scores": True, "prior": 0.25})
        made = run_update(s.checkpoint, data, method, params, Run(), ClassContext(live=1))
        s.checkpoint, kept = made.checkpoint, made.report.exact
        s.history.append(data.batch)
    assert not kept
    assert made.report.yardstick.regret is not None
    assert made.report.yardstick.regret > 0
    for rows in ([], slice(0, 5)):
        data = s.data(old.X[rows], [old.y[k] for k in range(5)] if rows else [])
        whole, never = (
            RIDGE.update(base, data, RIDGE.Params.model_validate({"lift": "none", "stable_scores": stays}), Run())
            for base, stays in ((s.checkpoint, True), (s.checkpoint, False))
        )
        assert torch.equal(whole.checkpoint.parts["head.0"]["weight"], never.checkpoint.parts["head.0"]["weight"])
        assert not whole.checkpoint.layout.exact.kept_columns
