"""The folder of a backup: `backup.json` says what it is of, beside it the database as a file of SQLite, and `store`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import Busy, Conflict, CorruptArtifact, DiskFull, NotFound, NotWritable, SchemaMismatch
from service.registry.callers.audit import FIRST
from service.registry.sql.tables import Batch, Installation
from service.storage.local import LocalArtifacts, sync_folder
from service.upkeep.named_files import Name, names

FORMAT = 1
MANIFEST, LOCK, STORE = "backup.json", "backup.lock", "store"


@dataclass(frozen=True)
class Manifest:
    """What a backup is. `made_at`: the moment that it shows, seconds since the epoch · `installation`: a hash that
    tells installations apart · `database`: the name of its file, `digest`: the SHA-256 of it · `lacks`: files, as
    "area/digest", that were damaged where it was made · `audit`: the hash of the last row of the audit."""

    format: int
    tsuika: str
    revision: str
    made_at: float
    installation: str
    database: str
    digest: str
    files: int
    bytes: int
    lacks: list[str]
    audit: str = FIRST


MANIFESTS = TypeAdapter(Manifest)


class BackupFolder:
    """A backup, or the place for one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def manifest(self) -> Manifest | None:
        """What is here, None where no backup was finished. Raises SchemaMismatch for one of a newer version, and
        CorruptArtifact."""
        damaged = f"{self.path / MANIFEST} is damaged. Restore another backup; make the next one in an empty folder."
        try:
            data = (self.path / MANIFEST).read_bytes()
            members = json.loads(data)
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            raise CorruptArtifact(damaged) from error
        if isinstance(members, dict) and members.get("format", FORMAT) != FORMAT:
            raise SchemaMismatch(f"{self.path} is a backup of another version of Tsuika ({members.get('tsuika')}).")
        try:
            return MANIFESTS.validate_json(data, strict=True)
        except ValidationError as error:
            raise CorruptArtifact(damaged) from error

    def required(self) -> Manifest:
        """As `manifest`. Raises NotFound, too."""
        if (manifest := self.manifest()) is None:
            raise NotFound(f"There is no finished backup in {self.path}: it has no {MANIFEST}.")
        return manifest

    @property
    def store(self) -> LocalArtifacts:
        return LocalArtifacts(self.path / STORE)

    @contextmanager
    def for_writing(self) -> Iterator[None]:
        """Makes the folder and holds it alone. Raises Conflict where other things are in it, Busy, NotWritable, and
        DiskFull in words that name it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            inside = {path.name for path in self.path.iterdir()}
            if inside and not inside & {MANIFEST, LOCK}:
                raise Conflict(f"{self.path} holds other things than a backup: name an empty folder.")
            opened = (self.path / LOCK).open("a")
        except OSError as error:
            raise NotWritable(f"No backup can be made in {self.path}: {error.strerror}.") from error
        with opened as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(f"Another backup is being made in {self.path}, or this one restored.") from None
            try:
                yield
            except DiskFull as error:
                what = "A backup that was finished there before is still whole."
                raise DiskFull(f"No space is left in {self.path}: make room there. {what}") from error

    @contextmanager
    def for_reading(self) -> Iterator[None]:
        """Keeps backups out of the folder meanwhile; those that read it do not keep out one another. Raises Busy."""
        lock = self.path / LOCK
        with lock.open() if lock.exists() else nullcontext() as held:  # who copied a backup may have left it out
            if held is not None:
                try:
                    fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Busy(f"A backup is being made in {self.path}: restore it once that is done.") from None
            yield

    def finish(self, manifest: Manifest) -> None:
        """Makes this the backup, and deletes the database of the one before."""
        with (self.path / manifest.database).open("rb+") as database:
            os.fsync(database.fileno())
        sync_folder(self.path)
        new = self.path / f"{MANIFEST}.part"
        with new.open("w") as file:
            file.write(json.dumps(asdict(manifest), indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path / MANIFEST)
        for old in self.path.glob("database-*.db"):
            if old.name != manifest.database:
                old.unlink()
        sync_folder(self.path)


def sha256_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def installation_of(session: Session) -> str:
    """What tells installations apart, and says nothing of their secret."""
    secret = session.scalars(select(Installation.secret)).one()
    return hashlib.sha256(f"installation {secret}".encode()).hexdigest()


def backed_up(session: Session) -> set[Name]:
    """What a backup keeps of the store: all that rows name, but for what is being erased."""
    going = set(session.scalars(select(Batch.id).where(Batch.erased_at.is_not(None))))
    return {each.name for each in names(session) if each.owner not in going}
