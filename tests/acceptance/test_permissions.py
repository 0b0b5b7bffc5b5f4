"""What a service keeps can be read by its own user alone, whatever the umask it was started with."""

from __future__ import annotations

from contextlib import suppress

from tests.acceptance.conftest import NewModel
from tests.acceptance.service import blobs
from tests.running import Server

LARGE = 6_000
"""Rows whose JSON waits on disk and is read by a process of its own."""


def test_nobody_else_can_read_what_is_kept(shared: Server, new_model: NewModel) -> None:
    model = new_model()
    assert model.learn(1)["verdict"] == "promoted"
    model.learn(2, {"name": "fine_tune", "epochs": 2, "batch_size": 16, "lr": 0.01})
    inputs, labels = blobs(3, rows=LARGE)
    model.ok("POST", f"{model.path}/batches", {"inputs": inputs, "labels": labels})
    model.predict(inputs)
    model.retract([model.batch(4)], erase=True)
    open_to_others, seen = {}, set()
    for path in (shared.data, *shared.data.rglob("*")):
        with suppress(FileNotFoundError):  # of a request that is over
            mode = path.stat().st_mode & 0o777
            seen.add(path.name)
            if mode != (0o700 if path.is_dir() else 0o600):
                open_to_others[str(path)] = oct(mode)
    assert open_to_others == {}
    assert {"tsuika.db", "tsuika.db-wal", "tsuika.db-shm", "serve.lock", "store", "cache", "spool", "tmp"} <= seen
