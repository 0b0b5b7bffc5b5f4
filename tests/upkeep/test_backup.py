"""A backup shows one moment whole, whatever goes on meanwhile; what is restored of it is the same to the last bit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import select, text

from service.contract.keys import CreateKey
from service.errors import Busy, Conflict, CorruptArtifact, DiskFull, NotFound, NotWritable, SchemaMismatch, TsuikaError
from service.learning.data.batch_sketch import sketch_of
from service.registry import batches, models, versions
from service.registry.callers import audit, keys
from service.registry.rows import sketches
from service.registry.sql.base import Table
from service.registry.sql.engines import migrate
from service.registry.sql.tables import ApiKey, Batch, Update
from service.runtime import Runtime
from service.settings import Settings
from service.storage.artifacts import SHARDS, model_area
from service.upkeep.backup import back_up
from service.upkeep.backup_folder import BackupFolder
from service.upkeep.fsck import fsck
from service.upkeep.restore import DeletedAgain, delete_again, require_old, restore
from tests.api.conftest import Api
from tests.damage import unguarded
from tests.making import make_model, make_version
from tests.registry.facts import arrival
from tests.registry.old_store import Store
from tests.updating import make_rows
from tests.upkeep.conftest import stored

if TYPE_CHECKING:
    from tests.postgres import PostgresServer
    from tests.s3 import S3Server

INPUTS = [[1, 2, 3], [0.25, -1, 8]]
SKETCH = sketch_of(make_rows("bat_0", np.arange(120.0).reshape(40, 3), ["a"] * 40, b"secret"), b"secret")


@pytest.fixture
def digits(either: Runtime) -> Runtime:
    """A model with two versions and a batch."""
    make_model(either)
    make_version(either)
    make_version(either, seed=1)
    received(either, b"rows")
    return either


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backup")


def received(runtime: Runtime, rows: bytes) -> str:
    """A batch of the model, with a sketch of its rows; -> its id"""
    with runtime.database.writing() as session:
        model = models.get(session, "digits")
        plain = arrival(runtime.store.put(model_area(model.id), rows))
        batch, _ = batches.accept(session, model, replace(plain, rows=40, sketch=SKETCH))
        return batch.id


def erased(runtime: Runtime, batch_id: str) -> None:
    """The rows of a batch go, as in the middle of its erasure and after it."""
    with runtime.database.writing() as session:
        batch = session.get_one(Batch, batch_id)
        digest, batch.stored_digest, batch.erased_at, batch.digest = batch.stored_digest, None, 1.0, ""
        assert digest is not None
    runtime.store.delete(model_area(batch.model_id), digest)


def rows(runtime: Runtime) -> dict[str, list[Any]]:
    """All that is in the tables."""
    with runtime.database.looking() as reader:
        return {
            name: sorted(map(repr, reader.execute(select(table)).all()))
            for name, table in Table.metadata.tables.items()
        }


def a_key(runtime: Runtime) -> str:
    """The secret of a new key."""
    with runtime.database.writing() as session:
        return keys.create(session, CreateKey(name="till 7", scopes=["predict"]), "somebody")[1]


def answers(runtime: Runtime, secret: str = "", width: int = 3) -> list[Any]:
    """What both versions predict of rows so wide."""
    ask = {"inputs": [row[:width] for row in INPUTS]}
    api, sent = Api(runtime), {"headers": {"authorization": f"Bearer {secret}"}} if secret else {}
    try:
        return [api.ok("POST", f"/v1/models/digits/versions/{number}/predictions", ask, **sent) for number in (1, 2)]
    finally:
        api.close()


@pytest.fixture(params=["file", pytest.param("server", marks=[pytest.mark.postgres, pytest.mark.s3])])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An empty place: of SQLite and a folder, or of PostgreSQL and a bucket."""
    if request.param == "file":
        return Settings(data=tmp_path / "restored")
    postgres: PostgresServer = request.getfixturevalue("postgres")
    s3: S3Server = request.getfixturevalue("s3")
    return Settings(data=tmp_path / "restored", database_url=postgres.empty(), store_url=s3.bucket())


def same(restored: Runtime, before: dict[str, list[Any]], predicted: list[Any], secret: str = "") -> None:
    """What was restored is what was backed up, whole, and goes on."""
    assert rows(restored) == before
    with restored.database.reading() as session:  # which says the same of rows that come again
        again = replace(arrival("later"), rows=40, sketch=SKETCH)
        assert "All 40 rows are in batch" in str(sketches.note(session, models.get(session, "digits"), again))
    assert answers(restored, secret) == predicted
    assert fsck(restored).whole
    make_model(restored, "others")  # ids go on after those that are there
    make_version(restored, "others")
    with restored.database.reading() as session:
        assert audit.verify(session).holds


def test_what_is_restored_has_every_row_and_predicts_the_same_bits(
    digits: Runtime, folder: BackupFolder, place: Settings
) -> None:
    secret = a_key(digits)
    before, predicted = rows(digits), answers(digits, secret)
    made = back_up(digits, folder)
    assert (made.files, made.lacks) == (len(stored(digits)), [])
    assert {path.name for path in folder.path.iterdir()} == {"backup.json", "backup.lock", made.database, "store"}
    restore(place, folder)
    restored = Runtime(place)
    try:
        same(restored, before, predicted, secret)
    finally:
        restored.close()


@pytest.mark.postgres
@pytest.mark.s3
def test_an_installation_of_the_first_revision_moves_from_a_file_to_servers_and_back(
    postgres: PostgresServer, s3: S3Server, tmp_path: Path
) -> None:

    places = [
        Settings(data=tmp_path / "first"),
        Settings(data=tmp_path / "second", database_url=postgres.empty(), store_url=s3.bucket()),
        Settings(data=tmp_path / "third"),
    ]
    Store(places[0].data, "0001")
    migrate(places[0].database_url)
    with closing(Runtime(places[0])) as first:
        before, predicted = rows(first), answers(first, width=2)
        back_up(first, BackupFolder(tmp_path / "one"))
    restore(places[1], BackupFolder(tmp_path / "one"))
    with closing(Runtime(places[1])) as second:
        assert (rows(second), answers(second, width=2)) == (before, predicted)
        back_up(second, BackupFolder(tmp_path / "two"))
    restore(places[2], BackupFolder(tmp_path / "two"))
    with closing(Runtime(places[2])) as third:
        assert (rows(third), answers(third, width=2)) == (before, predicted)


def test_a_second_backup_copies_what_is_new_and_drops_what_is_gone(digits: Runtime, folder: BackupFolder) -> None:
    lasting, going = received(digits, b"lasting"), received(digits, b"going")
    first = back_up(digits, folder)
    copies = {path: path.stat().st_ino for path in (folder.path / "store").rglob("*") if path.is_file()}
    assert len(copies) == first.files
    damaged = next(path for path in copies if path.read_bytes() == b"lasting")
    damaged.write_bytes(b"rotten!")
    erased(digits, going)
    received(digits, b"new")
    second = back_up(digits, folder)
    assert second.files == first.files
    assert {path.name for path in folder.path.glob("*.db")} == {second.database}
    left = {path: path.stat().st_ino for path in (folder.path / "store").rglob("*") if path.is_file()}
    assert damaged.read_bytes() == b"lasting", "what rots in a backup is copied again"
    assert [path for path in copies if path not in left and path != damaged]
    assert all(left[path] == inode for path, inode in copies.items() if path in left and path != damaged)
    assert not [path for path in left if path.read_bytes() == b"going"]
    assert b"going" not in (folder.path / second.database).read_bytes()
    assert lasting


def test_rows_that_are_erased_while_it_is_made_are_not_in_it_and_nothing_is_lacking(
    digits: Runtime, folder: BackupFolder, place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time, the file of a batch goes between the snapshot that names it and its copy."""
    taken, ids = digits.database.snapshot, [received(digits, f"rows {k}".encode()) for k in range(2)]
    with digits.database.reading() as session:
        digests = [session.get_one(Batch, batch_id).stored_digest for batch_id in ids]
    snapshots = 0

    def snapshot(file: Path) -> None:
        nonlocal snapshots
        snapshots += 1
        if snapshots <= 2:
            late = received(digits, f"late {snapshots}".encode())
            taken(file)
            erased(digits, late)
            erased(digits, ids[snapshots - 1])
        else:
            taken(file)

    monkeypatch.setattr(digits.database, "snapshot", snapshot)
    made = back_up(digits, folder)
    assert (snapshots, made.lacks) == (3, [])
    copied = {digest for _, digest, _ in folder.store.names()}
    assert copied.isdisjoint(digests)
    assert copied == {digest for _, digest in stored(digits)}
    restore(place, folder)
    restored = Runtime(place)
    try:
        assert fsck(restored).whole
    finally:
        restored.close()


def test_what_goes_faster_than_it_is_copied_is_busy(
    digits: Runtime, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = digits.database.snapshot

    def snapshot(file: Path) -> None:
        late = received(digits, os.urandom(8))
        taken(file)
        erased(digits, late)

    monkeypatch.setattr(digits.database, "snapshot", snapshot)
    with pytest.raises(Busy):
        back_up(digits, folder)
    with pytest.raises(NotFound):
        folder.required()


def test_of_what_is_damaged_here_the_rest_is_kept_and_restored(
    digits: Runtime, folder: BackupFolder, place: Settings
) -> None:
    with digits.database.reading() as session:
        shards = versions.get(session, models.get(session, "digits"), 2).shards
    head = next(shard["digest"] for shard in shards if shard["part"] == "head.0")
    digits.store.delete(SHARDS, head)
    made = back_up(digits, folder)
    assert made.lacks == [f"{SHARDS}/{head}"]
    restore(place, folder)
    restored = Runtime(place)
    try:
        assert [file.digest for file in fsck(restored).damaged] == [head]
        assert restored.live.at("digits", 1).number == 1
    finally:
        restored.close()


def occupied(folder: BackupFolder, place: Settings) -> None:
    place.data.mkdir()
    (place.data / "mine").write_text("x")


def newer(folder: BackupFolder, place: Settings) -> None:
    _change(folder, revision="9999")


def another_format(folder: BackupFolder, place: Settings) -> None:
    _change(folder, format=2)


def not_finished(folder: BackupFolder, place: Settings) -> None:
    (folder.path / "backup.json").unlink()


def cut_off(folder: BackupFolder, place: Settings) -> None:
    (folder.path / "backup.json").write_text("{")


def another_value(folder: BackupFolder, place: Settings) -> None:
    (folder.path / "backup.json").write_text("[]")


def another_type(folder: BackupFolder, place: Settings) -> None:
    _change(folder, lacks=5)


def a_flipped_database(folder: BackupFolder, place: Settings) -> None:
    [file] = folder.path.glob("*.db")
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def a_flipped_file(folder: BackupFolder, place: Settings) -> None:
    file = next(path for path in sorted((folder.path / "store" / "shards").rglob("*")) if path.is_file())
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def _change(folder: BackupFolder, **members: object) -> None:
    file = folder.path / "backup.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | members))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (occupied, Conflict),
        (newer, SchemaMismatch),
        (another_format, SchemaMismatch),
        (not_finished, NotFound),
        (cut_off, CorruptArtifact),
        (another_value, CorruptArtifact),
        (another_type, CorruptArtifact),
        (a_flipped_database, CorruptArtifact),
        (a_flipped_file, CorruptArtifact),
    ],
)
def test_what_cannot_be_restored_is_refused_and_nothing_is_written(
    runtime: Runtime,
    folder: BackupFolder,
    tmp_path: Path,
    change: Callable[[BackupFolder, Settings], None],
    refusal: type[TsuikaError],
) -> None:
    make_model(runtime)
    make_version(runtime)
    back_up(runtime, folder)
    place = Settings(data=tmp_path / "restored")
    change(folder, place)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(refusal):
        restore(place, folder)
    assert set(tmp_path.rglob("*")) == before


def test_a_folder_of_other_things_or_of_another_installation_is_no_place_for_a_backup(
    digits: Runtime, folder: BackupFolder
) -> None:
    folder.path.mkdir()
    (folder.path / "mine").write_text("x")
    with pytest.raises(Conflict, match="other things"):
        back_up(digits, folder)
    (folder.path / "mine").unlink()
    back_up(digits, folder)
    _change(folder, installation="another")
    with pytest.raises(Conflict, match="another installation"):
        back_up(digits, folder)
    with folder.for_writing(), pytest.raises(Busy):
        back_up(digits, folder)


def test_no_backup_takes_the_place_of_one_that_has_rows_of_the_audit_which_are_gone_here(
    digits: Runtime, folder: BackupFolder, tmp_path: Path
) -> None:
    assert back_up(digits, folder).audit == (kept := last_hash(digits))
    a_key(digits)
    before = back_up(digits, folder)
    with digits.database.writing() as session:
        unguarded(session)
        session.execute(text("DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)"))
    assert last_hash(digits) == kept
    with digits.database.reading() as session:
        assert audit.verify(session).holds, "nothing here tells that its end is gone"
    make_model(digits, "others")  # another row in its place
    with pytest.raises(Conflict, match=rf"audit verify --head {before.audit}"):
        back_up(digits, folder)
    assert folder.manifest() == before
    back_up(digits, BackupFolder(tmp_path / "another"))


def last_hash(runtime: Runtime) -> str:
    with runtime.database.reading() as session:
        return audit.last_hash(session)


def test_what_was_erased_and_revoked_after_the_backup_is_so_again(
    digits: Runtime, folder: BackupFolder, place: Settings
) -> None:
    gone, stays = received(digits, b"gone"), received(digits, b"stays")
    a_key(digits)
    back_up(digits, folder)
    erased(digits, gone)
    with digits.database.writing() as session:
        keys.revoke(session, session.scalars(select(ApiKey)).one())
    restore(place, folder)
    assert delete_again(place, digits.database.url) == DeletedAgain(batches=1, keys=1)
    assert delete_again(place, digits.database.url) == DeletedAgain(batches=0, keys=0), "it is queued"
    restored = Runtime(place)
    try:
        with restored.database.reading() as session:
            order = session.scalars(select(Update).where(Update.erase)).one()
            assert (order.batches, order.state, order.kind) == ([gone], "queued", "retract")
            assert session.get_one(Batch, gone).retracted_at is not None
            assert session.get_one(Batch, stays).retracted_at is None
            assert session.scalars(select(ApiKey)).one().revoked_at is not None
    finally:
        restored.close()


def test_another_installation_tells_nothing_of_this_one(digits: Runtime, folder: BackupFolder, tmp_path: Path) -> None:
    back_up(digits, folder)
    place, other = Settings(data=tmp_path / "restored"), Settings(data=tmp_path / "other")
    restore(place, folder)

    other.data.mkdir()
    migrate(other.database_url)
    with pytest.raises(Conflict, match="another installation"):
        delete_again(place, other.database_url)


def test_a_wrong_old_database_is_refused_before_anything_is_restored(
    runtime: Runtime, folder: BackupFolder, tmp_path: Path
) -> None:
    back_up(runtime, folder)
    require_old(folder, runtime.database.url)
    with pytest.raises(NotFound, match="nothing was restored"):
        require_old(folder, f"sqlite:///{tmp_path / 'mistyped.db'}")
    other = Settings(data=tmp_path / "other")
    other.data.mkdir()
    migrate(other.database_url)
    with pytest.raises(Conflict, match="another installation"):
        require_old(folder, other.database_url)


def test_of_a_damaged_database_no_backup_is_made_and_the_one_before_stays(
    runtime: Runtime, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(runtime)
    back_up(runtime, folder)
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    make_version(runtime)
    faults = ["The database is damaged: Tree 31 page 31: out of order."]
    monkeypatch.setattr(type(runtime.database), "faults", lambda database: faults)
    with pytest.raises(CorruptArtifact, match="No backup is made of it"):
        back_up(runtime, folder)
    assert {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()} == before


def test_a_place_that_cannot_be_made_is_named(runtime: Runtime, folder: BackupFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotWritable, match="file: File exists"):
        back_up(runtime, BackupFolder(tmp_path / "file"))
    back_up(runtime, folder)
    with pytest.raises(NotWritable, match="data cannot be made: Not a directory"):
        restore(Settings(data=tmp_path / "file" / "data"), folder)
    with pytest.raises(DiskFull, match="No space is left in"), folder.for_writing():
        raise DiskFull("The database has no room left.")


def test_no_backup_is_restored_while_another_is_made_in_its_folder(
    runtime: Runtime, folder: BackupFolder, tmp_path: Path
) -> None:
    back_up(runtime, folder)
    place = Settings(data=tmp_path / "restored")
    with folder.for_writing(), pytest.raises(Busy, match="restore it once that is done"):
        restore(place, folder)
    with folder.for_reading(), folder.for_reading(), pytest.raises(Busy, match="or this one restored"):
        back_up(runtime, folder)
    (folder.path / "backup.lock").unlink()
    restore(place, folder)
