"""Features of a table's row, by hand: numbers, dates, booleans and values, each of them missing too."""

from __future__ import annotations

from datetime import UTC, datetime
from math import cos, pi, sin

import numpy as np
import pytest
import torch

from service.contract.inputs import too_wide
from service.contract.tables import INDICATORS, MANY_COLUMNS, MOST_COLUMNS, TableInput, value_code
from service.learning.ledger.feature_space import space_id
from service.learning.ledger.headless_networks import identity_network
from service.learning.network.input_scale import load_scale, scale_for
from service.learning.network.lifts import lift_of
from service.learning.network.table_scale import SALTS, TableScale, column_salt, indicator_of, table_weights

NAN = np.nan


def table(*columns: dict[str, object], **more: object) -> TableInput:
    return TableInput.model_validate({"kind": "table", "columns": columns, **more})


def features(spec: TableInput, rows: object, fitted: object = None) -> np.ndarray:
    given = np.array(rows, np.float64)
    first = given if fitted is None else np.array(fitted, np.float64)
    made = TableScale.fitted(spec, first)(torch.from_numpy(given)).numpy()
    assert made.shape == (len(given), spec.features)
    assert made.dtype == np.float32
    return np.asarray(made)


def test_a_number_is_scaled_flagged_and_cut_into_pieces() -> None:
    spec = table({"name": "age", "kind": "number", "scale": {"range": [0, 16]}})
    assert spec.pieces == 16
    [half, missing, beyond] = features(spec, [[8.5], [NAN], [1e6]])
    assert half.tolist() == [0.0625, 0, *[1] * 8, 0.5, *[0] * 7]
    assert missing.tolist() == [0, 1, *[0] * 16]
    assert beyond.tolist() == [8, 0, *[1] * 16]


def test_a_thousand_numbers_have_room_and_one_piece_each() -> None:
    numbers = [{"name": f"x{k}", "kind": "number"} for k in range(MOST_COLUMNS)]
    spec = table(*numbers)
    assert (spec.pieces, spec.features, too_wide(spec)) == (1, 3000, None)
    [made] = features(spec, [[1.0] * 999 + [NAN]], [[0.0] * 1000, [4.0] * 1000])
    assert made[:3].tolist() == [-0.5, 0, 0.25]
    assert made[-3:].tolist() == [0, 1, 0]
    assert [table(*numbers[:n]).pieces for n in (64, 65, 256, 257, 666, 667, 800)] == [16, 15, 4, 4, 4, 3, 2]
    also = {"name": "city", "kind": "category"}
    assert (table(*numbers[:999], also).pieces, too_wide(table(*numbers[:999], also))) == (1, None)


def test_scale_and_knots_are_of_the_first_batch_and_powers_of_two() -> None:
    first = np.random.default_rng(0).normal(1000, 30, (400, 1))
    scale = TableScale.fitted(table({"name": "a", "kind": "number"}), first)
    assert (float(scale.mean), float(scale.std)) == (992.0, 32.0)
    assert np.allclose(scale.knots.numpy()[0], np.quantile(first, np.linspace(0, 1, 17)))


@pytest.mark.parametrize("first", [[[5.0]] * 3, [[NAN]], np.zeros((0, 1))], ids=["constant", "missing", "no rows"])
def test_a_column_that_says_nothing_first_is_finite_later(first: object) -> None:
    made = features(table({"name": "a", "kind": "number"}), [[5.0], [9.0], [NAN], [-1e300]], first)
    assert np.isfinite(made).all()
    assert np.abs(made).max() <= 8


def test_a_date_is_its_hour_weekday_and_season_by_the_clock() -> None:
    spec = table({"name": "at", "kind": "date"})
    sunday = datetime(2026, 11, 29, 6, tzinfo=UTC).timestamp()
    [row, missing] = features(spec, [[sunday], [NAN]])
    assert np.allclose(row[:4], [1, 0, 0, -1], atol=1e-6), "a quarter of a turn"
    assert row[4:11].tolist() == [0, 0, 0, 0, 0, 0, 1], "counted from Monday"
    turn = 2 * pi * ((sunday // 86400) / 365.2425 % 1)
    assert np.allclose(row[11:], [sin(turn), cos(turn), sin(2 * turn), cos(2 * turn)], atol=1e-6)
    assert not missing.any()
    before_1970 = datetime(1969, 12, 29, 6, tzinfo=UTC).timestamp()
    assert features(table({"name": "at", "kind": "date", "parts": ["weekday"]}), [[before_1970]])[0, 0] == 1


def test_a_constant_number_has_four_sizes_of_its_values_as_spread_though_its_mean_is_rounded() -> None:
    rows = np.full((30, 1), 0.1)
    assert rows.std() > 0, "of rounding alone"
    made = TableScale.fitted(table({"name": "a", "kind": "number"}), rows)
    one_row = TableScale.fitted(table({"name": "a", "kind": "number"}), rows[:1])
    assert (made.std.item(), one_row.std.item()) == (0.5, 0.125), "of one row nothing shows that it is constant"
    assert torch.equal(made.knots, one_row.knots)


@pytest.mark.parametrize("first", [0.0, NAN, 500.0], ids=["zero", "missing", "constant"])
def test_a_column_that_wakes_up_is_told_apart_over_powers_of_ten(first: float) -> None:
    made = TableScale.fitted(table({"name": "a", "kind": "number"}), np.full((30, 1), first))
    woken = torch.tensor([[-3000.0], [-30.0], [0.0], [3.0], [300.0], [3000.0], [30_000.0]], dtype=torch.float64)
    pieces = made(woken)[:, 2:]
    assert bool((torch.diff(pieces.sum(1)) > 1e-4).all()), "the scaled number is cut; its pieces are not"
    assert bool((torch.diff(made.knots[0]) > 0).all())


def test_booleans_and_listed_values() -> None:
    spec = table({"name": "m", "kind": "boolean"}, {"name": "p", "kind": "category", "values": ["basic", "plus "]})
    made = features(spec, [[1, value_code("plus")], [0, value_code("basic")], [NAN, NAN]])
    assert made.tolist() == [[1, 0, 1], [-1, 1, 0], [0, 0, 0]]


def test_open_values_share_indicators_and_identifiers_have_their_own() -> None:
    spec = table({"name": "city", "kind": "category"}, {"name": "id", "kind": "category", "many": True})
    assert spec.features == MANY_COLUMNS + INDICATORS
    made = features(spec, [[value_code("Oslo"), value_code("7")], [value_code("Oslo"), NAN], [NAN, NAN]])
    assert made.sum(1).tolist() == [2, 1, 0]
    assert made[0, MANY_COLUMNS:].tolist() == made[1, MANY_COLUMNS:].tolist()


def test_the_salt_is_the_first_under_which_the_rows_of_a_first_batch_stand_most_apart() -> None:
    spec = table({"name": "a", "kind": "category"}, {"name": "b", "kind": "category"}, indicators=64)
    random = np.random.default_rng(1)
    codes = [value_code(str(k)) for k in range(12)]
    rows = np.array([random.choice(codes, 300, p=np.arange(1, 13) / 78), random.choice(codes[:6], 300)]).T

    def met(salt: int) -> int:
        """Rows whose value shares its indicator with a commoner one."""
        on: dict[int, list[int]] = {}
        for place, name in enumerate("ab"):
            for code in codes:
                at = int(indicator_of(torch.tensor([int(code)]), column_salt(name, salt), 64))
                on.setdefault(at, []).append(int((rows[:, place] == code).sum()))
        return sum(sum(counts) - max(counts) for counts in on.values())

    chosen = int(TableScale.fitted(spec, rows).salt)
    every = [met(salt) for salt in range(SALTS)]
    assert chosen == int(np.argmin(every))
    assert met(chosen) < np.median(every)
    assert int(TableScale.fitted(spec, rows[:0]).salt) == 0


def test_indicators_are_spread_evenly() -> None:
    codes = torch.tensor([int(value_code(f"value {k}")) for k in range(20_000)])
    counts = np.bincount(indicator_of(codes, column_salt("a", 0), 100).numpy(), minlength=100)
    assert ((counts - 200) ** 2 / 200).sum() < 150, "chi square of 99 degrees of freedom"


def test_a_stored_scale_is_the_same_scale_and_the_space_knows_it() -> None:
    spec = table({"name": "city", "kind": "category"}, {"name": "a", "kind": "number"})
    rows = np.array([[value_code(str(k % 7)), k] for k in range(50)])
    scale, declared = scale_for(spec, rows)
    assert not declared
    again = load_scale(spec, scale.tensors())
    assert torch.equal(again(torch.from_numpy(rows)), scale(torch.from_numpy(rows)))
    lifts = [lift_of(spec, "none")]
    ids = {space_id(identity_network(spec, made, lifts)) for made in (scale, again)}
    assert len(ids) == 1
    other = TableScale(spec, scale.mean, scale.std, scale.knots, int(scale.salt) + 1)
    assert space_id(identity_network(spec, other, lifts)) not in ids
    strict = table({"name": "city", "kind": "category", "new_values": "refuse"}, {"name": "a", "kind": "number"})
    assert space_id(identity_network(strict, scale, [lift_of(strict, "none")])) in ids, "who may come is no feature"


def test_every_column_weighs_alike_in_random_features() -> None:
    spec = table(
        {"name": "a", "kind": "number"},
        {"name": "at", "kind": "date"},
        {"name": "city", "kind": "category"},
        {"name": "m", "kind": "boolean"},
    )
    weights = table_weights(spec)
    assert len(weights) == spec.features
    assert weights[0] == pytest.approx(1 / np.sqrt(6)), "a date weighs as three columns"
    assert not weights[2:18].any(), "pieces say again what the number says"
    assert (weights[18:33] ** 2).sum() == pytest.approx(3 / 6)
