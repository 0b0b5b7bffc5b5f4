"""In a table of few different rows hardly any are trusted, since rows that are alike fall into one fold: what earlier
batches showed tells shuffled labels from what is usual."""

from __future__ import annotations

import numpy as np
import pytest

from service.contract.enums import Outcome
from service.contract.inputs import Architecture, VectorInput
from service.contract.reports.class_report import Report
from service.learning.data.rows import Rows
from service.learning.evaluation.classes.class_assessment import ClassPast
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.evaluation.context import Candidate
from service.learning.methods import resolve
from service.learning.run import Run
from service.worker.assignment import Shown
from tests.learning.memory_data import MemoryData
from tests.updating import make_rows, run_update

INPUT = VectorInput(kind="vector", size=5)
METHOD, PARAMS = resolve({"name": "ridge", "lift": "relu", "width": 128})


def guests(batch: str, n: int, seed: int, secret: bytes, noise: float, shuffled: bool = False) -> Rows:
    """Nights, whether it is paid and three cities: 84 different rows. Who comes back follows from them."""
    random = np.random.default_rng(seed)
    nights, city, paid = random.integers(1, 15, n), random.integers(0, 3, n), random.random(n) < 0.5
    returns = (((nights > 7) & paid) | (city == 1)) ^ (random.random(n) < noise)
    if shuffled:
        random.shuffle(returns)
    inputs = np.c_[nights, paid, np.eye(3)[city]].astype(np.float32)
    return make_rows(batch, inputs, ["returns" if each else "leaves" for each in returns], secret)


def third(secret: bytes, shuffled: bool) -> Report:
    """The report of a third batch, after two right ones."""
    history = [guests("bat_0", 400, 1, secret, 0.0), guests("bat_1", 300, 2, secret, 0.03)]
    first = learned(None, [], history[0], ClassContext())
    second = learned(first, history[:1], history[1], ClassContext(live=1, past=ClassPast([(1, first.bits)])))
    found = second.report.batch
    shown = [Shown(version=1, rows=found.familiar, conflicts=found.conflicts, evidence=found.evidence)]
    past = ClassPast([(1, first.bits), (2, second.bits)], [found.evidence], shown)
    sent = guests("bat_2", 300, 3, secret, 0.03, shuffled)
    return learned(second, history, sent, ClassContext(live=2, past=past)).report


def learned(base: Candidate | None, history: list[Rows], batch: Rows, context: ClassContext) -> Candidate:
    data = MemoryData(INPUT, Architecture(), history, batch)
    return run_update(base and base.checkpoint, data, METHOD, PARAMS, Run(), context)


@pytest.mark.parametrize("secret", [b"s4", b"s9"])  # with these hardly any row is trusted
def test_shuffled_labels_are_rejected_and_right_ones_are_not(secret: bytes) -> None:
    report = third(secret, shuffled=True)
    assert report.gate.outcome is Outcome.FAIL
    assert report.gate.why.startswith("Rejected: the labels look shuffled.")
    assert third(secret, shuffled=False).gate.outcome is Outcome.PASS
