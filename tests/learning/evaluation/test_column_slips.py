"""Columns that hold something else than before are named; drift, new ranges and what an earlier batch had are none."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.running.workbench import Model
from service.contract.enums import Outcome, Severity
from service.contract.inputs import VectorInput
from service.contract.policy import WrongColumns
from service.contract.reports.facts import MOVE
from service.contract.tables import TableInput
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import Rows
from service.learning.evaluation.column_slips import column_slips
from service.learning.gate.wrong_columns import wrong_columns
from service.learning.update_data import Data

Floats = NDArray[np.float64]
NAMES = ("age", "income", "rate", "visits", "flag")
TABLE = TableInput.model_validate({"kind": "table", "columns": [{"name": name, "kind": "number"} for name in NAMES]})


def people(rows: int, seed: int, drift: float = 0.0) -> Floats:
    random = np.random.default_rng(seed)
    age, income = random.normal(40 + drift, 12, rows), random.lognormal(10 + drift / 40, 0.5, rows)
    rate, visits, flag = random.random(rows), random.poisson(0.5, rows), random.random(rows) < 0.3
    return np.stack([age, income, rate, visits, flag], 1).astype(np.float64)


def rows_of(batches: list[Floats], label: str = "a") -> Rows:
    inputs, none = np.concatenate(batches), np.zeros(sum(map(len, batches)), np.int64)
    batch = np.repeat(np.arange(len(batches)), [len(b) for b in batches])
    names = tuple(f"bat_{k}" for k in range(len(batches)))
    return Rows(inputs, (label,), none, none, none > 0, none.astype(np.uint64), names, batch, none, ("",), none)


def found(known: list[Floats], batch: Floats, spec: Any = TABLE) -> tuple[dict[str, Any], str]:
    before = rows_of(known)
    data = SimpleNamespace(input=spec, batch=rows_of([batch]), kept_rows=len(before), kept=lambda: before)
    slips = column_slips(cast(Data, data), WrongColumns())
    assert slips is not None
    finding = wrong_columns(slips, 3)
    assert (finding.fires is Severity.HELD) is slips.found
    return {**slips.factors, **slips.mixed, **slips.filled, **slips.units}, finding.what


def times(x: Floats, factor: float, *columns: int) -> Floats:
    x[:, columns] *= factor
    return x


def places(x: Floats, *order: int) -> Floats:
    return x[:, order]


def filled(x: Floats, value: float, *columns: int) -> Floats:
    x[:, columns] = value
    return x


@pytest.mark.parametrize("rows", [50, 250])
@pytest.mark.parametrize(
    ("spoil", "slips", "said"),
    [
        (lambda x: times(x, 1000, 0), {"age": 1000.0}, 'Column "age" looks 1,000 times too large.'),
        (lambda x: times(x, 0.1, 1), {"income": 0.1}, 'Column "income" looks 10 times too small.'),
        (lambda x: times(x, 10, 4), {"flag": 10.0}, 'Column "flag" looks 10 times too large.'),
        (
            lambda x: times(x, 100, *range(5)),
            dict.fromkeys(NAMES, 100.0),
            'Columns "age", "income", "rate" and 2 more look 100 times too large.',
        ),
        (lambda x: places(x, 1, 0, 2, 3, 4), {"age": "income", "income": "age"}, '"age" and "income" look swapped.'),
        (
            lambda x: places(x, 2, 0, 1, 3, 4),
            {"age": "rate", "income": "age", "rate": "income"},
            '3 columns look mixed up: "age" holds what "rate" held.',
        ),
        (lambda x: places(x, 3, 1, 2, 0, 4), {"age": "visits", "visits": "age"}, '"age" and "visits" look swapped.'),
        (
            lambda x: places(x * [1, 1, 1, 1.3, 1], 4, 0, 1, 2, 3),
            dict(zip(NAMES, (NAMES[4], *NAMES[:4]), strict=True)),
            '5 columns look mixed up: "age" holds what "flag" held.',
        ),
        (lambda x: filled(x, 0, 0), {"age": 0.0}, 'Column "age" is 0 in every row.'),
        (lambda x: filled(x, np.nan, 0, 2), {"age": None, "rate": None}, 'Columns "age" and "rate" are missing in'),
    ],
)
def test_a_slip_is_named(rows: int, spoil: Callable[[Floats], Floats], slips: dict[str, Any], said: str) -> None:
    what, sentence = found([people(200, 0), people(200, 1)], spoil(people(rows, 2)))
    assert what == slips
    assert said in sentence


@pytest.mark.parametrize("batches", [1, 3])
def test_degrees_of_the_other_kind_are_named_and_honest_weather_is_not(batches: int) -> None:
    def weather(mean: float, seed: int, fahrenheit: bool = False) -> Floats:
        x = people(200, seed)
        celsius = np.random.default_rng(100 + seed).normal(mean, 5, 200)
        x[:, 0] = celsius * 1.8 + 32 if fahrenheit else celsius
        return x

    celsius, fahrenheit = ([weather(15, seed, each) for seed in range(batches)] for each in (False, True))
    what, said = found(celsius, weather(15, 9, fahrenheit=True))
    assert (what, 'Column "age" looks like °F in place of °C.' in said) == ({"age": "°F to °C"}, True)
    what, said = found(fahrenheit, weather(15, 9))
    assert (what, 'Column "age" looks like °C in place of °F.' in said) == ({"age": "°C to °F"}, True)
    for mean in (-5, 5, 25):
        assert found(celsius, weather(mean, 9))[0] == {}
        assert found(fahrenheit, weather(mean, 9, fahrenheit=True))[0] == {}


def with_ages(rows: int, seed: int, ages: Callable[[np.random.Generator], Floats]) -> Floats:
    x = people(rows, seed)
    x[:, 0] = ages(np.random.default_rng(seed + 10_000))
    return x


def test_of_few_rows_degrees_are_named_and_not_a_factor_that_leaves_more() -> None:
    named = []
    for seed in range(0, 120, 4):
        known = [with_ages(100, seed + k, lambda random: random.normal(15, 8, 100)) for k in range(3)]
        warm = with_ages(20, seed + 3, lambda random: random.normal(15, 8, 20) * 1.8 + 32)
        named.append(found(known, warm)[0].get("age"))
        tenfold = with_ages(20, seed + 3, lambda random: random.normal(15, 8, 20) * 10)
        assert found(known, tenfold)[0].get("age") != "°F to °C"
    assert named.count("°F to °C") >= 15
    assert sum(isinstance(name, float) for name in named) <= 4


def test_degrees_of_a_later_season_are_named_by_how_far_they_lie_apart() -> None:
    """Both degrees and a tenth bring a hot month back into the range of those before it."""
    means, named = [12 + 10 * np.sin(2 * np.pi * (month - 4) / 12) for month in range(1, 8)], []

    def month(k: int, seed: int, times: float = 1.0, plus: float = 0.0) -> Floats:
        return with_ages(100, seed + k, lambda random: random.normal(means[k], 4, 100) * times + plus)

    for seed in range(0, 120, 8):
        known = [month(k, seed) for k in range(6)]
        named.append(found(known, month(6, seed, 1.8, 32.0))[0].get("age"))
        assert found(known, month(6, seed, 10.0))[0].get("age") != "°F to °C"
        assert found(known, month(6, seed))[0] == {}
    assert named.count("°F to °C") >= 12


def test_amounts_that_grow_are_no_temperatures() -> None:
    """They have no negative numbers, and would have some in other degrees."""
    named = []
    for seed in range(0, 200, 4):
        grown = [
            with_ages(100, seed + k, lambda random, k=k: random.lognormal(3 + 0.5 * k, 0.6, 100))  # type: ignore[misc]
            for k in range(4)
        ]
        named.append(found(grown[:3], grown[3])[0].get("age"))
    assert named.count("°F to °C") <= 1


@pytest.mark.parametrize("rows", [50, 250])
@pytest.mark.parametrize(("column", "factor"), [(0, 60.0), (0, 1 / 150), (1, 0.004), (2, 150.0)])
def test_a_unit_that_is_no_power_of_ten_is_told_from_beyond_all_that_was(rows: int, column: int, factor: float) -> None:
    known = [people(200, 0), people(200, 1)]
    for x in known:
        x[:, 2] += 0.5  # no rate near 0, which has any unit
    batch = people(rows, 2)
    batch[:, 2] += 0.5
    what, sentence = found(known, times(batch, factor, column))
    assert [*what] == [NAMES[column]]
    assert what[NAMES[column]] == pytest.approx(factor, rel=0.15)
    assert f"times too {'large' if factor > 1 else 'small'}." in sentence
    assert found(known[:1], times(people(rows, 2), 25, 0))[0] == {}, "of one batch nobody knows how far they move"


@pytest.mark.parametrize(
    "batch",
    [
        people(250, 2),
        people(250, 2, drift=25),
        filled(people(250, 2), 0, 4),
        filled(people(250, 2), 51, 0),
        people(250, 2) * [1, 3, 1, 1, 1],
    ],
    ids=["alike", "drift", "a usual zero", "one value of a day", "three times as much"],
)
def test_what_may_be_the_world_is_no_slip(batch: Floats) -> None:
    assert found([people(200, 0), people(200, 1)], batch)[0] == {}


def test_rows_of_a_new_class_may_look_like_anything() -> None:
    known, swapped = rows_of([people(200, 0)]), rows_of([places(people(250, 2), 1, 0, 2, 3, 4)], "b")
    data = SimpleNamespace(input=TABLE, batch=swapped, kept_rows=len(known), kept=lambda: known)
    assert column_slips(cast(Data, data), WrongColumns()) is None


def test_the_second_batch_of_a_series_that_moves_holds_no_lags_of_others() -> None:
    series = 1.03 ** np.arange(12.0)
    lags = [np.random.default_rng(k).normal(series[k : k + 5][::-1], 0.01, (60, 5)) for k in (0, 1)]
    assert found([lags[0]], lags[1])[0] == {}


def test_a_column_that_was_tiny_beyond_all_powers_is_no_fault() -> None:
    assert found([times(people(60, 0), 1e-310, 0)], people(60, 1))[0] == {}


def test_what_an_earlier_batch_had_is_usual() -> None:
    for spoil in (lambda x: times(x, 1000, 0), lambda x: places(x, 1, 0, 2, 3, 4), lambda x: filled(x, 0, 0)):
        known = [people(300, 0), spoil(people(100, 1))]
        assert found(known, spoil(people(250, 2)))[0] == {}


def test_a_batch_that_is_wrong_is_found_beside_good_ones() -> None:
    before = rows_of([people(200, 0), people(200, 1)])
    update = rows_of([people(200, 2), times(people(60, 3), 100, 1), people(200, 4)])
    data = SimpleNamespace(input=TABLE, batch=update, kept_rows=len(before), kept=lambda: before)
    slips = column_slips(cast(Data, data), WrongColumns())
    assert slips is not None
    assert (slips.factors, slips.rows, slips.batch) == ({"income": 100.0}, 60, "bat_1")
    finding = wrong_columns(slips, 3)
    assert finding.fires is Severity.HELD
    assert "So it is in 60 rows of batch bat_1, beside those that version 3 learned." in finding.what
    good = rows_of([people(200, 2), people(19, 3), people(200, 4)])
    data = SimpleNamespace(input=TABLE, batch=good, kept_rows=len(before), kept=lambda: before)
    slips = column_slips(cast(Data, data), WrongColumns())
    assert slips is not None
    assert (slips.factors, slips.mixed, slips.filled, slips.rows, slips.batch) == ({}, {}, {}, 419, "")


def test_numbers_that_count_on_and_flags_of_a_day_are_no_slip() -> None:
    first, second = people(200, 0), people(250, 1)
    first[:, 0], second[:, 0] = np.arange(1, 201), np.arange(201, 451)
    first[:, 4], second[:, 4] = np.arange(200) % 10 > 0, 0
    assert found([first], second)[0] == {}


@pytest.mark.parametrize(("first", "last"), [(601, 850), (5001, 10000)])
def test_numbers_that_jump_ahead_are_in_no_other_unit(first: int, last: int) -> None:
    known = [people(200, seed) for seed in range(3)]
    for place, x in enumerate(known):
        x[:, 0] = np.arange(200 * place + 1, 200 * place + 201)
    batch = people(250, 3)
    batch[:, 0] = np.linspace(first, last, 250)
    assert found(known, batch)[0] == {}


def test_columns_of_vectors_count_from_0_and_few_rows_say_nothing() -> None:
    spec = VectorInput(kind="vector", size=5)
    assert found([people(200, 0)], times(people(50, 1), 1000, 2), spec)[0] == {"2": 1000.0}
    few = SimpleNamespace(input=spec, batch=rows_of([people(19, 0)]), kept_rows=200)
    assert column_slips(cast(Data, few), WrongColumns()) is None
    assert wrong_columns(None, 3).evidence is False


def test_classes_and_numbers_hold_such_a_batch() -> None:
    x, y, z = people(300, 0), people(100, 1), people(100, 2)
    ridge = {"name": "ridge", "lift": "none"}
    with Model(TABLE) as classes, Model(TABLE, target=NumberTarget(kind="number")) as numbers:

        def learn(rows: Floats) -> list[Any]:
            target = rows[:, 0] + 20 * rows[:, 2]
            labels = np.where(target > 50, "old", "young").tolist()
            return [classes.learn(rows, labels, ridge), numbers.learn_numbers(rows, target[:, None], ridge)]

        assert [made.outcome for made in (*learn(x), *learn(y))] == [Outcome.PASS] * 4
        target = z[:, 0] + 20 * z[:, 2]
        wrong = places(z, 2, 1, 0, 3, 4)
        swapped = 'columns "age" and "rate" look swapped.'
        larger = 'column "age" looks 1,000 times too large.'
        for rows, said in ((wrong, swapped), (times(z, 1000, 0), larger)):
            for made in (
                classes.learn(rows, np.where(target > 50, "old", "young").tolist(), ridge),
                numbers.learn_numbers(rows, target[:, None], ridge),
            ):
                assert made.outcome is not Outcome.PASS
                rules, why = made.report.gate.rules, made.report.gate.why
                held = next(r for r in rules if r.name == "wrong_columns")
                assert (held.number, held.severity) == (13, Severity.HELD)
                verdict = "Rejected" if any(r.severity is Severity.REJECTED for r in rules) else "Held"
                assert why.startswith(f"{verdict}: {said}"), "it explains what the others measured"
                assert not any(MOVE in r.why for r in rules)
