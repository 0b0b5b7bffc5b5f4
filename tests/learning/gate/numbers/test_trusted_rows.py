"""What an update does to rows that were learned, and to its own: forgotten, lost bit by bit, or explained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.contract.enums import Outcome
from service.contract.number_policy import NumberPolicy
from service.contract.reports.facts import BESIDE_SETTINGS
from service.learning.data.rows import Floats
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.numbers.batch.figures import Figures
from service.learning.evaluation.numbers.measure_numbers import fifths, gained, measure, remembered, settings_pay
from service.learning.evaluation.numbers.number_assessment import Tested
from service.learning.gate.numbers.number_gate import judge_numbers
from service.learning.gate.numbers.number_measurements import Rise, RiseSince
from service.learning.gate.numbers.number_rules import UNPAID, slow_loss
from tests.learning.evaluation.numbers.batches import ROWS, Stream, answers, farther, fired, memory_of, rows, why


def test_errors_that_rise_on_trusted_rows_are_stopped_by_how_much(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    for part, verdict in ((0.03, None), (0.12, "held"), (0.5, "rejected")):
        report = stream.judged(*batch, candidate=answers(a, 1 + part))
        assert fired(report).get("forgets") == verdict, report.why
    assert report.why.startswith("Rejected: it forgot: errors on 400 trusted rows rose, 5.11 → 7.66 (+50.0 %; 5 %")


def test_a_fifth_of_the_values_and_a_source_that_got_worse_are_named(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)

    def worse(where: NDArray[np.bool_], times: float) -> ExamAnswers:
        """Where errors on some of the trusted rows are so many times what they are."""
        away = np.where(where[:, None], farther(a, times), a.candidate.on_trusted)
        return ExamAnswers(away, a.candidate.on_batch)

    _, region = fifths(a.base.on_trusted[:, 0])
    for times, verdict in ((1.4, "held"), (2.0, "rejected")):
        report = stream.judged(*batch, candidate=worse(region == 4, times))
        assert fired(report)["worst_region"] == verdict
        assert why(report, "worst_region").startswith("Values from 1")
        assert "got worse" in why(report, "worst_region")
    source = np.arange(len(a.trusted)) % 3
    known = rows(a.trusted.targets, "old", ("north", "south", ""), source)
    report = stream.judged(*batch, trusted=known, candidate=worse(source == 1, 1.5))
    assert why(report, "worst_region").startswith('Rows of "south" got worse')


def test_small_losses_are_held_once_they_add_up(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    version, memory = stream.past[2]
    before = replace(memory, trusted_error=memory.trusted_error / 1.3)
    report = stream.judged(*batch, past=[*stream.past[:2], (version, before), *stream.past[3:]])
    assert fired(report) == {"slow_loss": "held"}
    assert "+30.0 % since version 4" in report.why
    shared, places = remembered(a, replace(memory, trusted_row=memory.trusted_row + 100))
    assert len(shared) == 300
    assert (places == np.arange(100, 400)).all()


def test_the_second_batch_of_a_stream_may_move_more_than_the_hundredth(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    moved = {"candidate": answers(a, 1.3), "past": ()}
    assert fired(stream.judged(*batch, **moved, known=ROWS)) == {}
    report = stream.judged(*batch, **moved, known=10 * ROWS)
    assert fired(report)["forgets"] == "rejected"
    assert "(+30.0 %; 10 % are allowed)" in report.why


def test_a_rise_of_next_to_nothing_is_none(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """Rows of days that were learned are answered a hundred times as well as those to come."""
    a = stream.assessment(*batch)
    near = {"base": answers(a, 0.01), "candidate": answers(a, 0.02)}
    assert fired(stream.judged(*batch, **near, past=stream.past[-2:])) == {}


def test_versions_that_answered_few_of_todays_rows_are_not_compared(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    version, memory = stream.past[2]
    first = {"trusted_batch": memory.trusted_batch[:250], "trusted_row": memory.trusted_row[:250]}
    young = replace(memory, **first, trusted_error=memory.trusted_error[:250] / 2)
    report = stream.judged(*batch, past=[(version, young)])
    assert next(r for r in report.rules if r.name == "slow_loss").passed is None


def test_own_rows_that_got_worse_are_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    assert fired(stream.judged(*batch, candidate=answers(a, own=1.1))) == {"learned_nothing": "held"}
    few = batch[0][:40], batch[1][:40]
    assert fired(stream.judged(*few, candidate=answers(stream.assessment(*few), own=1.1))) == {}


def test_own_rows_that_got_worse_by_what_a_table_in_a_hundred_would_are_not_held(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    measured = measure(stream.assessment(*batch))
    for p, held in ((0.005, {}), (0.0005, {"learned_nothing": "held"})):
        one = replace(measured.numbers[0], own=Rise(rows=60, before=1.0, after=1.14, p=p))
        assert fired(judge_numbers(replace(measured, numbers=[one]), stream.policy)) == held


def test_where_recent_rows_are_trusted_a_stream_may_move(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    recent = {"policy": NumberPolicy(trusted="recent"), "past": []}
    moved = stream.judged(*batch, candidate=answers(a, 1.3, own=0.5), **recent)
    stayed = stream.judged(*batch, candidate=answers(a, 1.3), **recent)
    assert "forgets" not in fired(moved)
    assert "it follows the newer rows" in why(moved, "forgets")
    assert fired(stayed)["forgets"] == "rejected"


def test_a_version_with_a_decay_follows_a_stream_that_moves(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    moved = {"candidate": answers(a, 1.3, own=0.5), "past": ()}
    report = stream.judged(*batch, **moved, fades=True)
    assert report.outcome is Outcome.PASS, report.why
    assert "On its own 96 rows they fell as much (−50.0 %): it follows the newer rows." in why(report, "forgets")
    assert fired(stream.judged(*batch, **moved))["forgets"] == "rejected"
    little = {**moved, "candidate": answers(a, 1.3, own=0.8)}
    assert fired(stream.judged(*batch, **little, fades=True))["forgets"] == "rejected"


def test_where_a_move_that_is_said_beforehand_would_pass_a_loss_says_so(stream: Stream) -> None:
    for n, own, says in ((n, own, own < 1) for n in (40, ROWS) for own in (0.5, 1.0)):
        batch = stream.draw(n)
        candidate = answers(stream.assessment(*batch), 2.0, own)
        stopped = stream.judged(*batch, candidate=candidate)
        assert stopped.why.startswith("Rejected: it forgot: ")
        assert ('learn it with "expect": "move"' in stopped.why) == says, stopped.why
        said = stream.judged(*batch, candidate=candidate, expected=True)
        assert "won as much" not in why(said, "slow_loss")
        assert (said.outcome is Outcome.PASS) == says, said.why
        assert "expect" not in said.why


def test_what_a_new_source_does_to_old_rows_is_said_of_it(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    report = stream.judged(*batch, candidate=answers(a, 2.0, own=0.5), new_source="south")
    assert report.why.startswith('Rejected: "south", a source that is new, is unlike the others: errors ')
    assert report.why.endswith("or a column that tells sources apart.")


def test_what_a_few_rows_of_a_new_source_do_is_said_of_them(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch[0], batch[1].copy()
    targets[[3, 20, 41]] *= 100
    candidate = answers(stream.assessment(inputs, targets), 2.0, own=0.5)
    report = stream.judged(inputs, targets, candidate=candidate, new_source="south")
    rule = next(rule for rule in report.rules if rule.name == "forgets")
    assert rule.why.startswith("It forgot: errors ")
    few = "A few of its targets are far out: correct these rows, or take them out."
    right = ' If they are right, and what comes has changed at once, learn it with "expect": "move".'
    assert rule.why.endswith(f"{few}{right}")
    said = stream.judged(inputs, targets, candidate=candidate, new_source="south", expected=True)
    assert "forgets" not in fired(said)
    lost = stream.judged(inputs, targets, candidate=answers(stream.assessment(inputs, targets), 2.0, own=1.0))
    assert why(lost, "forgets").endswith(few)
    shifted = stream.judged(inputs, batch[1] * 100, candidate=candidate, new_source="south")
    rule = next(rule for rule in shifted.rules if rule.name == "forgets")
    assert rule.why.startswith('"south", a source that is new, is unlike the others'), rule.why


def test_few_rows_of_batches_that_still_count_do_not_judge(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    worse = answers(a, 2.0)
    for m, verdict in ((29, {}), (30, {"forgets": "rejected", "slow_loss": "held"})):
        few = {
            "trusted": a.trusted.take(np.arange(m)),
            "trusted_goals": a.trusted_goals[:m],
            "base": ExamAnswers(a.candidate.on_trusted[:m], a.candidate.on_batch),
            "candidate": ExamAnswers(worse.on_trusted[:m], worse.on_batch),
            "past": stream.past[:1],
        }
        assert fired(stream.judged(*batch, **few, fades=True)) == verdict
        assert fired(stream.judged(*batch, **few)) == {"forgets": "rejected", "slow_loss": "held"}


def test_what_updates_gained_on_their_own_rows_explains_what_old_ones_lost(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    memories = [(version, replace(memory, figures=(Figures(gain=0.08),))) for version, memory in stream.past]
    version, memory = memories[2]
    memories[2] = version, replace(memory, trusted_error=memory.trusted_error / 1.3)
    followed = answers(a, own=0.9)
    measured = measure(replace(a, past=memories, candidate=followed))
    assert [round(s.gained, 2) for s in measured.numbers[0].since] == [0.5, 0.42, 0.34, 0.26, 0.18, 0.1]
    report = judge_numbers(measured, stream.policy)
    assert "slow_loss" not in fired(report)
    assert "+30.0 % since version 4" in why(report, "slow_loss")
    assert "Updates since won as much on their own rows (−34.0 %): they follow the newer rows." in why(
        report, "slow_loss"
    )
    assert fired(stream.verdict(replace(a, past=memories)))["slow_loss"] == "held", "where it did not follow"
    silent = [(version, replace(memory, figures=(Figures(),))) for version, memory in memories]
    assert fired(stream.verdict(replace(a, past=silent, candidate=followed)))["slow_loss"] == "held"


def test_a_version_remembers_what_it_gained_for_sure(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    for part, gain in ((0.8, 0.2), (1.1, -0.1), (1.0, 0.0)):
        memory = Tested.load(memory_of(replace(a, candidate=answers(a, own=part))).arrays())
        assert memory.figures[0].gain == pytest.approx(gain)
    few = stream.assessment(batch[0][:49], batch[1][:49])
    assert memory_of(few).figures[0].gain is None


def test_what_another_strength_does_to_old_rows_is_no_doing_of_the_batch(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    worse = answers(a, 1.5, own=1.2)
    assert {"forgets", "slow_loss", "learned_nothing"} <= fired(stream.judged(*batch, candidate=worse)).keys()
    beside = stream.judged(*batch, candidate=worse, same=worse)
    assert fired(beside) == {}
    told = {rule.name for rule in beside.rules if rule.why.endswith(BESIDE_SETTINGS)}
    assert told == {"forgets", "worst_region", "learned_nothing"}
    made = replace(a, candidate=worse, same=worse)
    assert gained(made, 0) == pytest.approx((0.0, 0.5))  # which later versions are told
    past = [*stream.past, (8, memory_of(made))]
    later = stream.verdict(replace(a, past=past, candidate=worse, base=worse))
    assert "slow_loss" not in fired(later)
    counted = "of which +50.0 % by other settings alone; +0.0 % beside what these would give, which is what counts."
    assert counted in why(later, "slow_loss")
    better = replace(a, candidate=answers(a, 0.8), challenges=True)
    assert gained(better, 0) == pytest.approx((0.0, -0.2))
    won = RiseSince(1, Rise(rows=100, before=1.0, after=1.16, p=0.001), settings=-0.2)
    assert won.rise == pytest.approx(0.16)  # what settings won is not to be lost first


def test_settings_excuse_no_loss_that_they_do_not_win_on_rows_of_the_batch(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    for same, pay in (
        (answers(a, 1.5), False),
        (answers(a, 1.5, own=0.9), False),
        (answers(a, 1.5, own=0.4), True),
        (answers(a, 1.04), True),
        (answers(a, 0.8, own=1.5), True),
    ):
        assert settings_pay(replace(a, same=same)) is pay
    assert settings_pay(a)
    unpaid = judge_numbers(replace(measure(replace(a, candidate=answers(a, 1.5))), unpaid=True), stream.policy)
    assert fired(unpaid)["forgets"] == "rejected"
    assert UNPAID in why(unpaid, "forgets")


def test_what_came_before_is_of_the_measure_of_the_whole_and_never_more_than_that(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    settled = replace(a, candidate=answers(a, 1.6), same=answers(a, 1.5))
    past = [*stream.past, (8, memory_of(settled))]  # 8 has other settings, which cost half as much again
    for base, same, candidate, said, figures in (
        (1.4, None, 1.95, "None of that came before", {"since": 2}),
        (1.65, None, 1.95, "+10.0 % of that came before this update: look at", {"since": 2}),
        (1.8, None, 1.95, "+20.0 % of that came before this update: go back", {"version": 2, "lost": 0.2}),
        (2.1, None, 1.95, "All of that came before this update: go back", {"version": 2, "lost": 0.3}),
        (1.8, 2.7, 2.925, "+20.0 % of that came before this update: go back", {"version": 2, "lost": 0.2}),
    ):
        made = replace(a, past=past, base=answers(a, base), candidate=answers(a, candidate))
        measured = measure(replace(made, same=answers(a, same) if same else None))
        found = slow_loss(measured, measured.numbers[0], stream.policy)
        assert found.value == pytest.approx(0.3)
        assert found.remedy.startswith(said), found.remedy
        assert found.figures == pytest.approx(figures)


def test_with_a_decay_own_rows_may_be_answered_worse_by_what_the_batch_weighs(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    worse = {"candidate": answers(a, own=1.1), "known": 4 * ROWS}
    assert fired(stream.judged(*batch, **worse, fades=True)) == {}
    assert fired(stream.judged(*batch, **worse)) == {"learned_nothing": "held"}
    little = {**worse, "candidate": answers(a, own=1.04)}
    assert fired(stream.judged(*batch, **little)) == {}
    assert fired(stream.judged(*batch, **{**little, "known": 100 * ROWS})) == {"learned_nothing": "held"}
    much = {**worse, "candidate": answers(a, own=1.2)}
    assert fired(stream.judged(*batch, **much, fades=True)) == {"learned_nothing": "held"}


def test_weights_that_are_not_finite_are_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    assert fired(stream.judged(*batch, sound=False)) == {"sound": "rejected"}
