"""Backups of a service that learns and erases: what is restored answers as it did, to the last bit."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.cli import main
from service.cli.exits import DONE
from service.registry import models, versions
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.settings import Settings
from service.upkeep.fsck import fsck
from tests import traces
from tests.acceptance.conftest import NewModel
from tests.acceptance.service import Caller, blobs
from tests.api.conftest import Api
from tests.running import Server

INPUTS, _ = blobs(99, rows=8)
ERASED = 7_000_000
"""Seed of rows that no other model of the shared service has."""


def answer(api: Caller | Api, model: str, number: int) -> Any:
    """What a version of a model predicts, to the bit: each row is a question of its own, and so passes alone."""
    path = f"/v1/models/{model}/versions/{number}/predictions"
    return [api.ok("POST", path, {"inputs": [row]})["predictions"] for row in INPUTS]


@pytest.mark.long
def test_backups_while_a_service_learns_are_whole_and_predict_the_same_bits(
    shared: Server, new_model: NewModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, folder = new_model(), tmp_path / "backup"
    [first] = caller.learn(ERASED)["batches"]
    over = threading.Event()

    def learn() -> None:
        seed = 0
        while not over.is_set():
            seed += 1
            caller.learn(seed)

    learning = threading.Thread(target=learn)
    learning.start()
    try:
        monkeypatch.setenv("TSUIKA_DATA", str(shared.data))
        before, taken = caller.versions(), 0
        while taken < 2 or len(caller.versions()) < len(before) + 2:
            assert main(["backup", str(folder)]) == DONE
            taken += 1
    finally:
        over.set()
        learning.join()
    answers = {number: answer(caller, caller.name, number) for number in caller.versions()}
    caller.end(caller.retract([first], erase=True)["id"])
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path / "restored"))
    assert main(["restore", str(folder), "--old", str(shared.data / "tsuika.db")]) == DONE
    restored = Runtime(Settings(data=tmp_path / "restored"))
    try:
        assert fsck(restored).whole
        with restored.database.reading() as session:
            numbers = [v.number for v in versions.page(session, models.get(session, caller.name), 100, None)[0]]
            [order] = session.scalars(select(Update).where(Update.erase, Update.state == "queued")).all()
            assert order.batches == [first], "what was erased since is about to be"
        api = Api(restored)
        try:
            assert numbers
            assert {n: answer(api, caller.name, n) for n in numbers} == {n: answers[n] for n in numbers}
        finally:
            api.close()
    finally:
        restored.close()
    monkeypatch.setenv("TSUIKA_DATA", str(shared.data))
    assert traces.left(folder, traces.of_rows(*blobs(ERASED)))
    assert main(["backup", str(folder)]) == DONE
    assert not traces.left(folder, traces.of_rows(*blobs(ERASED))), "the next backup has nothing of it"
