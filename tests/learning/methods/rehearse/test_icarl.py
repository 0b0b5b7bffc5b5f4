"""icarl: herded exemplars, and answers by the nearest of their means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from service.errors import MethodRefused
from service.learning.method import Method
from service.learning.methods import resolve
from service.learning.methods.baseline import fine_tune, retrain
from service.learning.methods.freeze import ridge
from service.learning.methods.rehearse import icarl, replay
from service.learning.methods.rehearse.exemplars import nearest_mean
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from service.learning.run import Run
from tests.learning.memory_data import Stream
from tests.learning.samples import NEW, OLD, accuracy, digits, logits, stream


def streamed(*steps: str, hidden: int = 64, **params: Any) -> Stream:
    s = stream([hidden])
    for classes in steps:
        s.learn(icarl.METHOD, *digits().of(classes)[:2], **params)
    return s


def part(s: Stream) -> dict[str, torch.Tensor]:
    return dict(s.checkpoint.parts[icarl.STATE])


def raw(s: Stream, hashes: torch.Tensor) -> torch.Tensor:
    by_hash = {int(h): x for rows in s.history for h, x in zip(rows.hashes.astype("int64"), rows.inputs, strict=True)}
    return torch.stack([torch.from_numpy(by_hash[int(h)]) for h in hashes])


def test_it_keeps_the_old_classes_and_learns_the_new() -> None:
    d, s = digits(), streamed(OLD, NEW)
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.88


def test_the_answer_is_the_nearest_normalised_mean_of_exemplars() -> None:
    """Told by rows and features alone, without the head that is served."""
    d, s = digits(), streamed("012", "34", memory_rows=60)
    assert s.checkpoint is not None
    network, noted = build(s.checkpoint), part(s)
    assert noted["columns"].bincount().tolist() == [12] * 5
    with torch.no_grad():
        v = F.normalize(network.features(raw(s, noted["hashes"])), dim=1)
        means = torch.stack([F.normalize(v[noted["columns"] == c].mean(0), dim=0) for c in range(5)])
        x = F.normalize(network.features(torch.from_numpy(d.of(OLD).held_X)), dim=1)
    nearest = torch.cdist(x, means).argmin(1)
    assert torch.equal(logits(s.checkpoint, d.of(OLD).held_X).argmax(1), nearest)


def test_a_memory_shrinks_from_its_end() -> None:
    """Old classes keep the first of what herding chose, in its order."""
    d, s = digits(), streamed("01", memory_rows=60)
    before = part(s)
    s.learn(icarl.METHOD, *d.of("23")[:2], memory_rows=60)
    after = part(s)
    for column in (0, 1):
        first = before["hashes"][before["columns"] == column]
        assert len(first) == 30
        assert torch.equal(after["hashes"][after["columns"] == column], first[:15])


def test_a_class_with_new_rows_is_herded_anew_from_old_exemplars_and_those() -> None:
    d = digits()
    zeros = d.of("0")
    s = stream([32])
    s.learn(icarl.METHOD, np.concatenate([zeros.X[:40], d.of("1").X]), [*zeros.y[:40], *d.of("1").y], memory_rows=20)
    s.learn(icarl.METHOD, zeros.X[40:], zeros.y[40:], memory_rows=20)
    noted = part(s)
    mine = set(noted["hashes"][noted["columns"] == 0].tolist())
    batches = [set(rows.hashes.astype("int64").tolist()) for rows in s.history]
    assert len(mine) == 10
    assert mine & batches[1]
    assert mine <= batches[0] | batches[1]


def test_known_rows_teach_too() -> None:
    """A batch of old classes in another shape: their labels are learned, not what was answered before."""
    d, s = digits(), streamed(OLD)
    old = d.of(OLD)
    turned, held = old.X[:, ::-1].copy(), old.held_X[:, ::-1].copy()
    before = accuracy(s.checkpoint, held, old.held_y)
    s.learn(icarl.METHOD, turned, old.y)
    assert accuracy(s.checkpoint, held, old.held_y) > before + 0.2
    assert accuracy(s.checkpoint, old.held_X, old.held_y) > 0.75


@pytest.mark.long
@pytest.mark.parametrize("first", [retrain.METHOD, ridge.METHOD], ids=["trained net", "exact head"])
def test_it_goes_on_from_another_method_and_another_from_it(first: Method) -> None:
    d, s = digits(), stream([64] if first is retrain.METHOD else [])
    s.learn(first, *d.of("01234")[:2])
    s.learn(icarl.METHOD, *d.of("567")[:2])
    assert accuracy(s.checkpoint, *d.of("01234567")[2:]) > 0.85
    s.learn(replay.METHOD, *d.of("89")[:2])
    assert icarl.STATE not in s.checkpoint.parts
    assert accuracy(s.checkpoint, d.held_X, d.held_y) > 0.9


def test_fewer_rows_than_classes_is_one_exemplar_each() -> None:
    s, d = stream([8]), digits().of(OLD)
    notes = s.learn(icarl.METHOD, d.X[:100], d.y[:100], memory_rows=2, epochs=1).notes
    assert part(s)["columns"].bincount().tolist() == [1] * 5
    assert any("fewer than the 5 classes" in note for note in notes)


def test_scores_mean_something() -> None:
    """The temperature is fitted on rows that no exemplar is taken from."""
    d, s = digits(), streamed(OLD, NEW)
    z = logits(s.checkpoint, d.held_X) / s.checkpoint.layout.temperature
    top, best = torch.softmax(z, 1).max(1)
    right = np.array(s.checkpoint.classes)[best.numpy()] == np.array(d.held_y)
    assert abs(float(top.mean()) - right.mean()) < 0.08


def test_a_class_without_an_exemplar_is_never_answered() -> None:
    features = {"a": torch.tensor([[3.0, 0.0]]), "c": torch.tensor([[0.0, 2.0]])}
    weight, bias = nearest_mean(features, ["a", "b", "c"])
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).abs()
    answers = (x @ weight.T + bias).argmax(1)
    assert torch.equal(answers, torch.where(x[:, 0] > x[:, 1], 0, 2))


def test_without_kept_rows_it_is_refused_and_balance_is_not_taken() -> None:
    s = streamed(OLD, hidden=8)
    data = s.data(*digits().of("5")[:2])
    data.base_rows = []
    assert icarl.METHOD.refuse is not None
    assert "lda" in (icarl.METHOD.refuse(s.checkpoint, data) or "")
    with pytest.raises(MethodRefused, match="balance"):
        resolve({"name": "icarl", "balance": "align"})


def test_features_forget_less_than_under_fine_tuning() -> None:
    d, s = digits(), streamed(OLD)
    base, data = s.checkpoint, s.data(*d.of(NEW)[:2])
    assert isinstance(base, Checkpoint)
    old = d.of(OLD)
    mine = icarl.update(base, data, icarl.Params(), Run()).checkpoint
    bare = fine_tune.update(base, data, fine_tune.Params(), Run()).checkpoint
    assert accuracy(mine, *old[2:]) > accuracy(bare, *old[2:]) + 0.2
