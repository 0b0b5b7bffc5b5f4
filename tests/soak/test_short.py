"""Short forms of what runs for minutes: kills under load in both environments, and steady load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.environments import BOTH, Environment, embedded, opened
from tests.acceptance.service import SECONDS
from tests.soak import kills, steady

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

KILLING_SECONDS, STEADY_SECONDS = 15.0, 120.0


@pytest.fixture(params=BOTH)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    environment = opened(request, tmp_path, **kills.SETTINGS)
    yield environment
    environment.stop()


def test_kills_under_load_lose_and_double_nothing(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "GRACE", SECONDS)  # others may be at work on this machine
    outcome = kills.run(environment, KILLING_SECONDS, seed=0)
    print("", *outcome.lines(), sep="\n")
    assert outcome.wrong == []
    assert outcome.kills.total() >= kills.FEWEST
    assert outcome.acknowledged >= 3


@pytest.mark.sqlite
def test_under_steady_load_nothing_fails_and_nothing_grows(tmp_path: Path) -> None:
    environment = embedded(tmp_path)
    try:
        outcome = steady.run(environment, STEADY_SECONDS)
    finally:
        environment.stop()
    print("", *outcome.table, sep="\n")
    assert outcome.wrong == []
