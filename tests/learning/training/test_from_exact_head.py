"""Training that goes on from an exact head knows nothing of the rows by which its strength is chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from service.learning.methods.freeze import ridge
from service.learning.run import Run
from service.learning.training.learner import Learner
from tests.learning.samples import digits, stream


def test_selecting_rows_have_no_part_in_where_training_starts() -> None:
    d, directions, judges = digits(), [], []
    for swapped in (False, True):
        s = stream()
        data = s.data(d.X[:400], d.y[:400])
        rows = data.batch
        if swapped:
            labels = np.where(rows.selecting, (rows.labels + 1) % len(rows.names), rows.labels)
            data.batch = rows = replace(rows, labels=labels)
        params = ridge.Params(alpha=0.1, lift="none", discriminants=True)
        base = ridge.update(None, data, params, Run()).checkpoint
        s.history.append(rows)
        weight = next(iter(Learner.start(base, s.data(d.X[400:500], d.y[400:500]), Run()).body.head)).weight.detach()
        by_name = np.argsort(base.classes)
        directions.append((weight / weight.norm())[by_name])
        judges.append(base.parts["judge"]["weight"][by_name])
    assert torch.allclose(*directions, atol=1e-5)
    assert not torch.allclose(*judges, atol=1e-3)
