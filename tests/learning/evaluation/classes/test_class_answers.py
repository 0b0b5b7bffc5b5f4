"""Scores and metrics against numbers worked by hand."""

import numpy as np
import pytest
import torch

from service.learning.data.rows import Rows
from service.learning.evaluation.classes.class_answers import (
    MOST_CONFUSIONS,
    Answers,
    calibration_error,
    class_scores,
    confusions,
    scored,
)
from service.learning.evaluation.classes.class_assessment import Correctness
from service.learning.statistics import Paired
from tests.updating import make_rows


def rows(labels: str, batch: str = "bat_1") -> Rows:
    """One row a letter."""
    return make_rows(batch, np.arange(len(labels), dtype=np.float32)[:, None], list(labels), b"secret")


def answers(classes: str, *probabilities: list[float]) -> Answers:
    return Answers(tuple(classes), np.array(probabilities, float).reshape(-1, len(classes)))


def test_best_answer_and_its_score() -> None:
    replies = answers("ba", [0.9, 0.1], [0.2, 0.8])
    assert replies.names() == ["b", "a"]
    assert replies.scores.tolist() == [0.9, 0.8]
    assert replies.right(rows("bb")).tolist() == [True, False]


def test_ties_go_to_the_first_class_by_name_whatever_the_order_of_columns() -> None:
    assert answers("ba", [0.5, 0.5]).names() == ["a"]
    assert answers("ab", [0.5, 0.5]).names() == ["a"]
    assert answers("cab", [0.4, 0.2, 0.4]).names() == ["b"]


def test_rows_of_nan_were_not_judged() -> None:
    replies = answers("ab", [np.nan, np.nan], [0.1, 0.9])
    assert replies.judged.tolist() == [False, True]
    assert replies.names() == ["", "b"]
    assert replies.right(rows("zb")).tolist() == [False, True]
    assert replies.among("ab").tolist() == [False, True]
    assert np.isnan(replies.scores[0])


def test_a_label_without_a_column_is_never_right() -> None:
    assert answers("ab", [0.9, 0.1]).right(rows("z")).tolist() == [False]


def test_no_columns_answer_nothing() -> None:
    none = Answers((), np.zeros((2, 0)))
    assert none.names() == ["", ""]
    assert not none.judged.any()
    assert not none.right(rows("ab")).any()


def test_masked_answers_ignore_the_other_columns() -> None:
    replies = answers("abn", [0.3, 0.2, 0.5], [0.1, 0.4, 0.5])
    assert replies.among("n").tolist() == [True, True]
    masked = replies.over("ab")
    assert masked.classes == ("a", "b")
    assert masked.names() == ["a", "b"]
    assert replies.over("abn") is replies


def test_score_by_hand() -> None:
    scores = scored(answers("ab", [1, 0], [1, 0], [0, 1], [0, 1]), rows("aaab"))
    assert (scores.accuracy, scores.balanced_accuracy, scores.rows) == pytest.approx((0.75, (2 / 3 + 1) / 2, 4))
    assert scores.classes["a"].accuracy == pytest.approx(2 / 3)
    assert scores.classes["a"].rows == 3
    assert scored(answers("ab"), Rows.empty((1,))) is None
    assert list(class_scores(np.array([1, 0], bool), rows("ba"))) == ["a", "b"]


def test_a_row_counts_for_as_many_as_it_stands_for_in_accuracy_and_calibration() -> None:
    scores = scored(answers("ab", [0.9, 0.1], [0.9, 0.1]), rows("ab"), np.array([1.5, 0.5]))
    assert scores is not None
    assert (scores.accuracy, scores.balanced_accuracy, scores.rows) == (0.75, 0.5, 2)
    assert scores.ece == pytest.approx(abs(1.5 * (1 - 0.9) + 0.5 * (0 - 0.9)) / 2)


def test_bits_are_compared_on_shared_rows_over_the_old_columns() -> None:
    old = Correctness.of(rows("aabb"), np.array([1, 1, 1, 0], bool), "ab")
    now = Rows.concat([rows("c", "bat_2"), rows("aabb").take(np.array([3, 2, 1]))])
    replies = answers("abn", [0.9, 0.0, 0.1], [0.1, 0.3, 0.6], [0.9, 0.1, 0.0], [np.nan] * 3)
    both, of_classes, _ = old.against(replies, now)
    assert both == Paired(rows=2, worse=1, better=1)
    assert of_classes == {"b": both}
    assert not old.against(replies, now, few=3)[1]
    strangers = rows("ab", "bat_9")
    assert old.against(answers("ab", [1.0, 0.0], [1.0, 0.0]), strangers) == (Paired(0, 0, 0), {}, {})


def test_margins_are_compared_where_both_versions_know_the_same_classes() -> None:
    labels, usual = rows("aaabbb"), [2.0, 2.0, 2.0, 1.0, 2.0, np.nan]
    old = Correctness.of(labels, np.ones(6, bool), "ab", np.array(usual))
    odds = np.exp([1, 1, 1, -1, 0.5, 3])
    own = odds / (1 + odds)
    first = np.where(np.arange(6) < 3, own, 1 - own)
    now = Answers(("a", "b"), np.stack([first, 1 - first], 1))
    assert now.margins(labels) == pytest.approx([1, 1, 1, -1, 0.5, 3])
    paired, _, margins = old.against(now, labels)
    assert paired == Paired(6, 1, 0)
    assert {name: (m.paired, m.before, m.after) for name, m in margins.items()} == {
        "a": (Paired(3, 0, 0), pytest.approx(1), pytest.approx(1)),
        "b": (Paired(2, 1, 0), pytest.approx(0.75), pytest.approx(-0.25)),
    }, "as multiples of what is usual in each version: 2 and 1"
    assert set(old.against(now, labels, few_margins=3)[2]) == {"a"}
    more = Answers(("a", "b", "n"), np.stack([first, 1 - first, np.zeros(6)], 1))
    assert old.against(more, labels)[::2] == (paired, {}), "a class that is added takes from its neighbours"
    written_before = Correctness.of(labels, np.ones(6, bool), "ab")
    assert written_before.against(now, labels)[::2] == (paired, {})


def test_a_margin_is_the_own_score_above_the_best_other() -> None:
    three = answers("abc", [0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [np.nan] * 3, [1.0, 0.0, 0.0])
    margins = three.margins(rows("abzab"))
    assert margins == pytest.approx([np.log(2), -np.log(2), np.nan, np.nan, -30], nan_ok=True)
    assert answers("a", [1.0]).margins(rows("a")) == pytest.approx([30])
    assert np.isnan(Answers((), np.zeros((2, 0))).margins(rows("ab"))).all()


def test_margins_leave_out_what_shares_count() -> None:
    """Common classes stand above rare ones by their shares alone."""
    gained = np.log(np.array([0.9, 0.1]))
    scores = np.array([[0.6, 0.4], [0.3, 0.7]])
    shared = scores * np.exp(gained)
    counted = Answers(("a", "b"), shared / shared.sum(1, keepdims=True), gained)
    alone = Answers(("a", "b"), scores)
    labels = rows("ab")
    assert counted.margins(labels) == pytest.approx(alone.margins(labels))
    assert counted.take(np.array([1])).over("ab").even().best.tolist() == [1]
    assert counted.best.tolist() == [0, 0]
    assert counted.over("a").gained == pytest.approx(gained[:1])


def test_bits_survive_a_shard() -> None:
    kept = Correctness.of(rows("aab", "bat_ä"), np.array([1, 0, 1], bool), ("a", "b"))
    again = Correctness.load({name: torch.from_numpy(a) for name, a in kept.arrays().items()})
    assert (again.classes, again.batches) == (kept.classes, kept.batches)
    for field in ("batch", "row", "right"):
        assert (getattr(again, field) == getattr(kept, field)).all()
    assert again.margin is None, "as earlier releases wrote it"
    margins = Correctness.load(
        Correctness.of(rows("aab"), np.ones(3, bool), "ab", np.array([1.5, np.nan, -2])).arrays()
    )
    assert margins.margin == pytest.approx([1.5, np.nan, -2], nan_ok=True)
    empty = Correctness.load(Correctness.of(Rows.empty((1,)), np.zeros(0, bool), ()).arrays())
    assert empty.against(answers("a", [1.0]), rows("a")) == (Paired(0, 0, 0), {}, {})


def test_calibration_error_is_the_gap_between_scores_and_the_share_that_is_right() -> None:
    replies = answers("ab", [0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6])
    right = rows("aaabab")  # of four at 0.9 three are right, of two at 0.6 both
    assert calibration_error(replies, right) == pytest.approx((4 * abs(0.75 - 0.9) + 2 * abs(1 - 0.6)) / 6)
    scores = scored(replies, right)
    assert (scores.accuracy, scores.ece) == (pytest.approx(5 / 6), calibration_error(replies, right))


def test_calibration_bins_are_fifteen_and_their_gaps_do_not_cancel() -> None:
    replies = answers("ab", [1.0, 0.0], [0.0, 1.0], [0.54, 0.46], [0.55, 0.45])  # the last two share a bin
    assert calibration_error(replies, rows("abba")) == pytest.approx(abs(1 - 0.54 - 0.55) / 4)
    edges = answers("ab", [8 / 15, 7 / 15], [8 / 15 + 1e-6, 7 / 15 - 1e-6])  # these two do not
    assert calibration_error(edges, rows("ab")) == pytest.approx(((1 - 8 / 15) + 8 / 15) / 2, abs=1e-5)


def test_calibration_error_of_what_nobody_judged_is_unknown() -> None:
    assert calibration_error(answers("ab", [np.nan, np.nan]), rows("a")) is None
    assert calibration_error(answers("ab", [np.nan, np.nan], [1.0, 0.0]), rows("aa")) == 0
    assert scored(answers("ab"), Rows.empty((1,))) is None


def test_confusions_are_wrong_answers_counted_the_most_frequent_first() -> None:
    replies = answers(
        "abc", [0.9, 0.1, 0], [0.1, 0.9, 0], [0.1, 0.9, 0], [0.9, 0.1, 0], [0, 0.1, 0.9], [np.nan, np.nan, np.nan]
    )
    told = confusions(replies, rows("aaabxa"))  # the last is not judged, and nothing is called x
    assert [(c.class_, c.answer, c.rows) for c in told] == [("a", "b", 2), ("b", "a", 1), ("x", "c", 1)]
    assert confusions(answers("ab"), Rows.empty((1,))) == []
    scores = scored(replies, rows("aaabxa"))
    assert scores.confusions == told
    assert scores.model_dump(by_alias=True)["confusions"][0] == {"class": "a", "answer": "b", "rows": 2}


def test_a_report_lists_a_hundred_confusions_at_most() -> None:
    many = "".join(chr(0x4E00 + k) for k in range(MOST_CONFUSIONS + 2))
    wrong = np.roll(np.eye(len(many)), 1, 1)
    assert len(confusions(answers(many, *wrong.tolist()), rows(many))) == MOST_CONFUSIONS
