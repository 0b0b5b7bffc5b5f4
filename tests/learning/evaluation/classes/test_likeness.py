"""Rows of a new class beside trusted rows that the base calls the same: which are compared, and how far apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.contract.policy import GatePolicy, Renames
from service.contract.reports.facts import Cost
from service.learning.data.rows import Bools, Rows
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.classes.class_answers import Answers
from service.learning.evaluation.classes.class_assessment import ClassAssessment
from service.learning.evaluation.classes.evidence import SURE_ROWS, Evidence
from service.learning.evaluation.classes.likeness import likeness, of_its_own
from service.learning.gate.classes.class_measurements import Likeness
from tests.updating import make_rows

COST = Cost(seconds=0.1, wait_seconds=0, rows=4, parameters_added=0, bytes_added=0, share_of_retraining=None)
POLICY = GatePolicy(renames=Renames(min_rows=2, min_sure=2, many_rows=4))


def rows(labels: str, batch: str) -> Rows:
    made = make_rows(batch, np.arange(len(labels), dtype=np.float32)[:, None], list(labels), b"secret")
    return replace(made, folds=np.arange(len(labels)) % 10)


def base(called: str, sure: str) -> Answers:
    """Of each row a or b, surely (+) or not."""
    high = [0.9 if mark == "+" else 0.6 for mark in sure]
    return Answers(
        ("a", "b"), np.array([[p, 1 - p] if c == "a" else [1 - p, p] for c, p in zip(called, high, strict=True)])
    )


def toward(*new: float) -> Answers:
    """The probability of the new class n; of the rest a has more than b."""
    return Answers(("a", "b", "n"), np.array([[0.9 * (1 - p), 0.1 * (1 - p), p] for p in new]))


def alike(base: ExamAnswers, candidate: ExamAnswers, familiar: Bools | None = None) -> Likeness:
    """Of trusted rows that the base answers rightly, and a batch of the new class n."""
    trusted, batch = "".join(base.on_trusted.names()), "n" * len(base.on_batch.probabilities)
    known = np.zeros(len(batch), bool)
    evidence = Evidence(known, ~known if familiar is None else familiar, known, 0.0, {})
    a = ClassAssessment(
        policy=POLICY,
        trusted=rows(trusted, "bat_0"),
        batch=rows(batch, "bat_1"),
        candidate=candidate,
        cost=COST,
        exact=True,
        live=1,
        base=base,
    )
    return likeness(a, evidence)["n"]


def test_sure_rows_stand_beside_sure_trusted_rows_that_are_called_the_same() -> None:
    like = alike(
        ExamAnswers(base("aaabb", "++-++"), base("aab", "+++")),
        ExamAnswers(toward(0.1, 0.5, 0.99, 0.2, 0.8), toward(0.3, 0.6, 0.5)),
    )
    # of a: 0.3 is over 0.1 alone, 0.6 over 0.1 and 0.5 (0.99 is not sure); of b: 0.5 is over 0.2 alone
    assert like.separation == pytest.approx((0.5 + 1.0 + 0.5) / 3)
    assert (like.rows, like.sure, like.compared, like.beside) == (3, 3, 3, 4)
    assert (like.called, like.all) == ({"a": 2, "b": 1}, False)
    usual = (2 + SURE_ROWS * 4 / 5) / (3 + SURE_ROWS)
    assert like.usual == pytest.approx(usual), "of a, of which the base is less often sure than of b"
    assert like.share == pytest.approx(1 / usual)


def test_of_a_rare_class_the_base_need_be_sure_no_more_often_than_it_is_of_that_class() -> None:
    """Of 100 trusted rows of each, it is sure of all of a, which is common, and of a quarter of b."""
    trusted, few = base("a" * 100 + "b" * 100, "+" * 125 + "-" * 75), np.linspace(0.1, 0.9, 200)
    batch, new = base("abbb", "++--"), toward(0.5, 0.5, 0.5, 0.5)
    like = alike(ExamAnswers(trusted, batch), ExamAnswers(toward(*few), new))
    assert like.usual == pytest.approx((25 + SURE_ROWS * 0.625) / (100 + SURE_ROWS))
    assert like.share > 1
    common = alike(ExamAnswers(trusted, base("aaaa", "++--")), ExamAnswers(toward(*few), new))
    assert common.usual > 0.9, "taken for a alone"
    assert common.share < 0.6


def test_rows_that_are_unlike_anything_seen_or_called_like_no_trusted_row_are_not_compared() -> None:
    like = alike(
        ExamAnswers(base("aa", "++"), base("aab", "+++")),
        ExamAnswers(toward(0.1, 0.5), toward(0.3, 0.6, 0.9)),
        np.array([True, False, True]),
    )
    assert (like.sure, like.compared, like.separation) == (2, 1, 0.5)
    nothing = alike(ExamAnswers(base("aa", "++"), base("bb", "++")), ExamAnswers(toward(0.1, 0.5), toward(0.3, 0.6)))
    assert (nothing.compared, nothing.separation) == (0, None)


def test_where_the_base_is_sure_of_few_all_rows_are_compared() -> None:
    like = alike(
        ExamAnswers(base("aaab", "+---"), base("aaaa", "+---")),
        ExamAnswers(toward(0.1, 0.2, 0.3, 0.9), toward(0.25, 0.25, 0.25, 0.05)),
    )
    assert (like.all, like.compared, like.sure) == (True, 4, 1)
    assert like.separation == pytest.approx((3 * 2 / 3 + 0) / 4)


def test_rows_without_an_answer_of_a_head_that_knows_the_class_are_left_out() -> None:
    on_batch = toward(0.3, 0.6, 0.6)
    hidden = replace(
        on_batch, probabilities=np.where(np.array([[True], [True], [False]]), on_batch.probabilities, np.nan)
    )
    assert alike(ExamAnswers(base("aa", "++"), base("aaa", "+++")), ExamAnswers(toward(0.1, 0.5), hidden)).rows == 2
    alone = alike(ExamAnswers(base("aa", "++"), base("a", "+")), ExamAnswers(toward(0.1, 0.5), toward(0.3)))
    assert (alone.rows, alone.separation) == (0, None), "without its group of folds no head knows the class"


def test_classes_of_few_rows_together() -> None:
    one = Likeness(5, 4, 0.8, {"a": 4}, 4, 9, 0.25)
    two = Likeness(3, 2, 0.4, {"a": 1, "b": 1}, 1, 7, 0.75)
    both = Likeness.together([one, two])
    assert both.usual == pytest.approx((5 * 0.8 + 3 * 0.4) / 8)
    assert (both.rows, both.sure, both.compared, both.beside, both.called) == (8, 6, 5, 9, {"a": 5, "b": 1})
    assert both.separation == pytest.approx((4 * 0.25 + 0.75) / 5)


def test_what_shows_that_a_class_is_one_of_its_own() -> None:
    for alike, own in [
        (Likeness(50, 45, 0.9, {"a": 45}, 45, 30, 0.5), False),
        (Likeness(50, 45, 0.9, {"a": 45}, 45, 30, 0.9), True),
        (Likeness(50, 6, 0.9, {"a": 6}, 6, 30, 0.5), True),
        (Likeness(50, 0, 0.9, {}, 0, 0, None), True),
        (Likeness(9, 0, 0.9, {}, 0, 0, None), False),
        (Likeness(50, 4, 0.1, {"a": 50}, 50, 30, 0.5, all=True), False),
        (Likeness(50, 4, 0.1, {"a": 50}, 50, 30, 0.9, all=True), True),
    ]:
        assert of_its_own(alike, GatePolicy().renames) is own, alike


def test_the_yardstick_tells_them_apart_where_there_is_one() -> None:
    blind, sees = toward(0.5, 0.5), toward(0.1, 0.9)
    own = rows("nn", "bat_1")
    a = ClassAssessment(
        policy=POLICY,
        trusted=rows("aa", "bat_0"),
        batch=replace(own, folds=np.array([0, 2])),
        candidate=ExamAnswers(blind, blind),
        cost=COST,
        exact=False,
        live=1,
        base=ExamAnswers(base("aa", "++"), base("aa", "++")),
        yardstick=ExamAnswers(toward(0.1, 0.2), sees),
    )
    none = np.zeros(2, bool)
    like = likeness(a, Evidence(none, ~none, none, 0.0, {}))["n"]
    assert like.separation == pytest.approx((0.5 / 2 + 2 / 2) / 2), "0.1 ties with one of two, 0.9 is over both"
    assert likeness(replace(a, yardstick=None), Evidence(none, ~none, none, 0.0, {}))["n"].separation == 0.5
