"""Stored rows that become no batch leave no file; bytes that an erasure sweeps meanwhile are stored again."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from service.api.bodies.decoded_rows import RowsInMemory
from service.api.bodies.new_batch import NewBatch
from service.api.reader.process import Ended
from service.errors import Busy
from service.registry import batches, models
from service.registry.sql.tables import Batch
from service.storage.artifacts import model_area
from service.upkeep import gc
from service.upkeep.named_files import Name
from tests.api.conftest import Api

ROWS = {"inputs": [[1, 2, 3], [4, 5, 6]], "labels": ["a", "b"]}
BATCHES = "/v1/models/digits/batches"
AT_ONCE = 8


def files(api: Api) -> list[Path]:
    """The files of the model in the store, those that are being written included."""
    store = api.runtime.settings.store_folder
    return [path for folder in (model_area(1), "tmp") for path in (store / folder).rglob("*") if path.is_file()]


def refuse(*_: object, **__: object) -> None:
    raise Busy("The database is held by another write; try again.")


def test_equal_bodies_at_once_are_one_batch_and_one_file(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    together, secret = threading.Barrier(AT_ONCE, timeout=30), models.installation_secret

    def all_of_them(session: Any) -> bytes:
        together.wait()  # none of them has seen another's batch
        return secret(session)

    monkeypatch.setattr(models, "installation_secret", all_of_them)

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(api.http.post(BATCHES, json=ROWS) for _ in range(AT_ONCE)))

    answers = api.runner.run(at_once())
    assert sorted(answer.status_code for answer in answers) == [200] * (AT_ONCE - 1) + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(files(api)) == 1
    with api.runtime.database.reading() as session:
        [batch] = session.query(Batch)
    assert api.runtime.store.has(model_area(1), batch.stored_digest or "")


@pytest.mark.parametrize("path", [BATCHES, "/v1/models/digits/updates"])
@pytest.mark.parametrize("size", [2, 40_000])
@pytest.mark.usefixtures("lasting")
def test_a_refusal_after_the_rows_were_stored_leaves_no_file(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, size: int
) -> None:
    body = {"inputs": [[k, 1, 2] for k in range(size)], "labels": ["a", "b"] * (size // 2)}
    with monkeypatch.context() as patched:
        patched.setattr(batches, "accept", refuse)
        assert api("POST", path, body).status_code == 503
    assert files(api) == []
    assert api("POST", path, body).is_success
    assert len(files(api)) == 1


def test_a_request_that_fails_once_the_batch_is_there_keeps_its_rows(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(api.runtime, "crash", lambda point: point == "before_answer" and refuse())
        assert api("POST", BATCHES, ROWS).status_code == 503
    [batch] = api.ok("GET", BATCHES)["items"]
    assert (batch["state"], len(files(api))) == ("pending", 1)


def test_rows_that_are_swept_before_their_batch_is_there_are_stored_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, swept = NewBatch.store, []

    def stored(new_batch: NewBatch, names: set[Name]) -> None:
        store(new_batch, names)
        if len(swept) < 2:
            swept.extend(files(api))
            gc.sweep(api.runtime, [1])

    monkeypatch.setattr(NewBatch, "store", stored)
    batch = api.ok("POST", BATCHES, ROWS)
    assert len(swept) == 2
    with api.runtime.database.reading() as session:
        digest = batches.get(session, models.get(session, "digits"), batch["id"]).stored_digest
    assert [path.parent.name + path.name for path in files(api)] == [digest]


def test_what_a_reading_process_stored_before_it_ended_is_swept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make = RowsInMemory.make

    def ended(*arguments: Any) -> Any:
        make(*arguments)
        raise Ended("The process that read this body ended. Send it again; if it ends again, in parts.")

    monkeypatch.setattr(RowsInMemory, "make", ended)
    assert api("POST", BATCHES, ROWS).status_code == 503
    assert files(api) == []
