"""Matrices in parts: an update of many classes takes less memory than three of rows by classes, and says the same."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from service.contract.inputs import Architecture, VectorInput
from service.learning.data import matrices
from service.learning.data.rows import Rows
from service.learning.evaluation.classes.class_answers import Answers, softmax
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import Candidate
from service.learning.methods import resolve
from service.learning.run import Run
from tests.learning.memory_data import MemoryData
from tests.updating import make_rows, run_update

WIDTH = 16


def rows_of(classes: int, batch: str, seed: int, rows: int = 4) -> Rows:
    centres = np.random.default_rng(0).normal(size=(classes, WIDTH))
    labels = np.repeat(np.arange(classes), rows)
    inputs = centres[labels] + np.random.default_rng(seed).normal(0, 0.1, (len(labels), WIDTH))
    return make_rows(batch, inputs.astype(np.float32), [f"class {k}" for k in labels], b"secret")


def learned(batch: Rows, before: Candidate | None = None, history: Rows | None = None) -> Candidate:
    method, params = resolve({"name": "ridge", "discriminants": True, "lift": "none"})
    data = MemoryData(VectorInput(kind="vector", size=WIDTH), Architecture(), [history] if history else [], batch)
    return run_update(before.checkpoint if before else None, data, method, params, Run(), ClassContext(live=1))


@pytest.mark.long
def test_many_classes_take_less_memory_than_three_matrices_of_rows_by_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices, "LARGE", 2**18)
    monkeypatch.setattr(matrices, "PART", 2**16)
    classes = 600
    batch = rows_of(classes, "bat_0", 1)
    tracemalloc.start()
    learned(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 8 * len(batch) * classes


def test_matrices_in_parts_say_what_whole_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = rows_of(40, "bat_0", 1, rows=12), rows_of(60, "bat_1", 2, rows=6)

    def both() -> list[Candidate]:
        one = learned(first)
        return [one, learned(second, one, first)]

    whole = both()
    monkeypatch.setattr(matrices, "LARGE", 500)
    monkeypatch.setattr(matrices, "PART", 400)
    for at_once, parted in zip(whole, both(), strict=True):
        assert at_once.ledger_digest == parted.ledger_digest
        assert [r.why for r in at_once.report.gate.rules] == [r.why for r in parted.report.gate.rules]
        for part, tensors in at_once.checkpoint.parts.items():
            for name, tensor in tensors.items():
                assert np.allclose(tensor.numpy(), parted.checkpoint.parts[part][name].numpy(), rtol=1e-6, atol=1e-9)


def test_the_best_of_a_row_is_the_first_by_name_also_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).integers(0, 3, (50, 7)).astype(np.float64)
    logits[3] = np.nan
    whole = softmax(tuple("gfedcba"), logits)
    expected = (whole.best.copy(), whole.judged.copy(), whole.right(rows_of(2, "bat_0", 0, rows=25)).copy())
    monkeypatch.setattr(matrices, "LARGE", 10)
    monkeypatch.setattr(matrices, "PART", 20)
    parted = softmax(tuple("gfedcba"), logits)
    assert parted.probabilities.dtype == np.float32
    assert np.array_equal(parted.best, expected[0])
    assert np.array_equal(parted.judged, expected[1])
    assert parted.best[3] == -1
    assert parted.over("gfe").classes == ("g", "f", "e")
    assert np.shares_memory(parted.over("gfe").probabilities, parted.probabilities)
    assert parted.take(np.arange(50)) is parted, "all rows are no copy"
    assert len(Answers(("a",), np.zeros((0, 1))).best) == 0
