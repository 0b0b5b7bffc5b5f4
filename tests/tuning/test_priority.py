"""Threads beside an event loop make way for it, unless the settings switch that off."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest

from service.tuning import priority


def policy_after_giving_way() -> int:
    """The scheduling policy of a thread that gave way."""
    policies: list[int] = []

    def work() -> None:
        priority.give_way()
        policies.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return policies[0]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no policy of its own")
def test_each_way_of_making_way_is_switched_off_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert policy_after_giving_way() == os.SCHED_BATCH
    assert slept == [priority.MOMENT]
    monkeypatch.setattr(priority, "off", frozenset({"batch"}))
    assert policy_after_giving_way() == os.SCHED_OTHER
    assert len(slept) == 2
    monkeypatch.setattr(priority, "off", frozenset({"yield"}))
    assert policy_after_giving_way() == os.SCHED_BATCH
    assert len(slept) == 2


def test_what_the_system_does_not_take_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for _ in range(3):
        priority.not_taken("a policy of this test", "not allowed")
    assert [record.getMessage() for record in caplog.records] == ["not set here: a policy of this test (not allowed)"]
