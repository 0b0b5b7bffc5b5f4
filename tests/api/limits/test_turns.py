"""Requests that write take turns and keep nobody else waiting; streams and waits are bounded, too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio.to_thread
import httpx
import pytest

from service.api.bodies.new_batch import NewBatch
from service.api.limits import turns
from service.errors import Busy
from service.registry import models
from service.upkeep.named_files import Name
from tests.api.conftest import Api, MakeApi
from tests.registry import facts
from tests.server.test_fast_path import Port

BATCHES = "/v1/models/digits/batches"
ROWS = {"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "allow", "again": True}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """An event without which nothing is stored."""
    opened, store = threading.Event(), NewBatch.store

    def waits(new_batch: NewBatch, stored: set[Name]) -> None:
        assert opened.wait(60)
        store(new_batch, stored)

    monkeypatch.setattr(NewBatch, "store", waits)
    yield opened
    opened.set()


def test_uploads_that_wait_keep_nobody_else_waiting(make_api: MakeApi, gate: threading.Event) -> None:
    api = make_api(waiting_requests=5)
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}})

    async def go() -> list[httpx.Response]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = turns.READERS + turns.WRITERS
        uploads = [asyncio.create_task(api.http.post(BATCHES, json=ROWS)) for _ in range(40)]
        async with asyncio.timeout(50):
            while sum(task.done() for task in uploads) < 40 - turns.ROWS - 5:
                await asyncio.sleep(0.001)
            for _ in range(3):
                assert (await api.http.get("/v1/models/digits")).status_code == 200
                assert (await api.http.get(BATCHES)).status_code == 200
                declared = await api.http.post("/v1/models/digits/classes", json={"names": ["b"]})
                assert declared.is_success
        gate.set()
        return await asyncio.gather(*uploads)

    answers = api.runner.run(go())
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 40 - turns.ROWS - 5
    assert {answer.headers["retry-after"] for answer in refused} == {"2"}
    assert {answer.status_code for answer in answers} == {201, 503}
    assert len(api.ok("GET", f"{BATCHES}?limit=100")["items"]) == turns.ROWS + 5
    assert api("POST", BATCHES, ROWS).status_code == 201


def test_one_that_waits_for_its_update_lets_others_write(api: Api) -> None:
    api.ok("POST", BATCHES, ROWS)

    async def go() -> httpx.Response:
        body = {"batches": "pending"}
        waiting = [
            asyncio.create_task(api.http.post("/v1/models/digits/updates?wait=60", json=body))
            for _ in range(turns.ROWS + 1)
        ]
        async with asyncio.timeout(50):
            while len((await api.http.get("/v1/models/digits/updates")).json()["items"]) <= turns.ROWS:
                await asyncio.sleep(0.001)
            another = await api.http.post(BATCHES, json=ROWS)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return another

    assert api.runner.run(go()).status_code == 201


def test_where_too_many_wait_an_update_is_answered_as_it_stands(make_api: MakeApi) -> None:
    api = make_api(update_waits=0)
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}})
    api.ok("POST", BATCHES, ROWS)
    answer = api("POST", "/v1/models/digits/updates?wait=60", {"batches": "pending"})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")


def test_turns_are_taken_in_order_and_end_once() -> None:
    async def go() -> list[int]:
        lane, order = turns.Lane(at_once=1, waiting=2), list[int]()
        first = await lane.turn()

        async def wait(number: int) -> None:
            turn = await lane.turn()
            order.append(number)
            turn.end()

        waiting = [asyncio.create_task(wait(number)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await lane.turn()
        first.end()
        first.end()
        await asyncio.gather(*waiting)
        last = await lane.turn()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await lane.turn()
        last.end()
        (await lane.turn()).end()
        return order

    assert asyncio.run(go()) == [0, 1]


@pytest.fixture
def follow(make_api: MakeApi) -> Iterator[Callable[[], Any]]:
    """Opens a stream of events over a real connection; -> its status, and a function that closes it."""
    api = make_api(event_streams=2)
    with api.runtime.database.writing() as session:
        facts.model(session)
        update = facts.learn(session, models.get(session, "digits")).id
    port = Port(api)

    async def open_one() -> tuple[bytes, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*port.listener.getsockname())
        writer.write(f"GET /v1/updates/{update}/events HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return (await reader.readuntil(b"\r\n\r\n")), writer

    yield lambda: port.run(open_one())
    port.close()


def test_so_many_streams_may_be_open_and_no_more(follow: Callable[[], Any]) -> None:
    (one, first), (two, second) = follow(), follow()
    assert one.startswith(b"HTTP/1.1 200")
    assert two.startswith(b"HTTP/1.1 200")
    three, third = follow()
    assert three.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 5" in three
    first.close()
    for _ in range(100):
        four, fourth = follow()
        fourth.close()
        if four.startswith(b"HTTP/1.1 200"):
            break
    assert four.startswith(b"HTTP/1.1 200")
    second.close()
    third.close()
