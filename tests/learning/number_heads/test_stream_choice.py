"""Decay, strength and lift of a stream are chosen by the errors of the last batches, before they were learned."""

from __future__ import annotations

import numpy as np
import pytest

from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.sums import Sums
from service.learning.method import Learned
from service.learning.methods import resolve
from service.learning.number_heads import last_errors, stream_choice
from service.learning.number_heads import number_lift_choice as lift_choice
from service.learning.number_heads.equations import NumberEquations, NumberMoments, goals_in_units, number_head
from service.learning.number_heads.last_errors import errors_by_alpha
from service.learning.number_heads.number_out_of_fold import LeavingOut
from service.learning.number_heads.strength import LEAST_RISE, StrengthErrors
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.number_streams import NumberStream, vector

ALPHAS = (1e-2, 1e-1, 1.0)


def weeks(t: int, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A plane whose rows of a week lie close together, and share an error of their own. [n, 2], [n]"""
    rng = np.random.default_rng(t)
    X = (rng.normal(0, 1, 2) + 0.2 * rng.normal(size=(rows, 2))).astype(np.float32)
    return X, 3 * X[:, 0] + X[:, 1] + rng.normal(0, 1) + 0.05 * rng.normal(size=rows)


@pytest.mark.parametrize("narrow", [300, 0])
def test_errors_of_each_strength_are_those_of_its_head(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_errors, "NARROW", narrow)
    stream = NumberStream(vector(2))
    stream.learns(*weeks(0), lift=["none", "relu"], width=20)
    assert stream.checkpoint is not None
    space = Space.of(stream.checkpoint)
    grid, entry = space.numbers, feature_rows(space, stream.offered(*weeks(1)).batch)
    assert grid is not None
    before = Sums.of(feature_rows(space, stream.history[0]))
    heads = [number_head(before, 1, space.shift, alpha) for alpha in ALPHAS]
    expected = [np.abs(head.answers(entry, space.shift) - goals_in_units(entry, grid)).mean() for head in heads]
    errors = errors_by_alpha(NumberMoments.of(before, 1), [22, 2], ALPHAS, entry, grid)
    assert errors[: len(ALPHAS)] == pytest.approx(expected, rel=1e-9 if narrow else 1e-3)
    first = errors_by_alpha(NumberMoments.of(before, 1), [2], ALPHAS, entry, grid)
    assert errors[len(ALPHAS) :] == pytest.approx(first, rel=1e-9 if narrow else 1e-3), "the first features alone"


def test_features_that_no_row_has_are_left_out_and_change_nothing() -> None:
    stream = NumberStream(vector(2))
    made = stream.learns(*weeks(0), lift="relu", width=20)
    space = Space.of(made.checkpoint)
    grid, rows = space.numbers, feature_rows(space, stream.history[0])
    assert grid is not None
    wide = rows.with_features(np.insert(rows.inputs, [0, 7, 7], 0, axis=1))
    kept = np.insert(np.arange(20), [0, 7, 7], -1) >= 0
    heads, answers, errors = [], [], []
    for entry in (rows, wide):
        sums = Sums.of(entry)
        heads.append(number_head(sums, 1, space.shift, 0.1))
        leaving_out = LeavingOut(NumberEquations(sums, 1, space.shift), 0.1, grid)
        answers.append(leaving_out.answers(entry, np.ones(len(entry))))
        errors.append(errors_by_alpha(NumberMoments.of(sums, 1), [entry.inputs.shape[1] - 2], [0.1, 1.0], entry, grid))
    assert np.array_equal(heads[1].weight[:, kept], heads[0].weight)
    assert not heads[1].weight[:, ~kept].any()
    assert answers[1] == pytest.approx(answers[0], rel=1e-9)
    assert errors[1] == pytest.approx(errors[0], rel=1e-9)
    nothing = rows.with_features(np.where(np.arange(rows.inputs.shape[1]) < 20, 0, rows.inputs))
    moments = NumberMoments.of(Sums.of(nothing), 1)
    spread = np.abs(goals_in_units(nothing, grid) - moments.goal).mean()
    assert errors_by_alpha(moments, [20], [0.1, 1.0], nothing, grid) == [spread, spread]
    assert not number_head(Sums.of(nothing), 1, space.shift, 0.1).weight.any()


def learned(weeks_of: int, **params: object) -> Learned:
    stream, made = NumberStream(vector(2)), None
    for t in range(weeks_of):
        made = stream.learns(*weeks(t), **params)
    assert made is not None
    return made


def test_the_strength_is_the_one_that_answered_the_last_batches_best() -> None:
    made = learned(6, lift="none")
    tested = {float(alpha): error for alpha, error in made.details["alphas_tested"].items()}
    assert made.details["alpha"] == min(tested, key=lambda alpha: tested[alpha]) >= 1e-2
    kept_back = learned(6, lift="none", decay=1)
    assert "alphas_tested" not in kept_back.details
    assert kept_back.details["alpha"] < made.details["alpha"]  # rows of a week say too little of the next one


def test_what_rows_kept_back_lose_by_a_strength_counts_as_one_batch_more() -> None:
    stream = NumberStream(vector(2))
    for t in range(3):
        stream.learns(*weeks(t), lift="none", decay=1)
    assert stream.checkpoint is not None
    space = Space.of(stream.checkpoint)
    ledger = stream.offered(*weeks(3)).grown(space)
    sums = ledger.learn, ledger.select, 1, space.shift
    kept = StrengthErrors({0.1: 1.0, 10.0: 1.0}, 1).choose(*sums).errors
    lost = (kept[10.0] / kept[0.1]) ** 0.5 - LEAST_RISE
    assert lost > 1.5, "they lie beside rows that were learned"
    for won, batches, chosen in ((0.98, 1, 0.1), (0.9 / lost, 1, 10.0), (0.98, 100, 10.0), (0.9, 2, 0.1)):
        assert StrengthErrors({0.1: 1.0, 10.0: won}, batches).choose(*sums).alpha == chosen, (won, batches)
    nothing = Sums.empty(space.width)
    assert StrengthErrors({0.1: 1.0, 10.0: 0.98}, 1).choose(ledger.learn, nothing, 1, space.shift).alpha == 10.0


def test_a_strength_that_was_asked_for_is_kept() -> None:
    assert learned(4, lift="none", alpha=1e-3).details["alpha"] == 1e-3


@pytest.mark.long
def test_lifts_that_flatter_themselves_are_left_for_the_vector_alone_once_enough_batches_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lift_choice, "NARROW", 40)
    monkeypatch.setattr(stream_choice, "LIFT_BATCHES", 6)
    monkeypatch.setattr(stream_choice, "SURPRISES", np.inf)
    stream = NumberStream(vector(2))
    made = [stream.learns(*weeks(t)) for t in range(10)]
    lifts = [one.details["lift"] for one in made]
    assert len(lifts[5]) == 2  # rows that are kept back prefer random features beside the vector
    left = next(one for one in made if "lifts_tested" in one.details)
    assert left.details["lift"] == ["none"]
    assert left.details["lifts_tested"]["none"] == min(left.details["lifts_tested"].values())
    assert lifts[-1] == ["none"]


def test_what_other_settings_make_without_the_batch_stands_beside_what_they_make_with_it() -> None:
    stream = NumberStream(vector(2))
    stream.learns(*weeks(0), lift="none", alpha=1e-2, decay=1)
    assert stream.learns(*weeks(1), lift="none", alpha=1e-2, decay=1).without is None
    known = NumberStream(vector(2))
    known.learns(*weeks(0), lift="none", alpha=10.0, decay=1)
    expected = known.learns(*weeks(1), lift="none", alpha=10.0, decay=1).checkpoint
    made = stream.learns(*weeks(2), lift="none", alpha=10.0, decay=1).without
    for part in ("head.0", "judge"):
        assert made.parts[part]["weight"].equal(expected.parts[part]["weight"])


def levelling_off(t: int) -> tuple[np.ndarray, np.ndarray]:
    """What grows with a column up to 1 and not beyond, where nearly all rows lie from the fourth on. [n, 2], [n]"""
    rng, rows = np.random.default_rng(t), 60 if t else 300
    X = np.stack([rng.normal(4, 1, rows) if t > 2 else np.minimum(rng.normal(size=rows), 1), rng.normal(size=rows)], 1)
    return X, 50 + 10 * np.minimum(X[:, 0], 1) + 5 * X[:, 1] + 3 * rng.normal(size=rows)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lift_choice, "NARROW", 60)


@pytest.mark.usefixtures("narrow")
def test_a_batch_beyond_all_that_were_learned_takes_a_lift_that_answers_it_far_better() -> None:
    stream = NumberStream(vector(2))
    made = [stream.learns(*levelling_off(t)) for t in range(5)]
    assert [one.details["lift"] for one in made[:3]] == [["none"]] * 3
    assert not any("lifts_tested" in one.details for one in made[:3])
    tested = made[3].details["lifts_tested"]
    assert made[3].details["lift"] == made[4].details["lift"] == ["none", "fourier"]
    assert min(tested, key=lambda lift: tested[lift]).startswith("none 2 + fourier")
    assert tested["none 2 + fourier 60"] < stream_choice.FAR_BETTER * tested["none"]
    assert made[3].checkpoint.learned["lift.1"] == {f"bat_{t:03d}" for t in range(4)}, "this batch chose it, too"
    assert any("did best on rows that the heads compared had not learned" in note for note in made[3].notes)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("asked", [{"lift": "none"}, {"decay": 1}])
def test_what_was_asked_for_stays_where_a_batch_lies_beyond(asked: dict[str, object]) -> None:
    stream = NumberStream(vector(2))
    made = [stream.learns(*levelling_off(t), **asked) for t in range(4)]
    assert made[3].details["lift"] == ["none"]
    assert "lifts_tested" not in made[3].details


@pytest.mark.usefixtures("narrow")
def test_a_batch_that_no_lift_answers_far_better_keeps_the_one_there_is() -> None:
    stream = NumberStream(vector(2))
    for t in range(3):
        stream.learns(*levelling_off(t))
    X, y = levelling_off(2)
    made = stream.learns(X, 10 * y)
    assert made.details["lift"] == ["none"]
    assert len(made.details["lifts_tested"]) == 3


@pytest.mark.usefixtures("narrow")
def test_no_lift_is_tried_on_a_batch_where_too_many_rows_would_be_learned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = NumberStream(vector(2))
    for t in range(3):
        stream.learns(*levelling_off(t))
    for most, tried in ((420, True), (419, False)):
        monkeypatch.setattr(stream_choice, "WIDE_ROWS", most)
        made = learn(stream.checkpoint, stream.offered(*levelling_off(3)), *resolve({"name": "ridge"}), Run())
        assert ("lifts_tested" in made.details) == tried
