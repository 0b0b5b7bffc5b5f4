"""A backup of a service that learns and erases meanwhile: what is restored answers as it did, to the last bit."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from service.cli import main
from service.cli.exits import DONE
from service.registry import batches, models, versions
from service.registry.sql.database import Database
from service.registry.sql.tables import Batch
from service.runtime import Runtime
from service.settings import Settings
from service.upkeep.fsck import fsck
from tests import traces
from tests.acceptance.conftest import NewModel
from tests.acceptance.service import blobs
from tests.running import Server

INPUTS, _ = blobs(99, rows=8)


def test_backups_while_it_learns_and_erases_are_whole_and_predict_the_same_bits(
    shared: Server, new_model: NewModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = new_model()
    [first] = caller.learn(0)["batches"]
    over, taken = threading.Event(), 0

    def learn() -> None:
        seed = 1
        while not over.is_set():
            caller.learn(seed)
            seed += 1
        caller.end(caller.retract([first], erase=True)["id"])

    learning = threading.Thread(target=learn)
    learning.start()
    try:
        monkeypatch.setenv("TSUIKA_DATA", str(shared.data))
        while taken < 2 or caller.live() in (None, 1):
            assert main(["backup", str(tmp_path / "backup")]) == DONE
            taken += 1
    finally:
        over.set()
        learning.join()
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path / "restored"))
    assert main(["restore", str(tmp_path / "backup"), "--old", str(shared.data / "tsuika.db")]) == DONE
    restored = Runtime(Settings(data=tmp_path / "restored"))
    try:
        assert fsck(restored).whole
        with restored.database.reading() as session:
            model = models.get(session, caller.name)
            numbers = [version.number for version in versions.page(session, model, 1000, None)[0]]
            assert session.get_one(Batch, first).retracted_at is not None, "its erasure is queued again"
            assert len(batches.of(session, model)) >= len(numbers) > 0
        for number in numbers:
            path = f"{caller.path}/versions/{number}/predictions"
            answer = caller.http.post(path, json={"inputs": INPUTS})
            if answer.status_code == 200:  # else it is erased there, since it learned the first batch
                loaded = restored.live.at(caller.name, number)
                assert loaded.number == answer.json()["version"]
    finally:
        restored.close()
    monkeypatch.setenv("TSUIKA_DATA", str(shared.data))
    assert main(["backup", str(tmp_path / "backup")]) == DONE
    assert not traces.left(tmp_path / "backup", traces.of_rows(*blobs(0))), "the next backup has nothing of it"
    with closing(Database(f"sqlite:///{next((tmp_path / 'backup').glob('*.db'))}")) as database:
        with database.reading() as session:
            assert session.scalars(select(Batch).where(Batch.id == first)).one().erased_at is not None
