"""Idempotency keys: one effect for many tries, the resource as it is now, a conflict for another body."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session

from service.api.idempotent_posts import TRIES, Act, Effect, Posts
from service.errors import InProgress, NotFound
from service.registry import models
from service.registry.callers.idempotency import Attempt
from tests.api.conftest import Api
from tests.making import make_version
from tests.postgres import PostgresServer

MODEL = "/v1/models/digits"
KEY = {"Idempotency-Key": "abc"}
ROWS = {"inputs": [[1, 2, 3]], "labels": ["a"]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models", {"name": "x", "input": {"kind": "vector", "size": 1}}),
        (f"{MODEL}/batches", ROWS),
        (f"{MODEL}/updates", {**ROWS, "again": True}),
        (f"{MODEL}/classes", {"names": ["a"]}),
        (f"{MODEL}/rollback", {"if_live": 2}),
        (f"{MODEL}/deployments", {"version": 1}),
    ],
)
def test_a_repeated_post_has_one_effect(api: Api, path: str, body: dict[str, Any]) -> None:
    make_version(api.runtime)
    make_version(api.runtime, seed=1)
    first = api("POST", path, body, headers=KEY)
    again = api("POST", path, body, headers=KEY)
    assert first.is_success, first.text
    assert again.status_code == first.status_code
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers.get("location") == first.headers.get("location")
    assert again.json() == first.json()
    assert len(api.ok("GET", f"{MODEL}/deployments")["items"]) in (2, 3)


@pytest.mark.postgres
@pytest.mark.parametrize("keyed", [True, False])
def test_a_post_and_a_read_whose_connection_is_cut_run_again_a_few_times(
    api: Api, postgres: PostgresServer, keyed: bool
) -> None:
    """What the database has undone has no effect, so it is tried again; then it is refused, and has none either."""
    database, cuts = api.runtime.database, 0

    def cut(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal cuts
        looks = threading.current_thread().name.startswith("watcher")  # the service itself, at batches that wait
        if cuts and "batches" in statement and not looks:
            cuts -= 1
            postgres.cut(connection)

    ways: list[tuple[Engine, str, str, dict[str, Any]]] = [
        (database.writers, "POST", f"{MODEL}/batches", {"json": ROWS, "headers": KEY if keyed else {}}),
        (database.readers, "GET", f"{MODEL}/batches", {}),
    ]
    for engine, method, path, options in ways:
        event.listen(engine, "before_cursor_execute", cut)
        cuts = TRIES
        refused = api(method, path, **options)
        assert (refused.status_code, cuts) == (503, 0), refused.text
        assert int(refused.headers["retry-after"]) > 0
        cuts = TRIES - 1
        done = api(method, path, **options)
        assert (done.is_success, cuts) == (True, 0), done.text
        assert "idempotency-replayed" not in done.headers
        event.remove(engine, "before_cursor_execute", cut)
    assert len(api.ok("GET", f"{MODEL}/batches")["items"]) == 1


def test_while_the_store_is_asked_for_new_bytes_others_write(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[bool]()

    def slow(area: str, digest: str) -> bool:
        with api.runtime.database.writing() as session:
            models.get(session, "digits", locked=True)
        asked.append(True)
        return True

    monkeypatch.setattr(api.runtime.store, "has", slow)
    assert api("POST", f"{MODEL}/batches", ROWS).status_code == 201
    assert asked


def test_a_replay_shows_the_resource_as_it_is_now(api: Api) -> None:
    update = api.ok("POST", f"{MODEL}/updates", ROWS, headers=KEY)["id"]
    api.ok("POST", f"/v1/updates/{update}/cancel")
    again = api("POST", f"{MODEL}/updates", ROWS, headers=KEY)
    assert (again.status_code, again.json()["state"]) == (202, "cancelled")


def test_white_space_and_order_of_members_do_not_matter_and_numbers_do(api: Api) -> None:
    send: Callable[[bytes], Any] = lambda content: api(  # noqa: E731
        "POST", f"{MODEL}/batches", content=content, headers={**KEY, "Content-Type": "application/json"}
    )
    first = send(b'{"inputs": [[1, 2, 3]], "labels": ["a"]}')
    again = send(b'{ "labels":["a"],\n "inputs":[[1.0,2,3.0]] }')
    other = send(b'{"inputs": [[1, 2, 4]], "labels": ["a"]}')
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert other.status_code == 409
    assert api("POST", f"{MODEL}/updates", ROWS, headers=KEY).status_code == 409


def test_a_refusal_is_not_kept(api: Api) -> None:
    assert api("POST", f"{MODEL}/batches", {**ROWS, "labels": []}, headers=KEY).status_code == 422
    assert api("POST", f"{MODEL}/batches", ROWS, headers=KEY).status_code == 201


def test_keys_that_are_none_are_refused(api: Api) -> None:
    for key in ["", "x" * 256, "a\x7fb"]:
        assert api("POST", f"{MODEL}/batches", ROWS, headers={"Idempotency-Key": key}).status_code == 422, key


def test_a_second_try_waits_for_the_first(api: Api) -> None:
    posts = Posts(api.runtime)
    attempt = Attempt("me", "k", "POST", "/x", "h")
    inside, go_on = threading.Event(), threading.Event()
    acts: list[int] = []

    def begin(_: object) -> Act:
        inside.set()
        go_on.wait(60)

        def act(_: Session) -> Effect:
            acts.append(1)
            return Effect(201, {"n": len(acts)})

        return act

    results: list[tuple[int, bool]] = []

    def once() -> None:
        done = posts.run(attempt, begin)
        results.append((done.names["n"], done.replayed))

    threads = [threading.Thread(target=once) for _ in range(5)]
    threads[0].start()
    inside.wait(60)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(1, False)] + [(1, True)] * 4
    assert acts == [1]


def test_a_second_try_does_not_wait_for_ever(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.idempotent_posts.PATIENCE_SECONDS", 0.05)
    posts = Posts(api.runtime)
    attempt = Attempt("me", "k", "POST", "/x", "h")
    refused: list[BaseException] = []

    def begin(_: object) -> Act:
        with pytest.raises(InProgress):
            posts.run(attempt, begin)
        refused.append(InProgress(""))
        raise NotFound("the first try fails")

    with pytest.raises(NotFound):
        posts.run(attempt, begin)
    assert refused
    assert not posts.run(attempt, lambda _: lambda _: Effect(201, {})).replayed


def test_a_try_that_another_service_has_answered_meanwhile_is_replayed(api: Api) -> None:
    """Two services do not see each other's tries: the transaction looks once more."""
    here, there = Posts(api.runtime), Posts(api.runtime)
    attempt = Attempt("me", "k", "POST", "/x", "h")

    def begin(_: object) -> Act:
        assert there.run(attempt, lambda _: lambda _: Effect(201, {"by": "there"})).names == {"by": "there"}
        return lambda _: Effect(201, {"by": "here"})

    done = here.run(attempt, begin)
    assert (done.names, done.replayed) == ({"by": "there"}, True)
