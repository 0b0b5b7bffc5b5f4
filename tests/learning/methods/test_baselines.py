"""fine_tune and retrain: what the others are compared with."""

from __future__ import annotations

import pytest
import torch

from service.learning.methods.baseline import fine_tune, retrain
from service.learning.run import Run
from tests.learning.samples import NEW, OLD, accuracy, digits, knowing, logits, stream


def test_joint_retraining_reaches_what_a_network_can() -> None:
    d, s = digits(), stream([256])
    learned = s.learn(retrain.METHOD, d.X, d.y)
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.95
    assert "from scratch" in learned.notes[0]
    assert learned.checkpoint.layout.trained


def test_fine_tuning_learns_the_new_and_forgets_the_old() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    before = accuracy(s.checkpoint, *d.of(OLD)[2:])
    s.learn(fine_tune.METHOD, *d.of(NEW)[:2])
    assert accuracy(s.checkpoint, *d.of(NEW)[2:]) > 0.9
    assert accuracy(s.checkpoint, *d.of(OLD)[2:]) < before - 0.3


def test_retraining_brings_back_what_was_forgotten() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    s.learn(fine_tune.METHOD, *d.of(NEW)[:2])
    first = d.of("01")
    learned = s.learn(retrain.METHOD, first.X[:20], first.y[:20])
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.93
    assert learned.checkpoint.classes[:5] == tuple(dict.fromkeys(d.of(OLD).y))
    assert learned.details["rows"]["history"] > 900


def test_a_batch_of_one_class_trains_one_epoch_and_says_so() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    progress: list[tuple[str, int, int]] = []
    five = d.of("5")
    learned = s.learn(fine_tune.METHOD, five.X, five.y, Run(progress=lambda *p: progress.append(p)))
    assert ("training", 1, 1) in progress
    assert 'All learning rows are "5"' in " ".join(learned.notes)


def test_a_first_batch_of_one_class_makes_a_version() -> None:
    d, s = digits(), stream([16])
    five = d.of("5")
    learned = s.learn(fine_tune.METHOD, five.X[:10], five.y[:10])
    assert learned.checkpoint.classes == ("5",)
    assert logits(learned.checkpoint, five.held_X).shape[1] == 1


def test_rows_that_only_judge_move_no_weight() -> None:
    d, s = digits(), knowing(retrain.METHOD, [16])
    base = s.checkpoint
    assert base is not None
    data = s.data(d.of(OLD).held_X, d.of(OLD).held_y)
    data.batch = data.batch.take(data.batch.judging)
    learned = fine_tune.update(base, data, fine_tune.Params(), Run())
    assert "nothing was learned" in " ".join(learned.notes)
    assert torch.equal(logits(learned.checkpoint, d.held_X), logits(base, d.held_X))


@pytest.mark.parametrize("hidden", [[], [32]])
def test_it_never_looks_at_judging_or_selecting_rows(hidden: list[int]) -> None:
    """Other labels on those rows leave every weight as it was."""
    d = digits()
    made = []
    for lie in (False, True):
        s = knowing(retrain.METHOD, hidden)
        data = s.data(d.X[:200], d.y[:200])
        if lie:
            hidden_rows = ~data.batch.learning
            data.batch.labels[hidden_rows] = 0
        made.append(fine_tune.update(s.checkpoint, data, fine_tune.Params(), Run()).checkpoint)
    if not hidden:
        assert torch.equal(made[0].parts["head.0"]["weight"], made[1].parts["head.0"]["weight"])
    else:
        assert torch.equal(made[0].parts["backbone.0"]["0.weight"], made[1].parts["backbone.0"]["0.weight"])
