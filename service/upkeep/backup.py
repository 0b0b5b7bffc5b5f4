"""A backup: one moment of the registry, and every stored file that it names, while services run and learn.

Files are copied first; then a snapshot of the database is taken, as one file of SQLite whatever database it is; then
what it names besides is copied. What it names and is gone by then was erased or let go meanwhile: another snapshot is
taken. So a backup names nothing that it lacks. That it is whole is said last. Then what an earlier backup in the same
folder kept, and this one does not name, is deleted there: erased rows go with the next backup.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from service import __version__
from service.errors import Busy, Conflict, CorruptArtifact
from service.registry.callers import audit
from service.registry.sql import schema
from service.registry.sql.database import Database, now
from service.registry.sql.engines import open_database
from service.runtime import Runtime
from service.storage.artifacts import Artifacts, length
from service.storage.local import LocalArtifacts
from service.storage.opening import open_store
from service.upkeep.backup_folder import FORMAT, BackupFolder, Manifest, backed_up, installation_of, sha256_of
from service.upkeep.named_files import Name

TRIES = 10
"""Snapshots that are taken where rows go again and again while files are copied."""
AT_ONCE = 8
"""Files that are copied at once: most of their time goes into waiting for a disk or a network."""
PART = "database.part"

Progress = Callable[[int, int], None]


def back_up(runtime: Runtime, folder: BackupFolder, progress: Progress = lambda done, total: None) -> Manifest:
    """Makes a backup, or brings the one in that folder up to date: files that are there whole are not read again from
    the store. Raises Conflict for a folder of other things or of another installation, or a later moment,
    CorruptArtifact for a damaged database; Busy, DiskFull, NotWritable, StoreAway."""
    with folder.for_writing():
        before = folder.manifest()
        with runtime.database.reading() as session:
            installation, names = installation_of(session), backed_up(session)
        if before is not None and before.installation != installation:
            raise Conflict(f"{folder.path} is a backup of another installation: name an empty folder.")
        if faults := runtime.database.faults():
            raise CorruptArtifact(
                f"{faults[0].strip()} No backup is made of it, and what is in {folder.path} stays: restore that."
            )
        if before is not None:
            _check_later(runtime.database, folder, before)
        copying = _Copying(open_store(runtime.settings.store_url), folder.store, progress)
        copying.copy(names)
        for _ in range(TRIES):
            snapshot, made_at = folder.path / PART, now()
            for left in folder.path.glob(f"{PART}*"):  # by a backup that was killed, with its log
                left.unlink()
            runtime.database.snapshot(snapshot)
            with closing(open_database(f"sqlite:///{snapshot}")) as database, database.reading() as session:
                names, last_row = backed_up(session), audit.last_hash(session)
            lost = copying.copy(names)
            with runtime.database.reading() as session:
                lacks = lost & backed_up(session)
            if lost == lacks:  # nothing was let go: what is lost is damaged
                break
        else:
            raise Busy("Rows are let go faster than they are copied: try again when less is retracted.")
        digest = sha256_of(snapshot)
        manifest = Manifest(
            format=FORMAT,
            tsuika=__version__,
            revision=schema.revisions()[-1],
            made_at=made_at,
            installation=installation,
            database=f"database-{digest[:16]}.db",
            digest=digest,
            files=len(names) - len(lacks),
            bytes=sum(copying.lengths[name] for name in names - lacks),
            lacks=sorted(f"{area}/{digest}" for area, digest in lacks),
            audit=last_row,
        )
        snapshot.replace(folder.path / manifest.database)
        folder.finish(manifest)
        copying.prune(names)
        return manifest


def _check_later(database: Database, folder: BackupFolder, before: Manifest) -> None:
    """Raises Conflict where the last row of the audit in the backup before is not here."""
    with database.reading() as session:
        if audit.has(session, before.audit):
            return
    raise Conflict(
        f"{folder.path} shows a later moment than this, or rows of the audit were deleted or changed since: its last "
        f"one is not here any more (tsuika audit verify --head {before.audit}). That backup stays as it is; for one of "
        "what is here name an empty folder."
    )


class _Copying:
    """Copies files from a store; `lengths`: of those that are whole in `copies`."""

    def __init__(self, source: Artifacts, copies: LocalArtifacts, progress: Progress) -> None:
        self._source, self._copies, self._progress = source, copies, progress
        self.lengths: dict[Name, int] = {}

    def copy(self, names: set[Name]) -> set[Name]:
        """Copies those of these files that are not there yet. -> those that the source has lost. Raises DiskFull,
        StoreAway."""
        new = sorted(names - self.lengths.keys())
        with ThreadPoolExecutor(AT_ONCE, "copying") as pool:
            for done, (name, length) in enumerate(zip(new, pool.map(self._copied, new), strict=True)):
                if length is not None:
                    self.lengths[name] = length
                self._progress(done + 1, len(new))
        return names - self.lengths.keys()

    def prune(self, names: set[Name]) -> None:
        unnamed = [(area, digest) for area, digest, _ in self._copies.names() if (area, digest) not in names]
        for area, digest in unnamed:
            self._copies.delete(area, digest)
        self._copies.clear_temporary(now())
        self._copies.sync(unnamed)

    def _copied(self, name: Name) -> int | None:
        """Bytes of a file once it is in the copies; None where the source has lost it. One that is there is hashed."""
        if (there := length(self._copies, *name)) is not None:  # else not there yet, or damaged since
            return there
        try:
            data = self._source.get(*name)
        except CorruptArtifact:
            return None
        self._copies.put(name[0], data)
        return len(data)
