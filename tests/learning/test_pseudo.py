"""Pseudo-features have the mean and the spread that the ledger knows."""

from __future__ import annotations

import numpy as np
import torch

from service.learning.features import Space, identity_network
from service.learning.frame import Frame
from service.learning.preprocessing import InputScale
from service.learning.pseudo import Gaussians
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
    found = Gaussians.of_ledger(known.ledger(room), frame, (64,))
    rows = known.kept().take(known.kept().learning)
    x, labels = rows.inputs.astype(float) / 8 - 1, np.array(rows.label_names())
    for k, name in enumerate(found.classes):
        assert found.counts[k] == (labels == name).sum()
        assert np.allclose(found.means[k], x[labels == name].mean(0), atol=1e-3)
    centred = np.concatenate([x[labels == c] - x[labels == c].mean(0) for c in found.classes])
    spread = centred.T @ centred / (len(x) - 10)
    assert np.allclose(found.factor @ found.factor.T, spread, atol=1e-3)


def test_as_many_as_were_seen_and_no_more_than_asked_for() -> None:
    known, room = data(), space()
    found = Gaussians.of_ledger(known.ledger(room), Frame.none(room.width, room.shift), (64,))
    classes = [str(c) for c in reversed(range(10))]
    drawn = found.draw(65, classes, torch.Generator().manual_seed(0))
    counts = drawn.y.bincount().tolist()
    assert counts == [min(65, found.counts[found.classes.index(c)]) for c in classes]
    again = found.draw(65, classes, torch.Generator().manual_seed(0))
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
