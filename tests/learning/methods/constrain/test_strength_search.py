"""The search over strengths."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from service.learning.methods.constrain.anchored import search_notes
from service.learning.methods.constrain.strength_search import Point, preferred, search
from service.learning.run import Run

Rights = tuple[Tensor | None, Tensor | None]


def answered(right: int, rows: int = 100) -> Tensor:
    """So many of the rows are right, the first ones."""
    return torch.arange(rows) < right


def pair(old: int, new: int) -> Rights:
    return answered(old), answered(new)


def searched(scores: dict[float, Rights], usual: float = 1.0) -> float:
    return search(lambda s, _: Point(s, scores[s]), Run(), tuple(scores), usual)[0]


def test_the_best_mean_wins_and_every_point_that_was_looked_at_is_told() -> None:
    scores = {0.1: pair(90, 20), 1.0: pair(80, 80), 10.0: pair(90, 50)}
    strength, points = search(lambda s, _: Point(s, scores[s]), Run(), tuple(scores), usual=10.0)
    assert strength == 1.0
    assert [(p.strength, p.scores) for p in points] == list(scores.items())


@pytest.mark.parametrize(
    ("right", "looked_at"),
    [
        ({0.1: 70, 1.0: 60, 10.0: 50, 100.0: 90}, [1.0, 10.0, 0.1]),
        ({0.1: 90, 1.0: 50, 10.0: 70, 100.0: 60}, [1.0, 10.0, 100.0]),
        ({0.1: 50, 1.0: 50, 10.0: 50, 100.0: 50}, [1.0, 10.0, 0.1]),
        ({0.01: 80, 0.1: 70, 1.0: 60}, [1.0, 0.1, 0.01]),
    ],
)
def test_the_search_goes_uphill_from_the_usual_strength(right: dict[float, int], looked_at: list[float]) -> None:
    seen = []

    def look(strength: float, _: Run) -> Point:
        seen.append(strength)
        return Point(strength, pair(right[strength], right[strength]))

    points = search(look, Run(), tuple(right), usual=1.0)[1]
    assert seen == looked_at
    assert [p.strength for p in points] == sorted(looked_at)


def test_ties_go_to_the_usual_strength_and_beside_it_to_the_stronger() -> None:
    assert searched({s: pair(50, 50) for s in (10.0, 1.0, 0.1)}) == 1.0
    assert searched({s: pair(50, 50) for s in (0.1, 10.0)}) == 10.0


def test_an_end_of_the_grid_is_told() -> None:
    points = [Point(0.1, pair(50, 50)), Point(1.0, pair(70, 70)), Point(10.0, pair(90, 90))]
    grid = (0.1, 1.0, 10.0)
    assert "stiffer one" in " ".join(search_notes(points, 10.0, grid))
    assert "weakest" in " ".join(search_notes(points, 0.1, grid))
    assert search_notes(points, 1.0, grid) == []
    assert search_notes(points[1:], 1.0, grid) == []


def test_what_chance_explains_is_a_tie() -> None:
    """Three rows more are chance; ten rows more, all of them the same way, are not."""
    for more, expected in ((3, 10.0), (10, 0.1)):
        assert searched({0.1: pair(50 + more, 50), 10.0: pair(50, 50)}, usual=10.0) == expected


def test_on_five_rows_the_usual_strength_is_all_that_can_be_known() -> None:
    assert searched({0.1: (answered(3, 3), answered(2, 2)), 1.0: (answered(2, 3), answered(2, 2))}) == 1.0


def test_what_was_known_counts_by_its_share() -> None:
    held, moved = pair(90, 10), pair(20, 90)
    assert Point(1.0, held, share=0.25).score == pytest.approx(0.7)
    assert max(Point(1.0, held, 0.25), Point(0.1, moved, 0.25), key=lambda p: p.score).strength == 1.0
    assert Point(1.0, (None, answered(30)), share=0.25).score == pytest.approx(0.3)


def test_the_difference_is_paired() -> None:
    """Six rows more of a hundred: all flips one way are no chance, forty one way and thirty-four the other are."""
    best, same_way = Point(1.0, (None, answered(56))), Point(2.0, (None, answered(50)))
    assert not same_way.as_good_as(best)
    mixed = answered(56)
    mixed[:40], mixed[56:90] = False, True
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


def test_progress_runs_through_once() -> None:
    seen: list[tuple[str, int, int]] = []

    def look(strength: float, run: Run) -> Point:
        run.progress("training", 1, 2)
        run.progress("training", 2, 2)
        return Point(strength, (None, None))

    search(look, Run(progress=lambda *p: seen.append(p)), (1.0, 2.0), usual=1.0)
    assert seen == [("searching", k, 4) for k in (1, 2, 3, 4)]
