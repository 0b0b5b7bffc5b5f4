"""Targets in another unit, with the other sign or a power of ten off are named, with what mends them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.contract.enums import Outcome
from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.gate.numbers.number_measurements import Beside, Repair, Stopped
from tests.learning.evaluation.numbers.batches import ROWS, Stream, fired


def test_another_unit_is_named(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    for times, plus, said, factor in (
        (10, 0, "all 96 targets look 10 times too large: divided by 10 they fit version 7.", "/ 10"),
        (0.001, 0, "all 96 targets look 1,000 times too small: multiplied by 1,000 they fit version 7.", "* 1,000"),
        (1.609344, 0, "nearly all 96 targets look 1.61 times too large: divided by 1.61 they fit version 7.", "/ 1.61"),
        (-1, 0, "all 96 targets look as if they had the other sign: with it turned they fit version 7.", "* -1"),
        (
            1 / 1.8,
            -32 / 1.8,
            "all 96 targets look like degrees Celsius: as degrees Fahrenheit they fit version 7.",
            "°C to °F",
        ),
    ):
        wrong = times * targets + plus
        assert stream.measured(inputs, wrong).repair.factor == factor
        report = stream.judged(inputs, wrong)
        assert report.outcome is Outcome.FAIL
        assert report.why == f"Rejected: {said} Version 7 stays live. Send the rows again in the usual unit."


def test_a_unit_is_said_of_as_many_targets_as_look_like_it(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, np.where(np.arange(ROWS)[:, None] < 77, 10 * targets, targets))
    assert report.outcome is Outcome.FAIL
    assert report.why.startswith("Rejected: 77 of 96 targets look 10 times too large: divided by 10 they fit version 7")


def test_the_other_sign_of_targets_about_zero_is_no_order_the_other_way_round() -> None:
    stream = Stream(level=0.0)
    inputs, targets = stream.draw(ROWS)
    assert "all 96 targets look as if they had the other sign" in stream.judged(inputs, -targets).why


def test_a_division_must_bring_errors_down_by_its_factor() -> None:
    """In targets ten times too large noise is ten times as large; a few far out bring any division nearer."""
    for noise, times, tail, named in ((0.3, 3, 4, False), (0.3, 10, 0, True), (0.6, 10, 0, True)):
        stream = Stream(level=0.0, noise=noise)
        inputs, targets = stream.draw(ROWS)
        far = tail * targets.std() * (np.random.default_rng(0).exponential(size=targets.shape) - 0.7)
        assert (stream.measured(inputs, times * targets + far).repair.factor == "/ 10") == named


def test_targets_that_run_against_what_is_expected_are_turned_around(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, 250 - targets)
    assert report.outcome is Outcome.FAIL
    assert report.why.startswith("Rejected: all 96 targets run the other way round: subtracted from 25"), report.why
    few = stream.judged(inputs[:4], 250 - targets[:4])
    assert "wrong_unit" not in fired(few), "four rows show no order"


def test_a_repair_that_halves_the_errors_needs_little_surprise(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """After two batches hardly anything surprises; but another shop may well be 2.54 times as dear."""
    repair = Repair("/ 2.54", "look 2.54 times too large", "divided by 2.54", 1.1)

    def fires(median: Beside, novel: int = 0) -> dict[str, str]:
        seen = {"mean": replace(median, p=0.3), "median": median, "repair": repair, "novel": novel}
        return fired(stream.judged_with(batch, **seen))

    assert fires(Beside(2.5, 1.0, 0.09)) == {"wrong_unit": "rejected"}
    assert fires(Beside(2.5, 1.0, 0.11)) == {}
    assert fires(Beside(2.0, 1.0, 0.09)) == {}, "1.1 is more than half of it"
    assert fires(Beside(2.5, 1.0, 0.09), novel=96) == {}


def test_a_power_of_ten_is_one_for_new_values_too(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """Little is expected of rows with new values: a repair need not make them fit, but halve their errors."""
    far = Beside(50.0, 1.0, 0.01)
    for after, slip, no_shift, rows, rejected in (
        (20, True, True, 96, True),
        (26, True, True, 96, False),
        (20, False, True, 96, False),
        (20, True, False, 96, False),
        (20, True, True, 19, False),
    ):
        repair = Repair("* 10", "look small", "taken so", after, slip, no_shift=no_shift)
        report = stream.judged_with(batch, rows=rows, mean=far, median=far, repair=repair, novel=rows)
        assert fired(report) == ({"wrong_unit": "rejected"} if rejected else {}), repair
        assert not rejected or "taken so they lie far nearer to what version 7 expects." in report.why
    inputs, targets = batch
    assert stream.measured(inputs, targets * 10).repair.no_shift
    assert not stream.measured(inputs, targets + 90).repair.no_shift


def test_a_thousand_is_one_though_the_batch_is_not_quite_usual(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    far = Beside(29000.0, 1.0, 1e-6)
    for after, median, divides, cut, rejected in (
        (1.65, far, 1000.0, "", True),
        (3.1, far, 1000.0, "", False),
        (8.9, far, 1000.0, "Column p is far off", True),
        (9.1, far, 1000.0, "Column p is far off", False),
        (8.9, far, 10.0, "Column p is far off", False),
        (1.65, Beside(500.0, 1.0, 1e-6), 1000.0, "", False),
        (1.65, far, 10.0, "", False),
        (1.65, far, 0.001, "", False),
    ):
        repair = Repair("/ 1,000", "look large", "taken so", after, slip=True, divides=divides, no_shift=True)
        report = stream.judged_with(batch, cut, mean=far, median=median, repair=repair)
        assert ("wrong_unit" in fired(report)) == rejected, repair
    inputs, targets = batch
    off = targets + 8 * np.sign(stream.random.normal(size=targets.shape))
    repair = stream.measured(inputs, 1000 * off).repair
    assert (repair.after > 1.6, round(repair.divides)) == (True, 1000)
    assert "look 1,000 times too large: divided by 1,000 they" in stream.judged(inputs, 1000 * off).why


def test_a_power_of_ten_that_surprises_little_is_no_move_either(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    far, aside = Beside(2.5, 0.8, 0.2), Beside(-2.5, -0.1, 0.0004)
    for slip in (True, False):
        repair = Repair("* 10", "look 10 times too small", "multiplied by 10", 1.12, slip)
        seen = {"mean": far, "median": far, "bias": aside, "repair": repair, "stopped": Stopped(2, agrees=True)}
        assert fired(stream.judged_with(batch, **seen)) == ({"wrong_unit": "rejected"} if slip else {})
    assert stream.measured(batch[0], batch[1] / 10).repair.slip


def test_a_wrong_unit_that_is_sent_again_and_again_stays_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    again = [list(figures_of(stream.assessment(inputs, 10 * targets)))] * 5
    assert stream.judged(inputs, 10 * targets, stopped=again).outcome is Outcome.FAIL


def test_early_versions_are_stopped_by_gross_units_alone() -> None:
    for seed in range(4):
        third = Stream(batches=1, seed=seed)
        inputs, targets = third.draw(ROWS)
        assert "times too large" in third.judged(inputs, 10 * targets).why, "a plain factor, after one batch"
        assert third.judged(inputs, targets).outcome is Outcome.PASS
    second = Stream(batches=0)
    inputs, targets = second.draw(ROWS)
    assert "divided by 10 they fit" in second.judged(inputs, 10 * targets).why
    for aside in (0, 1, 4):
        assert second.judged(inputs, targets + aside * targets.std()).outcome is Outcome.PASS


def test_a_season_in_which_all_targets_moved_alike_is_no_other_unit() -> None:
    """A factor changes how far targets lie apart, too. Four rows do not show that."""
    stream = Stream(level=7.0, spread=3.0, noise=0.3)
    inputs, targets = stream.draw(ROWS)
    moved = stream.judged(inputs, targets + 5.0)
    assert "wrong_unit" not in fired(moved)
    assert "If they moved on purpose, learn them with" in moved.why
    assert "wrong_unit" in fired(stream.judged(inputs, 1.609344 * targets))
    assert "wrong_unit" in fired(stream.judged(inputs, 1.8 * targets + 32))
    assert stream.measured(inputs[:4], targets[:4] + 5.0).repair.factor == "/ 1.61"
