"""What shows of the second to the fifth batch: honest ones pass, and what intervals speak against is held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erfinv

from service.contract.enums import Outcome
from service.learning.data.target_grid import Floats
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.evaluation.numbers.batch.figures import ErrorCourse, Figures
from service.learning.evaluation.numbers.measure_numbers import measure
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Past
from tests.learning.evaluation.numbers.batches import ROWS, Stream, answers, fired, memory_of
from tests.learning.evaluation.numbers.lineage import Lineage
from tests.learning.number_streams import number


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
    narrow = {"intervals": intervals(0.2), "past": ()}
    honest = stream.judged(inputs, targets, **narrow)
    assert honest.outcome is Outcome.PASS, honest.why
    report = stream.judged(inputs, targets + 9, **narrow)
    assert fired(report) == {"disagrees_broadly": "held"}
    assert (
        "lie outside the intervals in which version 7 expects nine in ten, and learning these rows hardly" in report.why
    )
    assert fired(stream.judged(inputs, targets + 9, **narrow, candidate=learned(a, 0.5))) == {}
    assert fired(stream.judged(inputs, targets + 9, past=())) == {}, "no intervals"
    wide = {"intervals": intervals(2.0), "past": stream.past[:1]}
    assert fired(stream.judged(inputs, targets + 4, **wide)) == {}


def test_the_first_batches_are_held_for_a_unit_that_brings_them_nearer(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, 1.609344 * targets + 9, intervals=intervals(0.2), past=())
    assert "look 1.61 times too large: divided by 1.61 they" in report.why
    assert report.outcome is not Outcome.PASS


def first_version(stream: Stream, rows: int = 120) -> Past:
    """What a first version remembers of its rows: errors on blocks that were left out, no tested ones."""
    inputs, targets = stream.draw(rows)
    a = stream.assessment(inputs, targets)
    assert a.base is not None
    value, error = a.base.on_batch[:, 0], (a.batch_goals - a.base.on_batch)[:, 0]
    memory, left_out = memory_of(a), ErrorCourse.of(value, error, np.zeros_like(error))
    figures = Figures(own_order=memory.figures[0].own_order, left_out=left_out)
    assert Figures.load(figures.stored()) == figures
    none = {name: getattr(memory, name)[:0] for name in ("batch", "row", "value", "error", "ratio")}
    return [(7, replace(memory, **none, figures=(figures,)))]


@pytest.mark.parametrize(("times", "held"), [(1.0, True), (4.0, False)])
def test_until_a_batch_was_tested_a_rise_is_beside_what_the_first_version_makes_of_blocks_it_did_not_learn(
    stream: Stream, batch: tuple[Floats, Floats], times: float, held: bool
) -> None:
    [(version, memory)] = first_version(stream)
    [figures] = memory.figures
    assert figures.left_out is not None
    left_out = replace(figures.left_out, size=times * figures.left_out.size)
    past = [(version, replace(memory, figures=(replace(figures, left_out=left_out),)))]
    a = stream.assessment(*batch, past=past)
    report = stream.verdict(replace(a, candidate=answers(a, trusted=1.08)))
    assert fired(report) == ({"forgets": "held"} if held else {})


def learned(a: NumberAssessment, part: float) -> ExamAnswers[Floats]:
    """A candidate that answers this part of the batch's errors away, and trusted rows as the base does."""
    assert a.base is not None
    return ExamAnswers(a.base.on_trusted, a.batch_goals - (1 - part) * (a.batch_goals - a.base.on_batch))


def test_the_first_batches_are_held_for_a_step_to_one_side_where_they_begin(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    past = first_version(stream)
    first = {"intervals": intervals(0.2), "past": past}
    honest = stream.judged(inputs, targets, **first)
    assert honest.outcome is Outcome.PASS, honest.why
    moved = targets + 20
    following = {"candidate": learned(stream.assessment(inputs, moved), 0.5)}
    report = stream.judged(inputs, moved, **first, **following)
    assert fired(report) == {"disagrees_broadly": "held"}
    assert "20" in report.why
    assert "higher on average than version 7 expects, from the first row on: a jump of" in report.why
    assert 'learn it with "expect": "move"' in report.why
    assert fired(stream.judged(inputs, moved, **first, **following, expected=True)) == {}
    older = {**first, "past": [(7, replace(past[0][1], figures=(Figures(),)))]}
    assert fired(stream.judged(inputs, moved, **older, **following)) == {}, "an earlier release kept no such figures"
    rising = targets + np.linspace(0, 40, ROWS)[:, None]
    slowly = {"candidate": learned(stream.assessment(inputs, rising), 0.8)}
    assert fired(stream.judged(inputs, rising, **first, **slowly)) == {}, "a course that its own parts show"


@pytest.mark.parametrize(
    ("targets_by", "answers_by", "stopped"), [(20, 0, True), (14, -6, True), (6, -14, False), (0, -20, False)]
)
def test_a_step_that_the_targets_do_not_show_is_the_versions(
    stream: Stream, batch: tuple[Floats, Floats], targets_by: float, answers_by: float, stopped: bool
) -> None:
    inputs, targets = batch
    first = {"intervals": intervals(2.0), "past": first_version(stream)}
    a = stream.assessment(inputs, targets + targets_by)
    assert a.base is not None
    base = replace(a.base, on_batch=a.base.on_batch + answers_by / stream.grid.unit)
    made = {**first, "base": base, "candidate": learned(replace(a, base=base), 0.5)}
    report = stream.judged(inputs, targets + targets_by, **made)
    assert ("disagrees_broadly" in fired(report)) == stopped, report.why
    wanders = a.trusted_goals + np.linspace(-100, 100, len(a.trusted))[:, None]
    unsure = stream.judged(inputs, targets + targets_by, **made, trusted_goals=wanders)
    assert "disagrees_broadly" in fired(unsure), "where targets wander they may have been moved back"


@pytest.mark.parametrize(
    ("tested", "moved", "asked"), [(0, False, True), (3, False, True), (3, True, False), (4, False, False)]
)
def test_the_rows_before_are_asked_until_four_batches_were_tested_or_the_stream_has_moved(
    stream: Stream, batch: tuple[Floats, Floats], tested: int, moved: bool, asked: bool
) -> None:
    past = [*first_version(stream), *stream.past[:tested]]
    number, last = past[-1]
    past[-1] = number, replace(last, figures=(replace(last.figures[0], moved=moved),))
    figures = measure(stream.assessment(*batch, intervals=intervals(0.2), past=past)).numbers[0].batch
    assert figures is not None
    assert (figures.first is not None) == asked
    assert not asked or figures.first.apart is not None


def test_the_first_batches_are_held_for_an_order_that_is_lost_or_worse(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    first = {"intervals": intervals(2.0), "past": first_version(stream)}
    rolled = np.roll(targets, 1, 0)
    a = stream.assessment(inputs, rolled)
    report = stream.judged(inputs, rolled, **first, alone=a.batch_goals, candidate=learned(a, 0.3))
    assert fired(report) == {"disagrees_broadly": "held"}
    assert "the order of the targets is unlike what version 7 expects (rank correlation" in report.why
    assert fired(stream.judged(inputs, rolled, **first, alone=a.batch_goals, candidate=learned(a, 0.9))) == {}
    half = stream.random.permutation(ROWS)[: ROWS // 2]
    some = targets.copy()
    some[half] = stream.random.permutation(some[half])
    a = stream.assessment(inputs, some)
    shuffled = stream.judged(inputs, some, **first, candidate=learned(a, 0.2))
    assert fired(shuffled) == {"disagrees_broadly": "held"}
    assert "the targets follow the rows less than those before (rank correlation 0." in shuffled.why
    assert "times those on rows before." in shuffled.why
    assert fired(stream.judged(inputs, some, **first, candidate=learned(a, 0.8))) == {}


def test_honest_noise_that_grows_a_little_near_a_perfect_order_is_not_held() -> None:
    stream = Stream()
    first = {"intervals": intervals(2.0), "past": first_version(stream)}
    for seed in range(5):
        stream.random = np.random.default_rng(seed)
        inputs, targets = stream.draw(ROWS, noise=0.45)
        assert stream.measured(inputs, targets, **first).first.apart.worse > 2.0
        assert fired(stream.judged(inputs, targets, **first)) == {}
        narrow = {"intervals": intervals(0.2), "past": first["past"]}
        assert fired(stream.judged(inputs, targets, **narrow)) == {}, "outside of intervals, but in as good an order"
        some = targets.copy()
        some[::2] = stream.random.permutation(some[::2])
        assert "lie outside the intervals" in stream.judged(inputs, some, **narrow).why


@pytest.mark.parametrize("remembers", [True, False])
def test_shuffled_batches_are_no_evidence_of_a_move_after_the_first_version_either(
    stream: Stream, batch: tuple[Floats, Floats], remembers: bool
) -> None:
    inputs, targets = batch
    past = first_version(stream)
    if not remembers:
        past = [(7, replace(past[0][1], figures=(Figures(),)))]
    first = {"intervals": intervals(0.2), "past": past}

    def figures(shuffled: bool, seed: int) -> list[Figures]:
        stream.random = np.random.default_rng(seed)
        other, right = stream.draw(ROWS)
        right = stream.random.permutation(right) if shuffled else right + 20
        return list(figures_of(stream.assessment(other, right, **first)))

    again = stream.judged(
        inputs, stream.random.permutation(targets), **first, stopped=[figures(shuffled=True, seed=s) for s in (21, 22)]
    )
    assert again.outcome is not Outcome.PASS
    moved = targets + 20
    before = [figures(shuffled=False, seed=s) for s in (23, 24)]
    answered = {"candidate": learned(stream.assessment(inputs, moved), 0.5)}
    assert stream.judged(inputs, moved, **first, **answered, stopped=before).outcome is Outcome.PASS


def test_division_is_no_unit_where_any_would_bring_targets_nearer() -> None:
    """The base answers about 0, and errors are about as large as targets."""
    stream = Stream(level=0.0, noise=0.3)
    inputs, targets = stream.draw(ROWS, noise=30.0)
    assert not stream.measured(inputs, targets).repair.factor.startswith("/")


@pytest.mark.parametrize(("kind", "stopped"), [("right", False), ("noisier", False), ("shuffled", True), ("off", True)])
def test_targets_beside_a_column_lose_its_order_where_they_are_shuffled(kind: str, stopped: bool) -> None:
    """How targets differ from the column is noise, in no order that could be lost."""
    random, made = np.random.default_rng(2), Lineage(3, number(**{"from": 0}))
    for rows in (40, 60):
        inputs = random.normal(size=(rows, 3))
        targets = inputs[:, 0] + 0.2 * random.normal(size=rows)
        if rows == 40:
            made.grow(inputs, targets)
    wrong = {
        "right": targets,
        "noisier": targets + 0.3 * random.normal(size=60),
        "shuffled": random.permutation(targets),
        "off": np.roll(targets, 1),
    }
    report = made.offer(made.offered(inputs, wrong[kind])).report
    assert ("disagrees_broadly" in fired(report.gate)) == stopped, report.gate.why
