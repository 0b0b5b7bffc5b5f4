"""Short forms of what runs for minutes, in both environments. Times are told and not asserted: the commands do that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.environments import BOTH, Environment, opened
from tests.acceptance.service import SECONDS
from tests.soak import beside, kills, news, steady, waits

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]

KILLING_SECONDS, STEADY_SECONDS = 15.0, {"embedded": 120.0, "scaled": 60.0}
MOVES, BESIDE_SECONDS = 8, 3.0
Start = Callable[..., Environment]


@pytest.fixture(params=BOTH)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts an environment with settings of the test's own."""
    with ExitStack() as stack:

        def start(**settings: object) -> Environment:
            environment = opened(request, tmp_path, **settings)
            stack.callback(environment.stop)
            return environment

        yield start


def test_kills_under_load_lose_and_double_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "GRACE", SECONDS)  # others may be at work on this machine
    outcome = kills.run(start(**kills.SETTINGS), KILLING_SECONDS, seed=0)
    print("", *outcome.lines(), sep="\n")
    assert outcome.wrong == []
    assert outcome.kills.total() >= kills.FEWEST
    assert outcome.acknowledged >= 3


def test_under_steady_load_nothing_fails_and_nothing_grows(start: Start) -> None:
    environment = start()
    outcome = steady.run(environment, STEADY_SECONDS[environment.name])
    print("", *outcome.table, sep="\n")
    assert outcome.wrong == []


def test_small_updates_are_learned_once_slow_callers_cut_off_and_who_is_told_to_stop_hands_back(start: Start) -> None:
    print("", *waits.run(start(**waits.SETTINGS)), sep="\n")


def test_predictions_go_on_beside_large_uploads_and_a_training(start: Start) -> None:
    phases = beside.run(start(**beside.SETTINGS), BESIDE_SECONDS, rounds=1)
    print("", *(phase.line(phases[0]) for phase in phases), sep="\n")
    assert [phase.done > 0 for phase in phases] == [False, True, True]


@pytest.mark.parametrize("start", BOTH[1:], indirect=True)
def test_a_promotion_of_one_service_reaches_the_other(start: Start) -> None:
    took = news.run(start(), MOVES)
    print(f"\n{MOVES} promotions reached the other service within {max(took):.3f} s (aim: {news.NEWS_SECONDS:g} s)")
