"""replay: remembered rows keep what was known."""

from __future__ import annotations

import torch

from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.rehearse import replay
from service.learning.run import Run
from service.learning.training.losses import divergence
from tests.learning.memory_data import MemoryData
from tests.learning.samples import NEW, OLD, SPEC, accuracy, digits, knowing, logits


def test_it_keeps_the_old_classes_and_learns_the_new() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    learned = s.learn(replay.METHOD, *d.of(NEW)[:2])
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.92
    assert sum(learned.details["memory"].values()) > 500, "all that is kept"


def test_the_memory_is_bounded_and_shared_by_the_classes() -> None:
    d, s = digits(), knowing(retrain.METHOD, [16])
    learned = s.learn(replay.METHOD, *d.of(NEW)[:2], memory_rows=50)
    assert learned.details["memory"] == dict.fromkeys(sorted(OLD), 10)


def test_one_class_alone_is_learned_beside_the_memory() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    seven = d.of("7")
    learned = s.learn(replay.METHOD, seven.X, seven.y)
    assert not learned.notes
    mixed = d.of(OLD + "7")
    assert accuracy(s.checkpoint, mixed.held_X, mixed.held_y) > 0.9


def test_the_order_in_which_the_history_came_does_not_matter() -> None:
    d, s = digits(), knowing(retrain.METHOD, [16])
    more = d.of("0123")
    s.learn(fine_tune.METHOD, more.X[:100], more.y[:100])
    data = s.data(d.of(NEW).X[:100], d.of(NEW).y[:100])
    turned = MemoryData(SPEC, s.architecture, s.history[::-1], data.batch)
    turned.base_rows = turned.base_rows[::-1]
    one = replay.update(s.checkpoint, data, replay.Params(memory_rows=60), Run()).checkpoint
    other = replay.update(s.checkpoint, turned, replay.Params(memory_rows=60), Run()).checkpoint
    assert torch.equal(one.parts["head.0"]["weight"], other.parts["head.0"]["weight"])


def test_old_answers_on_remembered_rows_hold_the_old_scores() -> None:
    d, s = digits(), knowing(retrain.METHOD, [64])
    before, data = s.checkpoint, s.data(*d.of(NEW)[:2])
    old = d.of(OLD)

    def apart(distillation: float) -> float:
        after = replay.update(before, data, replay.Params(distillation=distillation), Run()).checkpoint
        z, teacher = logits(after, old.held_X)[:, : len(OLD)], logits(before, old.held_X)
        return float(divergence(z, teacher, 2.0).mean())

    assert apart(1) < 0.8 * apart(0)


def test_what_the_version_before_got_wrong_is_left_to_the_labels() -> None:
    """Fine-tuning on new classes forgets the old ones: its answers on their rows are not held, so they come back."""
    d, s = digits(), knowing(retrain.METHOD, [64])
    new = d.of(NEW)
    s.learn(fine_tune.METHOD, new.X[:300], new.y[:300])
    assert accuracy(s.checkpoint, d.of(OLD).held_X, d.of(OLD).held_y) < 0.3
    s.learn(replay.METHOD, new.X[300:], new.y[300:])
    assert accuracy(s.checkpoint, d.of(OLD).held_X, d.of(OLD).held_y) > 0.95
