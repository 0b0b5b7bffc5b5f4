"""What more rows would bring is estimated from sums, with intervals that hold, where there are rows enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.contract.inputs import VectorInput
from service.contract.reports.class_report import LearningCurve
from service.learning.data.rows import FeatureRows
from service.learning.evaluation.classes import learning_curve as curve
from service.learning.evaluation.classes.learning_curve import learning_curve
from service.learning.exact.solve import Head, solve_ridge
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import identity_network
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.input_scale import declared_scale
from tests.learning.memory_data import Stream, in_space

SIZE = 24
SPEC = VectorInput.model_validate({"kind": "vector", "size": SIZE, "scale": {"range": [-8, 8]}})
SCALE = declared_scale(SPEC)
assert SCALE is not None
SPACE = Space.of(identity_network(SPEC, SCALE))


def solve(sums: Sums) -> Head:
    return solve_ridge(sums, SPACE.shift, 1e-3, 0.25)


def rows(n: int, seed: int, classes: str = "ab", apart: float = 0.35) -> FeatureRows:
    """`n` rows a class, so near to each other that many are needed to tell them apart."""
    random = np.random.default_rng(seed)
    labels = [c for c in classes for _ in range(n)]
    centre = {c: np.random.default_rng(ord(c)).normal(size=SIZE) * apart for c in classes}
    inputs = np.array([centre[c] + random.normal(size=SIZE) for c in labels])
    return in_space(Stream(SPEC).rows(np.clip(inputs, -8, 8), labels), SPACE)


def of(n: int, seed: int = 0, known: Ledger | None = None) -> LearningCurve:
    known, entry = known or Ledger.empty(SPACE), rows(n, seed)
    estimate = learning_curve(known, known.with_entry(entry), entry, known.exam, solve)
    assert estimate is not None
    return estimate


def test_where_more_rows_help_the_gain_is_told_for_each_class_and_comes_true() -> None:
    now, inside = of(150), 0
    assert now.points[0].rows < now.points[1].rows
    later = rows(1000, seed=99)
    for of_class in now.classes:
        assert of_class.gain is not None
        assert of_class.interval[0] <= of_class.gain <= of_class.interval[1]
        assert of_class.more == of_class.rows, "as many again"
    for seed in range(10):
        estimate, true = of(150, seed), []
        for factor in (1, 2):
            sums = sum((Sums.of(r.take(r.folds > 2)) for r in _some(seed, factor)), Sums.empty(SIZE))
            head = solve(sums)
            right = head.logits(later.inputs.astype(np.float64) * SPACE.step).argmax(1) == later.codes(head.classes)
            true.append({c: right[later.codes([c]) == 0].mean() for c in "ab"})
        for of_class in estimate.classes:
            inside += (
                of_class.interval[0] <= true[1][of_class.class_] - true[0][of_class.class_] <= of_class.interval[1]
            )
    assert inside >= 17, "of 20"


def _some(seed: int, batches: int) -> list[FeatureRows]:
    return [rows(150, seed + 1000 * k) for k in range(batches)]


@pytest.mark.parametrize("n", [1, 5])
def test_of_one_or_five_rows_a_class_nothing_is_claimed_and_a_number_to_send_is_named(n: int) -> None:
    estimate = of(n)
    assert [(c.class_, c.gain, c.interval) for c in estimate.classes] == [
        (c, None, None) for c in sorted(c.class_ for c in estimate.classes)
    ]
    [sentence] = estimate.told
    assert "cannot be told yet" in sentence
    least = min(c.judged for c in estimate.classes)
    assert (
        f"to judge by, of the 10 that it takes. About one in five that come judges: send {5 * (10 - least)} more"
        in sentence
    )


def test_twenty_rows_a_class_are_told_once_there_is_enough_to_judge_by() -> None:
    known = Ledger.empty(SPACE).with_entry(rows(200, seed=3))
    estimate = of(20, known=known)
    assert all(c.judged >= curve.LEAST_JUDGED and c.gain is not None for c in estimate.classes)


def test_classes_that_are_told_apart_already_gain_nothing() -> None:
    entry = rows(100, seed=0, apart=3.0)
    none = Ledger.empty(SPACE)
    estimate = learning_curve(none, none.with_entry(entry), entry, none.exam, solve)
    assert estimate.told == [
        "No class of this update surely gained from its latest rows: more of the same would bring little."
    ]
    assert estimate.points[1].accuracy > 0.99


def test_wide_features_classes_of_many_rows_and_updates_without_learning_rows_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    none = Ledger.empty(SPACE)
    entry = rows(30, seed=0)
    grown, kept_back = none.with_entry(entry), entry.take(entry.folds <= 2)
    assert learning_curve(none, none.with_entry(kept_back), kept_back, none.exam, solve) is None
    with monkeypatch.context() as patched:
        patched.setattr(curve, "ENOUGH", min(grown.learn.n))
        assert learning_curve(none, grown, entry, none.exam, solve) is None
    monkeypatch.setattr(curve, "WIDEST", SIZE - 1)
    assert learning_curve(none, grown, entry, none.exam, solve) is None


def test_rows_that_judge_count_once_however_many_copies_come() -> None:
    known = Ledger.empty(SPACE).with_entry(rows(200, seed=3))
    once = rows(20, seed=0)
    entry = FeatureRows.concat([once, *(replace(once, batches=(f"bat_{k}",)) for k in range(5))])
    estimate = learning_curve(known, known.with_entry(entry), entry, known.exam, solve)
    assert [c.judged for c in estimate.classes] == [c.judged for c in of(20, known=known).classes]


def test_a_sentence_names_rows_class_and_interval() -> None:
    sentences = [c for seed in range(12) for c in of(60, seed).told if "would bring about" in c]
    assert sentences, "none of twelve samples showed a gain"
    assert all("more rows of" in t and "points" in t and " to " in t for t in sentences)
