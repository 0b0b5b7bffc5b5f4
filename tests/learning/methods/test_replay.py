"""replay: remembered rows keep what was known."""

from __future__ import annotations

import torch

from service.learning.method import Run
from service.learning.methods import fine_tune, replay, retrain
from tests.learning.memory_data import MemoryData
from tests.learning.samples import NEW, OLD, SPEC, accuracy, digits, stream


def test_it_keeps_the_old_classes_and_learns_the_new() -> None:
    d, s = digits(), stream([64])
    s.learn(retrain.METHOD, *d.of(OLD)[:2])
    learned = s.learn(replay.METHOD, *d.of(NEW)[:2])
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.92
    assert sum(learned.details["memory"].values()) == 500


def test_the_memory_is_bounded_and_shared_by_the_classes() -> None:
    d, s = digits(), stream([16])
    s.learn(retrain.METHOD, *d.of(OLD)[:2])
    learned = s.learn(replay.METHOD, *d.of(NEW)[:2], memory_rows=50)
    assert learned.details["memory"] == dict.fromkeys(sorted(OLD), 10)


def test_one_class_alone_is_learned_beside_the_memory() -> None:
    d, s = digits(), stream([64])
    s.learn(retrain.METHOD, *d.of(OLD)[:2])
    seven = d.of("7")
    learned = s.learn(replay.METHOD, seven.X, seven.y)
    assert not learned.notes
    mixed = d.of(OLD + "7")
    assert accuracy(s.checkpoint, mixed.held_X, mixed.held_y) > 0.9


def test_the_order_in_which_the_history_came_does_not_matter() -> None:
    d, s = digits(), stream([16])
    s.learn(retrain.METHOD, *d.of(OLD)[:2])
    more = d.of("0123")
    s.learn(fine_tune.METHOD, more.X[:100], more.y[:100])
    data = s.data(d.of(NEW).X[:100], d.of(NEW).y[:100])
    turned = MemoryData(SPEC, s.architecture, s.history[::-1], data.batch)
    turned.base_rows = turned.base_rows[::-1]
    one = replay.update(s.checkpoint, data, replay.Params(memory_rows=60), Run()).checkpoint
    other = replay.update(s.checkpoint, turned, replay.Params(memory_rows=60), Run()).checkpoint
    assert torch.equal(one.parts["head.0"]["weight"], other.parts["head.0"]["weight"])
