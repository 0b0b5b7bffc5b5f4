"""A new class that comes nine rows at a time is judged as soon as ten of its rows are there, whatever batch brought
them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.contract.enums import Outcome
from service.contract.inputs import Architecture, VectorInput
from service.contract.reports.class_report import Report
from service.learning.evaluation.classes.class_assessment import ClassPast
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.methods import resolve
from service.learning.run import Run
from tests.learning.memory_data import MemoryData
from tests.learning.samples import load_digits
from tests.updating import make_rows, run_update

INPUT = VectorInput(kind="vector", size=64)
METHOD, PARAMS = resolve({"name": "ridge", "lift": "relu", "width": 128})
DIGITS = load_digits()
BATCHES = 4


def series(digit: str, name: str, seed: int, known: bool) -> list[Report]:
    """Reports of batches of nine rows of a digit under a name, each learned on the one before, until one is not
    promoted. The first version knows 600 rows; of that digit as well where it is `known`."""
    order = np.random.default_rng(seed).permutation(len(DIGITS.target))
    inputs, labels = DIGITS.data[order].astype(np.float32), DIGITS.target[order].astype(str).astype(object)
    early = np.flatnonzero((labels != digit) | known)[:600]
    later = np.setdiff1d(np.flatnonzero(labels == digit), early)
    history = [make_rows("bat_0", inputs[early], list(labels[early]), b"secret")]
    made = run_update(None, MemoryData(INPUT, Architecture(), [], history[0]), METHOD, PARAMS, Run(), ClassContext())
    bits, reports = [(1, made.bits)], list[Report]()
    for k in range(BATCHES):
        nine = later[9 * k : 9 * k + 9]
        counts = {c: sum(rows.counts().get(c, 0) for rows in history) for c in [name]}
        batch = make_rows(f"bat_{k + 1}", inputs[nine], [name] * 9, b"secret", learning_rows=counts)
        context = ClassContext(live=k + 1, past=ClassPast(correctness=bits))
        made = run_update(
            made.checkpoint, MemoryData(INPUT, Architecture(), history, batch), METHOD, PARAMS, Run(), context
        )
        reports.append(made.report)
        if made.report.gate.outcome is not Outcome.PASS:
            break
        history.append(batch)
        bits.append((k + 2, made.bits))
    return reports


def test_a_few_rows_at_a_time_are_learned_beside_a_class_all_of_whose_rows_judge() -> None:
    order = np.random.default_rng(0).permutation(len(DIGITS.target))
    inputs, labels = DIGITS.data[order].astype(np.float32), DIGITS.target[order].astype(str).astype(object)
    known = np.flatnonzero(~np.isin(labels, ["8", "9"]))[:400]
    rare, later = np.flatnonzero(labels == "9")[:2], np.flatnonzero(labels == "8")[:18]
    first = make_rows("bat_0", inputs[[*known, *rare]], [*labels[known], "nine", "nine"], b"secret")
    judging = np.isin(np.arange(len(first)), [400, 401])
    first = replace(first, folds=np.where(judging, 0, first.folds), lent=first.lent | judging)
    history, bits = [first], []
    made = run_update(None, MemoryData(INPUT, Architecture(), [], first), METHOD, PARAMS, Run(), ClassContext())
    for k in range(2):
        bits.append((k + 1, made.bits))
        nine = later[9 * k : 9 * k + 9]
        batch = make_rows(f"bat_{k + 1}", inputs[nine], ["8"] * 9, b"secret", learning_rows={"8": 9 * k})
        context = ClassContext(live=k + 1, past=ClassPast(correctness=list(bits)))
        data = MemoryData(INPUT, Architecture(), list(history), batch)
        made = run_update(made.checkpoint, data, METHOD, PARAMS, Run(), context)
        history.append(batch)
    assert made.report.gate.outcome is Outcome.PASS, made.report.gate.why


def outcomes(reports: Sequence[Report]) -> list[Outcome]:
    return [report.gate.outcome for report in reports]


@pytest.mark.long
def test_an_old_class_under_a_new_name_is_held_though_a_few_rows_come_at_a_time() -> None:
    every = {digit: series(digit, "another", int(digit), known=True) for digit in "0123456789"}
    assert sum(len(reports) for reports in every.values()) <= 25, "most are held with their second batch"
    last = {digit: reports[-1] for digit, reports in every.items()}
    assert Outcome.PASS not in {report.gate.outcome for report in last.values()}
    renamed = {digit: report.gate.rules[12] for digit, report in last.items() if report.gate.rules[12].severity}
    assert len(renamed) >= 6, "of the others rule 3 is sure first"
    for digit, rule in renamed.items():
        assert f'"{digit}"' in rule.why
        assert 'the earlier batches that brought "another"' in rule.why


@pytest.mark.parametrize("digit", "0123456789")
def test_a_class_of_its_own_goes_live_a_few_rows_at_a_time(digit: str) -> None:
    reports = series(digit, digit, int(digit), known=False)
    assert outcomes(reports) == [Outcome.PASS] * BATCHES, reports[-1].gate.why
