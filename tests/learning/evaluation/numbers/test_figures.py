"""What a batch looks like beside the last ones, and what the gate says of it: honest batches and wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from service.contract.enums import Outcome
from service.contract.number_policy import NumberPolicy
from service.contract.report import BESIDE_SETTINGS, BY_CHANCE, GateReport
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import Floats
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.evaluation.numbers.batch.figures import Figures
from service.learning.evaluation.numbers.batch.own_head import cut
from service.learning.evaluation.numbers.batch.recent_batches import farthest, outlying, ratios
from service.learning.evaluation.numbers.measure_numbers import fifths, gained, measure, remembered
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.evaluation.numbers.number_report import batch_errors
from service.learning.gate.numbers.number_gate import NUMBER_RULES, follows, judge_numbers
from service.learning.gate.numbers.number_measurements import Beside, OwnOrder, Repair, Rise, RiseSince, Stopped
from tests.learning.evaluation.numbers.batches import ROWS, Stream, fired, memory_of, rows


@pytest.mark.parametrize("seed", range(8))
def test_honest_batches_pass(stream: Stream, seed: int) -> None:
    stream.random = np.random.default_rng(seed)
    report = stream.judged(*stream.draw((ROWS, 40, 500, 7)[seed % 4]))
    assert report.outcome is Outcome.PASS, report.why
    assert [(r.number, r.name) for r in report.rules] == sorted((n, name) for n, name, _ in NUMBER_RULES)


def test_every_rule_but_sound_has_its_part_of_the_policy() -> None:
    assert {name for _, name, _ in NUMBER_RULES} == {*NumberPolicy.model_fields, "sound"} - {
        "trusted",
        "recent_batches",
        "moved",
    }


@pytest.mark.parametrize(
    ("times", "plus", "said", "factor"),
    [
        (10, 0, "look 10 times too large: divided by 10 they fit version 7.", "/ 10"),
        (0.001, 0, "look 1,000 times too small: multiplied by 1,000 they fit version 7.", "* 1,000"),
        (1.609344, 0, "look 1.61 times too large: divided by 1.61 they fit version 7.", "/ 1.61"),
        (-1, 0, "look as if they had the other sign: with it turned they fit version 7.", "* -1"),
        (1 / 1.8, -32 / 1.8, "look like degrees Celsius: as degrees Fahrenheit they fit version 7.", "°C to °F"),
    ],
)
def test_another_unit_is_named(
    stream: Stream, batch: tuple[Floats, Floats], times: float, plus: float, said: str, factor: str
) -> None:
    inputs, targets = batch
    a = stream.assessment(inputs, times * targets + plus)
    measured = measure(a).numbers[0].batch
    assert measured is not None
    assert measured.repair is not None
    assert measured.repair.factor == factor
    report = stream.judged(inputs, times * targets + plus)
    assert report.outcome is Outcome.FAIL
    assert report.why == (
        f"Rejected: {'nearly ' if times == 1.609344 else ''}all 96 targets {said} Version 7 stays live. "
        "Send the rows again in the usual unit."
    )


def test_a_unit_is_said_of_as_many_targets_as_look_like_it(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, np.where(np.arange(ROWS)[:, None] < 77, 10 * targets, targets))
    assert report.outcome is Outcome.FAIL
    assert report.why.startswith("Rejected: 77 of 96 targets look 10 times too large: divided by 10 they fit version 7")


def test_the_other_sign_of_targets_about_zero_is_no_order_the_other_way_round() -> None:
    stream = Stream(level=0.0)
    inputs, targets = stream.draw(ROWS)
    assert "all 96 targets look as if they had the other sign" in stream.judged(inputs, -targets).why


def test_targets_that_run_against_what_is_expected_are_turned_around(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, 250 - targets)
    assert report.outcome is Outcome.FAIL
    assert report.why.startswith("Rejected: all 96 targets run the other way round: subtracted from 25"), report.why
    few = stream.judged(inputs[:4], 250 - targets[:4])
    assert "wrong_unit" not in fired(few), "four rows show no order"


def test_a_repair_that_halves_the_errors_needs_little_surprise(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """After two batches hardly anything surprises; but another shop may well be 2.54 times as dear."""
    measured = measure(stream.assessment(*batch))
    figures = measured.numbers[0].batch
    assert figures is not None
    repair = Repair("/ 2.54", "look 2.54 times too large", "divided by 2.54", 1.1)

    def judged(median: Beside, novel: int = 0) -> GateReport:
        few = replace(figures, mean=replace(median, p=0.3), median=median, repair=repair, novel=novel)
        return judge_numbers(replace(measured, numbers=[replace(measured.numbers[0], batch=few)]), stream.policy)

    assert fired(judged(Beside(2.5, 1.0, 0.09))) == {"wrong_unit": "rejected"}
    assert fired(judged(Beside(2.5, 1.0, 0.11))) == {}
    assert fired(judged(Beside(2.0, 1.0, 0.09))) == {}, "1.1 is more than half of it"
    assert fired(judged(Beside(2.5, 1.0, 0.09), novel=96)) == {}


@pytest.mark.parametrize(
    ("after", "slip", "no_shift", "rows", "rejected"),
    [
        (20, True, True, 96, True),
        (26, True, True, 96, False),
        (20, False, True, 96, False),
        (20, True, False, 96, False),
        (20, True, True, 19, False),
    ],
)
def test_a_power_of_ten_is_one_for_new_values_too(
    stream: Stream, batch: tuple[Floats, Floats], after: float, slip: bool, no_shift: bool, rows: int, rejected: bool
) -> None:
    """Little is expected of rows with new values: a repair need not make them fit, but halve their errors."""
    measured = measure(stream.assessment(*batch))
    figures = measured.numbers[0].batch
    assert figures is not None
    far, repair = Beside(50.0, 1.0, 0.01), Repair("* 10", "look small", "taken so", after, slip, no_shift=no_shift)
    new = replace(figures, rows=rows, mean=far, median=far, repair=repair, novel=rows)
    report = judge_numbers(replace(measured, numbers=[replace(measured.numbers[0], batch=new)]), stream.policy)
    assert fired(report) == ({"wrong_unit": "rejected"} if rejected else {})
    assert not rejected or "taken so they lie far nearer to what version 7 expects." in report.why
    for wrong, plain in ((batch[1] * 10, True), (batch[1] + 90, False)):
        sent = measure(stream.assessment(batch[0], wrong)).numbers[0].batch
        assert sent is not None
        assert sent.repair is not None
        assert sent.repair.no_shift is plain


def test_shuffled_targets_are_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, stream.random.permutation(targets))
    assert report.why.startswith("Rejected: the targets look shuffled: a model of these 96 rows alone predicts")
    assert fired(report)["unlearnable"] == "rejected"


def test_shuffled_targets_look_shuffled_where_errors_say_nothing(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """Their errors are as usual, but nothing in the rows says what they are, and in earlier batches something did."""
    inputs, targets = batch
    a = stream.assessment(inputs, targets)
    assert a.alone is not None
    report = stream.judged(inputs, targets, alone=stream.random.permutation(a.alone))
    assert fired(report) == {"unlearnable": "rejected", "disagrees_broadly": "held"}
    assert "where in the last batches it was 0.9" in report.why


def test_an_order_that_so_few_rows_lose_by_chance_is_not_lost(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    measured = measure(stream.assessment(*batch))
    one, figures = measured.numbers[0], measured.numbers[0].batch
    assert figures is not None

    def judged(rows: int, p: float = 0.2, least: float | None = 0.35) -> GateReport:
        lost = replace(figures, rows=rows, own=OwnOrder(value=0.05, p=p, least=least))
        return judge_numbers(replace(measured, numbers=[replace(one, batch=lost)]), stream.policy)

    assert fired(judged(40)) == {}
    assert "(0.35 at least) do not show that this is lost and not chance, so it" in why(judged(40), "unlearnable")
    assert "No batch before shows" in why(judged(96, least=None), "unlearnable")
    assert why(judged(96, p=1e-9), "unlearnable").endswith(f"That is more than chance gives, {BY_CHANCE}")
    assert fired(judged(96)) == {"unlearnable": "rejected"}


def test_one_value_for_all_is_rejected_and_an_expected_one_is_not(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, np.full_like(targets, 104))
    assert report.why.startswith("Rejected: all 96 targets are 104, where hardly any would be usual. Version 7")
    a = stream.assessment(inputs, targets)
    night = (
        np.arange(len(a.trusted))[:, None] % 5 < 2
    )  # four tenths of all targets are one value, and the base knows which
    goals, dark = np.where(night, -9.0, a.trusted_goals), np.full_like(a.batch_goals, -9.0)
    answers = ExamAnswers(goals, dark)
    known = rows(np.where(night, 100.0, a.trusted.targets), "old")
    batch_rows = rows(np.full_like(targets, 100.0), "new")
    dark = replace(
        a, trusted=known, trusted_goals=goals, batch=batch_rows, batch_goals=dark, base=answers, candidate=answers
    )
    common = measure(dark).numbers[0].batch
    assert common is not None
    assert common.commonest is not None
    assert (common.commonest.share, common.commonest.usual) == (1.0, 1.0)


def test_few_rows_of_one_value_prove_nothing(stream: Stream) -> None:
    inputs, targets = stream.draw(3)
    report = stream.judged(inputs, np.full_like(targets, targets.mean()))
    assert "one_value" not in fired(report)


def test_targets_far_from_any_usual_error_are_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, 400 - 3 * targets)
    assert fired(report)["contradicts_everything"] == "rejected"
    assert "times as far as usual from what version 7 expects (off by" in report.why
    assert "Do rows and targets still belong together?" in report.why
    measured = measure(stream.assessment(*batch))
    one, figures = measured.numbers[0], measured.numbers[0].batch
    assert figures is not None
    unsure = replace(figures, mean=Beside(10.2, 1.0, 0.03), median=Beside(11.0, 1.0, 0.02))
    passed = judge_numbers(replace(measured, numbers=[replace(one, batch=unsure)]), stream.policy)
    assert fired(passed) == {}
    for name, p in (("contradicts_everything", "0.03"), ("disagrees_broadly", "0.02")):
        assert why(passed, name).endswith(
            f"10 times as large as usual. So much more may be chance (p = {p}), {BY_CHANCE}"
        )


def test_a_few_targets_far_out_are_held_and_listed(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    targets = targets.copy()
    targets[[41, 60, 70, 71], 0] = 1190, 500, 300, -200
    report = stream.judged(inputs, targets)
    assert fired(report)["outliers"] == "held"
    a = stream.assessment(inputs, targets)
    assert farthest(a, 100) == [(41, 0), (60, 0), (71, 0), (70, 0)]
    assert farthest(a, 2) == [(41, 0), (60, 0)]
    assert outlying(a)[:, 0].nonzero()[0].tolist() == [41, 60, 70, 71]
    value = a.grid.value(stream.answers(inputs[41:42]))[0, 0]
    assert report.why == (
        "Held: 4 of 96 targets are far beyond any error that version 7 made (row 42 says 1,190 where it expects "
        f"{value:.3g}). Version 7 stays live. Look at the listed rows, then promote it or send the batch without them."
    )


def test_one_far_target_alone_passes(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    targets = targets.copy()
    targets[41] += 60
    report = stream.judged(inputs, targets)
    assert "outliers" not in fired(report)
    assert len(farthest(stream.assessment(inputs, targets), 100)) == 1


def test_a_target_is_far_out_only_beyond_errors_that_were_made(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """What is usual of a row is little known at first: next to nothing may be usual of a row like any other."""
    inputs, targets = batch
    usual = np.ones_like(targets)
    usual[[41, 60, 70, 71]] = 1e-3
    assert not outlying(stream.assessment(inputs, targets, usual=usual)).any()
    targets = targets.copy()
    targets[41] += 60
    assert farthest(stream.assessment(inputs, targets, usual=usual), 100) == [(41, 0)]


def test_targets_that_follow_their_rows_less_than_usual_are_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """A head of the batch alone tells it, whatever the base expects; one of fewer rows finds less anyway."""
    inputs, targets = batch
    a = stream.assessment(inputs, targets)
    assert a.alone is not None
    some = a.alone.copy()
    some[: ROWS // 2] = stream.random.permutation(some[: ROWS // 2])
    report = stream.judged(inputs, targets, alone=some)
    assert fired(report) == {"disagrees_broadly": "held"}
    assert report.why.startswith(
        "Held: the targets follow the rows less than usual: a model of these 96 rows alone predicts the order of "
    )
    assert ", usually 0.9" in report.why
    few = slice(18, 78)
    assert fired(stream.judged(inputs[few], targets[few], alone=some[few])) == {}


def test_targets_to_one_side_are_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    report = stream.judged(inputs, targets + 9)
    assert fired(report) == {"disagrees_broadly": "held"}
    assert "higher on average than version 7 expects" in report.why or "times as large as usual" in report.why
    assert fired(stream.judged(inputs, targets + 1)) == {}


def test_what_one_head_can_learn_beside_old_rows_is_not_held(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """A week unlike the others whose rows say so themselves: learned, its errors fall, and those on old rows stay."""
    inputs, targets = batch
    a = stream.assessment(inputs, targets + 9)
    assert a.base is not None

    def judged(on_trusted: Floats, on_batch: Floats) -> GateReport:
        return judge_numbers(measure(replace(a, candidate=ExamAnswers(on_trusted, on_batch))), stream.policy)

    assert fired(judged(a.base.on_trusted, a.base.on_batch)) == {"disagrees_broadly": "held"}, "nothing was learned"
    report = judged(a.base.on_trusted, nearer(a, 0.9))
    assert report.outcome is Outcome.PASS
    assert any("Both can be right: learned, its own errors fell" in rule.why for rule in report.rules)
    assert fired(judged(farther(a, 1.01), nearer(a, 0.9))) == {"disagrees_broadly": "held"}


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
    report = judge_numbers(measure(a), stream.policy)
    assert report.outcome is Outcome.PASS
    assert any("like the 2 before it, which were stopped" in rule.why for rule in report.rules)
    assert follows(measure(a), stream.policy, report) == 2
    passing = measure(stream.assessment(inputs, targets, stopped=before))
    assert follows(passing, stream.policy, judge_numbers(passing, stream.policy)) == 0  # it is like the promoted ones


def test_targets_whose_sender_says_that_they_move_are_not_held_for_it(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    held = stream.judged(inputs, targets + 9)
    assert 'learn it with "expect": "move"' in held.why
    report = stream.judged(inputs, targets + 9, expected=True)
    assert report.outcome is Outcome.PASS
    assert any("That was expected: targets move at once." in rule.why for rule in report.rules)
    assert fired(stream.judged(inputs, 10 * targets, expected=True)) == {"wrong_unit": "rejected"}
    assert "one_value" in fired(stream.judged(inputs, np.full_like(targets, 100.0), expected=True))


@pytest.mark.parametrize("wrong", [lambda y: y + 60, lambda y: 10 * y, lambda y: np.full_like(y, 100.0)])
def test_what_is_unlike_the_stopped_ones_or_wrong_in_itself_stays_stopped(
    stream: Stream, batch: tuple[Floats, Floats], wrong: Callable[[Floats], Floats]
) -> None:
    inputs, targets = batch
    before = [_figures(stream, 9, 21), _figures(stream, 10, 22)]
    assert stream.judged(inputs, wrong(targets), stopped=before).outcome is not Outcome.PASS


def test_a_wrong_unit_that_is_sent_again_and_again_stays_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    again = [list(figures_of(stream.assessment(inputs, 10 * targets)))] * 5
    assert stream.judged(inputs, 10 * targets, stopped=again).outcome is Outcome.FAIL


@pytest.mark.parametrize("slip", [True, False])
def test_a_power_of_ten_that_surprises_little_is_no_move_either(
    stream: Stream, batch: tuple[Floats, Floats], slip: bool
) -> None:
    measured = measure(stream.assessment(*batch))
    figures = measured.numbers[0].batch
    assert figures is not None
    far, aside = Beside(2.5, 0.8, 0.2), Beside(-2.5, -0.1, 0.0004)
    repair = Repair("* 10", "look 10 times too small", "multiplied by 10", 1.12, slip)
    figures = replace(figures, mean=far, median=far, bias=aside, repair=repair, stopped=Stopped(2, agrees=True))
    again = replace(measured, numbers=[replace(measured.numbers[0], batch=figures)])
    assert fired(judge_numbers(again, stream.policy)) == ({"wrong_unit": "rejected"} if slip else {})
    sent = measure(stream.assessment(batch[0], batch[1] / 10)).numbers[0].batch
    assert sent is not None
    assert sent.repair is not None
    assert sent.repair.slip


def test_shuffled_batches_are_no_evidence_where_something_always_said_what_targets_are(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    shuffled = stream.random.permutation(targets)
    again = [list(figures_of(stream.assessment(inputs, shuffled)))] * 5
    stopped = measure(stream.assessment(inputs, shuffled, stopped=again)).numbers[0].batch
    assert stopped is not None
    assert stopped.stopped is None
    assert stream.judged(inputs, shuffled, stopped=again).outcome is Outcome.FAIL


def test_once_the_stream_has_moved_usual_is_what_came_since_and_old_rows_may_say_otherwise(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    inputs, targets = batch
    first = memory_of(stream.assessment(inputs, targets + 9))
    past = [*stream.past, (8, replace(first, figures=(replace(first.figures[0], moved=True),)))]
    a = stream.assessment(inputs, targets + 10, past=past)
    assert fired(judge_numbers(measure(a), stream.policy)) == {}
    beside = measure(a).numbers[0].batch
    assert beside is not None
    assert beside.bias.usual == first.figures[0].bias
    followed = replace(a, candidate=ExamAnswers(farther(a, 1.5), nearer(a, 0.9)))
    assert fired(judge_numbers(measure(followed), stream.policy)) == {}
    idle = replace(a, candidate=ExamAnswers(farther(a, 1.5), nearer(a, 1.0)))
    assert fired(judge_numbers(measure(idle), stream.policy))["forgets"] == "rejected"


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
    a, before = (stream.assessment(inputs, targets + 9, past=[*stream.past, *p]) for p in ([(8, kept)], []))
    assert fired(judge_numbers(measure(a), stream.policy)) == {"disagrees_broadly": "held"}
    now, then = measure(a).numbers[0].batch, measure(before).numbers[0].batch
    assert now is not None
    assert then is not None
    assert (now.mean.usual, now.bias.usual) == (then.mean.usual, then.bias.usual)
    stopped = [list(figures_of(first))] * 2
    unlike = measure(stream.assessment(inputs, targets + 9, stopped=stopped)).numbers[0].batch
    assert unlike is not None
    assert unlike.stopped is None


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


def test_figures_are_those_of_the_formulas(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    (figures,) = figures_of(a)
    ratio = ratios(a)
    assert set(figures.stored()) == {"log_mean", "log_median", "log_far", "order", "bias", "own_order"}
    assert ratio is not None
    assert figures.log_mean == pytest.approx(np.log(ratio.mean()))
    assert figures.log_median == pytest.approx(np.log(np.median(ratio)))
    assert figures.log_far == pytest.approx(np.log(np.quantile(ratio, 0.99)))
    assert figures.bias is not None
    assert -0.5 < figures.bias < 0.5
    assert figures.order is not None
    assert 0.9 < figures.order < 1
    errors = batch_errors(measure(a))
    assert errors is not None
    assert errors.mean == pytest.approx(1, abs=0.3)
    assert errors.order == figures.order


def test_the_error_that_is_usual_of_a_row_is_asked_first(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    plain = ratios(a)
    doubled = ratios(replace(a, usual=np.full_like(a.batch_goals, 2.0)))
    assert plain is not None
    assert doubled is not None
    assert doubled[:, 0] == pytest.approx(np.abs(a.batch_goals[:, 0] - a.base.on_batch[:, 0]) / 2)


def test_targets_of_a_head_alone_are_cut_where_they_lie_far_out() -> None:
    goals = np.r_[np.linspace(-1, 1, 21), 1e6][:, None]
    calm = cut(goals)
    assert (calm[:-1] == goals[:-1]).all()
    assert calm[-1, 0] < 5
    assert (cut(np.ones((4, 2))) == 1).all()
    assert cut(np.zeros((0, 2))).shape == (0, 2)


def test_second_versions_are_stopped_by_gross_units_alone() -> None:
    second = Stream(batches=0)
    inputs, targets = second.draw(ROWS)
    assert second.judged(inputs, targets).outcome is Outcome.PASS
    assert "divided by 10 they fit" in second.judged(inputs, 10 * targets).why
    assert second.judged(inputs, targets + targets.std()).outcome is Outcome.PASS
    assert second.judged(inputs, targets + 4 * targets.std()).outcome is Outcome.PASS


@pytest.mark.parametrize("seed", range(4))
def test_a_plain_factor_is_named_after_one_batch(seed: int) -> None:
    third = Stream(batches=1, seed=seed)
    inputs, targets = third.draw(ROWS)
    assert "times too large" in third.judged(inputs, 10 * targets).why
    assert third.judged(inputs, targets).outcome is Outcome.PASS


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batches", [0, 1])
def test_shuffled_targets_are_rejected_though_nothing_surprises_yet(batches: int, seed: int) -> None:
    """The base errs a little, so errors are 1.5 times as large as usual at most."""
    early = Stream(batches=batches, noise=0.8, seed=seed)
    inputs, targets = early.draw(200)
    assert early.judged(inputs, targets).outcome is Outcome.PASS
    report = early.judged(inputs, early.random.permutation(targets))
    assert fired(report).get("unlearnable") == "rejected"
    assert report.why.startswith(
        "Rejected: the targets look shuffled: a model of these 200 rows alone predicts the order"
    )
    few, shuffled = inputs[:12], early.random.permutation(targets[:12])
    assert "unlearnable" not in fired(early.judged(few, shuffled)), "12 rows would not show the usual order"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("level", "spread"), [(0.0, 1e-9), (3e-9, 1e-9), (-1e12, 1e12), (1e12, 1e9), (5.0, 1.0)])
def test_the_size_of_targets_changes_nothing(level: float, spread: float, seed: int) -> None:
    stream = Stream(level, spread, seed=seed)
    inputs, targets = stream.draw(ROWS)
    assert stream.judged(inputs, targets).outcome is Outcome.PASS
    assert stream.judged(inputs, 1000 * targets + 50 * spread).outcome is Outcome.FAIL


def test_constant_targets_stay_constant_or_are_named() -> None:
    stream = Stream(5.0, 0.0)
    inputs, targets = stream.draw(ROWS)
    assert stream.judged(inputs, targets).outcome is Outcome.PASS
    assert stream.judged(inputs, 10 * targets).outcome is Outcome.FAIL


@pytest.mark.parametrize("target", [{"scale": "log"}, {"from": 1}], ids=["log", "from"])
def test_logarithms_and_differences_are_judged_as_they_are_learned(target: dict[str, object]) -> None:
    log = "scale" in target
    declared = NumberTarget.model_validate({"kind": "number", **target})
    stream = Stream(5.0, 1.0, target=declared) if log else Stream(0.0, 20.0, target=declared)
    inputs, targets = stream.draw(ROWS)
    assert stream.judged(inputs, targets).outcome is Outcome.PASS
    report = stream.judged(inputs, targets * 100)
    assert "divided by 100 they fit version 7" in report.why
    targets = targets.copy()
    targets[:4] *= 1e4
    report = stream.judged(inputs, targets)
    assert report.outcome is not Outcome.PASS
    expected = {r.name: r.why for r in report.rules}["outliers"].split("expects ")[1].split(")")[0].replace(",", "")
    assert 1 < float(expected) < (1e6 if log else 2e6)


def test_with_several_numbers_a_row_the_worst_decides() -> None:
    target = NumberTarget(kind="number", size=3, names=["north", "mid", "south"])
    stream = Stream(target=target)
    inputs, targets = stream.draw(ROWS)
    honest = stream.judged(inputs, targets)
    assert honest.outcome is Outcome.PASS, honest.why
    wrong = targets.copy()
    wrong[:, 2] /= 100
    report = stream.judged(inputs, wrong)
    assert 'targets of "south" look 100 times too small: multiplied by 100 they fit version 7.' in report.why
    assert len(report.rules) == len(NUMBER_RULES)
    raw = measure(stream.assessment(inputs, wrong)).numbers
    assert [n.name for n in raw] == ["north", "mid", "south"]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_rows_are_judged_without_harm(stream: Stream, n: int) -> None:
    stream.random = np.random.default_rng(5)
    report = stream.judged(*stream.draw(n))
    assert report.outcome is Outcome.PASS
    assert np.isfinite([r.value for r in report.rules if r.value is not None]).all()


# first versions


def first(stream: Stream, inputs: Floats, targets: Floats, answers: Floats) -> tuple[Outcome, bool, str]:
    a = stream.assessment(inputs, targets, live=None, base=None, past=())
    a = replace(a, candidate=ExamAnswers(a.candidate.on_trusted, answers), trusted=rows(targets[:0], "old"))
    report = judge_numbers(measure(a), stream.policy)
    return report.outcome, report.unproven, report.why


def test_first_versions(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    goals = stream.grid.in_units(targets)
    assert first(stream, inputs, targets, stream.answers(inputs)) == (Outcome.PASS, False, "Every check passed.")
    outcome, _, why = first(stream, inputs, targets, 0.5 * stream.random.permutation(goals))
    assert outcome is Outcome.UNDECIDED
    assert why.startswith("Held: the targets cannot be predicted from the inputs. On 96 rows it had not seen it is off")
    few = first(stream, inputs[:3], targets[:3], goals[:3])
    assert few == (Outcome.PASS, True, "3 rows are too few to judge it.")
    same = np.full_like(targets, 104.0)
    assert first(stream, inputs, same, np.zeros_like(goals)) == (
        Outcome.PASS,
        True,
        "All targets are 104, so nothing shows whether they can be predicted.",
    )
    none = np.full_like(goals, np.nan)
    assert first(stream, inputs, targets, none)[:2] == (Outcome.PASS, True)


def test_a_first_version_of_skewed_targets_is_known_by_their_order() -> None:
    """Delays: most are nothing, some are hours. The mean of such rows is farther from most than the median is."""
    stream = Stream(0.0, 1.0, batches=0)
    inputs, _ = stream.draw(400)
    late = np.exp(2 * stream.random.normal(size=400) + inputs[:, 0])[:, None]
    mean = stream.grid.in_units(np.exp(2 + inputs[:, :1]))
    errors, plain = np.abs(mean - stream.grid.in_units(late)), np.abs(late - np.median(late)) / stream.grid.unit
    assert errors.mean() > plain.mean()
    assert first(stream, inputs, late, mean)[0] is Outcome.PASS
    assert first(stream, inputs, late, stream.random.permutation(mean))[0] is Outcome.UNDECIDED


def test_a_first_version_of_differences_is_compared_in_targets() -> None:
    """Tomorrow's price is today's, and nothing more is known: that is far better than any one price."""
    stream = Stream(0.0, 20.0, target=NumberTarget.model_validate({"kind": "number", "from": 1}), batches=0)
    inputs, targets = stream.draw(ROWS, noise=3.0)
    none = np.zeros((ROWS, 1))
    assert first(stream, inputs, targets, none)[:2] == (Outcome.PASS, False)
    shuffled = stream.random.permutation(targets)
    assert first(stream, inputs, shuffled, none)[0] is Outcome.UNDECIDED


# trusted rows


def test_errors_that_rise_on_trusted_rows_are_stopped_by_how_much(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    inputs, targets = batch
    a = stream.assessment(inputs, targets)
    for part, verdict in ((0.03, None), (0.12, "held"), (0.5, "rejected")):
        away = a.trusted_goals - (1 + part) * (a.trusted_goals - a.candidate.on_trusted)
        report = stream.judged(inputs, targets, candidate=ExamAnswers(away, a.candidate.on_batch))
        assert fired(report).get("forgets") == verdict, report.why
    assert report.why.startswith(
        "Rejected: it forgot: errors 5.11 → 7.66 on 400 rows that it had learned (+50.0 %; 5 %"
    )


def test_a_fifth_of_the_values_and_a_source_that_got_worse_are_named(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    _, region = fifths(a.base.on_trusted[:, 0])
    worse = region == 4
    for times, verdict in ((1.4, "held"), (2.0, "rejected")):
        away = np.where(worse[:, None], a.trusted_goals - times * (a.trusted_goals - a.candidate.on_trusted), 0)
        away = np.where(worse[:, None], away, a.candidate.on_trusted)
        report = stream.judged(*batch, candidate=ExamAnswers(away, a.candidate.on_batch))
        assert fired(report)["worst_region"] == verdict
        why = {r.name: r.why for r in report.rules}["worst_region"]
        assert why.startswith("Values from 1")
        assert "got worse" in why
    north = np.arange(len(a.trusted)) % 3
    known = rows(a.trusted.targets, "old", ("north", "south", ""), north)
    away = np.where((north == 1)[:, None], a.trusted_goals - 1.5 * (a.trusted_goals - a.candidate.on_trusted), 0)
    away = np.where((north == 1)[:, None], away, a.candidate.on_trusted)
    report = stream.judged(*batch, trusted=known, candidate=ExamAnswers(away, a.candidate.on_batch))
    assert {r.name: r.why for r in report.rules}["worst_region"].startswith('Rows of "south" got worse')


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
    away = a.trusted_goals - 1.3 * (a.trusted_goals - a.candidate.on_trusted)
    moved = {"candidate": ExamAnswers(away, a.candidate.on_batch), "past": ()}
    assert fired(stream.judged(*batch, **moved, known=ROWS)) == {}
    report = stream.judged(*batch, **moved, known=10 * ROWS)
    assert fired(report)["forgets"] == "rejected"
    assert "(+30.0 %; 10 % are allowed)" in report.why


def test_a_rise_of_next_to_nothing_is_none(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    """Rows of days that were learned are answered a hundred times as well as those to come."""
    a = stream.assessment(*batch)
    near, nearer = (a.trusted_goals - part * (a.trusted_goals - a.candidate.on_trusted) for part in (0.02, 0.01))
    base, candidate = (ExamAnswers(on_trusted, a.candidate.on_batch) for on_trusted in (nearer, near))
    report = stream.judged(*batch, base=base, candidate=candidate, past=stream.past[-2:])
    assert fired(report) == {}


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
    away = a.batch_goals - 1.1 * (a.batch_goals - a.candidate.on_batch)
    report = stream.judged(*batch, candidate=ExamAnswers(a.candidate.on_trusted, away))
    assert fired(report) == {"learned_nothing": "held"}
    few = a.batch_goals[:40] - 1.1 * (a.batch_goals[:40] - a.candidate.on_batch[:40])
    inputs, targets = batch
    report = stream.judged(inputs[:40], targets[:40], candidate=ExamAnswers(a.candidate.on_trusted, few))
    assert fired(report) == {}


def test_own_rows_that_got_worse_by_what_a_table_in_a_hundred_would_are_not_held(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    measured = measure(stream.assessment(*batch))
    for p, held in ((0.005, {}), (0.0005, {"learned_nothing": "held"})):
        one = replace(measured.numbers[0], own=Rise(rows=60, before=1.0, after=1.14, p=p))
        assert fired(judge_numbers(replace(measured, numbers=[one]), stream.policy)) == held


def test_where_recent_rows_are_trusted_a_stream_may_move(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    away = a.trusted_goals - 1.3 * (a.trusted_goals - a.candidate.on_trusted)
    nearer = a.batch_goals - 0.5 * (a.batch_goals - a.candidate.on_batch)
    stream.policy = NumberPolicy(trusted="recent")
    moved = stream.judged(*batch, candidate=ExamAnswers(away, nearer), past=[])
    stayed = stream.judged(*batch, candidate=ExamAnswers(away, a.candidate.on_batch), past=[])
    stream.policy = NumberPolicy()
    assert "forgets" not in fired(moved)
    assert "it follows the newer rows" in {r.name: r.why for r in moved.rules}["forgets"]
    assert fired(stayed)["forgets"] == "rejected"


def nearer(a: NumberAssessment, part: float) -> Floats:
    """The base's answers to the batch, with errors a part of what they are. [n, k]"""
    return a.batch_goals - part * (a.batch_goals - a.candidate.on_batch)


def why(report: GateReport, name: str) -> str:
    return next(rule.why for rule in report.rules if rule.name == name)


def farther(a: NumberAssessment, times: float) -> Floats:
    """The base's answers to trusted rows, with errors so many times what they are. [m, k]"""
    return a.trusted_goals - times * (a.trusted_goals - a.candidate.on_trusted)


def test_a_version_with_a_decay_follows_a_stream_that_moves(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    moved = {"candidate": ExamAnswers(farther(a, 1.3), nearer(a, 0.5)), "past": ()}
    report = stream.judged(*batch, **moved, fades=True)
    assert report.outcome is Outcome.PASS, report.why
    assert "On its own 96 rows they fell as much (−50.0 %): it follows the newer rows." in why(report, "forgets")
    assert fired(stream.judged(*batch, **moved))["forgets"] == "rejected"
    little = {**moved, "candidate": ExamAnswers(farther(a, 1.3), nearer(a, 0.8))}
    assert fired(stream.judged(*batch, **little, fades=True))["forgets"] == "rejected"


@pytest.mark.parametrize("n", [40, ROWS])
def test_where_a_move_that_is_said_beforehand_would_pass_a_loss_says_so(stream: Stream, n: int) -> None:
    batch = stream.draw(n)
    a = stream.assessment(*batch)
    for own, says in ((0.5, True), (1.0, False)):
        candidate = ExamAnswers(farther(a, 2.0), nearer(a, own))
        stopped = stream.judged(*batch, candidate=candidate)
        assert stopped.why.startswith("Rejected: it forgot: ")
        assert ('learn it with "expect": "move"' in stopped.why) == says, stopped.why
        said = stream.judged(*batch, candidate=candidate, expected=True)
        assert "won as much" not in why(said, "slow_loss")
        assert (said.outcome is Outcome.PASS) == says, said.why
        assert "expect" not in said.why


def test_what_a_new_source_does_to_old_rows_is_said_of_it(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    report = stream.judged(*batch, candidate=ExamAnswers(farther(a, 2.0), nearer(a, 0.5)), new_source="south")
    assert report.why.startswith('Rejected: "south", a source that is new, is unlike the others: errors ')
    assert report.why.endswith("or a column that tells sources apart.")


def test_few_rows_of_batches_that_still_count_do_not_judge(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    worse = ExamAnswers(farther(a, 2.0), a.candidate.on_batch)
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
    followed = ExamAnswers(a.candidate.on_trusted, nearer(a, 0.9))
    measured = measure(replace(a, past=memories, candidate=followed))
    assert [round(s.gained, 2) for s in measured.numbers[0].since] == [0.5, 0.42, 0.34, 0.26, 0.18, 0.1]
    report = judge_numbers(measured, stream.policy)
    assert "slow_loss" not in fired(report)
    assert "+30.0 % since version 4" in why(report, "slow_loss")
    assert "Updates since won as much on their own rows (−34.0 %): they follow the newer rows." in why(
        report, "slow_loss"
    )
    idle = ExamAnswers(a.candidate.on_trusted, nearer(a, 1.0))
    assert (
        fired(judge_numbers(measure(replace(a, past=memories, candidate=idle)), stream.policy))["slow_loss"] == "held"
    )
    silent = [(version, replace(memory, figures=(Figures(),))) for version, memory in memories]
    of_before = judge_numbers(measure(replace(a, past=silent, candidate=followed)), stream.policy)
    assert fired(of_before)["slow_loss"] == "held"


def test_a_version_remembers_what_it_gained_for_sure(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    a = stream.assessment(*batch)
    for part, gain in ((0.8, 0.2), (1.1, -0.1), (1.0, 0.0)):
        made = replace(a, candidate=ExamAnswers(a.candidate.on_trusted, nearer(a, part)))
        memory = Tested.load(memory_of(made).arrays())
        assert memory.figures[0].gain == pytest.approx(gain)
    few = stream.assessment(batch[0][:49], batch[1][:49])
    assert memory_of(few).figures[0].gain is None


def test_what_another_strength_does_to_old_rows_is_no_doing_of_the_batch(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    away = a.trusted_goals - 1.5 * (a.trusted_goals - a.candidate.on_trusted)
    worse = ExamAnswers(away, nearer(a, 1.2))
    assert {"forgets", "slow_loss", "learned_nothing"} <= fired(stream.judged(*batch, candidate=worse)).keys()
    beside = stream.judged(*batch, candidate=worse, same=worse)
    assert fired(beside) == {}
    told = {rule.name for rule in beside.rules if rule.why.endswith(BESIDE_SETTINGS)}
    assert told == {"forgets", "worst_region", "learned_nothing"}
    made = replace(a, candidate=worse, same=worse)
    assert gained(made, 0) == pytest.approx((0.0, 0.5))  # which later versions are told
    past = [*stream.past, (8, memory_of(made))]
    later = judge_numbers(measure(replace(a, past=past, candidate=worse, base=worse)), stream.policy)
    assert "slow_loss" not in fired(later)
    counted = "of which +50.0 % by other settings alone; +0.0 % beside what these would give, which is what counts."
    assert counted in why(later, "slow_loss")
    better = ExamAnswers(a.trusted_goals - 0.8 * (a.trusted_goals - a.candidate.on_trusted), nearer(a, 1.0))
    assert gained(replace(a, candidate=better, challenges=True), 0) == pytest.approx((0.0, -0.2))
    won = RiseSince(1, Rise(rows=100, before=1.0, after=1.16, p=0.001), settings=-0.2)
    assert won.rise == pytest.approx(0.16)  # what settings won is not to be lost first


def test_with_a_decay_own_rows_may_be_answered_worse_by_what_the_batch_weighs(
    stream: Stream, batch: tuple[Floats, Floats]
) -> None:
    a = stream.assessment(*batch)
    worse = {"candidate": ExamAnswers(a.candidate.on_trusted, nearer(a, 1.1)), "known": 4 * ROWS}
    assert fired(stream.judged(*batch, **worse, fades=True)) == {}
    assert fired(stream.judged(*batch, **worse)) == {"learned_nothing": "held"}
    little = {**worse, "candidate": ExamAnswers(a.candidate.on_trusted, nearer(a, 1.04))}
    assert fired(stream.judged(*batch, **little)) == {}
    assert fired(stream.judged(*batch, **{**little, "known": 100 * ROWS})) == {"learned_nothing": "held"}
    much = {**worse, "candidate": ExamAnswers(a.candidate.on_trusted, nearer(a, 1.2))}
    assert fired(stream.judged(*batch, **much, fades=True)) == {"learned_nothing": "held"}


def test_weights_that_are_not_finite_are_rejected(stream: Stream, batch: tuple[Floats, Floats]) -> None:
    assert fired(stream.judged(*batch, sound=False)) == {"sound": "rejected"}


def test_memory_holds_the_figures_that_later_batches_are_compared_with(stream: Stream) -> None:
    a = stream.assessment(*stream.draw(ROWS))
    assert memory_of(a).figures == (replace(figures_of(a)[0], gain=0.0),)
    tiny = stream.assessment(*stream.draw(2))
    assert set(figures_of(tiny)[0].stored()) == {"log_mean", "log_median", "log_far", "bias"}
