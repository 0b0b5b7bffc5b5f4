"""What shows of the second and the third batch: honest ones pass, and what intervals speak against is held."""

from __future__ import annotations

import numpy as np
from scipy.special import erfinv

from service.contract.enums import Outcome
from service.learning.data.target_grid import Floats
from service.learning.evaluation.numbers.measure_numbers import measure
from service.learning.evaluation.numbers.number_assessment import NumberAnswers, NumberPast
from tests.learning.evaluation.numbers.batches import ROWS, Stream, fired


def intervals(half: float) -> dict[str, Floats]:
    """Of a base whose errors are normal: the interval of 50 % is so wide either way, in units, and that of 90 % as it
    should be."""
    middle = [erfinv(level / 100) for level in range(1, 100)]
    return {"edges": np.zeros((1, 4)), "quantiles": half * np.tile(np.array(middle) / erfinv(0.5), (1, 5, 1))}


def test_the_first_batches_are_held_where_intervals_say_that_they_are_off_and_nothing_is_learned(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    a = stream.assessment(inputs, targets + 9)
    narrow = {"intervals": intervals(0.2), "past": NumberPast()}
    honest = stream.judged(inputs, targets, **narrow)
    assert honest.outcome is Outcome.PASS, honest.why
    report = stream.judged(inputs, targets + 9, **narrow)
    assert fired(report) == {"disagrees_broadly": "held"}
    assert (
        "lie outside the intervals in which version 7 expects nine in ten, and learning these rows hardly" in report.why
    )
    assert a.base is not None
    learned = NumberAnswers(a.base.on_trusted, a.batch_goals - 0.5 * (a.batch_goals - a.base.on_batch))
    assert fired(stream.judged(inputs, targets + 9, **narrow, candidate=learned)) == {}
    assert fired(stream.judged(inputs, targets + 9, past=NumberPast())) == {}, "no intervals"
    wide = {"intervals": intervals(2.0), "past": NumberPast(stream.past[:1])}
    assert fired(stream.judged(inputs, targets + 4, **wide)) == {}


def test_the_first_batches_are_held_for_a_unit_that_brings_them_nearer_and_for_a_lost_order(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    a = stream.assessment(inputs, targets)
    assert a.base is not None
    assert a.alone is not None
    first = {"intervals": intervals(0.2), "past": NumberPast()}
    report = stream.judged(inputs, 1.609344 * targets + 9, **first)
    assert "look 1.61 times too large: divided by 1.61 they" in report.why
    assert report.outcome is not Outcome.PASS
    half = stream.random.permutation(ROWS)[: ROWS // 2]
    some = targets.copy()
    some[half] = stream.random.permutation(some[half])
    nothing = np.full_like(a.alone, np.nan)
    nothing[:] = stream.random.normal(size=nothing.shape)
    wrong = stream.assessment(inputs, some).batch_goals
    learned = NumberAnswers(a.base.on_trusted, wrong - 0.7 * (wrong - a.base.on_batch))
    report = stream.judged(inputs, some, **first, alone=nothing, candidate=learned)
    assert "and they follow the rows less than usual (rank correlation 0." in report.why


def test_division_is_no_unit_where_any_would_bring_targets_nearer() -> None:
    """The base answers about 0, and errors are about as large as targets."""
    stream = Stream(level=0.0, noise=0.3)
    inputs, targets = stream.draw(ROWS, noise=30.0)
    measured = measure(stream.assessment(inputs, targets)).numbers[0].batch
    assert measured is not None
    assert measured.repair is not None
    assert not measured.repair.factor.startswith("/")
