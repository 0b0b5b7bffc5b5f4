"""A check of everything that the registry names: each stored file is hashed, and each damage named with what it means.

It is safe beside a service: a file that was deleted on purpose while the check ran is no damage, since names are read
once more at the end, and what is mended is written as an update would write it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from service.errors import DiskFull, NotWritable, StoreAway
from service.registry.callers import audit
from service.registry.sql.conditions import THERE
from service.registry.sql.database import now
from service.registry.sql.tables import Model, Version
from service.runtime import Runtime
from service.storage.artifacts import Artifacts, Store, length
from service.storage.opening import open_store
from service.upkeep import gc
from service.upkeep.named_files import Name, NamedFile, named_files

if TYPE_CHECKING:
    from service.upkeep.intact_copies import IntactCopies

BROKEN_CHAIN = (
    "The audit is not as it was written: row {} does not hold. It, or one before it, was changed, deleted or put in: "
    "compare with a copy of the database. Nothing that is served or learned depends on it."
)

Uses = Mapping[str, NamedFile]
"""Model -> what a file is there."""


@dataclass(frozen=True)
class Damaged:
    """A file of the store that is `missing` or does not hash to its name. `mended`: from what, None where it is not ·
    `hindrance`: why it could not be written though it was at hand."""

    area: str
    digest: str
    missing: bool
    uses: Uses
    mended: str | None = None
    hindrance: str | None = None


@dataclass(frozen=True)
class Serving:
    """What a model can still serve of which files are damaged. `broken`: versions that answer nothing · `whole`: the
    nearest version to the live one that can, and is no newer if there is such a one."""

    model: str
    live: int | None
    broken: tuple[int, ...]
    whole: int | None


@dataclass(frozen=True)
class Checked:
    """What a check has seen. `tables`: sentences on what is wrong in the database · `cached`: files of this machine's
    cache · `stale`: those of them that are damaged, and what writers that were killed have left; a repair deletes
    both · `unnamed`: files of the store that no row names."""

    files: int
    bytes: int
    cached: int
    audit_rows: int
    tables: tuple[str, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    serving: tuple[Serving, ...] = ()
    stale: int = 0
    unnamed: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is lost; what is stale costs time alone."""
        return not self.tables and all(file.mended is not None for file in self.damaged)


def fsck(
    runtime: Runtime,
    repair: bool = False,
    copies: Artifacts | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Checked:
    """Checks database, store and cache; `repair`: mends what can be mended without guessing. `copies`: another store in
    which whole files are looked for, such as that of a backup. Raises StoreAway, Busy."""
    if faults := runtime.database.faults():
        return Checked(0, 0, 0, 0, tables=tuple(faults))  # what it names is not to be trusted
    with runtime.database.looking() as reader:
        chain = audit.verify(reader)
    store = open_store(runtime.settings.store_url)
    oldest = now() - max(runtime.settings.gc_grace_seconds, gc.WRITING_SECONDS)
    names, cached = _names(runtime), list(runtime.cache.files())
    lengths, stale = dict[Name, int | None](), []
    for name in names:
        lengths[name] = length(store, *name)
        progress(len(lengths), len(names) + len(cached))
    for done, path in enumerate(cached):
        if runtime.cache.is_stale(path, oldest):
            stale.append(path)
        progress(len(names) + done + 1, len(names) + len(cached))
    names = _names(runtime)
    suspects = sorted(name for name, there in lengths.items() if there is None and name in names)
    damaged = [Damaged(*name, not store.has(*name), names[name]) for name in suspects if length(store, *name) is None]
    if repair:
        damaged = _all_mended(runtime, store, copies, damaged)
        for path in stale:
            path.unlink(missing_ok=True)
    return Checked(
        files=len(names),
        bytes=sum(there or 0 for there in lengths.values()),
        cached=len(cached),
        audit_rows=chain.rows,
        tables=() if chain.holds else (BROKEN_CHAIN.format(chain.broken),),
        damaged=tuple(damaged),
        serving=tuple(_serving(runtime, [file for file in damaged if file.mended is None])),
        stale=len(stale) + store.clear_temporary(oldest, dry_run=not repair),
        unnamed=sum((area, digest) not in names for area, digest, _ in store.names()),
    )


def _names(runtime: Runtime) -> dict[Name, dict[str, NamedFile]]:
    """What rows of all models name at this moment."""
    names: dict[Name, dict[str, NamedFile]] = {}
    with runtime.database.reading() as session:
        for model in session.scalars(select(Model).order_by(Model.id)):
            for file in named_files(session, model):
                names.setdefault((file.area, file.digest), {})[model.name] = file
    return names


def _all_mended(runtime: Runtime, store: Store, copies: Artifacts | None, damaged: list[Damaged]) -> list[Damaged]:
    if not damaged:
        return []
    from service.upkeep.intact_copies import IntactCopies  # torch, to make sums anew

    intact = IntactCopies(runtime, store, copies)
    return [_mended(store, intact, file) for file in damaged]


def _mended(store: Store, intact: IntactCopies, file: Damaged) -> Damaged:
    """The damage once a whole copy is written in its place, if there is one."""
    for origin, data in intact.of(file.area, file.digest):
        try:
            store.put(file.area, data)
            if length(store, file.area, file.digest) is None:  # an object whose tag is that of the whole bytes
                store.delete(file.area, file.digest)
                store.put(file.area, data)
        except StoreAway:
            raise
        except (DiskFull, NotWritable) as error:
            return replace(file, hindrance=error.detail)
        return replace(file, mended=origin)
    return file


def _serving(runtime: Runtime, damaged: Sequence[Damaged]) -> list[Serving]:
    """What the models can serve that these damages touch."""
    lost: dict[str, set[int]] = {}
    for file in damaged:
        for name, use in file.uses.items():
            if use.served:
                lost.setdefault(name, set()).update(use.versions)
    serving = []
    with runtime.database.reading() as session:
        for model in session.scalars(select(Model).where(Model.name.in_(lost))):
            broken = lost[model.name]
            there = select(Version.number, Version.id).where(Version.model_id == model.id, THERE)
            ids = dict(session.execute(there.order_by(Version.number)).all())
            live = next((number for number, version_id in ids.items() if version_id == model.live_version_id), None)
            whole = sorted(set(ids) - broken, key=lambda n: (n > (live or n), abs(n - (live or n)), -n))
            serving.append(Serving(model.name, live, tuple(sorted(broken)), whole[0] if whole else None))
    return serving
