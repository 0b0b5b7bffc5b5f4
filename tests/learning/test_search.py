"""The search over strengths."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

from service.learning.method import Run
from service.learning.search import Point, preferred, search

Rights = tuple[Tensor | None, Tensor | None]


def answered(right: int, rows: int = 100) -> Tensor:
    """So many of the rows are right, the first ones."""
    return torch.arange(rows) < right


def pair(old: int, new: int) -> Rights:
    return answered(old), answered(new)


def test_the_best_mean_wins_and_every_point_is_told() -> None:
    scores = {0.1: (90, 20), 1.0: (80, 80), 10.0: (90, 50)}
    found = search(lambda s, _: s, lambda s: pair(*scores[s]), Run(), tuple(scores))
    assert found.best == found.strength == 1.0
    assert [(p.strength, p.old, p.new) for p in found.points] == [
        (s, pytest.approx(old / 100), pytest.approx(new / 100)) for s, (old, new) in scores.items()
    ]


def test_ties_go_to_the_usual_strength_and_beside_it_to_the_stronger() -> None:
    found = search(lambda s, _: s, lambda s: pair(50, 50), Run(), (10.0, 1.0, 0.1), usual=1.0)
    assert found.strength == 1.0
    found = search(lambda s, _: s, lambda s: pair(50, 50), Run(), (0.1, 10.0), usual=1.0)
    assert found.strength == 10.0


def test_what_chance_explains_is_a_tie() -> None:
    """One row more is chance; ten rows more, all of them the same way, are not."""
    for more, expected in ((1, 10.0), (10, 0.1)):
        scores = {0.1: (50 + more, 50), 10.0: (50, 50)}
        found = search(
            lambda s, _, table=scores: s, lambda s, table=scores: pair(*table[s]), Run(), tuple(scores), usual=10.0
        )
        assert found.strength == expected


def test_on_five_rows_the_usual_strength_is_all_that_can_be_known() -> None:
    scores = {0.1: (answered(3, 3), answered(2, 2)), 1.0: (answered(2, 3), answered(2, 2))}
    assert search(lambda s, _: s, lambda s: scores[s], Run(), tuple(scores), usual=1.0).strength == 1.0


def test_the_difference_is_paired() -> None:
    """Four rows more of a hundred: all flips one way are no chance, forty one way and thirty-six the other are."""
    best, same_way = Point(1.0, (None, answered(54))), Point(2.0, (None, answered(50)))
    assert not same_way.as_good_as(best)
    mixed = answered(54)
    mixed[:40], mixed[54:90] = False, True
    assert Point(2.0, (None, mixed)).score == pytest.approx(0.50)
    assert Point(2.0, (None, mixed)).as_good_as(best)


def test_of_equal_means_the_best_has_the_larger_minimum_and_the_order_decides_among_the_good() -> None:
    points = [Point(0.0, pair(90, 10)), Point(0.5, pair(60, 60)), Point(1.0, pair(10, 90))]
    assert preferred(points, lambda p: p.strength).strength == 0.5
    alike = [Point(0.25, pair(60, 60)), *points[1:]]
    assert preferred(alike, lambda p: p.strength).strength == 0.25
    assert preferred(alike, lambda p: -p.strength).strength == 0.5


def test_without_rows_on_one_side_the_other_decides() -> None:
    assert Point(1.0, (None, answered(25))).score == 0.25
    assert Point(1.0, (None, None)).score == 0
    assert Point(1.0, (None, None)).as_good_as(Point(2.0, (None, None)))


def test_only_what_may_be_chosen_is_held() -> None:
    """A trained network that is clearly worse is let go before the next one is trained."""

    class Trained:
        def __init__(self, right: int) -> None:
            self.right = right

    made: list[weakref.ref[Trained]] = []
    alive: list[int] = []

    def train(strength: float, _: Run) -> Trained:
        alive.append(sum(ref() is not None for ref in made))
        trained = Trained({1.0: 10, 2.0: 90, 3.0: 20, 4.0: 90}[strength])
        made.append(weakref.ref(trained))
        return trained

    found = search(train, lambda t: pair(t.right, t.right), Run(), (1.0, 2.0, 3.0, 4.0), usual=4.0)
    assert found.best.right == 90
    assert found.strength == 4.0
    assert max(alive) <= 2


def test_progress_runs_through_once() -> None:
    seen: list[tuple[str, int, int]] = []

    def train(strength: float, run: Run) -> float:
        run.progress("training", 1, 2)
        run.progress("training", 2, 2)
        return strength

    search(train, lambda s: (None, None), Run(progress=lambda *p: seen.append(p)), (1.0, 2.0))
    assert seen == [("searching", k, 4) for k in (1, 2, 3, 4)]
