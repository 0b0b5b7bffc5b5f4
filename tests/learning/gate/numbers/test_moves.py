"""Streams that move: what shows that targets lie elsewhere from now on, and what is wrong in spite of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.contract.enums import Outcome
from service.contract.reports.facts import GateReport
from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.evaluation.numbers.batch.figures import Figures
from service.learning.evaluation.numbers.measure_numbers import measure
from service.learning.gate.numbers.number_gate import follows, judge_numbers
from service.learning.gate.numbers.number_measurements import OwnOrder, Stopped
from tests.learning.evaluation.numbers.batches import ROWS, Stream, answers, fired, memory_of


def test_what_one_head_can_learn_beside_old_rows_is_not_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """A week unlike the others whose rows say so themselves: learned, its errors fall, and those on old rows stay."""
    inputs, targets = batch
    a = stream.assessment(inputs, targets + 9)

    def judged(**errors: float) -> GateReport:
        return stream.verdict(replace(a, candidate=answers(a, **errors)))

    assert fired(judged()) == {"disagrees_broadly": "held"}, "nothing was learned"
    report = judged(own=0.9)
    assert report.outcome is Outcome.PASS
    assert any("Both can be right: learned, its own errors fell" in rule.why for rule in report.rules)
    assert fired(judged(trusted=1.01, own=0.9)) == {"disagrees_broadly": "held"}


def test_a_stream_that_always_jumps_is_not_held_for_jumping() -> None:
    jumping = Stream(batches=0)
    jumps = np.random.default_rng(3).normal(0, 8, 13)
    for version, jump in enumerate(jumps[:-1]):
        inputs, targets = jumping.draw(ROWS)
        jumping.promote(version + 2, jumping.assessment(inputs, targets + jump))
    inputs, targets = jumping.draw(ROWS)
    assert jumping.judged(inputs, targets + 9).outcome is Outcome.PASS


def _figures(stream: Stream, shift: float, seed: int) -> list[Figures]:
    """What a batch that was stopped leaves: its targets lie to one side."""
    stream.random = np.random.default_rng(seed)
    inputs, targets = stream.draw(ROWS)
    return list(figures_of(stream.assessment(inputs, targets + shift)))


def test_a_batch_like_two_that_were_stopped_shows_that_the_stream_has_moved(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    before = [_figures(stream, 9, 21), _figures(stream, 10, 22)]
    assert fired(stream.judged(inputs, targets + 9, stopped=before[:1])) == {"disagrees_broadly": "held"}
    a = stream.assessment(inputs, targets + 9, stopped=before)
    report = stream.verdict(a)
    assert report.outcome is Outcome.PASS
    assert any("like the 2 before it, which were stopped" in rule.why for rule in report.rules)
    assert follows(measure(a), stream.policy, report) == 2
    passing = measure(stream.assessment(inputs, targets, stopped=before))
    assert follows(passing, stream.policy, judge_numbers(passing, stream.policy)) == 0  # it is like the promoted ones
    for wrong in (targets + 60, 10 * targets, np.full_like(targets, 100.0)):
        assert stream.judged(inputs, wrong, stopped=before).outcome is not Outcome.PASS, "unlike them, or wrong"


def test_different_mistakes_in_a_row_are_no_move(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    low, high, far = (_figures(stream, shift, seed) for shift, seed in ((-60, 21), (15, 22), (700, 23)))
    for before in ([low, high], [high, low], [low, high, far], [far, high]):
        assert stream.judged(inputs, targets + 9, stopped=before).outcome is not Outcome.PASS
    after = [low, _figures(stream, 9, 24), _figures(stream, 10, 25)]
    assert stream.measured(inputs, targets + 9, stopped=after).stopped == Stopped(2, agrees=True)
    steps = [_figures(stream, shift, seed) for shift, seed in ((280, 26), (320, 27))]
    assert stream.measured(inputs, targets + 300, stopped=steps).follows, "large steps need not be the same"


def test_targets_whose_sender_says_that_they_move_are_not_held_for_it(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    held = stream.judged(inputs, targets + 9)
    assert 'learn it with "expect": "move"' in held.why
    off = replace(measure(stream.assessment(inputs, targets + 9)), beyond='Column "p" has values far off')
    assert judge_numbers(off, stream.policy).why.endswith(
        'Column "p" has values far off. If they are a mistake, send the rows again; if they are right, promote this '
        "version."
    )
    no_answers = judge_numbers(
        replace(measure(stream.assessment(inputs, targets + 700)), beyond=off.beyond), stream.policy
    )
    assert no_answers.why.endswith(
        'learn them with "expect": "move". Column "p" has values far off: are they a mistake, too?'
    ), "nothing says that targets which are rejected become right with the inputs"
    unit = replace(measure(stream.assessment(inputs, targets * 10)), beyond='Column "p" has values far off')
    but_first = 'in the usual unit. But first: Column "p" has values far off. If'
    assert but_first in judge_numbers(unit, stream.policy).why
    nr = 'Column "nr" rises from row to row. If it only numbers rows, leave it out of a new model.'
    assert f"wider `scale`. {nr}" in judge_numbers(replace(unit, numbering=nr), stream.policy).why
    report = stream.judged(inputs, targets + 9, expected=True)
    assert report.outcome is Outcome.PASS
    assert any("That was expected: targets move at once." in rule.why for rule in report.rules)
    assert fired(stream.judged(inputs, 10 * targets, expected=True)) == {"wrong_unit": "rejected"}
    assert "one_value" in fired(stream.judged(inputs, np.full_like(targets, 100.0), expected=True))


def test_once_the_stream_has_moved_usual_is_what_came_since_and_old_rows_may_say_otherwise(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    first = memory_of(stream.assessment(inputs, targets + 9))
    past = [*stream.past, (8, replace(first, figures=(replace(first.figures[0], moved=True),)))]
    a = stream.assessment(inputs, targets + 10, past=past)
    assert fired(stream.verdict(a)) == {}
    assert stream.measured(inputs, targets + 10, past=past).bias.usual == first.figures[0].bias
    followed = replace(a, candidate=answers(a, 1.5, own=0.9))
    assert fired(stream.verdict(followed)) == {}, "it follows"
    measured = measure(followed)
    [number] = measured.numbers
    assert number.batch is not None
    for p, rejected in ((0.3, True), (0.01, False)):
        alone = replace(number.batch, own=OwnOrder(value=0.3, p=p, least=None))
        judged = judge_numbers(replace(measured, numbers=[replace(number, batch=alone)]), stream.policy)
        assert (fired(judged).get("forgets") == "rejected") == rejected, "targets that do not follow their rows"
    assert fired(stream.verdict(replace(a, candidate=answers(a, 1.5))))["forgets"] == "rejected"


def test_what_the_live_version_cannot_know_is_not_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """Rows that have a value of a category for the first time: another shop, whose prices lie elsewhere."""
    inputs, targets = batch
    new = np.ones(ROWS, bool)
    assert fired(stream.judged(inputs, targets + 9)) == {"disagrees_broadly": "held"}
    report = stream.judged(inputs, targets + 9, novel=new)
    assert report.outcome is Outcome.PASS
    assert any(
        rule.why.endswith("96 rows have values of a category that version 7 has not learned.") for rule in report.rules
    )
    assert fired(stream.judged(inputs, 10 * targets, novel=new))["wrong_unit"] == "rejected"
    shuffled = stream.random.permutation(targets)
    assert fired(stream.judged(inputs, shuffled, novel=new))["unlearnable"] == "rejected"


def test_where_some_rows_have_new_values_the_others_are_judged(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    new = np.arange(ROWS) < 70
    apart = np.where(new[:, None], targets + 20, targets)
    assert fired(stream.judged(inputs, apart)) == {"disagrees_broadly": "held"}
    assert fired(stream.judged(inputs, apart, novel=new)) == {}
    assert fired(stream.judged(inputs, targets + 20, novel=new)) == {"disagrees_broadly": "held"}
    a = stream.assessment(inputs, apart, novel=new)
    alone = stream.assessment(inputs[70:], targets[70:])
    assert replace(figures_of(a)[0], own_order=0) == replace(figures_of(alone)[0], own_order=0)


def test_figures_of_new_values_are_not_usual(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    first = stream.assessment(inputs, targets + 9, novel=np.arange(ROWS) < 80)
    assert figures_of(first)[0].novel == 80 / 96
    kept = replace(memory_of(first), novel=first.novel)
    past = [*stream.past, (8, kept)]
    assert fired(stream.judged(inputs, targets + 9, past=past)) == {"disagrees_broadly": "held"}
    now, then = stream.measured(inputs, targets + 9, past=past), stream.measured(inputs, targets + 9)
    assert (now.mean.usual, now.bias.usual) == (then.mean.usual, then.bias.usual)
    assert stream.measured(inputs, targets + 9, stopped=[list(figures_of(first))] * 2).stopped is None


def test_where_every_batch_brings_new_values_its_rows_are_judged(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """A category of which nearly each row has another value, such as the number of an order."""
    inputs, targets = batch
    new = np.ones(ROWS, bool)
    first = stream.assessment(inputs, targets, novel=new)
    kept = replace(memory_of(first), novel=new)
    twice, often = ([*stream.past, *[(8 + k, kept) for k in range(n)]] for n in (2, 3))
    assert fired(stream.judged(inputs, targets + 9, novel=new, past=twice)) == {}
    assert fired(stream.judged(inputs, targets + 9, novel=new, past=often)) == {"disagrees_broadly": "held"}
    assert fired(stream.judged(inputs, targets, novel=new, past=often)) == {}
