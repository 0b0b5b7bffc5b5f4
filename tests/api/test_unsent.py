"""Answers that nobody takes share a bound: beyond it the one that waits for the longest is cut off."""

from __future__ import annotations

from functools import partial

import pytest

from service.api.limits.connections import Bounds, Unsent
from service.server.protocol import HttpProtocol
from tests.api.conftest import MakeApi
from tests.api.limits.test_long_answers import NAMES, PATH, Slow, until
from tests.making import make_model, make_version
from tests.server.test_fast_path import KEY, Port


class Noted:
    """A connection; `over`: it was cut off."""

    over = False
    idle = None

    def give_way(self) -> None:
        raise AssertionError("it asks something")

    def cut_off(self) -> None:
        self.over = True


def test_the_one_that_waits_for_the_longest_goes_first() -> None:
    unsent = Unsent(100)
    first, second, third, fourth = some = [Noted() for _ in range(4)]
    unsent.waits(first, 40)
    unsent.waits(second, 60)
    unsent.goes_on(first)
    unsent.waits(third, 30)
    unsent.waits(first, 10)
    assert [one.over for one in some] == [False] * 4
    unsent.waits(fourth, 61)
    assert [one.over for one in some] == [False, True, True, False]
    last = Noted()
    unsent.waits(last, 500)
    assert (first.over, fourth.over, last.over) == (True, True, False)
    unsent.goes_on(last)
    unsent.goes_on(last)
    unsent.waits(last, 100)
    unsent.waits(last, 100)
    assert not last.over


def test_one_who_reads_is_answered_though_others_do_not(make_api: MakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api = make_api(key="secret")
    make_model(api.runtime)
    make_version(api.runtime, classes=NAMES)
    api.ok("POST", PATH, {"inputs": [[1, 2, 3]]}, headers=KEY)
    monkeypatch.setattr(
        "tests.server.test_fast_path.HttpProtocol", partial(HttpProtocol, bounds=Bounds(unsent_bytes=500_000))
    )
    port = Port(api)

    async def go() -> bytes:
        idle = [Slow(port) for _ in range(20)]
        await until(lambda: len(port.server.server_state.connections) < 20 and port.front.door.open_requests)
        whole = await Slow(port).reads()
        for slow in idle:
            slow.socket.close()
        await until(lambda: not port.front.door.open_requests)
        return whole

    assert port.run(go()).endswith(b"0\r\n\r\n")
    assert api.door.context.answers._scores == 0
    port.close()
