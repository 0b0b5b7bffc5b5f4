"""Versions of tables as the worker makes them: what is new in a batch is told, and taken back without a trace."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.running.workbench import Model
from service.contract.reports.class_report import Report
from service.contract.tables import value_code
from service.contract.targets.number_target import NumberTarget
from service.learning.data.learned_values import LearnedValues
from service.worker.child.data.new_values import new_values
from tests.learning.table_streams import CITIES, CITY, LATE, SHOP, buys, shop, spent

TYPO = "Osakka"
RIDGE = {"name": "ridge", "lift": "none", "alpha": 0.1}
NAMES = {value_code(city): city for city in (*CITIES, LATE, TYPO)}
LATER = shop(120, seed=1, cities=(*CITIES, LATE))
LATER[:3, CITY] = value_code(TYPO)
SLIP = f'"{TYPO}" of city is new, and like "Osaka", which is known: is it a slip?'


@pytest.fixture(scope="module")
def classes() -> Iterator[Model]:
    """A model of classes that learned two batches, the second of which brings a city and a slip."""
    with Model(SHOP) as model:
        model.named["city"] = NAMES
        model.learn(shop(200), buys(shop(200)), RIDGE, promote=True)
        model.learn(LATER, buys(LATER), RIDGE, promote=True)
        yield model


def test_new_values_are_told_with_learned_ones_that_look_like_them(classes: Model) -> None:
    assert isinstance(classes.made.report, Report)
    [late, typo] = classes.made.report.batch.new_values["city"]
    assert (late.value, late.rows, late.near) == (LATE, int((LATER[:, CITY] == value_code(LATE)).sum()), [])
    assert (typo.value, typo.rows, typo.near) == (TYPO, 3, ["Osaka"])
    assert classes.made.report.batch.notes == [SLIP]


def test_new_values_are_told_of_numbers_too_and_a_first_version_has_none() -> None:
    with Model(SHOP, target=NumberTarget(kind="number")) as model:
        model.named["city"] = NAMES
        first = model.learn_numbers(shop(60), spent(shop(60))[:, None], RIDGE, promote=True)
        assert first.report.batch.new_values == {}
        second = model.learn_numbers(LATER, spent(LATER)[:, None], RIDGE, promote=True)
        assert [new.value for new in second.report.batch.new_values["city"]] == [LATE, TYPO]
        assert second.report.batch.notes == [SLIP]


def test_nothing_is_compared_where_most_values_are_new() -> None:
    learned = LearnedValues.of(SHOP, [{"city": dict.fromkeys(CITIES, 9)}])
    typos = {f"Osaka{k}": 1 for k in range(5)}
    found = new_values(SHOP, learned, [{"city": {**dict.fromkeys(CITIES, 9), **typos}}], {"city": CITIES})["city"]
    assert [(value.value, value.near) for value in found] == [(typo, []) for typo in typos]
    [alone] = new_values(SHOP, learned, [{"city": {TYPO: 1}}], {"city": CITIES})["city"]
    assert alone.near == ["Osaka"], "one slip alone is asked about, though it is all that is new"


def test_what_is_taken_back_is_subtracted_and_its_values_are_unknown_again(classes: Model) -> None:
    before = classes.predictor()
    assert value_code(LATE) in classes.checkpoint().learned_values().codes[CITY]
    taken = classes.retract([classes.newest])
    assert taken.why.startswith("Subtracted"), "no weight was trained, so nothing is replayed"
    status = {fact.part: fact.status for fact in taken.report.certificate.shards}
    assert status["values"] == "recomputed"
    assert status["scale"] == "never saw it"
    codes = classes.checkpoint().learned_values().codes[CITY]
    assert set(codes.tolist()) == {value_code(city) for city in CITIES}
    rows = shop(5, seed=9, cities=(LATE,))
    missing = rows.copy()
    missing[:, CITY] = np.nan
    now = classes.predictor()
    assert np.array_equal(now.answer(rows).values, now.answer(missing).values)
    assert not np.array_equal(before.answer(rows).values, before.answer(missing).values)


@pytest.mark.parametrize("numbers", [False, True])
def test_without_its_only_batch_a_version_of_tables_loads_and_has_learned_nothing(numbers: bool) -> None:
    rows = shop(60)
    with Model(SHOP, **({"target": NumberTarget(kind="number")} if numbers else {})) as model:
        model.named["city"] = NAMES
        if numbers:
            model.learn_numbers(rows, spent(rows)[:, None], RIDGE, promote=True)
        else:
            model.learn(rows, buys(rows), RIDGE, promote=True)
        model.retract([model.newest])
        predictor = model.predictor()
        if numbers:
            assert not predictor.answer(rows[:9]).values.any()


def test_without_the_first_batch_its_scale_stands_and_values_of_others_are_computed_anew() -> None:
    with Model(SHOP) as model:
        model.named["city"] = NAMES
        for seed in (0, 1):
            model.learn(shop(60, seed), buys(shop(60, seed)), RIDGE, promote=True)
        first = min(model.made.learned) if model.made else ""
        taken = model.retract([first])
        status = {fact.part: fact.status for fact in taken.report.certificate.shards}
        assert status["values"] == "recomputed"
        assert status["scale"].startswith("decided by it")
        assert "scale" in taken.report.certificate.decided, "scales, knots and the salt are those of the first batch"
        assert len(model.checkpoint().learned_values().codes[CITY]) == len(CITIES)
