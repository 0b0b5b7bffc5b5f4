"""From answers to a report: every number by hand, every case without evidence, and the sentence of the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.contract.enums import Interference, Outcome, Verdict
from service.contract.policy import GatePolicy, WorstClass
from service.contract.reports.class_report import ClassScore, Commonest, LostSince, Report, SuspectRow
from service.contract.reports.facts import BESIDE_SETTINGS, Cost
from service.learning.data.rows import FeatureRows, Rows
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.classes import class_report
from service.learning.evaluation.classes.class_answers import Answers
from service.learning.evaluation.classes.class_assessment import (
    ClassAssessment,
    ClassPast,
    Correctness,
    remember,
    settings_lost,
    since,
)
from service.learning.evaluation.classes.class_report import assess
from service.learning.exact.solve import solve_ridge
from service.learning.gate.classes.class_measurements import ALL
from service.learning.gate.verdicts import promoted, verdict_sentence
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.wording import listed, points
from tests.updating import make_rows

COST = Cost(seconds=0.1, wait_seconds=0, rows=4, parameters_added=0, bytes_added=0, share_of_retraining=None)


def rows(labels: str, batch: str, sources: str = "") -> Rows:
    """One row a letter, all in the judging folds."""
    inputs = np.arange(len(labels), dtype=np.float32)[:, None]
    made = make_rows(batch, inputs, list(labels), batch.encode()) if labels else Rows.empty((1,))
    made = replace(made, folds=np.zeros(len(labels), np.int64), lent=np.zeros(len(labels), bool))
    if sources:
        names = tuple(dict.fromkeys(sources))
        made = replace(made, sources=names, source=np.array([names.index(s) for s in sources], np.int64))
    return made


def says(classes: str, named: str) -> Answers:
    """One answer a letter; a dot was not judged. The runner-up is the first other class."""
    probabilities = np.full((len(named), len(classes)), 0.1)
    for row, name in zip(probabilities, named, strict=True):
        if name == ".":
            row[:] = np.nan
        else:
            row[classes.index(name)] = 0.9
    return Answers(tuple(classes), probabilities)


def assessment(**changes: Any) -> ClassAssessment:
    """Ten trusted rows of a and b, four rows of the new class n; the candidate is its own yardstick."""
    candidate = ExamAnswers(says("abn", "aaaabbbbnb"), says("abn", "nnnb"))
    made = ClassAssessment(
        policy=GatePolicy(),
        trusted=rows("aaaaabbbbb", "bat_0"),
        batch=rows("nnnn", "bat_1"),
        candidate=candidate,
        cost=COST,
        exact=True,
        live=1,
        base=ExamAnswers(says("ab", "aaaaabbbba"), says("ab", "aabb")),
        yardstick=candidate,
    )
    return changed(made, **changes)


def changed(a: ClassAssessment, **changes: Any) -> ClassAssessment:
    """The same with other fields; `base` are its answers to trusted rows, `base_on_batch` those to the batch."""
    for name in ("base", "candidate", "yardstick"):
        before, on_batch = getattr(a, name), f"{name}_on_batch"
        if name in changes or on_batch in changes:
            both = (
                changes.pop(name, before and before.on_trusted),
                changes.pop(on_batch, before and before.on_batch),
            )
            changes[name] = None if None in both else ExamAnswers(*both)
    return replace(a, **changes)


def first() -> ClassAssessment:
    nothing, own = Answers(("a", "b"), np.zeros((0, 2))), says("ab", "aabb" * 10)
    return assessment(
        trusted=rows("", "bat_0"),
        batch=replace(rows("aabb" * 10, "bat_1"), folds=np.arange(40) % 10),
        candidate=nothing,
        candidate_on_batch=own,
        live=None,
        base=None,
        base_on_batch=None,
        yardstick=nothing,
        yardstick_on_batch=own,
    )


def test_every_number_by_hand() -> None:
    """Row 5 (a -> b) is newly wrong, row 9 (b -> n, over old columns a) too, row 10 newly right."""
    report = assess(assessment())
    assert (report.before.accuracy, report.after.accuracy) == pytest.approx((0.9, 0.8))
    assert report.after.classes["b"].accuracy == pytest.approx(0.8)
    assert (report.negative_flips, report.positive_flips) == pytest.approx((0.2, 0.1))
    old = report.old_classes
    assert (old.before, old.after, old.intrusion) == pytest.approx((0.9, 0.8, 0.1))
    assert (old.masked.before, old.masked.after) == pytest.approx((0.9, 0.8))
    assert old.interval[0] < -0.1 < old.interval[1]
    new = report.new_classes
    assert (new.names, new.after, new.rows) == (["n"], 0.75, 4)
    assert (report.yardstick.regret, report.yardstick.intrusion) == pytest.approx((0.0, 0.1))
    assert report.gate.outcome is Outcome.PASS
    assert report.gate.unproven
    assert report.interference is Interference.NONE


def test_where_a_class_has_more_rows_than_are_kept_accuracy_is_that_of_all_rows() -> None:
    names = ["a"] * 1900 + ["b"] * 100
    features = np.arange(2000)[:, None]
    learned = make_rows("bat_0", features.astype(np.float32), names, b"s").with_features(features.astype(np.int16))
    zero, none = Sums.empty(1), FeatureRows.none(1)
    ledger = Ledger(zero, zero, zero, none, none, "space", 0).with_entry(learned)
    trusted, said = ledger.exam, says("ab", "a" * len(ledger.exam))
    kept = trusted.counts()
    report = assess(assessment(trusted=trusted, base=said, candidate=said, yardstick=said, ledger=ledger))
    assert report.after is not None
    assert kept["a"] == 200
    assert report.after.accuracy == pytest.approx(0.95)
    assert report.after.balanced_accuracy == 0.5
    assert report.old_classes.before == pytest.approx(200 / (200 + kept["b"])), "the gate compares rows"


def test_new_rows_are_tested_before_they_are_learned() -> None:
    report = assess(assessment(batch=rows("aanb", "bat_1"), base_on_batch=says("ab", "abaa")))
    assert report.tested is not None
    assert (report.tested.accuracy, report.tested.rows) == (pytest.approx(1 / 3), 3)
    assert report.tested.ece == pytest.approx(0.9 - 1 / 3)
    assert assess(first()).tested is None


def test_forgetting_is_the_most_that_was_lost_since_any_version_on_the_same_rows_over_its_classes() -> None:
    """Over old columns 8 of 10 rows are right now, and 9 were; version 1 had all 10 right, version 2 the first 5."""
    assert assess(assessment()).forgetting == pytest.approx(0.1)
    now = assessment()
    right = np.ones(10, bool)
    past = [
        (1, Correctness.of(now.trusted, right, "ab")),
        (2, Correctness.of(now.trusted.take(slice(5)), right[:5], "ab")),
    ]
    assert assess(assessment(past=ClassPast(past))).forgetting == pytest.approx(0.2)


def test_copies_of_a_row_count_once() -> None:
    """Thirty copies of one row that is newly wrong are one row."""
    one = rows("a", "bat_0")
    copies = Rows.concat([rows("ab" * 10, "bat_2"), *([one] * 30)])
    good, bad = says("ab", "ab" * 10 + "a" * 30), says("abn", "ab" * 10 + "b" * 30)
    report = assess(assessment(trusted=copies, base=good, candidate=bad, yardstick=None))
    assert (report.after.rows, report.negative_flips) == pytest.approx((21, 1 / 21))
    assert report.gate.outcome is Outcome.PASS
    assert len(remember(assessment(trusted=copies, base=good, candidate=bad)).right) == 54


def test_first_version_without_trusted_rows() -> None:
    report = assess(first())
    assert report.before is None
    assert report.after is None
    assert report.old_classes.before is None
    assert report.forgetting is None
    assert report.batch.conflicts is None
    assert report.new_classes.names == ["a", "b"]
    assert report.new_classes.after == 1.0
    assert report.yardstick.accuracy is None
    assert report.gate.outcome is Outcome.PASS
    assert not report.gate.unproven


def test_no_trusted_rows_is_no_evidence_but_not_a_first_version() -> None:
    nothing = Answers(("a", "b", "n"), np.zeros((0, 3)))
    report = assess(
        assessment(
            trusted=rows("", "bat_0"), candidate=nothing, yardstick=nothing, base=Answers(("a", "b"), np.zeros((0, 2)))
        )
    )
    assert report.new_classes.names == ["n"]
    assert report.after is None
    assert report.worst_class is None
    assert [r.passed for r in report.gate.rules if r.number in (5, 6, 8)] == [None] * 3


def test_an_update_without_rows_and_with_fewer_classes_is_measured() -> None:
    """A retraction: nothing new, a class less."""
    gone = Answers(("a",), np.ones((5, 1)))
    report = assess(
        assessment(
            trusted=rows("aaaaa", "bat_0"),
            batch=rows("", "bat_1"),
            base=says("ab", "aaaab"),
            candidate=gone,
            yardstick=gone,
            candidate_on_batch=Answers(("a",), np.zeros((0, 1))),
            base_on_batch=Answers(("a", "b"), np.zeros((0, 2))),
            yardstick_on_batch=Answers(("a",), np.zeros((0, 1))),
        )
    )
    assert report.new_classes.names == []
    assert report.new_classes.after is None
    assert report.old_classes.after == 1.0


def test_without_a_yardstick_or_unjudged_rows() -> None:
    report = assess(assessment(yardstick=None, candidate_on_batch=says("abn", "n..b")))
    assert report.yardstick is None
    assert (report.new_classes.after, report.new_classes.rows) == (0.5, 2)


def test_worst_class_is_judged_over_old_columns_where_the_yardstick_gives_rows_away_too() -> None:
    trusted = rows("a" * 30 + "b" * 30, "bat_0")
    base, swallowed = says("ab", "a" * 30 + "b" * 30), says("anb", "a" * 30 + "n" * 30)
    report = assess(assessment(trusted=trusted, base=base, candidate=swallowed, yardstick=swallowed))
    assert (report.worst_class.name, report.worst_class.drop) == ("b", 1.0)
    favours_b = Answers(("a", "b", "n"), np.array([[0.9, 0.1, 0.0]] * 30 + [[0.1, 0.4, 0.5]] * 30))
    excused = assess(assessment(trusted=trusted, base=base, candidate=favours_b, yardstick=favours_b))
    assert excused.worst_class.drop == 0.0
    accused = assess(assessment(trusted=trusted, base=base, candidate=favours_b, yardstick=base))
    assert (accused.worst_class.name, accused.worst_class.drop) == ("b", 1.0)
    assert accused.interference is Interference.SUDDEN


def test_rare_classes_are_one_group_and_sources_stand_alone() -> None:
    policy = GatePolicy(worst_class=WorstClass(min_rows=5))
    trusted = rows("aaaaaabbcc", "bat_0", "xxxxxyyyyy")
    report = assess(
        assessment(policy=policy, trusted=trusted, base=says("abc", "aaaaaabbcc"), candidate=says("abcn", "aaaaaabbaa"))
    )
    assert report.worst_class.name == '"b" and "c"'
    lost = assess(
        assessment(policy=policy, trusted=trusted, base=says("abc", "aaaaaabbcc"), candidate=says("abcn", "bbaaaabbcc"))
    )
    assert lost.worst_class.name == "x"


def test_what_is_remembered_covers_the_rows_that_will_be_trusted() -> None:
    kept = remember(assessment())
    assert kept.classes == ("a", "b", "n")
    assert kept.batches == ("bat_0", "bat_1")
    assert kept.right.tolist() == [True] * 4 + [False] + [True] * 3 + [False, True] + [True] * 3 + [False]
    assert kept.margin is not None
    assert (kept.margin > 0).tolist() == kept.right.tolist()


def test_small_losses_are_found_against_the_best_remembered_version() -> None:
    trusted = rows("ab" * 100, "bat_0")
    best = Correctness.of(trusted, np.ones(200, bool), ("a", "b"))
    middling = Correctness.of(trusted, np.arange(200) % 20 > 0, ("a", "b"))
    live, now, past = says("ab", "ab" * 91 + "ba" * 9), says("ab", "ab" * 90 + "ba" * 10), [(3, best), (4, middling)]
    report = assess(
        assessment(trusted=trusted, base=live, candidate=now, yardstick=now, past=ClassPast(correctness=past))
    )
    rule = report.gate.rules[9]
    assert rule.value == pytest.approx(0.1)
    assert "since version 3" in rule.why
    assert report.gate.outcome is Outcome.UNDECIDED
    assert report.interference is Interference.GRADUAL
    same = assess(assessment(trusted=trusted, base=now, candidate=now, yardstick=now, past=ClassPast(correctness=past)))
    assert same.gate.outcome is Outcome.PASS, "it loses nothing that the live version has not lost"


@pytest.mark.parametrize("trusted", ["all", "recent"])
def test_margins_that_fall_hold_a_version_but_on_a_stream_that_moves(trusted: str) -> None:
    """Of 30 rows of b one is lost and all others come nearer to a."""
    exam = rows("ab" * 30, "bat_0")
    of_b, usual = exam.labels == exam.names.index("b"), np.linspace(1, 3, 60)
    best = Correctness.of(exam, np.ones(60, bool), ("a", "b"), usual)
    margin = np.where(of_b, usual - 0.9 - 0.3 * (usual < 1.05), usual)
    live, now = (
        Answers(("a", "b"), np.stack([np.where(of_b, 1 - own, own), np.where(of_b, own, 1 - own)], 1))
        for own in (1 / (1 + np.exp(-m)) for m in (margin + 0.1 * of_b, margin))
    )
    assert (~now.right(exam)).sum() == 1
    report = assess(
        assessment(
            policy=GatePolicy(trusted=trusted),
            trusted=exam,
            base=live,
            candidate=now,
            yardstick=now,
            past=ClassPast(correctness=[(3, best)]),
        )
    )
    held = [rule.number for rule in report.gate.rules if rule.severity]
    assert held == ([9] if trusted == "all" else [])
    assert trusted != "all" or '1 of 30 rows of "b"' in report.gate.why


def test_on_a_stream_that_moves_small_losses_of_one_class_hold_nothing() -> None:
    """Of 30 rows of b ten are lost, of 370 of a none: 2.5 points in all."""
    exam, now = rows("a" * 370 + "b" * 30, "bat_0"), says("ab", "a" * 380 + "b" * 20)
    live = says("ab", "a" * 379 + "b" * 21)
    best = Correctness.of(exam, np.ones(400, bool), ("a", "b"))
    for trusted, expected in (("all", [9]), ("recent", [])):
        policy, past = GatePolicy(trusted=trusted), ClassPast(correctness=[(3, best)])
        report = assess(assessment(policy=policy, trusted=exam, base=live, candidate=now, yardstick=now, past=past))
        assert [rule.number for rule in report.gate.rules if rule.severity] == expected


def test_what_a_new_class_takes_is_excused_where_it_is_shown_to_be_a_class_of_its_own() -> None:
    """A third of the rows of b go to n. Nothing tells its rows from those, or everything does."""
    trusted, batch = rows("ab" * 60, "bat_0"), replace(rows("n" * 40, "bat_1"), folds=np.arange(40) % 10)
    answers = says("abn", "ab" * 40 + "an" * 20)
    answers.probabilities[answers.among("n"), 1] = 0.3
    none, empty = Sums.empty(1), FeatureRows.none(1)
    features = np.array([[(-300 if name == "a" else 300) + 3 * (k % 40)] for k, name in enumerate("ab" * 60)], np.int16)
    old = replace(trusted, folds=np.arange(120) % 10).with_features(features)
    a = assessment(
        policy=GatePolicy(),
        trusted=trusted.with_features(features),
        batch=batch.with_features(np.array([[330 + k] for k in range(40)], np.int16)),
        base=says("ab", "ab" * 60),
        base_on_batch=says("ab", "b" * 40),
        candidate=answers,
        candidate_on_batch=says("abn", "nb" * 20),
        yardstick=answers,
        yardstick_on_batch=says("abn", "nb" * 20),
        ledger=Ledger(none, none, none, empty, empty, "space", 6).with_entry(old),
    )
    report = assess(a)
    assert {r.number for r in report.gate.rules if r.severity} == {6, 12}
    assert "(−16.7 points; 15 are allowed)" in report.gate.rules[6].why
    nearer = Answers(("a", "b", "n"), says("abn", "n" * 40).probabilities + np.array([0, -0.05, 0.05]))
    report = assess(changed(a, candidate_on_batch=nearer, yardstick_on_batch=nearer))
    assert not {r.number for r in report.gate.rules if r.severity}
    assert report.gate.rules[12].value is not None
    assert report.gate.rules[12].value > 0.9


def test_contradicting_rows_are_listed_and_disputed(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    truth = ["ab"[k] for k in random.integers(0, 2, 120)]
    points = np.array([[6.0 if t == "a" else -6.0] for t in truth]) + random.normal(0, 1, (120, 1))
    features = np.rint(points * 64).astype(np.int16)
    old = make_rows("bat_0", points[:80].astype(np.float32), truth[:80], b"s").with_features(features[:80])
    none = Sums.empty(1)
    empty = FeatureRows.none(1)
    ledger = Ledger(none, none, none, empty, empty, "space", 6).with_entry(old)
    wrong = ["b"] * 40
    batch = make_rows("bat_1", points[80:].astype(np.float32), wrong, b"s").with_features(features[80:])
    called = "".join(truth[80:])
    contradicting = assessment(
        trusted=ledger.exam,
        batch=batch,
        base=says("ab", "".join(ledger.exam.label_names())),
        candidate=says("ab", "".join(ledger.exam.label_names())),
        base_on_batch=says("ab", called),
        candidate_on_batch=says("ab", "b" * 40),
        yardstick=None,
        ledger=ledger,
        solve=lambda sums: solve_ridge(sums, 6, 1e-2, 0.25),
    )
    report = assess(contradicting)
    assert report.gate.outcome is not Outcome.PASS
    assert report.batch.reconcilable is False
    assert report.batch.conflicts == called.count("a")
    assert [(d.class_, d.suggested) for d in report.batch.disputes] == [("a", "b")]
    assert {(r.label, r.suggested) for r in report.batch.suspect_rows} == {("b", "a")}
    assert any(n.startswith(f"{called.count('a')} rows carry a label where version 1 is") for n in report.batch.notes)
    assert Report.model_validate_json(report.model_dump_json()) == report
    weaker = SuspectRow(batch="bat_1", row=99, label="a", suggested="b", score=0.95)
    with monkeypatch.context() as patched:
        patched.setattr(class_report, "left_out_suspects", lambda *_: [weaker])
        both = assess(contradicting).batch
    sure = next(note for note in both.notes if "is sure of another one" in note)
    assert sure.endswith("and 1 more that looks wrong for weaker reasons."), "the list has rows of another kind, too"
    assert len(both.suspect_rows) == len(report.batch.suspect_rows) + 1
    gap = report.batch.suspect_rows[0]
    of_gaps = assess(replace(contradicting, gaps=frozenset({("bat_1", gap.row)}))).batch
    assert of_gaps.suspect_rows == [row for row in report.batch.suspect_rows if row.row != gap.row]
    assert any(n.startswith(f"{called.count('a') - 1} rows carry a label where") for n in of_gaps.notes)
    assert of_gaps.conflicts == report.batch.conflicts
    of_table = assess(replace(contradicting, table=True)).batch
    assert (of_table.reconcilable, of_table.disputes) == (None, report.batch.disputes), "one label is no other input"
    expected = assess(replace(contradicting, expected=True)).batch
    assert (expected.disputes, expected.evidence, len(expected.suspect_rows)) == (
        [],
        {},
        len(report.batch.suspect_rows),
    )
    assert "expect: relabel" in expected.notes[0]


def test_rows_that_all_others_contradict_are_listed_also_of_a_first_version() -> None:
    """Rows that were not judged, and one whose class no other row has, contradict nothing."""
    own = says("abn", "aba.a")
    alone = Answers(own.classes, np.where(np.arange(15).reshape(5, 3) == 14, 0.0, own.probabilities))
    batch = rows("aaabn", "bat_1")
    first = changed(assessment(), base=None, base_on_batch=None)
    report = assess(changed(replace(first, batch=batch), candidate_on_batch=alone, yardstick_on_batch=alone)).batch
    assert [(row.row, row.label, row.suggested, row.score) for row in report.suspect_rows] == [(1, "a", "b", 0.9)]
    assert report.notes == [], "one of four rows may well have a label with the score 0.1"
    surer = Answers(own.classes, np.where(alone.probabilities == 0.1, 0.05, alone.probabilities))
    report = assess(changed(replace(first, batch=batch), candidate_on_batch=surer, yardstick_on_batch=surer)).batch
    assert report.notes == [
        "1 row carries a label that all other rows speak against: is it a slip? The report lists it."
    ]
    gaps = frozenset({("bat_1", 1)})
    of_gaps = changed(replace(first, batch=batch, gaps=gaps), candidate_on_batch=surer, yardstick_on_batch=surer)
    assert (assess(of_gaps).batch.suspect_rows, assess(of_gaps).batch.notes) == ([], [])


def test_what_updates_surely_won_on_their_own_rows_is_added_up() -> None:
    """Of its 60 rows the version before is wrong on 30, or on one, which may be luck; and a challenger learned none."""
    right = says("ab", "ab" * 30)
    plain = assessment(trusted=rows("ab" * 30, "bat_0"), batch=rows("ab" * 30, "bat_1"), yardstick=None)
    plain = changed(plain, base=right, base_on_batch=right, candidate=right, candidate_on_batch=right)
    before = replace(remember(plain), gained=0.1)

    def after(answered: str, **more: Any) -> ClassAssessment:
        made = changed(plain, base_on_batch=says("ab", answered))
        return replace(made, past=ClassPast(correctness=[(1, before)]), **more)

    for made, won in (
        (after("aa" * 30), 0.5),
        (after("aa" + "ab" * 29), 0.0),
        (after("aa" * 30, challenges=True), 0.0),
    ):
        assert remember(made).gained == pytest.approx(0.1 + won)
        assert [s.gained for s in since(made)] == pytest.approx([won])


def test_what_a_challenger_won_by_its_kind_goes_again_with_it_and_no_more() -> None:
    """An exact head is wrong on 20 of 400 rows, the net that beat it on none, the exact head after it on 20, or 40."""
    trusted, exact, net = rows("ab" * 200, "bat_0"), says("ab", "ab" * 180 + "bb" * 20), says("ab", "ab" * 200)
    plain = assessment(trusted=trusted, batch=rows("", "bat_1"), yardstick=None)

    def made(base: Answers, candidate: Answers, **more: Any) -> ClassAssessment:
        none = says("ab", "")
        a = changed(plain, base=base, base_on_batch=none, candidate=candidate, candidate_on_batch=none)
        return replace(a, **more)

    first = remember(made(exact, exact))
    won = made(exact, net, challenges=True, past=ClassPast(correctness=[(1, first)]))
    assert settings_lost(won) == pytest.approx({ALL: -0.05, "a": -0.1, "b": 0.0})
    past = ClassPast(correctness=[(1, first), (2, remember(won))])
    same = ExamAnswers(exact, says("ab", ""))
    left = made(net, exact, same=same, past=past, other_kind=True)
    assert settings_lost(replace(left, other_kind=False))[ALL] == pytest.approx(-0.05), (
        "both classes lost in the mean: no excuse"
    )
    assert settings_lost(left) == pytest.approx({ALL: 0.0, "a": 0.0, "b": 0.0})
    assert [(s.version, s.drop(), s.drop("a")) for s in since(left)] == [(1, 0.0, 0.0), (2, 0.0, 0.0)]
    rules = assess(left).gate.rules
    assert all(rule.severity is None for rule in rules)
    told = {rule.name: BESIDE_SETTINGS in rule.why for rule in rules}
    assert told["forgets"]
    assert told["worst_class"]
    assert not told["slow_loss"]
    assert "forgets" in {rule.name for rule in assess(replace(left, same=None)).gate.rules if rule.severity}
    far = says("ab", "ab" * 120 + "bb" * 80)
    report = assess(made(net, far, same=ExamAnswers(far, says("ab", ""))))
    assert report.gate.why.startswith(
        "Held: its method or settings answer old rows far worse: of 400 trusted rows 80 are newly"
    )
    assert BESIDE_SETTINGS not in report.gate.why
    lower = made(net, says("ab", "ab" * 160 + "bb" * 40), same=same, past=past, other_kind=True)
    drops = [drop for s in since(lower) for drop in (s.drop(), s.drop("a"))]
    assert drops == pytest.approx([0.05, 0.1] * 2), "beside the exact head of before, too"
    lost = replace(remember(made(exact, net)), settings={ALL: 0.04, "a": 0.05})
    now = made(exact, far, same=ExamAnswers(far, says("ab", "")), past=ClassPast(correctness=[(1, first), (2, lost)]))
    its = [s.live.settings for s in since(now) if s.live]
    assert its == [{ALL: 0.04, "a": 0.05}, {}], "what those of the live version lost, without those of this update"
    assert since(now)[0].settings[ALL] > 0.04


# Sentences


def spoken(a: ClassAssessment, verdict: Verdict = Verdict.PROMOTED) -> str:
    return verdict_sentence(assess(a), verdict, 2, a.live)


def test_a_promoted_version_says_what_it_knows_and_what_the_old_classes_lost() -> None:
    trusted = rows("ab" * 200, "bat_0")
    base, same = says("ab", "ab" * 195 + "ba" * 5), says("abn", "ab" * 194 + "ba" * 6)
    a = assessment(
        trusted=trusted,
        base=base,
        candidate=same,
        yardstick=same,
        batch=rows("n" * 20, "bat_1"),
        candidate_on_batch=says("abn", "n" * 20),
        base_on_batch=says("ab", "a" * 20),
        yardstick_on_batch=says("abn", "n" * 20),
    )
    assert spoken(a) == (
        "Live: version 2. It knows n; the old classes lost nothing measurable (97.5 → 97.0 % on 400 trusted "
        "rows, within chance)."
    )
    ready = spoken(a, Verdict.HELD)
    assert ready.startswith("Ready: version 2 passed every check and waits for you.")
    assert ready.endswith("rebase this one: it is learned again on that one, and nothing is left out.")
    assert spoken(a, Verdict.SUPERSEDED).startswith("Set aside: version 1 stopped being live while this was learning.")
    better = changed(
        a, base=says("ab", "ab" * 194 + "ba" * 6), candidate=says("abn", "ab" * 200), yardstick=says("abn", "ab" * 200)
    )
    assert "the old classes gained 3.0 points (97.0 → 100.0 % on 400 trusted rows)" in spoken(better)
    fewer = changed(a, base=says("abc", "ab" * 195 + "ba" * 5))
    assert (
        'It knows n. No row of "c" is left, so it is answered no more; the other classes lost nothing measurable'
        in spoken(fewer)
    )
    given = says("abn", "ab" * 194 + "nn" * 6)
    costly = changed(a, base=says("ab", "ab" * 200), candidate=given, yardstick=given)
    assert "the old classes lost 3.0 points, which is allowed (100.0 → 97.0 % on 400 trusted rows)" in spoken(costly)


def test_of_classes_with_one_row_each_nothing_can_be_told() -> None:
    """Kept back, such a row leaves no row of its class: it is answered wrongly whatever the inputs say."""
    classes = "abcdefghijklmnopqrstuvwxy"
    lone = replace(rows(classes, "bat_1"), folds=np.arange(25) % 10)
    a = changed(first(), batch=lone, candidate_on_batch=says(classes, classes[1:] + "a"), yardstick=None)
    assert spoken(a) == (
        "Live, but unproven: nothing was tested: too few rows of each class. Kept back, 25 rows would each leave no "
        "other of its class to learn from."
    )
    shuffled = changed(first(), candidate_on_batch=says("ab", "bbaa" * 10))
    assert spoken(shuffled, Verdict.HELD).startswith("Held: the labels cannot be predicted from the inputs.")


def test_many_new_classes_are_counted_as_new_and_not_as_all_that_it_knows() -> None:
    report = assess(assessment())
    many = report.new_classes.model_copy(update={"names": list("abcdefghij")})
    gate = report.gate.model_copy(update={"unproven": False})
    sentence = promoted(report.model_copy(update={"new_classes": many, "gate": gate}), 2)
    assert sentence.startswith("Live: version 2. It knows 10 new classes; ")


def test_a_first_version_says_how_it_does_on_rows_it_has_not_seen() -> None:
    knows = "Live: version 2. It knows a and b, right on 100.0 % of 40 rows, cross-validated"
    assert spoken(first()) == f'{knows} (always saying "a" is right on 50.0 %).'
    uneven = "aabb" * 7 + "bbbb" * 3
    more = changed(
        first(),
        batch=replace(rows(uneven, "bat_1"), folds=np.arange(40) % 10),
        candidate_on_batch=says("ab", uneven),
        yardstick_on_batch=says("ab", uneven),
    )
    assert spoken(more) == f'{knows} (always saying "b" is right on 65.0 %).'
    capped = changed(more, counts={"a": 372, "b": 228})
    judged, all_of_them = assess(capped).new_classes.commonest, assess(capped).new_classes.commonest_of_all
    assert (judged, all_of_them) == (
        Commonest(class_="b", accuracy=0.65, rows=40),
        Commonest(class_="a", accuracy=0.62, rows=600),
    )
    assert spoken(capped) == f'{knows} (always saying "b" is right on 65.0 %).', "of the same rows"
    old = assess(more).model_dump(mode="json")
    del old["new_classes"]["commonest"]  # as an older service stored it
    assert promoted(Report.model_validate(old), 2) == f"{knows}."


def test_where_nearly_all_rows_are_of_one_class_a_first_version_says_how_it_does_on_the_others() -> None:
    labels, answers = "a" * 190 + "b" * 7 + "c" * 6, "a" * 190 + "bbbbaaa" + "caaaaa"
    of = changed(
        first(),
        batch=replace(rows(labels, "bat_1"), folds=np.arange(203) % 10),
        candidate=Answers(("a", "b", "c"), np.zeros((0, 3))),
        candidate_on_batch=says("abc", answers),
        yardstick_on_batch=says("abc", answers),
    )
    assert spoken(of).endswith(
        '(always saying "a" is right on 93.6 %); 4 of 7 rows of b are right; it recognises 1 of 6 rows of c: send more '
        "rows of it."
    )
    even = changed(first(), counts={"a": 100_000, "b": 20})
    assert spoken(even).endswith('(always saying "a" is right on 50.0 %); 20 of 20 rows of b are right.'), "at most 200"


def test_a_class_that_the_live_version_missed_in_new_rows_is_named_however_few_they_are() -> None:
    labels, answers = "a" * 300 + "b" * 6 + "cccc", "a" * 306 + "cccc"
    trusted = rows("a" * 50 + "b" * 5 + "c" * 5, "bat_0")
    right = says("abc", "a" * 50 + "b" * 5 + "c" * 5)
    of = changed(
        assessment(),
        trusted=trusted,
        batch=rows(labels, "bat_1"),
        base=right,
        base_on_batch=says("abc", answers),
        candidate=right,
        candidate_on_batch=says("abc", labels),
        yardstick=None,
        live=3,
    )
    report = assess(of)
    tested = report.tested
    assert tested is not None
    assert [(one.class_, one.right, one.rows) for one in tested.classes] == [("b", 0, 6), ("a", 300, 300), ("c", 4, 4)]
    assert tested.commonest == Commonest(class_="a", accuracy=300 / 310, rows=310)
    assert report.gate.outcome is Outcome.PASS, report.gate.why
    assert report.batch.notes[0] == (
        'Before they were learned version 3 was right on 0 of 6 rows of "b". Of all 310 it was right on 98.1 %; always '
        'saying "a" is right on 96.8 %.'
    )
    known = assess(changed(of, base_on_batch=says("abc", "a" * 300 + "bbbaaacccc")))
    assert not any("Before they were learned" in note for note in known.batch.notes), "half of them"
    meant = assess(replace(of, expected=True))
    assert not any("Before they were learned" in note for note in meant.batch.notes)
    old = report.model_dump(mode="json", by_alias=True)
    del old["tested"]["classes"], old["tested"]["commonest"]  # as an older service stored it
    assert not Report.model_validate(old).tested.missed  # type: ignore[union-attr]


def test_an_unproven_version_says_why() -> None:
    assert spoken(assessment()) == 'Live, but unproven: 4 rows of "n" are too few to judge it. It recognises 3 of them.'


def test_a_class_that_is_barely_recognised_is_not_called_known() -> None:
    report = assess(assessment())
    scores = {"n": ClassScore(accuracy=0.9, rows=20), "m": ClassScore(accuracy=1 / 13, rows=13)}
    new = report.new_classes.model_copy(update={"names": ["m", "n"], "classes": scores})
    gate = report.gate.model_copy(update={"unproven": False})
    after = report.model_copy(update={"new_classes": new, "gate": gate})
    assert promoted(after, 2).startswith(
        "Live: version 2. It knows n; it recognises 1 of 13 rows of m: send more rows of it. A loss "
    )
    alone = new.model_copy(update={"names": ["m"], "classes": {"m": scores["m"]}})
    assert promoted(after.model_copy(update={"new_classes": alone}), 2).startswith(
        "Live: version 2. It recognises 1 of 13 rows of m: send more rows of it. A loss "
    )
    many = {name: ClassScore(accuracy=0.25, rows=8) for name in "uvwx"}
    several = new.model_copy(update={"names": [*"nuvwx"], "classes": {"n": scores["n"], **many}})
    assert "It knows n; it recognises 8 of 32 rows of 4 classes: send more rows of them. A loss" in promoted(
        after.model_copy(update={"new_classes": several}), 2
    )
    first_one = after.model_copy(update={"before": None, "new_classes": new.model_copy(update={"after": 0.6})})
    assert "It knows m and n, right on 60.0 %" in promoted(first_one, 2)
    assert promoted(first_one, 2).endswith("; it recognises 1 of 13 rows of m: send more rows of it.")


def test_what_adds_up_since_an_earlier_version_is_told() -> None:
    """Of rows that a, b and c shared, 14 are lost where n may answer, and 3 where it may not."""
    trusted = rows("ab" * 50, "bat_0")
    given = says("abn", "ab" * 36 + "nb" * 11 + "bb" * 3)
    then = Correctness.of(trusted, np.ones(100, bool), "ab")
    a = assessment(
        trusted=trusted,
        base=says("ab", "ab" * 47 + "bb" * 3),
        candidate=given,
        yardstick=given,
        live=5,
        past=ClassPast(correctness=[(3, then)]),
    )
    report = assess(a)
    assert report.lost_since == LostSince(version=3, rows=100, lost=0.14, p=0.5**14, forgotten=0.03, newer=1)
    assert report.forgetting == pytest.approx(0.03)
    gate = report.gate.model_copy(update={"unproven": False, "outcome": Outcome.PASS})
    sentence = promoted(report.model_copy(update={"gate": gate}), 6)
    assert sentence.endswith(
        ", but since version 3 they have lost 14.0 points on 100 rows: 3.0 forgotten and 11.0 to 1 newer class, "
        "p < 0.001."
    )
    maybe = LostSince(version=3, rows=95, lost=0.072, p=0.04, forgotten=0.072, newer=0)
    sentence = promoted(report.model_copy(update={"gate": gate, "lost_since": maybe}), 6)
    assert sentence.endswith(
        ", but since version 3 they have lost 7.2 points on 95 rows, which may be chance (p = 0.04)."
    )


def test_a_version_that_the_gate_stopped_gives_the_gates_reason_also_when_it_went_live_by_order() -> None:
    trusted = rows("ab" * 50, "bat_0")
    bad = says("ab", "ba" * 50)
    a = assessment(trusted=trusted, base=says("ab", "ab" * 50), candidate=bad, yardstick=None)
    assert spoken(a, Verdict.REJECTED).startswith("Rejected: it forgot. Of 100 trusted rows 100 are newly wrong")
    said = spoken(a)
    assert said.startswith("Live: version 2, by order. The gate would have said: Rejected: it forgot.")
    gate = assess(a).gate
    assert gate.decided_by == "forgets"
    assert gate.deciding is not None
    assert gate.deciding.remedy
    assert "stays live" not in said
    assert gate.deciding.remedy not in said
    assert spoken(a, Verdict.REJECTED).endswith(f" stays live. {gate.deciding.remedy}")
    assert verdict_sentence(assess(a), None, None, 1).startswith("Nothing to do")


def test_the_batch_of_several_that_stands_out_is_named_where_they_were_stopped() -> None:
    trusted, both = rows("ab" * 50, "bat_0"), Rows.concat([rows("ab" * 20, "good"), rows("ab" * 20, "bad")])
    bad = says("ab", "ba" * 50)
    a = assessment(trusted=trusted, batch=both, base=says("ab", "ab" * 50), candidate=bad, yardstick=None)
    own = {"candidate_on_batch": says("ab", "ab" * 40), "yardstick_on_batch": None}
    stopped = changed(a, **own, base_on_batch=says("ab", "ab" * 20 + "ba" * 18 + "ab" * 2))
    assert [part.model_dump() for part in assess(stopped).batch.parts] == [
        {"batch": "bad", "rows": 40, "error": 0.9, "others": 0.0, "stands_out": True},
        {"batch": "good", "rows": 40, "error": 0.0, "others": 0.9, "stands_out": False},
    ]
    assert spoken(stopped, Verdict.REJECTED).endswith(
        " Of its batches bad stands out: 90.0 % of its 40 rows say something else than version 1, and 0.0 % of the "
        "others. Learn the others without it, or take it back."
    )
    four = Rows.concat([rows("ab" * 20, name) for name in ("good", "bad", "worse", "well")])
    wrong = says("ab", "ab" * 20 + "ba" * 36 + "ab" * 24)
    of_four = {"candidate_on_batch": says("ab", "ab" * 80), "yardstick_on_batch": None, "base_on_batch": wrong}
    both_bad = changed(a, batch=four, **of_four)
    assert [(part.batch, part.stands_out) for part in assess(both_bad).batch.parts][:2] == [
        ("bad", True),
        ("worse", True),
    ]
    assert "others. So does another. Learn the others without them, or take them back." in spoken(
        both_bad, Verdict.REJECTED
    )
    alike = changed(a, **own, base_on_batch=says("ab", "ba" * 3 + "ab" * 17 + "ba" * 4 + "ab" * 16))
    assert "learned one by one, a good one does not wait for a bad one." in spoken(alike, Verdict.REJECTED)


def test_words() -> None:
    assert listed(["8"]) == "8"
    assert listed(["7", "8", "9"], quote=True) == '"7", "8" and "9"'
    assert listed([str(k) for k in range(26)]) == "26 classes"
    assert (points(-0.045), points(0.012)) == ("−4.5 points", "+1.2 points")


@pytest.mark.parametrize(("few", "names"), [("cd", ["c", "d"]), ("cdefg", [])])
def test_rare_classes_that_lost_most_are_counted_and_named_where_they_are_few(few: str, names: list[str]) -> None:
    """Of each rare class two rows, and both are newly wrong."""
    known, trusted = f"ab{few}", "a" * 30 + "b" * 30 + few * 2
    made = assessment(
        trusted=rows(trusted, "bat_0"),
        base=says(known, trusted),
        base_on_batch=says(known, "aabb"),
        candidate=says(f"{known}n", "a" * 30 + "b" * 30 + "a" * 2 * len(few)),
        candidate_on_batch=says(f"{known}n", "nnnn"),
    )
    worst = assess(replace(made, yardstick=made.candidate)).worst_class
    assert (worst.rare, worst.names, worst.drop) == (len(few), names, 1.0)
    assert worst.name == ('"c" and "d"' if names else "5 rare classes")
