"""What the report notes where a rehearsing method meets its limits, and that it is silent elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.method import Method
from service.learning.methods.baseline import retrain
from service.learning.methods.expand import branch
from service.learning.methods.rehearse import der_pp, icarl, replay
from service.learning.run import Run
from service.learning.training.learner import Learner
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, knowing, stream


def prepared(hidden: int = 64) -> Stream:
    return knowing(retrain.METHOD, [hidden])


def noted(notes: tuple[str, ...] | list[str], words: str) -> bool:
    return any(words in note for note in notes)


@pytest.mark.parametrize("method", [replay.METHOD, der_pp.METHOD, icarl.METHOD, branch.METHOD], ids=lambda m: m.name)
def test_an_ordinary_update_is_not_remarked_upon(method: Method) -> None:
    learned = prepared().learn(method, *digits().of(NEW)[:2])
    assert not learned.notes


@pytest.mark.parametrize("method", [replay.METHOD, der_pp.METHOD], ids=lambda m: m.name)
def test_known_classes_in_another_shape_are_noticed(method: Method) -> None:
    old = digits().of(OLD)
    learned = prepared().learn(method, np.ascontiguousarray(old.X[:, ::-1]), old.y, epochs=2)
    assert noted(learned.notes, "remembered rows hold it back")


def test_a_memory_that_was_learned_by_heart_is_noticed() -> None:
    d, s = digits().of(OLD), stream([64])
    labels = np.random.default_rng(0).integers(0, 3, len(d.y))
    s.learn(retrain.METHOD, d.X, [str(k) for k in labels], epochs=1)
    learned = s.learn(replay.METHOD, *digits().of("56")[:2], memory_rows=30, epochs=30)
    assert noted(learned.notes, "by heart")


def test_scores_that_were_wrong_are_noticed_by_der_pp() -> None:
    d, s = digits(), stream([16])
    labels = [str(k) for k in np.random.default_rng(0).integers(0, 3, len(d.y))]
    s.learn(retrain.METHOD, d.X, labels, epochs=1)
    learned = s.learn(der_pp.METHOD, d.X[:100], ["9"] * 100, epochs=1)
    assert noted(learned.notes, "were wrong when they were given")


def test_means_that_answer_worse_than_the_trained_head_are_noticed_by_icarl() -> None:
    learner = Learner.start(prepared().checkpoint, prepared().data(*digits().of(OLD)[:2]), Run())
    icarl._compare(learner, 0.95, 0.94)
    assert not learner.notes
    icarl._compare(learner, 0.95, 0.9)
    assert noted(learner.notes, "no one middle")


def test_what_distilling_loses_is_noticed() -> None:
    s = prepared()
    s.learn(branch.METHOD, *digits().of("56")[:2])
    learned = s.learn(branch.METHOD, *digits().of("789")[:2], most=1, epochs=1, lr=1e-4)
    assert learned.details["agreement"] < 0.95
    assert noted(learned.notes, "One extractor answers")


@pytest.mark.parametrize("method", [replay.METHOD, der_pp.METHOD, icarl.METHOD, branch.METHOD], ids=lambda m: m.name)
def test_a_rare_new_class_is_learned_beside_a_common_one(method: Method) -> None:
    """Ten rows of one, 140 of the other."""
    d, s = digits(), prepared()
    rare, common = d.of("6"), d.of("7")
    s.learn(method, np.concatenate([rare.X[:10], common.X]), [*rare.y[:10], *common.y])
    assert accuracy(s.checkpoint, rare.held_X, rare.held_y) > 0.5
    known = d.of(OLD + "7")
    assert accuracy(s.checkpoint, known.held_X, known.held_y) > 0.85
