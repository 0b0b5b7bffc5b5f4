"""A backup becomes an installation: in an empty place, of either database and either store.

The backup is hashed before anything is written; files are written first, the database last. A backup knows nothing of
what was erased after it was made. Where the database that it was made of can still be read, `delete_again` deletes what
must not come back; otherwise that is for people who know.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind
from service.errors import Conflict, CorruptArtifact, NotFound, NotWritable
from service.registry import batches, updates
from service.registry.callers import keys
from service.registry.callers.actor import acting
from service.registry.sql import all_rows, schema, unopened
from service.registry.sql.conditions import OPEN
from service.registry.sql.engines import migrate, open_database
from service.registry.sql.tables import ApiKey, Batch, Installation, Model, Update
from service.settings import Settings
from service.storage.artifacts import Artifacts, length
from service.storage.local import sync_folder
from service.storage.opening import open_store
from service.upkeep.backup import AT_ONCE, Progress
from service.upkeep.backup_folder import BackupFolder, Manifest, backed_up, installation_of, sha256_of
from service.upkeep.named_files import Name

REASON = "erased after the backup was made"
MOST_NAMED = 5
"""Damaged files that a refusal names."""


@dataclass(frozen=True)
class DeletedAgain:
    """What was done again: batches whose erasure is queued, keys that are revoked."""

    batches: int
    keys: int


def restore(settings: Settings, folder: BackupFolder, progress: Progress = lambda done, total: None) -> Manifest:
    """Makes an installation of a backup where the settings say. Raises NotFound where there is no backup,
    SchemaMismatch for one of a newer version, CorruptArtifact for a damaged one, Conflict where the place is not empty;
    Busy while another backup is made there, DiskFull, NotWritable, StoreAway."""
    with folder.for_reading():
        return _restore(settings, folder, progress)


def _restore(settings: Settings, folder: BackupFolder, progress: Progress) -> Manifest:
    manifest = folder.required()
    schema.require_known(f"of {folder.path}", manifest.revision)
    _require_empty(settings)
    with _database(folder, manifest) as database:
        with closing(open_database(f"sqlite:///{database}")) as opened, opened.reading() as session:
            lost = {tuple(file.split("/")) for file in manifest.lacks}
            names = sorted(name for name in backed_up(session) if name not in lost)
        copies = folder.store
        _require_whole(folder, copies, names, progress)
        try:
            settings.data.mkdir(parents=True, exist_ok=True)
            if settings.store_folder is not None:
                settings.store_folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotWritable(f"{error.filename} cannot be made: {error.strerror}.") from error
        store = open_store(settings.store_url)
        with ThreadPoolExecutor(AT_ONCE, "restoring") as pool:
            stored = pool.map(lambda name: store.put(name[0], copies.get(*name)), names)
            for done, _ in enumerate(stored):
                progress(len(names) + done + 1, 2 * len(names))
        _put_in_place(settings, database)
    return manifest


def require_old(folder: BackupFolder, old_url: str) -> None:
    """Asked before anything is restored: `delete_again` can read that database, and the backup was made of it. Raises
    NotFound, Conflict, SchemaMismatch, NotWritable."""
    manifest = folder.required()
    if unopened.revision_of(old_url) is None:
        raise NotFound(
            f"There is no database {schema.name_of(old_url)}, so nothing was restored. --old names the one that was "
            "backed up: its file, or its URL."
        )
    unopened.require(old_url)
    with closing(open_database(old_url)) as old, old.reading() as session:
        if installation_of(session) != manifest.installation:
            raise Conflict("--old names the database of another installation than the backup's. Nothing was restored.")


def delete_again(settings: Settings, old_url: str) -> DeletedAgain:
    """Does again, in an installation just restored, what the database that the backup was made of says of batches that
    were erased and keys that were revoked since. Raises Conflict where it is another installation's."""
    unopened.require(old_url)
    with closing(open_database(old_url)) as old, old.reading() as session:
        secret = session.scalars(select(Installation.secret)).one()
        erased = set(session.scalars(select(Batch.id).where(Batch.erased_at.is_not(None)))) | _to_be_erased(session)
        revoked = list(session.scalars(select(ApiKey.id).where(ApiKey.revoked_at.is_not(None))))
    with closing(open_database(settings.database_url)) as restored, restored.writing() as session:
        if session.scalars(select(Installation.secret)).one() != secret:
            raise Conflict("--old names the database of another installation than the backup's.")
        count, waiting = 0, _to_be_erased(session)
        for model in session.scalars(select(Model)).all():
            back = [b for b in batches.of(session, model) if b.id in erased - waiting and b.erased_at is None]
            for batch in back:
                batches.retract(session, model, batch, REASON)
            if back:
                order = updates.Order(UpdateKind.RETRACT, [batch.id for batch in back], reason=REASON, erase=True)
                updates.enqueue(session, model, order, acting().by)
            count += len(back)
        good = select(ApiKey).where(ApiKey.id.in_(revoked), ApiKey.revoked_at.is_(None))
        ended = session.scalars(good).all()
        for key in ended:
            keys.revoke(session, key)
    return DeletedAgain(count, len(ended))


def _to_be_erased(session: Session) -> set[str]:
    """Batches whose erasure was ordered and is not done."""
    return {b for named in session.scalars(select(Update.batches).where(Update.erase, OPEN)) for b in named}


def _require_empty(settings: Settings) -> None:
    """Raises Conflict unless folder, database and store are empty or not there."""
    folders = [settings.data, *([settings.store_folder] if settings.store_folder is not None else [])]
    for folder in folders:
        if folder.is_dir() and {path.name for path in folder.iterdir()} - {"lost+found"}:
            raise Conflict(
                f"{folder} is not empty: a backup is restored into an empty place. Name another one; empty this "
                "one if a restore was cut off here."
            )
    database = settings.database_file
    if database.exists() if database is not None else unopened.revision_of(settings.database_url) is not None:
        name = schema.name_of(settings.database_url)
        raise Conflict(f"The database {name} is not empty: name another one in TSUIKA_DATABASE_URL.")
    if settings.store_folder is None and next(iter(open_store(settings.store_url).names()), None) is not None:
        raise Conflict(f"{settings.store_url} is not empty: name another place in TSUIKA_STORE_URL.")


@contextmanager
def _database(folder: BackupFolder, manifest: Manifest) -> Iterator[Path]:
    """A copy of the backup's database with the tables of this version. Raises CorruptArtifact."""
    with TemporaryDirectory() as temporary:
        copy = Path(temporary) / "tsuika.db"
        try:
            shutil.copyfile(folder.path / manifest.database, copy)
            damaged = sha256_of(copy) != manifest.digest
        except FileNotFoundError:
            damaged = True
        if damaged:
            raise CorruptArtifact(f"The database of the backup in {folder.path} is damaged: restore another backup.")
        migrate(f"sqlite:///{copy}")
        yield copy


def _require_whole(folder: BackupFolder, copies: Artifacts, names: Sequence[Name], progress: Progress) -> None:
    """Raises CorruptArtifact where files of the backup are missing or damaged."""
    broken = []
    with ThreadPoolExecutor(AT_ONCE, "hashing") as pool:
        lengths = pool.map(lambda name: length(copies, *name), names)
        for done, (name, there) in enumerate(zip(names, lengths, strict=True)):
            if there is None:
                broken.append("/".join(name))
            progress(done + 1, 2 * len(names))
    if broken:
        some = ", ".join(broken[:MOST_NAMED]) + (", ..." if len(broken) > MOST_NAMED else "")
        raise CorruptArtifact(
            f"{len(broken)} files of the backup in {folder.path} are missing or damaged ({some}), so nothing was "
            "restored. Restore another backup."
        )


def _put_in_place(settings: Settings, database: Path) -> None:
    """The last step: from here on the installation is there."""
    file = settings.database_file
    if file is None:
        migrate(settings.database_url)
        with closing(open_database(settings.database_url)) as empty, empty.writing() as session:
            all_rows.from_file(database, session.connection())
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.part")
    shutil.copyfile(database, new)
    with new.open("rb+") as opened:
        os.fsync(opened.fileno())
    new.replace(file)
    sync_folder(file.parent)
