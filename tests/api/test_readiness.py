"""GET /readyz and its reasons, besides storage and damaged versions, which have tests of their own."""

from __future__ import annotations

import asyncio
from collections import namedtuple

import pytest

from service.contract.enums import UpdateKind
from service.registry import leases, models
from service.registry.updates import Order, enqueue
from service.settings import MiB
from tests.api.conftest import Api, MakeApi

Usage = namedtuple("Usage", "total used free")


def later(api: Api, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """As if so much time had passed since the watcher last looked."""
    api.look()
    monkeypatch.setattr(api.door.context.watcher, "_queue_at", api.door.context.watcher._queue_at - seconds)


def queue_update(api: Api) -> None:
    with api.runtime.database.writing() as session:
        enqueue(session, models.get(session, "digits"), Order(UpdateKind.LEARN, []), "somebody")


def test_updates_that_no_worker_takes_are_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    queue_update(api)
    later(api, monkeypatch, 30)
    assert api.ok("GET", "/readyz") == {"status": "ready"}
    later(api, monkeypatch, 100)
    answer = api("GET", "/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert "no worker takes them: start `tsuika work`" in answer.json()["learning"]


def test_updates_that_wait_since_before_the_start_are_known(api: Api, make_api: MakeApi) -> None:
    queue_update(api)
    database, data = api.runtime.settings.database_url, api.runtime.settings.data
    again = make_api(database_url=database, data=data / "again")
    watcher = again.door.context.watcher
    again.ok("GET", "/readyz")

    async def known() -> None:
        async with asyncio.timeout(60):
            while not watcher.queue.waiting:
                await asyncio.sleep(0.02)

    again.runner.run(known())
    assert watcher.queue.waiting == 1


@pytest.mark.sqlite
def test_a_poll_is_one_transaction_where_somebody_has_committed_and_else_none(api: Api) -> None:
    queue_update(api)
    begun = list[None]()
    api.runtime.database.before_each(lambda: begun.append(None))
    for _ in range(2):
        api.door.context.watcher._poll([])
        assert len(begun) == 1
    assert api.door.context.watcher.queue.waiting == 1


def test_a_worker_that_is_busy_is_a_worker(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        queue_update(api)
    with api.runtime.database.writing() as session:
        assert leases.claim(session, "worker-1", lease_seconds=1000)
    later(api, monkeypatch, 500)
    queue = api.door.context.watcher.queue
    assert (queue.waiting, queue.running) == (1, 1)
    assert queue.oldest_seconds is not None
    assert queue.oldest_seconds > 500
    assert queue.running_seconds is not None
    assert queue.running_seconds > 500
    assert "\ntsuika_oldest_running_update_seconds 50" in api("GET", "/metrics").text
    assert api.ok("GET", "/readyz") == {"status": "ready"}
    later(api, monkeypatch, 1100)  # its lease has ended since, and nobody has committed anything
    assert "no worker" in api.ok("GET", "/readyz")["learning"]


@pytest.mark.parametrize(
    ("total", "free", "short"),
    [(100_000, 2000, False), (100_000, 500, True), (1000, 40, True), (1000, 100, True), (1000, 140, False)],
)
def test_a_disk_that_is_nearly_full_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch, total: int, free: int, short: bool
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(total * MiB, 0, free * MiB))
    body = api.ok("GET", "/readyz")
    assert body["status"] == ("degraded" if short else "ready")
    assert ("disk" in body) == short
    if short:
        assert f"{free} MiB are left" in body["disk"]
        assert ("large uploads are refused" in body["disk"]) == (free < 128)
