"""Targets whose order nothing in their rows tells: shuffled, or less ordered than usual."""

from __future__ import annotations

import numpy as np

from service.contract.enums import Outcome
from service.contract.reports.facts import BY_CHANCE, GateReport
from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.gate.numbers.number_measurements import OwnOrder
from tests.learning.evaluation.numbers.batches import ROWS, Stream, fired, why


def test_shuffled_targets_are_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, stream.random.permutation(targets))
    assert report.why.startswith("Rejected: the targets look shuffled: a model of these 96 rows alone predicts")
    assert fired(report)["unlearnable"] == "rejected"
    alone = stream.random.permutation(stream.assessment(inputs, targets).alone)
    report = stream.judged(inputs, targets, alone=alone)
    assert fired(report) == {"unlearnable": "rejected", "disagrees_broadly": "held"}, "though errors are as usual"
    assert "where in the last batches it was 0.9" in report.why


def test_shuffled_targets_are_rejected_though_nothing_surprises_yet() -> None:
    """The base errs a little, so errors are 1.5 times as large as usual at most."""
    for batches, seed in ((batches, seed) for batches in (0, 1) for seed in range(4)):
        early = Stream(batches=batches, noise=0.8, seed=seed)
        inputs, targets = early.draw(200)
        assert early.judged(inputs, targets).outcome is Outcome.PASS
        report = early.judged(inputs, early.random.permutation(targets))
        assert fired(report).get("unlearnable") == "rejected", (batches, seed)
        assert report.why.startswith(
            "Rejected: the targets look shuffled: a model of these 200 rows alone predicts the order"
        )
        few, shuffled = inputs[:12], early.random.permutation(targets[:12])
        assert "unlearnable" not in fired(early.judged(few, shuffled)), "12 rows would not show the usual order"


def test_shuffled_batches_are_no_evidence_where_something_always_said_what_targets_are(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    shuffled = stream.random.permutation(targets)
    again = [list(figures_of(stream.assessment(inputs, shuffled)))] * 5
    assert stream.measured(inputs, shuffled, stopped=again).stopped is None
    assert stream.judged(inputs, shuffled, stopped=again).outcome is Outcome.FAIL


def test_an_order_that_so_few_rows_lose_by_chance_is_not_lost(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    def judged(rows: int, p: float = 0.2, least: float | None = 0.35) -> GateReport:
        return stream.judged_with(batch, rows=rows, own=OwnOrder(value=0.05, p=p, least=least))

    assert fired(judged(40)) == {}
    assert "(0.35 at least) do not show that this is lost and not chance, so it" in why(judged(40), "unlearnable")
    assert "No batch before shows" in why(judged(96, least=None), "unlearnable")
    assert why(judged(96, p=1e-9), "unlearnable").endswith(f"That is more than chance gives, {BY_CHANCE}")
    assert fired(judged(96)) == {"unlearnable": "rejected"}


def test_targets_that_follow_their_rows_less_than_usual_are_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """A head of the batch alone tells it, whatever the base expects; one of fewer rows finds less anyway."""
    inputs, targets = batch
    some = np.array(stream.assessment(inputs, targets).alone)
    some[: ROWS // 2] = stream.random.permutation(some[: ROWS // 2])
    report = stream.judged(inputs, targets, alone=some)
    assert fired(report) == {"disagrees_broadly": "held"}
    assert report.why.startswith(
        "Held: the targets follow the rows less than usual: a model of these 96 rows alone predicts the order of "
    )
    assert ", usually 0.9" in report.why
    few = slice(18, 78)
    assert fired(stream.judged(inputs[few], targets[few], alone=some[few])) == {}
