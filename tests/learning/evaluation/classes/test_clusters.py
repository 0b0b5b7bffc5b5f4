"""Rows that contradict the base and lie close together, on a line where every distance can be read off."""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import FeatureRows
from service.learning.evaluation.classes.class_answers import Answers
from service.learning.evaluation.classes.clusters import clusters
from service.learning.evaluation.classes.evidence import Evidence
from service.learning.ledger.sums import Sums
from tests.updating import make_rows


def sizes(places: list[int], labels: str, answers: str) -> list[int]:
    """Rows at these places of a line, two columns wide."""
    features = np.array([[p, -p] for p in places], np.int16)
    batch = make_rows("bat_1", features.astype(np.float32), list(labels), b"secret").with_features(features)
    base = Answers(("a", "b", "c"), np.array([[float(c == name) for c in "abc"] for name in answers]))
    every = np.ones(len(batch), bool)
    evidence = Evidence(every, every, ~base.right(batch), 0.0, {})
    return clusters(batch, base, evidence, Sums.of(_seen())).tolist()


def _seen() -> FeatureRows:
    features = np.array([[k, 7 - k] for k in range(8)], np.int16)
    return make_rows("bat_0", features.astype(np.float32), list("aabbaabb"), b"secret").with_features(features)


GRID = [100 * k for k in range(10)]
"""Ten rows whose nearest neighbour is 100 away, so close is nearer than 30."""


def test_three_copies_of_a_row_that_say_something_else_are_a_cluster() -> None:
    counted = sizes([*GRID, 202, 204, 224], "a" * 10 + "bbb", "a" * 13)
    assert counted == [0] * 10 + [3, 3, 3]


def test_rows_apart_or_two_or_of_different_labels_are_none() -> None:
    assert sizes([*GRID, 202, 342, 471], "a" * 10 + "bbb", "a" * 13) == [0] * 13
    assert sizes([*GRID, 202, 204], "a" * 10 + "bb", "a" * 12) == [0] * 12
    assert sizes([*GRID, 202, 204, 206], "a" * 10 + "bbc", "a" * 13) == [0] * 13
    assert sizes([*GRID, 202, 204, 206], "a" * 10 + "bbb", "a" * 10 + "aac") == [0] * 13
    assert sizes([*GRID, 202, 204, 206], "a" * 10 + "bbb", "a" * 10 + "bbb") == [0] * 13
    assert sizes([202, 204, 206], "bbb", "aaa") == [0] * 3, "no row agrees, so nobody knows how far rows lie apart"


def test_each_cluster_has_its_own_size() -> None:
    counted = sizes([*GRID, 202, 204, 206, 208, 702, 704, 706], "a" * 10 + "b" * 7, "a" * 17)
    assert counted == [0] * 10 + [4] * 4 + [3] * 3
