"""Streams that move: judged by their latest batches they stay live, and no shifted batch is rejected without a word."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from service.contract.enums import Outcome
from service.contract.inputs import Architecture, RangeScale, VectorInput
from service.contract.policy import GatePolicy
from service.contract.reports.class_report import Report
from service.learning.data.rows import Rows
from service.learning.evaluation.classes.class_assessment import ClassPast
from service.learning.evaluation.classes.examine_classes import ClassContext
from service.learning.gate.classes.class_measurements import Contradiction, Harm, Measured
from service.learning.gate.classes.class_rules import forgets, moved_on
from service.learning.methods import resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.statistics import Paired
from tests.learning.memory_data import MemoryData
from tests.learning.samples import digits
from tests.updating import make_rows, run_update

INPUT = VectorInput(kind="vector", size=64, scale=RangeScale(range=(0, 16)))
SECRET = b"a stream that moves"
WEEKS, WEEK = 12, 110
RECENT = GatePolicy.model_validate({"trusted": "recent", "recent_batches": 3})


def turned(images: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Digits, ever more askew."""
    from scipy.ndimage import rotate

    askew = rotate(images.reshape(-1, 8, 8), degrees, axes=(1, 2), reshape=False, order=1, mode="constant")
    return np.clip(askew, 0, 16).reshape(-1, 64).astype(np.float32)


@cache
def lived(trusted: str, decay: float) -> tuple[tuple[Report, ...], Checkpoint]:
    """A stream that turns by 150 degrees in twelve batches; only what the gate passes goes on."""
    X, y, _, _ = digits()
    policy = RECENT if trusted == "recent" else GatePolicy()
    method, params = resolve({"name": "ridge", "lift": "none", "decay": decay})
    base, live, history, reports, past = None, None, list[Rows](), list[Report](), ClassPast()
    for k in range(WEEKS):
        rows = slice(k * WEEK, (k + 1) * WEEK)
        batch = make_rows(f"bat_{k:02d}", turned(X[rows], k * 150 / (WEEKS - 1)), y[rows], SECRET)
        data = MemoryData(INPUT, Architecture(), history, batch)
        made = run_update(base, data, method, params, Run(), ClassContext(policy=policy, past=past, live=live))
        reports.append(made.report)
        if made.report.gate.outcome is Outcome.PASS:
            base, live, history = made.checkpoint, k, [*history, batch]
            past = ClassPast(
                correctness=[*past.correctness, (k, made.bits)], evidence=[*past.evidence, made.report.batch.evidence]
            )
    assert base is not None
    return tuple(reports), base


@pytest.mark.long
def test_a_stream_that_moves_stays_live_where_recent_rows_alone_are_trusted() -> None:
    reports, _ = lived("recent", 0.5)
    outcomes = Counter(report.gate.outcome for report in reports)
    assert outcomes[Outcome.PASS] >= WEEKS - 2, [r.gate.why for r in reports if r.gate.outcome is not Outcome.PASS]
    assert outcomes[Outcome.FAIL] == 0
    held_back = Counter(report.gate.outcome for report in lived("all", 0.5)[0])
    assert outcomes[Outcome.PASS] > held_back[Outcome.PASS], "its whole past would hold it back"


def test_older_rows_are_reported_and_not_judged() -> None:
    reports, _ = lived("recent", 0.5)
    last = reports[-1]
    assert last.older.rows > 0
    assert last.older.after is not None
    assert last.before.rows <= 3 * WEEK * 0.3, "the judging rows of three batches"
    assert last.older.after < last.before.accuracy - 0.1, "that past is forgotten, as it should be"
    assert reports[1].older.rows == 0
    assert lived("all", 1.0)[0][-1].older is None
    assert not last.exact
    assert lived("all", 1.0)[0][-1].exact


def test_what_recent_rows_lose_is_excused_only_by_what_the_newest_win() -> None:
    harm = Harm(rows=200, masked=Paired(200, worse=30, better=10))
    won, lost = Paired(100, worse=5, better=30), Paired(100, worse=10, better=12)

    def measured(own: Paired | None) -> Measured:
        return Measured(live=1, harm=harm, own=own, contradiction=Contradiction(0, 0, 0.0, 0))

    for own in (won, Paired(300, worse=10, better=34)):  # 8 points won for 10 lost: as many, within chance
        assert moved_on(measured(own), RECENT)
    for own in (lost, None, Paired(20, 0, 9), Paired(300, worse=2, better=12)):
        assert not moved_on(measured(own), RECENT)
    assert not moved_on(measured(won), GatePolicy())
    assert forgets(measured(won), RECENT).fires is None
    assert "follows the newer rows" in forgets(measured(won), RECENT).what
    assert forgets(measured(won), GatePolicy()).fires is not None
    assert forgets(measured(lost), RECENT).fires is not None


@pytest.mark.parametrize("shift", ["one pixel", "two pixels", "dim", "inverted", "transposed"])
def test_a_batch_of_another_domain_is_promoted_or_waits_for_a_person(shift: str) -> None:
    X, y, _, _ = digits()
    method, params = resolve({"name": "ridge", "lift": "relu", "width": 128})
    outcomes = Counter[Outcome]()
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(y))[:600]
        images, labels = X[order], [y[k] for k in order]
        first = make_rows("bat_0", images[:400], labels[:400], f"secret {seed}".encode())
        data = MemoryData(INPUT, Architecture(), [], first)
        base = run_update(None, data, method, params, Run(), ClassContext()).checkpoint
        moved = make_rows("bat_1", shifted(images[400:], shift), labels[400:], f"secret {seed}".encode())
        data = MemoryData(INPUT, Architecture(), [first], moved)
        report = run_update(base, data, method, params, Run(), ClassContext(live=1)).report
        outcomes[report.gate.outcome] += 1
        if report.gate.outcome is Outcome.UNDECIDED:
            assert report.batch.notes or report.batch.disputes or "unlike anything" in report.gate.why
    assert outcomes[Outcome.FAIL] == 0
    assert outcomes[Outcome.PASS] >= 4


def shifted(images: NDArray[np.float32], how: str) -> NDArray[np.float32]:
    square = images.reshape(-1, 8, 8)
    made = {
        "one pixel": lambda: np.roll(square, 1, 2),
        "two pixels": lambda: np.roll(square, 2, 2),
        "dim": lambda: square * 0.4,
        "inverted": lambda: 16 - square,
        "transposed": lambda: square.transpose(0, 2, 1),
    }[how]()
    return np.ascontiguousarray(made.reshape(-1, 64), np.float32)
