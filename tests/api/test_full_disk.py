"""A disk that is nearly full: what would be stored is refused before anything fails, and all else goes on. And a disk
that is full."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.cli.exits import DONE
from service.errors import DiskFull
from service.registry.sql.engines import migrate
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.settings import MiB
from service.storage import local
from service.storage.artifacts import SHARDS, model_area
from service.tuning import room
from service.worker.parent.loop import Worker
from tests.acceptance import invariants
from tests.acceptance.service import blobs, until
from tests.api.conftest import MakeApi
from tests.making import make_model, make_version

ROWS = {"inputs": [[1, 2, 3]], "labels": ["a"]}
PATH = "/v1/models/digits"
RESERVE = 64 * 2**20


@pytest.fixture
def set_free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the disk have so many free bytes, wherever somebody asks."""
    bytes_free = [2**40]
    monkeypatch.setattr(room, "free", lambda folder: bytes_free[0])
    return lambda left: bytes_free.__setitem__(0, left)


def test_what_would_be_stored_is_refused_and_predictions_and_rollbacks_go_on(
    make_api: MakeApi, set_free: Callable[[int], None]
) -> None:
    api = make_api()
    make_model(api.runtime)
    make_version(api.runtime)
    make_version(api.runtime, seed=1)
    batch = api.ok("POST", f"{PATH}/batches", ROWS)["id"]
    before = api.ok("POST", f"{PATH}/versions/1/predictions", {"inputs": ROWS["inputs"]})
    set_free(RESERVE - 1)
    large = {"inputs": [[1.125, 2.25, 3.5]] * 40_000, "labels": ["a"] * 40_000}
    refused: list[tuple[str, Any]] = [
        (f"{PATH}/batches", {**ROWS, "inputs": [[4, 5, 6]]}),
        (f"{PATH}/batches", large),
        (f"{PATH}/updates", {"batches": "pending"}),
        (f"{PATH}/updates", {**ROWS, "inputs": [[7, 8, 9]]}),
        ("/v1/models", {"name": "others", "input": {"kind": "vector", "size": 3}}),
        (f"{PATH}/batches/{batch}/corrections", {"rows": {"0": "b"}}),
    ]
    for path, body in refused:
        answer = api("POST", path, body)
        assert (answer.status_code, answer.json()["type"]) == (507, "/problems/disk-full"), answer.text
        assert "tsuika gc" in answer.json()["detail"]
    readiness = api.ok("GET", "/readyz")
    assert readiness["status"] == "degraded"
    assert "64 MiB" in readiness["storage"]
    with pytest.raises(DiskFull):
        api.runtime.store.put(SHARDS, b"what an update makes")
    api.runtime.cache.put(model_area(1), "0" * 64, b"sums")
    assert list(api.runtime.cache.files()) == [], "the reserve is not for what can be made anew"
    assert api.ok("POST", f"{PATH}/rollback", {"reason": "wrong"})["live_version"] == 1
    assert api.ok("POST", f"{PATH}/predictions", {"inputs": ROWS["inputs"]}) == before
    assert api("POST", f"{PATH}/retractions", {"batches": [batch], "reason": "wrong"}).status_code == 202
    set_free(2**40)
    assert api.ok("GET", "/readyz") == {"status": "ready"}
    for path, body in refused[:-1]:
        assert api("POST", path, body).status_code in (200, 201, 202)


class SmallDisk:
    """A disk in memory, of 48 MiB; where nobody may mount one, what the store writes goes to a device that is full."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._filling, self._monkeypatch = folder, folder / "filling", monkeypatch
        mount = ["sh", "-c", 'mount -t tmpfs -o size=48m tmpfs "$0"', str(folder)]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0

    def fill(self, left: int = 0) -> None:
        """Lets so many bytes be free."""
        if not self.mounted:
            self._monkeypatch.setattr(local, "_write_durably", lambda _, data: Path("/dev/full").write_bytes(data))
            return
        with self._filling.open("ab") as file:
            while (more := room.free(self.folder) - left) > 0:
                file.write(bytes(min(more, MiB)))
                file.flush()

    def empty(self) -> None:
        self._filling.unlink(missing_ok=True)
        self._monkeypatch.undo()


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    yield (disk := SmallDisk(folder, monkeypatch))
    if disk.mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.sqlite
def test_on_a_disk_without_a_free_byte_predictions_go_on_and_nothing_needs_repair(
    small_disk: SmallDisk, make_api: MakeApi
) -> None:
    data = small_disk.folder
    migrate(f"sqlite:///{data / 'tsuika.db'}")
    api = make_api(data=data, reserve_bytes=0, max_body_bytes=8 * MiB)
    make_model(api.runtime)
    make_version(api.runtime)
    before = api.ok("POST", f"{PATH}/predictions", {"inputs": ROWS["inputs"]})
    small_disk.fill(4 * MiB)
    if small_disk.mounted:
        readiness = api.ok("GET", "/readyz")
        assert readiness["status"] == "degraded"
        assert "large uploads are refused. Free some: tsuika gc" in readiness["disk"]
    small_disk.fill()
    refused = api("POST", f"{PATH}/batches", ROWS)
    assert (refused.status_code, refused.json()["type"]) == (507, "/problems/disk-full"), refused.text
    assert "Free some: tsuika gc" in refused.json()["detail"]
    assert api.ok("POST", f"{PATH}/predictions", {"inputs": ROWS["inputs"]}) == before
    small_disk.empty()
    batch = api.ok("POST", f"{PATH}/batches", ROWS)["id"]
    invariants.hold(data, [batch])
    assert api.ok("GET", "/readyz") == {"status": "ready"}


@pytest.mark.long
def test_an_update_for_which_there_is_no_room_fails_and_works_once_there_is_some(make_api: MakeApi) -> None:
    """The room ends once it is claimed: its process finds that out when it stores what it made."""
    api = make_api(poll_seconds=0.02, max_attempts=1)
    inputs, labels = blobs(0)
    spec = {"kind": "vector", "size": 8}
    api.ok("POST", "/v1/models", {"name": "digits", "input": spec, "method": {"name": "ridge", "lift": "none"}})
    update: str = api.ok("POST", f"{PATH}/updates", {"inputs": inputs, "labels": labels, "new_classes": "allow"})["id"]

    runtime = Runtime(api.runtime.settings.model_copy(update={"reserve_bytes": 2**60}))
    worker = Worker(runtime)

    def ended() -> Update:
        """The update once the worker was at it."""
        runtime.work.set()
        until(lambda: api.ok("GET", f"/v1/updates/{update}")["state"] in ("succeeded", "failed"), what="its end")
        with api.runtime.database.reading() as session:
            return session.get_one(Update, update)

    worker.start()
    try:
        failed = ended()
        assert failed.state == "failed"
        assert failed.error["title"] == "No space left"
        runtime.settings = runtime.settings.model_copy(update={"reserve_bytes": 0})
        assert api("POST", f"/v1/updates/{update}/retry").is_success
        assert ended().state == "succeeded"
    finally:
        worker.stop(5.0)
        runtime.close()
    assert api.ok("POST", f"{PATH}/predictions", {"inputs": inputs[:1]})["version"] == 1


def test_garbage_is_collected_and_the_cache_emptied_where_there_is_no_room(
    make_api: MakeApi, set_free: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api()
    for k in range(3):
        api.runtime.cache.put(model_area(1), f"{k}" * 64, b"sums")
    left = api.runtime.store.put(SHARDS, b"nobody names it")
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path))
    monkeypatch.setenv("TSUIKA_DATABASE_URL", api.runtime.database.url)
    monkeypatch.setenv("TSUIKA_GC_GRACE_SECONDS", "0")
    set_free(0)
    assert main(["gc", "--cache", "--dry-run"]) == DONE
    assert len(list(api.runtime.cache.files())) == 3
    spare = tmp_path / "cache" / "spare"
    assert spare.stat().st_blocks * 512 >= room.SPARE_BYTES, "room to open the database with"
    assert main(["gc", "--cache"]) == DONE
    assert list(api.runtime.cache.files()) == []
    assert not spare.exists()
    assert not api.runtime.store.has(SHARDS, left)
