"""Rows without a label change nothing that is learned; the report says how strange they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from service.errors import MethodRefused
from service.learning.data.rows import Array
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import Candidate
from service.learning.methods import METHODS, resolve
from service.learning.run import Run
from tests.learning.memory_data import SECRET, MemoryData
from tests.updating import make_rows, run_update

SPEC = VectorInput.model_validate({"kind": "vector", "size": 4, "scale": {"range": [-8, 8]}})


def corners(seed: int, n: int = 90) -> tuple[Array, list[str]]:
    labels = np.arange(n) % 3
    noise = np.random.default_rng(seed).normal(0, 0.7, (n, 4))
    return (5 * np.eye(4)[labels] + noise).astype(np.float32), [str(k) for k in labels]


def second_update(unlabelled: Array | None) -> Candidate:
    """What a second batch comes to on top of a first one."""
    ridge = METHODS["ridge"]
    params = ridge.Params.model_validate({"lift": "none"})
    first = make_rows("bat_1", *corners(0), SECRET)
    base = run_update(
        None, MemoryData(SPEC, Architecture(), [], first), ridge, params, Run(), ClassContext()
    ).checkpoint
    data = MemoryData(SPEC, Architecture(), [first], make_rows("bat_2", *corners(1), SECRET), unlabelled)
    return run_update(base, data, ridge, params, Run(), ClassContext(live=1))


def test_they_are_reported_and_learned_by_nobody() -> None:
    alike, strange = corners(2, 60)[0], np.full((40, 4), -7, np.float32)
    with_them, without = second_update(np.concatenate([alike, strange])), second_update(None)
    batch = with_them.report.batch
    assert batch.unlabelled == 100
    assert batch.unlabelled_unfamiliar_share is not None
    assert 0.38 <= batch.unlabelled_unfamiliar_share <= 0.5
    assert "100 rows came without a label" in batch.notes[-1]
    assert "would help most" in batch.notes[-1]
    assert (without.report.batch.unlabelled, without.report.batch.unlabelled_unfamiliar_share) == (0, None)
    assert with_them.ledger_digest == without.ledger_digest
    for part, tensors in with_them.checkpoint.parts.items():
        assert all(torch.equal(t, without.checkpoint.parts[part][name]) for name, t in tensors.items())


def test_without_anything_learned_nothing_is_called_strange() -> None:
    ridge = METHODS["ridge"]
    data = MemoryData(SPEC, Architecture(), [], make_rows("bat_1", *corners(0), SECRET), corners(1, 1)[0])
    params = ridge.Params.model_validate({"lift": "none"})
    report = run_update(None, data, ridge, params, Run(), ClassContext()).report
    assert (report.batch.unlabelled, report.batch.unlabelled_unfamiliar_share) == (1, None)
    assert report.batch.notes[-1].startswith("1 row came without a label")


@pytest.mark.parametrize("rows_of_a_base", [True, False])
def test_mas_can_do_with_them_alone(rows_of_a_base: bool) -> None:
    first = make_rows("bat_1", *corners(0), SECRET)
    method, params = resolve({"name": "mas"})
    architecture = Architecture(backbone=MlpBackbone(name="mlp", hidden=[8]))
    base = None
    if rows_of_a_base:
        base = run_update(
            None, MemoryData(SPEC, architecture, [], first), method, params, Run(), ClassContext()
        ).checkpoint
    nothing = first.take(np.zeros(len(first), bool))
    data = MemoryData(SPEC, architecture, [first] if base else [], nothing, corners(2)[0])
    if base is None:
        with pytest.raises(MethodRefused, match="label"):
            run_update(base, data, method, params, Run(), ClassContext())
        return
    candidate = run_update(base, data, method, params, Run(), ClassContext(live=1))
    assert candidate.checkpoint.classes == base.classes
    assert candidate.report.batch.unlabelled == 90
    assert candidate.report.method["sensitivity"]["unlabelled"] == 90
    for part in ("backbone.0", "head.0"):
        for name, tensor in candidate.checkpoint.parts[part].items():
            assert torch.equal(tensor, base.parts[part][name])
