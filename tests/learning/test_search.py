"""The search over strengths."""

from __future__ import annotations

from service.learning.method import Run
from service.learning.search import Point, search


def test_the_best_mean_wins_and_every_point_is_told() -> None:
    scores = {0.1: (0.9, 0.2), 1.0: (0.8, 0.8), 10.0: (0.9, 0.5)}
    found = search(lambda s, _: s, lambda s: scores[s], Run(), tuple(scores))
    assert found.best == found.strength == 1.0
    assert [(p.strength, p.old, p.new) for p in found.points] == [(s, *o) for s, o in scores.items()]


def test_ties_go_to_the_stronger() -> None:
    found = search(lambda s, _: s, lambda s: (0.5, 0.5), Run(), (1.0, 0.1))
    assert found.strength == 1.0


def test_without_rows_on_one_side_the_other_decides() -> None:
    assert Point(1.0, None, 0.25).score == 0.25
    assert Point(1.0, None, None).score == 0


def test_progress_runs_through_once() -> None:
    seen: list[tuple[str, int, int]] = []

    def train(strength: float, run: Run) -> float:
        run.progress("training", 1, 2)
        run.progress("training", 2, 2)
        return strength

    search(train, lambda s: (None, None), Run(progress=lambda *p: seen.append(p)), (1.0, 2.0))
    assert seen == [("searching", k, 4) for k in (1, 2, 3, 4)]
