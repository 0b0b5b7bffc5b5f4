"""Pseudo-features have the mean and the spread that the ledger knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import identity_network
from service.learning.network.input_scale import InputScale
from service.learning.training.frame import Frame
from service.learning.training.pseudo_rows import Gaussians
from tests.learning.memory_data import MemoryData, Stream
from tests.learning.samples import SPEC, digits


def data() -> MemoryData:
    d, s = digits(), Stream(SPEC)
    s.history.append(s.rows(d.X[:1000], d.y[:1000]))
    return s.data(d.X[1000:1010], d.y[1000:1010])


def space() -> Space:
    return Space.of(identity_network(SPEC, InputScale(torch.tensor(8.0), torch.tensor(8.0))))


def test_they_have_the_moments_of_the_learning_rows() -> None:
    known, room = data(), space()
    frame = Frame.none(room.width, room.shift)
    gaussians = Gaussians.of_ledger(known.ledger(room), frame, (64,))
    rows = known.kept().take(known.kept().learning)
    x, labels = rows.inputs.astype(float) / 8 - 1, np.array(rows.label_names())
    for k, name in enumerate(gaussians.classes):
        assert gaussians.counts[k] == (labels == name).sum()
        assert np.allclose(gaussians.means[k], x[labels == name].mean(0), atol=1e-3)
    centred = np.concatenate([x[labels == c] - x[labels == c].mean(0) for c in gaussians.classes])
    spread = centred.T @ centred / (len(x) - 10)
    assert np.allclose(gaussians.factor @ gaussians.factor.T, spread, atol=1e-3)


def test_as_many_as_were_seen_and_no_more_than_asked_for() -> None:
    known, room = data(), space()
    gaussians = Gaussians.of_ledger(known.ledger(room), Frame.none(room.width, room.shift), (64,))
    classes = [str(c) for c in reversed(range(10))]
    drawn = gaussians.draw(65, classes, torch.Generator().manual_seed(0))
    counts = drawn.y.bincount().tolist()
    assert counts == [min(65, gaussians.counts[gaussians.classes.index(c)]) for c in classes]
    again = gaussians.draw(65, classes, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.x, again.x)


def test_one_row_a_class_is_enough() -> None:
    d, s = digits(), Stream(SPEC)
    firsts = [d.y.index(c) for c in "012"]
    s.history.append(s.rows(d.X[firsts], [d.y[k] for k in firsts]))
    room = space()
    ledger = s.data(d.X[:1], d.y[:1]).ledger(room)
    drawn = Gaussians.of_ledger(ledger, Frame.none(room.width, room.shift), (64,)).draw(5, "012", torch.Generator())
    assert len(drawn.y) == 3
    assert torch.isfinite(drawn.x).all()


def test_nothing_known_gives_nothing() -> None:
    room = space()
    ledger = Stream(SPEC).data(digits().X[:1], digits().y[:1]).ledger(room)
    drawn = Gaussians.of_ledger(ledger, Frame.none(room.width, room.shift), (64,)).draw(5, "012", torch.Generator())
    assert drawn.x.shape == (0, 64)


def test_rows_that_judge_have_no_part_in_them_where_a_class_has_only_lent_rows() -> None:
    known, room = data(), space()
    ledger, frame = known.ledger(room), Frame.none(room.width, room.shift)
    whole = Gaussians.of_ledger(ledger, frame, (64,))
    rows = known.entry(room).take(np.zeros(4, np.int64))  # one class more, of one row four times
    small = replace(
        rows,
        names=("small",),
        labels=np.zeros(4, np.int64),
        inputs=np.arange(4, dtype=np.int16)[:, None] * np.full((1, 64), 100, np.int16),
        folds=np.array([0, 1, 2, 1]),
        lent=np.array([True, False, False, True]),
    )
    gaussians = Gaussians.of_ledger(ledger.with_entry(small), frame, (64,))
    k = gaussians.classes.index("small")
    assert gaussians.counts[k] == 2
    assert torch.allclose(gaussians.means[k], torch.full((64,), 150 * room.step))  # of 0 and 300: those that it lent
    others = [c for c in range(len(gaussians.classes)) if c != k]
    assert torch.equal(gaussians.means[others], whole.means)
    assert [gaussians.counts[c] for c in others] == list(whole.counts)
    assert torch.allclose(gaussians.factor @ gaussians.factor.T, whole.factor @ whole.factor.T, rtol=0.01, atol=1e-4)
