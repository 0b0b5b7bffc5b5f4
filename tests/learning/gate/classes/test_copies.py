"""Copies of rows that are known already, sent along, take no evidence from the gate: they may all be of one group,
which is learned as a whole, so that every trusted row has a copy that the new version learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from service.contract.enums import Outcome
from service.contract.inputs import Architecture, VectorInput
from service.contract.reports.class_report import Report
from service.learning.data.rows import Known, Rows, rows_of
from service.learning.data.sides import Folding, settle
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.methods import resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from tests.learning.memory_data import MemoryData
from tests.learning.samples import load_digits
from tests.updating import run_update

INPUT = VectorInput(kind="vector", size=64)
METHOD, PARAMS = resolve({"name": "ridge", "lift": "relu", "width": 256})
DIGITS = load_digits()
ORDER = np.random.default_rng(0).permutation(len(DIGITS.target))
INPUTS = DIGITS.data[ORDER].astype(np.float32)
LABELS = DIGITS.target[ORDER].astype(str).astype(object)
SECRET = b"secret"
FOLDING = settle(Folding(input=INPUT), INPUTS[:900], list(LABELS[:900]), SECRET)
KNOWN = 900


def fallen(batch: str, inputs: NDArray[np.float32], labels: Sequence[str], groups: Sequence[str] | None) -> Rows:
    return rows_of(batch, inputs, list(labels), SECRET, Known(groups=groups, folding=FOLDING))


HISTORY = fallen("bat_0", INPUTS[:KNOWN], LABELS[:KNOWN], None)


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    data = MemoryData(INPUT, Architecture(), [], HISTORY)
    return run_update(None, data, METHOD, PARAMS, Run(), ClassContext()).checkpoint


def learning_group() -> str:
    """A name whose rows are learned."""
    for k in range(20):
        if fallen("bat_1", INPUTS[:1], LABELS[:1], [f"g{k}"]).learning.all():
            return f"g{k}"
    raise AssertionError("twenty names fall among those that judge")


def sent(base: Checkpoint, inputs: NDArray[np.float32], labels: Sequence[str], grouped: bool) -> Report:
    groups = [learning_group()] * (KNOWN + len(labels)) if grouped else None
    inputs, every = np.concatenate([INPUTS[:KNOWN], inputs]), [*LABELS[:KNOWN], *labels]
    data = MemoryData(INPUT, Architecture(), [HISTORY], fallen("bat_1", inputs, every, groups))
    return run_update(base, data, METHOD, PARAMS, Run(), ClassContext(live=1)).report


@pytest.mark.parametrize("grouped", [True, False])
def test_wrong_labels_are_held_though_copies_of_all_that_is_known_come_along(base: Checkpoint, grouped: bool) -> None:
    labels = LABELS[KNOWN : KNOWN + 500].copy()
    labels[labels == "4"] = "5"
    report = sent(base, INPUTS[KNOWN : KNOWN + 500], labels, grouped)
    assert report.gate.outcome is not Outcome.PASS
    assert any('"4"' in rule.why for rule in report.gate.rules if rule.severity)
    assert report.after.rows > 150


@pytest.mark.parametrize("grouped", [True, False])
def test_a_renamed_class_is_held_though_copies_of_all_that_is_known_come_along(base: Checkpoint, grouped: bool) -> None:
    sevens = INPUTS[KNOWN:][LABELS[KNOWN:] == "7"][:100]
    report = sent(base, sevens, ["seven"] * len(sevens), grouped)
    assert report.gate.outcome is not Outcome.PASS
    assert report.gate.rules[12].severity, report.gate.rules[12].why


def test_it_is_said_that_copies_judge(base: Checkpoint) -> None:
    report = sent(base, INPUTS[KNOWN:950], LABELS[KNOWN:950], True)
    assert report.gate.outcome is Outcome.PASS
    assert any("copies of 1" in note and "may be too high" in note for note in report.notes)


def test_copies_under_another_label_do_not_keep_their_rows_from_judging(base: Checkpoint) -> None:
    trusted = HISTORY.take(HISTORY.judging)
    fours = trusted.codes(["4"]) == 0
    copies = trusted.inputs[fours][: int(fours.sum()) // 3]
    inputs = np.concatenate([INPUTS[KNOWN : KNOWN + 300], copies]).astype(np.float32)
    labels = [*LABELS[KNOWN : KNOWN + 300], *["5"] * len(copies)]
    group = learning_group()
    batch = fallen("bat_1", inputs, labels, [group] * len(labels))
    data = MemoryData(INPUT, Architecture(), [HISTORY], batch)
    report = run_update(base, data, METHOD, PARAMS, Run(), ClassContext(live=1)).report
    assert report.after.classes["4"].rows == int(fours.sum())
    assert report.batch.near_trusted >= len(copies)


def test_where_all_that_is_known_is_of_one_group_contradictions_are_held_all_the_same() -> None:
    """No row of it can judge, so no rule knows what is usual; honest rows pass, since the base answers most of them."""
    one = fallen("bat_0", INPUTS[:KNOWN], LABELS[:KNOWN], [learning_group()] * KNOWN)
    first = run_update(
        None, MemoryData(INPUT, Architecture(), [], one), METHOD, PARAMS, Run(), ClassContext()
    ).checkpoint
    turned = [str((int(label) + 1) % 10) for label in LABELS[KNOWN:]]
    drawn = list(np.random.default_rng(0).permutation(LABELS[KNOWN:]))
    for labels, passes in ((list(LABELS[KNOWN:]), True), (turned, False), (drawn, False)):
        data = MemoryData(INPUT, Architecture(), [one], fallen("bat_1", INPUTS[KNOWN:], labels, None))
        gate = run_update(first, data, METHOD, PARAMS, Run(), ClassContext(live=1)).report.gate
        assert (gate.outcome is Outcome.PASS) is passes, gate.why
        if not passes:
            assert "say something else than version 1, and none of the rows it learned can judge" in gate.why
