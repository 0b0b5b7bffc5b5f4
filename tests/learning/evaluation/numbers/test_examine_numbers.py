from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.contract import figures
from service.contract.enums import Outcome, Verdict
from service.contract.number_policy import NumberPolicy
from service.contract.reports import AnyReport
from service.contract.reports.facts import BESIDE_SETTINGS
from service.contract.reports.number_report import NumberReport
from service.contract.tables import value_code
from service.contract.targets.number_target import ColumnYardstick
from service.learning.data.rows import Floats, Rows
from service.learning.evaluation.numbers.batch.figures import Figures
from service.learning.evaluation.numbers.bounds import bounds
from service.learning.evaluation.numbers.number_assessment import Tested, still_learned
from service.learning.gate.numbers.number_words import NumberWords
from service.learning.gate.verdicts import verdict_sentence
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.number_heads import number_lift_choice
from tests.learning.evaluation.numbers.lineage import Lineage
from tests.learning.memory_data import MemoryData, in_space
from tests.learning.number_streams import number, values
from tests.learning.table_streams import CITIES, CITY, LATE, SHOP, shop, spent

WEIGHTS = np.array([2.0, -1.0, 0.5])
AUTO: dict[str, Any] = {"lift": "auto", "decay": None}
SURPRISED = ("contradicts_everything", "outliers", "disagrees_broadly")
"""Rules that ask how far off a batch is."""


def drawn(seed: int, rows: int = 120, noise: float = 0.5, level: float = 50.0) -> tuple[Floats, Floats]:
    """Inputs [n, 3] and targets [n] about 50, whose noise grows with column 2."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3))
    return x, level + 10 * (x @ WEIGHTS + noise * np.exp(0.5 * x[:, 2]) * random.normal(size=rows))


def numbers(report: AnyReport) -> NumberReport:
    assert isinstance(report, NumberReport)
    return report


@pytest.fixture(scope="module")
def lineage() -> Lineage:
    """Eight batches of 120 rows, from two sources."""
    made = Lineage(3)
    for k in range(8):
        made.grow(*drawn(k), source="north" if k % 2 else "south")
    return made


def test_a_first_version_is_told_by_what_it_answers_out_of_fold() -> None:
    stream = Lineage(3)
    x, y = drawn(0)
    report = stream.grow(x, y)
    assert report.tested is None
    assert report.skill is None
    assert report.before is None
    assert report.rise is None
    assert report.after.rows == 120
    assert 0.5 * 10 * 0.5 < report.after.mae < 3 * 10 * 0.5
    assert report.gate.outcome is Outcome.PASS
    assert report.exact
    assert report.batch.figures[0].keys() == {"own_order"}
    assert any("its rows, left out in turn" in note for note in report.notes)
    assert stream.candidates[0].checkpoint.learned["interval"] == {"bat_000"}


def test_tested_errors_are_those_of_the_live_version_on_batches_to_come() -> None:
    """Recomputed from the versions themselves, on the raw rows."""
    stream, expected = Lineage(3), []
    for k in range(7):
        report = stream.grow(*drawn(k))
        if k >= 2:
            before, rows = stream.candidates[k - 1].checkpoint, stream.history[k]
            expected.append(np.abs(values(before, rows.inputs) - rows.targets))
    assert report.tested.batches == 5
    assert report.tested.rows == 600
    assert report.tested.mae == pytest.approx(np.concatenate(expected).mean(), rel=1e-4)


def test_what_a_coarse_step_rounds_is_part_of_the_error() -> None:
    """All targets of 20 to 80 are 0 on a grid of step 1,000, and so are all values: each is off by its target."""
    stream = Lineage(3, number(step=1000.0))
    for k in range(2):
        report = stream.grow(*drawn(k))
    assert report.tested.mae == pytest.approx(np.abs(stream.history[1].targets).mean(), abs=1.0)


def test_targets_without_noise_are_learned_batch_by_batch() -> None:
    """Errors are what shrinkage leaves, some hundredths more of it out of fold: nobody is held for that."""
    for weights in (WEIGHTS, np.array([1.0, 0.0, 0.0])):
        stream = Lineage(3)
        for k in range(4):
            x = np.random.default_rng(k).normal(size=(80, 3))
            assert stream.grow(x, 3 + x @ weights).gate.outcome is Outcome.PASS


def test_a_sentence_says_a_large_error_in_three_digits() -> None:
    x, y = drawn(0)
    said = NumberWords().gained(Lineage(3).grow(x, 1e140 * y))
    assert said.startswith("It is off by 4.79e+140 on 120 rows that it had not seen (always saying the mean of all ")


def test_a_sentence_says_of_how_many_rows_and_batches_its_numbers_are(lineage: Lineage) -> None:
    """Of a batch at most 1,000 rows are tested: these are not "the last rows"."""
    report = numbers(lineage.candidates[-1].report)
    sentence = NumberWords().gained(report)
    assert sentence.startswith("On 600 rows of the last 5 batches, as they came, it was off by ")
    assert f" on {report.before.rows} trusted rows" in sentence
    one = report.model_copy(update={"tested": report.tested.model_copy(update={"batches": 1, "rows": 120})})
    assert NumberWords().gained(one).startswith("On 120 rows of the last batch, as they came, it was off by ")
    assert report.beside is not None
    assert report.beside == (report.beside[0], pytest.approx(report.yardsticks[report.beside[0]].mae))
    assert f"is off by {figures.amount(report.beside[1])})" in sentence, "the model's yardstick, as its skill"


def test_rows_of_a_source_are_tested_by_its_own_head(lineage: Lineage) -> None:
    version = lineage.candidates[-2].checkpoint
    assert "north" in version.layout.sources
    head = version.parts[f"head.source.{version.layout.sources.index('north')}"]
    memory, rows = lineage.past[-1][1], in_space(lineage.history[-1], lineage.candidates[-1].space)
    features = rows.values(lineage.candidates[-1].space.shift)[:, :3]
    expected = features @ head["weight"].double().numpy().T + head["bias"].double().numpy()
    np.testing.assert_allclose(memory.value, expected, rtol=1e-6)


def test_skill_is_beside_the_mean_of_the_source(lineage: Lineage) -> None:
    report = numbers(lineage.candidates[-1].report)
    assert report.skill is not None
    assert report.yardsticks.keys() == {"mean", "last"}
    assert report.skill == pytest.approx(1 - report.tested.mae / report.yardsticks["mean"].mae)
    assert report.skill > 0.5


def test_trusted_rows_are_told_by_source_and_by_fifth(lineage: Lineage) -> None:
    report = numbers(lineage.candidates[-1].report)
    for errors in (report.before, report.after):
        assert sum(source.rows for source in errors.sources.values()) == errors.rows
        assert sum(region.rows for region in errors.regions) == errors.rows
        assert errors.sources.keys() == {"north", "south"}
        assert len(errors.regions) == 5
        assert errors.coverage is not None
        assert errors.coverage > 0.8
    assert [r.from_ for r in report.before.regions] == [r.from_ for r in report.after.regions]
    assert report.rise == pytest.approx(report.after.mae / report.before.mae - 1)
    assert report.rise_interval[0] <= report.rise <= report.rise_interval[1]
    assert report.forgetting is not None
    assert abs(report.forgetting) < 0.2


def test_intervals_are_of_the_last_batches_and_hold_the_next_one(lineage: Lineage) -> None:
    version = lineage.checkpoint
    assert version.learned["interval"] == {f"bat_00{k}" for k in range(3, 8)}
    part = {name: tensor.numpy() for name, tensor in version.parts["interval"].items()}
    x, y = drawn(99, 2000)
    grid = version.layout.numbers
    answers = grid.in_units(values(version, x))
    goals = grid.in_units(y[:, None])
    for level in (0.5, 0.8, 0.9, 0.99):
        _, low, high = bounds(part, answers, level)
        assert ((low <= goals) & (goals <= high)).mean() == pytest.approx(level, abs=0.04)


def test_every_honest_batch_passed(lineage: Lineage) -> None:
    assert {c.report.gate.outcome for c in lineage.candidates} == {Outcome.PASS}


def test_what_is_remembered_is_read_again_as_it_was(lineage: Lineage) -> None:
    made, read = lineage.candidates[-1].bits, lineage.past[-1][1]
    assert isinstance(made, Tested)
    before, after = made.arrays(), read.arrays()
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert read.figures == made.figures
    assert read.batches == ("bat_007",)


def test_a_move_that_is_expected_is_usual_from_then_on(lineage: Lineage) -> None:
    x, y = drawn(77, level=80.0)
    held = numbers(lineage.offer(lineage.offered(x, y)).report)
    assert held.gate.outcome is not Outcome.PASS
    made = lineage.offer(lineage.offered(x, y), expected=True)
    report = numbers(made.report)
    assert not {"contradicts_everything", "disagrees_broadly", "outliers"} & {
        r.name for r in report.gate.rules if r.severity
    }
    assert any("expect: move" in note for note in report.notes)
    assert report.batch.follows == 0
    assert isinstance(made.bits, Tested)
    assert made.bits.figures[0].moved


def test_wrong_units_are_rejected_with_the_factor(lineage: Lineage) -> None:
    x, y = drawn(50)
    report = numbers(lineage.offer(lineage.offered(x, y * 10)).report)
    assert report.gate.outcome is Outcome.FAIL
    assert report.batch.factor == "/ 10"
    assert report.batch.errors.mean is not None
    assert report.batch.errors.mean > 5


def test_outliers_are_listed_in_their_own_unit(lineage: Lineage) -> None:
    x, y = drawn(51)
    y[[7, 30, 77]] += np.array([900.0, -700.0, 800.0])
    report = numbers(lineage.offer(lineage.offered(x, y)).report)
    assert {r.row for r in report.batch.outliers} == {7, 30, 77}
    errors = [row.error for row in report.batch.outliers]
    assert errors == sorted(errors, reverse=True)
    first = next(row for row in report.batch.outliers if row.row == 7)
    assert first.batch == "bat_008"
    assert first.target == pytest.approx(y[7])
    assert first.error == pytest.approx(abs(first.value - first.target))
    assert first.error > 700
    assert report.gate.outcome is not Outcome.PASS
    assert (
        f"ow 7 (counted from 0) says {figures.amount(y[7])} where {figures.amount(first.value)} was expected"
        in verdict_sentence(report, Verdict.REJECTED, 9, 8)
    )


def test_of_a_first_batch_targets_far_from_what_other_rows_say_are_listed() -> None:
    x, y = drawn(51)
    assert Lineage(3).grow(x, y).batch.outliers == []
    y[[7, 30, 77]] *= 10
    listed = Lineage(3).grow(x, y).batch.outliers
    assert {row.row for row in listed[:3]} == {7, 30, 77}
    assert all(row.target == y[row.row] and abs(row.value - 50) < 100 for row in listed[:3])


def test_of_a_second_batch_targets_stand_beside_what_the_version_before_expected() -> None:
    stream = Lineage(3)
    stream.grow(*drawn(51))
    x, y = drawn(52)
    y[7] += 4e5
    [row] = numbers(stream.offer(stream.offered(x, y)).report).batch.outliers
    assert (row.row, row.value) == (7, pytest.approx(values(stream.checkpoint, x)[7, 0], abs=0.1))


def test_a_version_that_goes_live_with_outliers_says_so(lineage: Lineage) -> None:
    x, y = drawn(51)
    clean = numbers(lineage.offer(lineage.offered(x, y)).report)
    assert "outliers" not in NumberWords().gained(clean)
    y[[7, 30]] += np.array([900.0, -700.0])
    report = numbers(lineage.offer(lineage.offered(x, y)).report)
    says = f"row 7 (counted from 0) says {figures.amount(y[7])} where"
    told = (
        NumberWords()
        .gained(report)
        .partition(" 2 of its targets are far from what was expected, and learned all the same. R")
    )
    assert says in f"r{told[2]}", told
    for count, more in ((4, "; 1 more is far out."), (5, "; 2 more are far out.")):
        far = [report.batch.outliers[0].model_copy(update={"row": row}) for row in range(count)]
        batch = report.batch.model_copy(update={"outliers": far})
        assert more in NumberWords().gained(report.model_copy(update={"batch": batch}))


def test_a_retraction_drops_what_came_of_the_batch(lineage: Lineage) -> None:
    candidate = lineage.retracted("bat_006")
    report = numbers(candidate.report)
    assert report.tested.rows == 600
    assert candidate.checkpoint.learned["interval"] == {f"bat_00{k}" for k in (2, 3, 4, 5, 7)}
    memory = candidate.bits
    assert isinstance(memory, Tested)
    assert memory.batches == ()
    assert "bat_006" not in memory.trusted_batches
    assert not len(memory.error)
    earlier = lineage.past[6][1].of({"bat_000"})
    assert earlier.batches == ()
    assert not len(earlier.sums.rows)
    assert earlier.figures == (Figures(),)
    assert set(earlier.trusted_batches) == {"bat_000"}


def test_taking_everything_back_leaves_a_version_without_intervals(lineage: Lineage) -> None:
    stream = Lineage(3)
    stream.grow(*drawn(0))
    candidate = stream.retracted("bat_000")
    assert "interval" not in candidate.checkpoint.parts
    assert not candidate.checkpoint.outputs
    assert numbers(candidate.report).after is None


def test_a_batch_of_one_row_is_examined(lineage: Lineage) -> None:
    report = numbers(lineage.offer(lineage.offered(*drawn(60, 1))).report)
    assert report.tested.batches == 5
    assert report.batch.errors.order is None
    alone = Lineage(3).grow(*drawn(0, 1))
    assert alone.after is None
    assert any("no interval" in note for note in alone.notes)


def test_errors_of_a_logarithm_are_told_of_the_targets() -> None:
    stream = Lineage(3, number(scale="log"))
    for k in range(4):
        x, y = drawn(k)
        report = stream.grow(x, np.exp(y / 20))
    rows = [stream.history[k] for k in range(1, 4)]
    expected = [np.abs(values(stream.candidates[k].checkpoint, r.inputs) - r.targets) for k, r in enumerate(rows)]
    assert report.tested.mae == pytest.approx(np.concatenate(expected).mean(), rel=1e-4)
    assert report.before.width is not None
    assert report.before.width > report.before.mae


def test_the_column_that_is_added_back_is_the_yardstick() -> None:
    stream = Lineage(3, number(**{"from": 1}))
    random = np.random.default_rng(5)
    for k in range(4):
        x, y = drawn(k)
        x[:, 1] = 1000 + 300 * random.normal(size=len(x))
        report = stream.grow(x, x[:, 1] + (y - 50) / 10)
    assert report.skill is not None
    assert report.tested.r2 is not None
    assert report.skill == pytest.approx(1 - report.tested.mae / report.yardsticks["column"].mae)
    assert report.tested.mae < 10
    assert report.tested.r2 > 0.99


def test_a_yardstick_may_be_a_column_or_the_last_batch() -> None:
    for yardstick, name in ((ColumnYardstick(column=0), "column"), ("last", "last")):
        stream = Lineage(3, number(yardstick=yardstick))
        for k in range(3):
            report = stream.grow(*drawn(k))
        assert report.skill == pytest.approx(1 - report.tested.mae / report.yardsticks[name].mae)


def test_until_a_new_yardstick_has_answered_the_last_batches_a_note_says_why_skill_is_not_known() -> None:
    stream = Lineage(3)
    for k in range(3):
        stream.grow(*drawn(k))
    stream.target = number(yardstick=ColumnYardstick(column=0))
    reports = [stream.grow(*drawn(k)) for k in range(3, 8)]
    notes = [[note for note in report.notes if "Skill" in note] for report in reports]
    assert [report.skill is None for report in reports] == [len(said) == 1 for said in notes] == [True] * 4 + [False]
    assert "2 of the last 3 batches came before it was the yardstick" in notes[0][0]
    assert "1 of the last 5 batches" in notes[3][0]


def test_several_numbers_a_row_are_means_over_them_and_each_has_its_error() -> None:
    stream = Lineage(3, number(size=2, names=["salt", "heat"]))
    for k in range(4):
        x, y = drawn(k)
        report = stream.grow(x, np.stack([y, 1e-3 * y[::-1]], 1))
    assert report.tested is not None
    assert report.skill is not None
    assert len(report.batch.figures) == 2
    assert report.before.regions == []
    assert report.after is not None
    for errors in (report.tested, report.before, report.after):
        salt, heat = errors.numbers
        assert (salt.name, heat.name) == ("salt", "heat")
        assert salt.mae > 100 * heat.mae
        assert errors.mae == pytest.approx((salt.mae + heat.mae) / 2)
    said = r'it was off by "salt" [\d.]+, "heat" [\d.]+\. .* \(on \d+ trusted rows'
    assert re.search(said, NumberWords().gained(report))
    assert stream.checkpoint.parts["interval"]["quantiles"].shape == (2, 5, 99)
    x, y = drawn(4)
    salt, heat = y.copy(), 1e-2 * y[::-1]
    salt[7] *= 3
    report = numbers(stream.offer(stream.offered(x, np.stack([salt, heat], 1))).report)
    assert report.batch.factor == "/ 10", "of the number whose unit is wrong"
    assert report.batch.outliers[0].name == "heat"


def test_recent_rows_alone_are_trusted_where_the_policy_says_so() -> None:
    stream = Lineage(3, policy=NumberPolicy(trusted="recent", recent_batches=2))
    for k in range(4):
        report = stream.grow(*drawn(k))
    recent = sum(int(rows.judging.sum()) for rows in stream.history[1:3])
    assert report.before.rows == recent


def test_a_version_that_is_meant_to_forget_is_not_judged_by_what_is_to_be_forgotten() -> None:
    """Weights wander; with decay 0.5 only the batch before counts half of the newest, or more."""
    stream, random, weights, outcomes = Lineage(3), np.random.default_rng(0), WEIGHTS, []
    for _ in range(10):
        weights = weights + 0.1 * random.normal(size=3)
        x = random.normal(size=(120, 3))
        report = stream.grow(x, 10 * (x @ weights + 0.5 * random.normal(size=120)), decay=0.5)
        outcomes.append(report.gate.outcome)
    assert set(outcomes) == {Outcome.PASS}
    assert report.before.rows == int(stream.history[8].judging.sum())


def test_a_version_fades_once_it_and_the_one_before_have_a_decay() -> None:
    """A batch that has just brought the decay is judged by few rows all the same."""
    stream, said = Lineage(3), list[str]()
    for k, decay in enumerate((1, 1, 0.5, 0.5, 1)):
        gate = stream.grow(*drawn(k), decay=decay).gate
        said.append(next(rule.why for rule in gate.rules if rule.name == "forgets"))
    assert ["of batches that still count are too few" in why for why in said] == [False, False, False, True, False]
    assert [memory.figures[0].gain is not None for _, memory in stream.past] == [False, True, True, True, True]


def test_a_strength_that_old_rows_lose_by_and_new_rows_do_not_win_by_excuses_nothing() -> None:
    stream = Lineage(3)
    for k in range(2):
        stream.grow(*drawn(k), alpha=1e-3)
    data = stream.offered(*drawn(2))
    gate = stream.offer(data, alpha=10.0).report.gate
    assert "forgets" in {rule.name for rule in gate.rules if rule.severity}
    assert not any(BESIDE_SETTINGS in rule.why for rule in gate.rules)
    little = stream.offer(data, alpha=3e-3).report.gate
    assert little.outcome is Outcome.PASS
    assert any(BESIDE_SETTINGS in rule.why for rule in little.rules)
    stream.grow(*drawn(2), alpha=1e-3)
    later = stream.offer(stream.offered(*drawn(3)), alpha=10.0).report.gate
    assert any(BESIDE_SETTINGS in rule.why for rule in later.rules), "by then several batches have chosen"


def test_rows_that_were_deleted_are_not_asked_for() -> None:
    """Where nothing is kept but sums and bounded rows, a version is examined as well."""
    stream = Lineage(3)
    for k in range(4):
        stream.grow(*drawn(k))
    kept = numbers(stream.offer(stream.offered(*drawn(9))).report)
    data = stream.offered(*drawn(9))
    deleted = _Deleted(data.input, data.architecture, data.base_rows, data.batch, target=data.target)
    report = numbers(stream.offer(deleted).report)
    assert report.tested == kept.tested
    assert report.before == kept.before
    assert report.batch == kept.batch


class _Deleted(MemoryData):
    """Batches of which the store has summed entries alone."""

    kept_rows = 0

    def kept(self) -> Rows:
        raise AssertionError("these rows were deleted")

    def ledger(self, space: Space) -> Ledger:
        ledger = Ledger.empty(space)
        for rows in self.base_rows:
            ledger = ledger.with_entry(SummedEntry.unpack(SummedEntry.of(in_space(rows, space)).pack()))
        return ledger


def test_a_base_in_another_feature_space_answers_by_its_network() -> None:
    stream, other = Lineage(3), Lineage(3)
    for k in range(3):
        stream.grow(*drawn(k))
        other.grow(*drawn(k))
    same, changed = stream.grow(*drawn(3)), other.grow(*drawn(3), lift="relu", width=20)
    assert changed.before.mae == pytest.approx(same.before.mae, rel=1e-3)
    assert changed.tested.mae == pytest.approx(same.tested.mae, rel=1e-3)
    assert changed.batch.errors is not None
    sums = other.past[-1][1].sums
    assert sums.features.shape == (1, 20)
    after = other.grow(*drawn(4), lift="relu", width=20)
    assert after.batch.errors.mean == pytest.approx(1, abs=0.4)


def test_an_update_of_two_batches_remembers_each() -> None:
    stream = Lineage(3)
    for k in range(3):
        stream.grow(*drawn(k))
    one, two = stream.offered(*drawn(3, 1100)), stream.offered(*drawn(4, 40), name="bat_004")
    both = MemoryData(stream.input, stream.architecture, stream.history, Rows.concat([one.batch, two.batch]))
    both.target = stream.target
    memory = stream.offer(both).bits
    assert isinstance(memory, Tested)
    assert memory.batches == ("bat_003", "bat_004")
    assert np.bincount(memory.batch).tolist() == [1000, 40]
    np.testing.assert_allclose(memory.mean[:, 0], [rows.batch.targets.mean() for rows in (one, two)])
    assert memory.sums.rows.tolist() == [1100, 40]
    left = memory.of({"bat_000", "bat_001", "bat_002", "bat_004"})
    assert left.batches == ("bat_004",)
    np.testing.assert_array_equal(left.error, memory.error[memory.batch == 1])
    np.testing.assert_array_equal(left.sums.products, memory.sums.products[1:])


def test_a_batch_that_is_learned_again_after_a_rollback_is_remembered_once() -> None:
    stream = Lineage(3)
    for k in range(4):
        stream.grow(*drawn(k))
    before = stream.candidates[-2].checkpoint
    stream.checkpoint, again = before, stream.history.pop()
    data = MemoryData(stream.input, stream.architecture, stream.history, again, target=stream.target)
    report = numbers(stream.offer(data).report)
    assert report.tested == numbers(stream.candidates[-1].report).tested
    past = still_learned([*stream.past, (9, stream.past[-1][1])], {f"bat_{k:03d}" for k in range(4)})
    assert [tested.batches for _, tested in past[-2:]] == [(), ("bat_003",)]
    assert [number for number, _ in past] == [1, 2, 3, 4, 9]


def test_a_version_with_another_head_is_measured_beside_ridge() -> None:
    stream = Lineage(3)
    stream.grow(*drawn(0))
    assert stream.checkpoint is not None
    layout = stream.checkpoint.layout.model_copy(update={"exact": None})
    stream.checkpoint = replace(stream.checkpoint, layout=layout)
    report = stream.grow(*drawn(1))
    assert report.yardsticks["ridge"].mae == pytest.approx(report.tested.mae, rel=0.02)


def test_a_city_that_comes_late_is_not_held_against_its_batch_and_widens_its_own_intervals() -> None:
    stream = Lineage(SHOP)
    cities = [CITIES, CITIES, (LATE,), (*CITIES, LATE)]
    made = [shop(120, seed=seed, cities=some) for seed, some in enumerate(cities)]
    reports = [stream.grow(rows, spent(rows)) for rows in made]
    assert [report.gate.outcome for report in reports] == [Outcome.PASS] * 4
    memories = [tested for _, tested in stream.past]
    assert [memory.novel is None for memory in memories] == [True, True, False, True]
    late = memories[2]
    assert late.novel.tolist() == (made[2][late.row, CITY] == value_code(LATE)).tolist()
    assert reports[2].batch.figures[0]["novel"] > 0.9
    parts = [candidate.checkpoint.parts["interval"]["quantiles"] for candidate in stream.candidates]
    assert [part.shape[1] for part in parts] == [5, 5, 6, 6]
    assert parts[3][0, 5, 89] > 2 * parts[3][0, :5, 89].max(), "Nairobi lay 5 above what was known"
    assert stream.retracted("bat_002").checkpoint.parts["interval"]["quantiles"].shape[1] == 5


def beyond(seed: int, rows: int = 60) -> tuple[Floats, Floats]:
    """What grows with a column up to 1 and not beyond, where nearly all rows lie."""
    random = np.random.default_rng(seed)
    x = np.stack([random.normal(4, 1, rows), random.normal(size=rows)], 1)
    return x, 50 + 10 * np.minimum(x[:, 0], 1) + 5 * x[:, 1] + 3 * random.normal(size=rows)


@pytest.fixture
def levelling_off(monkeypatch: pytest.MonkeyPatch) -> Lineage:
    """Three batches of what `beyond` levels off, from where it still grows; 60 random features are tried."""
    monkeypatch.setattr(number_lift_choice, "NARROW", 60)
    stream = Lineage(2)
    for k, rows in enumerate((300, 60, 60)):
        random = np.random.default_rng(k)
        x = np.stack([np.minimum(random.normal(size=rows), 1), random.normal(size=rows)], 1)
        stream.grow(x, 50 + 10 * x[:, 0] + 5 * x[:, 1] + 3 * random.normal(size=rows), **AUTO)
    return stream


@pytest.mark.parametrize("seed", [3, 103])
def test_a_right_batch_beyond_all_that_were_learned_goes_live_by_a_lift_that_fits(
    levelling_off: Lineage, seed: int
) -> None:
    made = levelling_off.offer(levelling_off.offered(*beyond(seed)), **AUTO)
    report = numbers(made.report)
    assert report.gate.outcome is Outcome.PASS
    assert report.method["lift"] == ["none", "fourier"]
    assert all(
        BESIDE_SETTINGS in next(rule.why for rule in report.gate.rules if rule.name == name) for name in SURPRISED
    )


@pytest.mark.parametrize("seed", [3, 103])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda y: np.random.default_rng(0).permutation(y),
        lambda y: 1.609344 * y,
        lambda y: (y - 32) / 1.8,
        lambda y: 10 * y,
        lambda y: np.roll(y, 1),
    ],
)
def test_a_wrong_batch_there_does_not(levelling_off: Lineage, seed: int, wrong: Callable[[Floats], Floats]) -> None:
    x, y = beyond(seed)
    report = levelling_off.offer(levelling_off.offered(x, wrong(y)), **AUTO).report
    assert report.gate.outcome is not Outcome.PASS
