"""Corrections, merges, imports and erasures that are cut off: while they are sent, while they are stored, before they
are answered, and while a worker carries them out. Nothing of them is there by half, and nothing is lost or doubled."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from service.storage.opening import open_store
from tests.acceptance.environments import BOTH, Environment, opened
from tests.acceptance.service import Caller, until
from tests.acceptance.test_crash_points import KILLED

pytestmark = pytest.mark.long

STORING = ["after_blob_temp", "after_blob_rename", "before_answer"]
SENT = {"Content-Type": "application/octet-stream"}


class Order(NamedTuple):
    """A call of a service. `brings`: it stores bytes, so that it can be cut while it does · `points`: where workers are
    killed that carry it out; none where no update does."""

    path: str
    content: dict[str, Any]
    brings: bool = True
    points: Sequence[str] = ("before_commit", "after_commit")


def correction(caller: Caller, batch: str, _: Caller) -> Order:
    label = caller.http.get(f"{caller.path}/batches/{batch}/rows?limit=1").json()
    rows = {"0": "b" if "a" in str(label) else "a", "1": None}
    return Order(f"{caller.path}/batches/{batch}/corrections", {"json": {"rows": rows, "reason": "looked again"}})


def merge(caller: Caller, _: str, other: Caller) -> Order:
    ledger = other.http.get(f"{other.path}/versions/1/ledger").raise_for_status().content
    return Order(f"{caller.path}/merges?new_classes=allow", {"content": ledger, "headers": SENT})


def version(caller: Caller, _: str, other: Caller) -> Order:
    weights = other.http.get(f"{other.path}/versions/1/weights").raise_for_status().content
    return Order(f"{caller.path}/versions", {"content": weights, "headers": SENT}, points=())


def erasure(caller: Caller, batch: str, _: Caller) -> Order:
    body = {"batches": [batch], "reason": "asked for", "erase": True}
    points = ("before_commit", "after_commit", "after_rows_erased")
    return Order(f"{caller.path}/retractions", {"json": body}, brings=False, points=points)


ORDERS: list[Callable[[Caller, str, Caller], Order]] = [correction, merge, version, erasure]


@pytest.fixture(params=BOTH)
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """Services whose workers come and go."""
    settings = {"lease_seconds": 1.0, "max_attempts": 20, "worker": False}
    replicas = opened(request, tmp_path, scaled_workers=0, **settings)
    yield replicas
    replicas.stop()


def prepared(replicas: Environment, name: str) -> tuple[Caller, str, Caller]:
    """Two models with a version each, on the first service, and a batch that is live in the first one."""
    worker = replicas.start_worker()
    callers = [Caller(replicas.services[0], f"{name}-{k}").create() for k in range(2)]
    batches = [caller.learn(k, rows=24)["batches"][0] for k, caller in enumerate(callers)]
    worker.end()
    return callers[0], batches[0], callers[1]


def here(caller: Caller) -> dict[str, list[Any]]:
    return {
        what: [
            item.get("id", item.get("number")) for item in caller.ok("GET", f"{caller.path}/{what}?limit=100")["items"]
        ]
        for what in ("batches", "updates", "versions")
    }


@pytest.mark.parametrize("make", ORDERS)
def test_an_order_that_is_cut_at_any_point_is_carried_out_once(
    replicas: Environment, make: Callable[[Caller, str, Caller], Order]
) -> None:
    service = replicas.services[0]
    caller, batch, other = prepared(replicas, make.__name__)
    order, before = make(caller, batch, other), here(caller)
    headers = {**order.content.get("headers", {}), "Idempotency-Key": "once"}
    service.kill()
    for point in STORING if order.brings else STORING[-1:]:
        service.restart(crash_point=point)
        assert here(caller) == before
        with pytest.raises(httpx.TransportError):
            caller.http.post(order.path, **{**order.content, "headers": headers})
        assert service.process.wait(60) == KILLED
        replicas.hold([batch])
    del service.settings["crash_point"]
    service.restart()
    again = caller.http.post(order.path, **{**order.content, "headers": headers})
    assert again.headers["Idempotency-Replayed"] == "true", again.text
    after = here(caller)
    more = {what: len(after[what]) - len(before[what]) for what in after}
    assert (more["updates"], more["versions"]) == ((1, 0) if order.points else (0, 1))
    assert more["batches"] == (1 if order.brings and order.points else 0)
    if order.points:
        carried_out(replicas, caller, again.json()["id"], order.points)
    replicas.hold(after["batches"])
    for each in (caller, other):
        each.http.close()


def carried_out(replicas: Environment, caller: Caller, update_id: str, points: Sequence[str]) -> None:
    """By workers of which one after another is killed."""
    for point in points:
        worker = replicas.start_worker(crash_point=point)
        assert worker.process.wait(60) == KILLED, worker.said()
        replicas.hold()
    replicas.start_worker()
    done = caller.end(update_id)
    assert (done["state"], done["verdict"]) == ("succeeded", "promoted"), done
    assert caller.versions() == [1, 2]
    if done["erase"]:
        until(lambda: caller.state(done["batches"][0]) == "erased", what="the erasure")
    elif done["adds"]:
        assert caller.version(2)["batches"] == done["adds"]
        assert [caller.state(batch) for batch in (*done["batches"], *done["adds"])] == ["retracted", "learned"]


def test_an_order_whose_sender_is_cut_off_leaves_nothing(replicas: Environment) -> None:
    caller, batch, other = prepared(replicas, "cut")
    before, store = here(caller), open_store(replicas.store_url)
    names = {digest for _, digest, _ in store.names()}
    for make in ORDERS:
        order = make(caller, batch, other)
        request = caller.http.build_request("POST", order.path, **order.content)
        body, head = request.read(), f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        for sent in (0, 1, len(body) // 2, len(body) - 1):
            with socket.create_connection(("127.0.0.1", caller.server.port)) as connection:
                connection.sendall(head.encode() + b"\r\n" + body[:sent])
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            assert here(caller) == before
    assert {digest for _, digest, _ in store.names()} == names
    replicas.hold([batch])
    for each in (caller, other):
        each.http.close()
