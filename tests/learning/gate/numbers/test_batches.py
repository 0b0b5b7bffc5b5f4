"""What the gate says of a batch as it is: honest ones pass, whatever their size and scale; strange targets do not."""

from __future__ import annotations

import numpy as np

from service.contract.enums import Outcome
from service.contract.figures import amount
from service.contract.number_policy import NumberPolicy
from service.contract.reports.facts import BY_CHANCE
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import Floats
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.numbers.batch.recent_batches import farthest, outlying
from service.learning.evaluation.numbers.measure_numbers import measure
from service.learning.gate.numbers.number_gate import NUMBER_RULES
from service.learning.gate.numbers.number_measurements import Beside
from tests.learning.evaluation.numbers.batches import ROWS, Stream, fired, rows, why


def test_honest_batches_pass(stream: Stream) -> None:
    for seed in range(8):
        stream.random = np.random.default_rng(seed)
        report = stream.judged(*stream.draw((ROWS, 40, 500, 7)[seed % 4]))
        assert report.outcome is Outcome.PASS, report.why
        assert [(r.number, r.name) for r in report.rules] == sorted((n, name) for n, name, _ in NUMBER_RULES)


def test_every_rule_but_sound_has_its_part_of_the_policy() -> None:
    more = {"trusted", "recent_batches", "moved"}
    assert {name for _, name, _ in NUMBER_RULES} == {*NumberPolicy.model_fields, "sound"} - more


def test_the_size_of_targets_changes_nothing() -> None:
    for level, spread in ((0.0, 1e-9), (3e-9, 1e-9), (-1e12, 1e12), (1e12, 1e9), (5.0, 1.0)):
        for seed in range(3):
            stream = Stream(level, spread, seed=seed)
            inputs, targets = stream.draw(ROWS)
            assert stream.judged(inputs, targets).outcome is Outcome.PASS, (level, spread, seed)
            assert stream.judged(inputs, 1000 * targets + 50 * spread).outcome is Outcome.FAIL, (level, spread, seed)
    stream = Stream(5.0, 0.0)
    inputs, targets = stream.draw(ROWS)
    assert stream.judged(inputs, targets).outcome is Outcome.PASS, "constant targets stay so"
    assert stream.judged(inputs, 10 * targets).outcome is Outcome.FAIL


def test_logarithms_and_differences_are_judged_as_they_are_learned() -> None:
    for target, level, spread, most in (({"scale": "log"}, 5.0, 1.0, 1e6), ({"from": 1}, 0.0, 20.0, 2e6)):
        stream = Stream(level, spread, target=NumberTarget.model_validate({"kind": "number", **target}))
        inputs, targets = stream.draw(ROWS)
        assert stream.judged(inputs, targets).outcome is Outcome.PASS, target
        assert "divided by 100 they fit version 7" in stream.judged(inputs, targets * 100).why, target
        targets = targets.copy()
        targets[:4] *= 1e4
        report = stream.judged(inputs, targets)
        assert report.outcome is not Outcome.PASS, target
        expected = why(report, "outliers").split("expects ")[1].split(")")[0].replace(",", "")
        assert 1 < float(expected) < most, target


def test_with_several_numbers_a_row_the_worst_decides() -> None:
    target = NumberTarget(kind="number", size=3, names=["north", "mid", "south"])
    stream = Stream(target=target)
    inputs, targets = stream.draw(ROWS)
    honest = stream.judged(inputs, targets)
    assert honest.outcome is Outcome.PASS, honest.why
    wrong = targets.copy()
    wrong[:, 2] /= 100
    report = stream.judged(inputs, wrong)
    assert 'targets of "south" look 100 times too small: multiplied by 100 they fit version 7.' in report.why
    assert len(report.rules) == len(NUMBER_RULES)
    raw = measure(stream.assessment(inputs, wrong)).numbers
    assert [n.name for n in raw] == ["north", "mid", "south"]


def test_few_rows_are_judged_without_harm(stream: Stream) -> None:
    stream.random = np.random.default_rng(5)
    for n in range(4):
        inputs, targets = stream.draw(n)
        report = stream.judged(inputs, targets)
        assert report.outcome is Outcome.PASS, n
        assert np.isfinite([r.value for r in report.rules if r.value is not None]).all(), n
    assert "one_value" not in fired(stream.judged(inputs, np.full_like(targets, targets.mean()))), "of three rows"


def test_one_value_for_all_is_rejected_and_an_expected_one_is_not(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, np.full_like(targets, 104))
    assert report.why.startswith("Rejected: all 96 targets are 104, where hardly any would be usual. Version 7")
    a = stream.assessment(inputs, targets)
    # four tenths of all targets are one value, and the base knows which
    night = np.arange(len(a.trusted))[:, None] % 5 < 2
    goals, dark = np.where(night, -9.0, a.trusted_goals), np.full_like(a.batch_goals, -9.0)
    answers = ExamAnswers(goals, dark)
    known = rows(np.where(night, 100.0, a.trusted.targets), "old")
    of_batch = {"batch": rows(np.full_like(targets, 100.0), "new"), "batch_goals": dark}
    common = stream.measured(
        inputs, targets, trusted=known, trusted_goals=goals, **of_batch, base=answers, candidate=answers
    )
    assert (common.commonest.share, common.commonest.usual) == (1.0, 1.0)


def test_targets_far_from_any_usual_error_are_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, 400 - 3 * targets)
    assert fired(report)["contradicts_everything"] == "rejected"
    assert "times as far as usual from what version 7 expects (off by" in report.why
    assert "Do rows and targets still belong together?" in report.why
    passed = stream.judged_with(batch, mean=Beside(10.2, 1.0, 0.03), median=Beside(11.0, 1.0, 0.02))
    assert fired(passed) == {}
    for name, p in (("contradicts_everything", "0.03"), ("disagrees_broadly", "0.02")):
        assert why(passed, name).endswith(
            f"10 times as large as usual. So much more may be chance (p = {p}), {BY_CHANCE}"
        )


def test_a_few_targets_far_out_are_held_and_listed(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    targets = targets.copy()
    targets[[41, 60, 70, 71], 0] = 1190, 500, 300, -200
    report = stream.judged(inputs, targets)
    assert fired(report)["outliers"] == "held"
    a = stream.assessment(inputs, targets)
    assert farthest(a, 100) == [(41, 0), (60, 0), (71, 0), (70, 0)]
    assert farthest(a, 2) == [(41, 0), (60, 0)]
    assert outlying(a)[:, 0].nonzero()[0].tolist() == [41, 60, 70, 71]
    value = a.grid.value(stream.answers(inputs[41:42]))[0, 0]
    assert report.why == (
        "Held: 4 of 96 targets are far beyond any error that version 7 made (row 41, counted from 0, says 1,190 where "
        f"it expects {amount(value)}). Version 7 stays live. Look at the listed rows, then promote it or send "
        "the batch without them."
    )


def test_a_target_is_far_out_only_beyond_errors_that_were_made(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """What is usual of a row is little known at first: next to nothing may be usual of a row like any other."""
    inputs, targets = batch
    usual = np.ones_like(targets)
    usual[[41, 60, 70, 71]] = 1e-3
    assert not outlying(stream.assessment(inputs, targets, usual=usual)).any()
    targets = targets.copy()
    targets[41] += 60
    for known in ({}, {"usual": usual}):
        assert farthest(stream.assessment(inputs, targets, **known), 100) == [(41, 0)]
    assert "outliers" not in fired(stream.judged(inputs, targets)), "one alone passes"


def test_targets_to_one_side_are_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, targets + 9)
    assert fired(report) == {"disagrees_broadly": "held"}
    assert "higher on average than version 7 expects" in report.why or "times as large as usual" in report.why
    assert fired(stream.judged(inputs, targets + 1)) == {}
