"""What a batch says against the base: familiar rows, conflicts, expectations, and the heads that tell causes apart."""

from __future__ import annotations

import numpy as np
import pytest

from service.contract.policy import GatePolicy
from service.contract.reports.class_report import ClassEvidence
from service.learning.data.rows import FeatureRows
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.classes.class_answers import Answers
from service.learning.evaluation.classes.evidence import (
    SURE_ROWS,
    dispute,
    lasting,
    learnable,
    pooled,
    reconcile,
    suspects,
    weigh,
)
from service.learning.evaluation.classes.familiarity import WIDTH, is_familiar
from service.learning.exact.solve import Head, solve_ridge
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.worker.assignment import Shown
from tests.updating import make_rows

POLICY = GatePolicy()
SHIFT = 6
CENTRES = {"a": (0.0, 0.0), "b": (8.0, 0.0), "c": (0.0, 8.0)}


def solve(sums: Sums) -> Head:
    return solve_ridge(sums, SHIFT, 1e-2, 0.25)


def cloud(
    batch: str, rows: int, seed: int, labels: dict[str, str] | None = None, at: tuple[float, float] = (0, 0)
) -> FeatureRows:
    """Rows of three round classes on the grid; `labels` renames what they are called, `at` moves them."""
    random = np.random.default_rng(seed)
    truth = random.choice(list(CENTRES), rows)
    points = np.array([CENTRES[c] for c in truth]) + at + random.normal(0, 0.7, (rows, 2))
    named = [(labels or {}).get(c, c) for c in truth]
    features = np.hstack([points, np.maximum(points, 4)])
    return make_rows(batch, points.astype(np.float32), named, b"secret").with_features(
        np.rint(features * 2**SHIFT).astype(np.int16)
    )


@pytest.fixture
def ledger() -> Ledger:
    none = Sums.empty(4)
    return Ledger(none, none, none, FeatureRows.none(4), FeatureRows.none(4), "space", SHIFT).with_entry(
        cloud("bat_0", 300, 0)
    )


def answered(ledger: Ledger, rows: FeatureRows) -> Answers:
    head = solve(ledger.unjudged)
    logits = 20 * head.logits(rows.inputs / 2**SHIFT)
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return Answers(head.classes, raised / raised.sum(1, keepdims=True))


def test_rows_like_those_seen_are_familiar_and_strangers_are_not(ledger: Ledger) -> None:
    same, far = cloud("bat_1", 200, 1), cloud("bat_2", 50, 2, at=(30, 30))
    assert is_familiar(ledger.unjudged, ledger.exam, same.inputs, 0.99).mean() > 0.9
    assert not is_familiar(ledger.unjudged, ledger.exam, far.inputs, 0.99).any()


def test_everything_is_familiar_where_nothing_is_known() -> None:
    rows = cloud("bat_1", 5, 1)
    assert is_familiar(Sums.empty(4), rows, rows.inputs, 0.99).all()
    assert is_familiar(Sums.of(rows.take(np.arange(1))), rows, rows.inputs, 0.99).all()
    assert not len(is_familiar(Sums.of(rows), rows, rows.inputs[:0], 0.99))


def test_wide_features_are_sampled_and_dead_ones_do_no_harm() -> None:
    random = np.random.default_rng(0)
    width = 3 * WIDTH
    inputs = random.integers(-99, 99, (40, width)).astype(np.int16)
    inputs[:, ::2] = 0
    rows = make_rows("bat_0", random.random((40, 2), np.float32), ["a", "b"] * 20, b"secret").with_features(inputs)
    familiar = is_familiar(Sums.of(rows.take(np.arange(30))), rows.take(np.arange(30, 40)), inputs[30:], 0.99)
    assert familiar.mean() >= 0.8


def test_conflicts_are_familiar_rows_of_known_classes_with_another_label(ledger: Ledger) -> None:
    batch = FeatureRows.concat(
        [
            cloud("bat_1", 30, 1, {"a": "b", "b": "b", "c": "new"}),
            cloud("bat_2", 10, 2, at=(30, 30)),
        ]
    )
    truly_a = [name == "a" for name in cloud("bat_1", 30, 1).label_names()]
    weighed = weigh(
        ledger.exam, batch, ExamAnswers(answered(ledger, ledger.exam), answered(ledger, batch)), ledger, POLICY
    )
    assert set(batch.take(weighed.conflict).label_names()) == {"b"}
    assert weighed.conflicts == pytest.approx(sum(truly_a), abs=1)
    assert not weighed.known[[name == "new" for name in batch.label_names()]].any()
    assert not weighed.familiar[30:].any()
    assert weighed.unfamiliar_share is not None
    assert 0.2 < weighed.unfamiliar_share < 0.5


def test_expected_conflicts_follow_the_mix_of_classes(ledger: Ledger) -> None:
    exam, only_a = ledger.exam, cloud("bat_1", 60, 1)
    only_a = only_a.take(np.array([name == "a" for name in only_a.label_names()]))
    right = answered(ledger, exam)
    weighed = weigh(exam, only_a, ExamAnswers(right, answered(ledger, only_a)), ledger, POLICY)
    n = exam.counts()["a"]
    assert weighed.expected == pytest.approx(1 / (n + 2))


def test_trusted_rows_of_a_class_stand_for_as_many_as_were_learned(ledger: Ledger) -> None:
    exam, batch = ledger.exam, cloud("bat_1", 60, 1)
    names = np.array(exam.label_names())
    called_b = np.where(np.isin(np.arange(len(exam)), np.flatnonzero(names == "a")[:3]), "b", names)
    wrong = Answers(("a", "b", "c"), np.array([[0.9 if c == name else 0.05 for c in "abc"] for name in called_b]))

    def expected(kept: np.ndarray) -> float:
        answers = ExamAnswers(wrong.take(kept), answered(ledger, batch))
        weighed = weigh(exam.take(kept), batch, answers, ledger, POLICY)
        return weighed.classes["b"].expected

    every = np.arange(len(exam))
    fewer_b = np.sort(np.r_[every[names != "b"], np.flatnonzero(names == "b")[::4]])
    assert expected(fewer_b) == pytest.approx(expected(every), rel=0.05)


def test_no_trusted_rows_no_evidence(ledger: Ledger) -> None:
    none, batch = ledger.exam.take(np.zeros(0, np.int64)), cloud("bat_1", 9, 1)
    assert weigh(none, batch, ExamAnswers(answered(ledger, none), answered(ledger, batch)), ledger, POLICY) is None


def test_counts_by_class_name_what_the_rows_say_instead(ledger: Ledger) -> None:
    batch = cloud("bat_1", 90, 3, {"a": "b"})
    answers = answered(ledger, batch)
    weighed = weigh(ledger.exam, batch, ExamAnswers(answered(ledger, ledger.exam), answers), ledger, POLICY)
    assert weighed.classes["a"].toward == {"b": weighed.classes["a"].conflicts}
    assert weighed.classes["a"].conflicts == weighed.classes["a"].confident > 10
    assert weighed.classes["c"].conflicts == 0
    assert weighed.classes["a"].expected < 0.1
    disputed = dispute("a", weighed.classes["a"], batch, answers, weighed.conflict)
    assert (disputed.class_, disputed.suggested, disputed.source) == ("a", "b", None)
    rows = suspects(batch, answers, weighed.conflict, 0.8)
    assert {(r.label, r.suggested, r.batch) for r in rows} == {("b", "a", "bat_1")}
    assert [r.score for r in rows] == sorted((r.score for r in rows), reverse=True)
    last = rows[-1].row
    alike = np.where(batch.row == last, 3, 0)
    assert suspects(batch, answers, weighed.conflict, 0.8, alike=alike)[0] == rows[-1].model_copy(update={"alike": 3})
    assert [r.row for r in suspects(batch, answers, weighed.conflict, 1.1, alike=alike)] == [last], (
        "close ones need not be sure"
    )


def test_noise_everywhere_is_not_held_against_one_class(ledger: Ledger) -> None:
    batch = cloud("bat_1", 300, 4)
    random = np.random.default_rng(0)
    noisy = [str(random.choice(["a", "b", "c"])) if random.random() < 0.3 else name for name in batch.label_names()]
    mixed = make_rows("bat_1", batch.inputs.astype(np.float32), noisy, b"secret").with_features(batch.inputs)
    weighed = weigh(
        ledger.exam, mixed, ExamAnswers(answered(ledger, ledger.exam), answered(ledger, mixed)), ledger, POLICY
    )
    assert all(e.expected > 0.1 for e in weighed.classes.values())


def test_pooled_counts_add_up_and_weigh_expectations() -> None:
    one = {"a": ClassEvidence(confident=10, conflicts=2, expected=0.1, tested=26, toward={"b": 2})}
    two = {"a": ClassEvidence(confident=30, conflicts=4, expected=0.02, toward={"b": 3, "c": 1})}
    both = pooled([one, two, {}])["a"]
    assert (both.confident, both.conflicts, both.toward) == (40, 6, {"b": 5, "c": 1})
    assert both.expected == pytest.approx((10 * 0.1 + 30 * 0.02) / 40)
    assert both.tested == 26, "trusted rows stay, so those of two batches are no more"


def shown(conflicts: int, rows: int = 3, expected: float = 0.05, label: str = "b") -> dict[str, ClassEvidence]:
    toward = {label: conflicts} if conflicts else {}
    return {"a": ClassEvidence(confident=rows, conflicts=conflicts, expected=expected, tested=40, toward=toward)}


def test_conflicts_that_last_are_counted_beside_what_was_usual_before_they_began() -> None:
    honest, poisoned = [shown(0)] * 5, [shown(1, 3, expected) for expected in (0.06, 0.1, 0.15, 0.2, 0.3)]
    found = lasting([*enumerate([*honest, *poisoned], start=1)], POLICY.contradicts_class)["a"]
    assert (found.since, found.evidence.confident, found.evidence.toward) == (6, 15, {"b": 5})
    assert found.evidence.expected == 0.06, "what they taught is no measure of them"


def test_a_count_begins_anew_where_conflicts_end() -> None:
    drift = [*[shown(2)] * 3, *[shown(0)] * 30, shown(1)]
    found = lasting([*enumerate(drift, start=1)], POLICY.contradicts_class)["a"]
    assert (found.since, found.evidence.confident) == (34, 3)
    assert lasting([*enumerate(drift[:-1], start=1)], POLICY.contradicts_class) == {}
    assert lasting([], POLICY.contradicts_class) == {}


def test_the_label_that_most_rows_carry_is_counted_alone() -> None:
    batches = [*enumerate([shown(1, label="c"), shown(2), shown(2)], start=1)]
    found = lasting(batches, POLICY.contradicts_class)["a"]
    assert (found.since, found.evidence.toward, found.evidence.conflicts) == (2, {"b": 4}, 4)
    too_often_wrong = [*enumerate([shown(3, expected=0.4)] * 3, start=1)]
    assert lasting(too_often_wrong, POLICY.contradicts_class) == {}, "three times as often is no share"


def test_what_is_usual_rests_on_so_many_rows_as_the_scarcest_classes_of_the_batch_show(ledger: Ledger) -> None:
    batch = cloud("bat_1", 300, 4)
    answers = ExamAnswers(answered(ledger, ledger.exam), answered(ledger, batch))
    trusted = ledger.exam.counts()
    usual = weigh(ledger.exam, batch, answers, ledger, POLICY)
    few = ledger.exam.take(
        np.concatenate([np.flatnonzero(ledger.exam.labels == k)[: 3 if k else None] for k in range(3)])
    )
    scarce = weigh(few, batch, ExamAnswers(answered(ledger, few), answers.on_batch), ledger, POLICY)
    assert usual.tested == pytest.approx(sum(trusted.values()) + 2 * 3, rel=0.1)
    assert scarce.tested < len(few) - 3, "six of 25 stand for two of three classes"
    assert all(e.tested >= SURE_ROWS for e in (*usual.classes.values(), *scarce.classes.values()))
    few_answers = ExamAnswers(answered(ledger, few), answers.on_batch)
    told = weigh(few, batch, few_answers, ledger, POLICY, [Shown(version=1, rows=100, conflicts=1, evidence={})] * 3)
    assert told.tested == pytest.approx(scarce.tested + 300, rel=0.1), "of each class as many as among all rows"
    assert told.expected == scarce.expected
    worse = [Shown(version=1, rows=100, conflicts=60, evidence={})]
    assert weigh(few, batch, few_answers, ledger, POLICY, worse).tested == scarce.tested, "nothing says what is usual"


def test_earlier_batches_say_little_of_a_rare_class() -> None:
    rows = cloud("bat_0", 300, 0)
    of_c = np.cumsum(np.array(rows.label_names()) == "c")
    none = Sums.empty(4)
    ledger = Ledger(none, none, none, FeatureRows.none(4), FeatureRows.none(4), "space", SHIFT).with_entry(
        rows.take((of_c <= 6) | (np.array(rows.label_names()) != "c"))
    )
    batch = cloud("bat_1", 300, 4)
    batch = batch.take(np.array(batch.label_names()) == "c")
    answers = ExamAnswers(answered(ledger, ledger.exam), answered(ledger, batch))
    before = [Shown(version=1, rows=300, conflicts=3, evidence={})]
    alone, told = (weigh(ledger.exam, batch, answers, ledger, POLICY, some).tested for some in ((), before))
    assert alone < told < alone + 15


def test_a_head_of_the_batch_alone_finds_rules_and_only_rules() -> None:
    batch = cloud("bat_1", 60, 5, {"a": "b", "b": "c", "c": "a"})
    every = np.ones(60, bool)
    assert learnable(batch, every, SHIFT, solve).p < 1e-6
    shuffled = make_rows(
        "bat_1", batch.inputs.astype(np.float32), list(np.random.default_rng(0).permutation(batch.label_names())), b"x"
    ).with_features(batch.inputs)
    assert learnable(shuffled, every, SHIFT, solve).p > 0.01
    assert learnable(batch.take(np.arange(1)), every[:1], SHIFT, solve).right == 0


def test_shifted_rows_are_reconciled_and_swapped_labels_are_not(ledger: Ledger) -> None:
    swapped = cloud("bat_1", 200, 6, {"a": "b", "b": "a"})
    answers = answered(ledger, swapped)
    both = reconcile(swapped, answers, ~answers.right(swapped), ledger, solve)
    assert both.loss > 0.2, "one input has two labels: what the one side wins, the other loses"
    assert both.fixed - both.loss < 0.3
    moved = cloud("bat_2", 200, 7, at=(4.5, 4.5))
    answers = answered(ledger, moved)
    both = reconcile(moved, answers, ~answers.right(moved), ledger, solve)
    assert both.fixed > 0.6
    assert both.loss < 0.1
