"""der_pp: remembered rows keep their scores and their labels."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.rehearse import der_pp
from service.learning.methods.rehearse.stored_logits import Scores
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.fit import DRAWS
from service.learning.training.learner import Learner
from service.learning.training.losses import log_shares
from service.learning.training.training_set import Labelled, Step
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, knowing, logits


def prepared(hidden: int = 64) -> tuple[Stream, Checkpoint]:
    s = knowing(retrain.METHOD, [hidden])
    assert s.checkpoint is not None
    return s, s.checkpoint


def test_the_loss_of_a_step_by_hand() -> None:
    """One remembered row, so both draws are known; its scores had two columns."""
    s, base = prepared(16)
    learner = Learner.start(base, s.data(*digits().of("57")[:2]), Run())
    memory = Labelled(torch.ones(1, 64), torch.tensor([1]))
    scores = Scores(torch.tensor([[2.0, -1.0, 9.0]]), torch.tensor([2]))
    params = der_pp.Params(alpha=0.3, beta=0.7)
    loss = der_pp._objective(learner, memory, scores, params, learner.run.generator(DRAWS))
    body = nn.Linear(64, 7)
    x, y = torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([5, 6])
    step = Step(torch.cat([x, memory.x, memory.x]), torch.cat([y, memory.y, memory.y]), torch.arange(2), None)
    z, m = body(x), body(memory.x)
    shares = log_shares(7, learner.batch.y, memory.y, weights=(1.0, 0.7))
    held = ((m[0, 0] - 2) ** 2 + (m[0, 1] + 1) ** 2) / 2
    by_hand = F.cross_entropy(z + shares, y) + 0.3 * held + 0.7 * F.cross_entropy(m + shares, memory.y)
    assert loss(body, step).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_old_classes_stay_and_new_ones_are_learned() -> None:
    d, (s, base) = digits(), prepared()
    learned = s.learn(der_pp.METHOD, *d.of(NEW)[:2])
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.92
    assert sum(learned.details["memory"].values()) > 500, "all that is kept"
    assert learned.details["columns_then"] == {"5": sum(learned.details["memory"].values())}
    tuned = fine_tune.update(base, s.data(*d.of(NEW)[:2]), fine_tune.Params(), Run()).checkpoint
    old = d.of(OLD)
    assert accuracy(s.checkpoint, *old[2:]) > accuracy(tuned, *old[2:]) + 0.2


def test_scores_are_those_of_the_version_that_learned_the_row() -> None:
    """Three updates on: rows of the first still have the base's scores on five columns, those of the second seven."""
    d, (s, base) = digits(), prepared()
    middle = s.learn(der_pp.METHOD, *d.of("56")[:2], memory_rows=70).checkpoint
    part = middle.parts[der_pp.STATE]
    assert len(part["hashes"]) == 70
    assert part["width"].bincount().tolist() == [0, 0, 0, 0, 0, 50, 0, 20]
    history = {int(h.astype("int64")): x for rows in s.history for h, x in zip(rows.hashes, rows.inputs, strict=True)}
    for version, width in ((base, 5), (middle, 7)):
        mine = part["width"] == width
        rows = torch.stack([torch.from_numpy(history[int(h)]) for h in part["hashes"][mine]])
        assert torch.allclose(part["logits"][mine][:, :width], logits(version, rows.numpy()), atol=1e-3)
    last = s.learn(der_pp.METHOD, *d.of("78")[:2], memory_rows=70)
    assert last.details["columns_then"] == {"5": 50, "7": 20}


def test_the_more_the_scores_count_the_less_they_move() -> None:
    d, (s, base) = digits(), prepared()
    data = s.data(*d.of(NEW)[:2])
    old = d.of(OLD).held_X
    moved = []
    for alpha in (0.0, 10.0):
        got = der_pp.update(base, data, der_pp.Params(alpha=alpha), Run()).checkpoint
        moved.append(float((logits(got, old)[:, :5] - logits(base, old)).pow(2).mean()))
    assert moved[1] < moved[0] / 2


def test_without_a_kept_row_it_is_refused_with_the_remedy() -> None:
    s, base = prepared(16)
    data = s.data(*digits().of("5")[:2])
    data.base_rows = []
    refused = der_pp.METHOD.refuse
    assert refused is not None
    assert "ridge" in (refused(base, data) or "")
    assert refused(None, data) is None
