"""Verification: every stored file of a model is hashed, and the digest of a version's ledger recomputed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import Conflict, CorruptArtifact
from service.learning.data.serialization import unpack
from service.learning.ledger.entry import sums_of, unpack_entry
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import SERVED, kind_of
from service.registry import batches, ledger, models, versions
from service.registry.sql.tables import Model, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area


@dataclass(frozen=True)
class Damaged:
    """A stored file that is missing or does not hash to its name. `what` it is · `costs`: what cannot be done without
    it."""

    area: str
    digest: str
    what: str
    costs: str


@dataclass(frozen=True)
class Verified:
    """What a verification found. `shards`: how many stored parts of the version hash to their digest · `damaged`: among
    all files that a row of the model names · `recomputed`: None where a file that it takes cannot be read."""

    model: str
    version: int
    recorded: str
    recomputed: str | None
    rows: int
    batches: int
    shards: int
    damaged: tuple[Damaged, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether both digests are the same and no file is damaged."""
        return self.recorded == self.recomputed and not self.damaged


def verify(
    runtime: Runtime, model_name: str, number: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> Verified:
    """Hashes every stored file that a row of the model names, and adds up the entries of everything that the version
    learned. Raises NotFound, Erased, and Conflict where the version has no exact head and no file is damaged."""
    with runtime.database.reading() as session:
        model = models.get(session, model_name)
        version = versions.present(session, model, number)
        space, recorded = version.feature_space, version.ledger_digest
        files = named_files(session, model)
    damaged = []
    for done, file in enumerate(files):
        try:
            runtime.store.get(file.area, file.digest)
        except CorruptArtifact:
            damaged.append(file)
        progress(done + 1, len(files))
    if space is None or recorded is None:
        if damaged:
            return Verified(model_name, number, "", None, 0, len(version.learned), 0, tuple(damaged))
        raise Conflict(
            f"Version {number} of {model_name} was trained by gradients: no ledger decides its head, so there is "
            f"no digest to verify. The {len(files)} stored files of the model are whole."
        )
    broken = {file.digest for file in damaged}
    shards = [shard for shard in version.shards if shard["digest"] not in broken]
    recomputed, rows = None, 0
    try:
        total = stored_sums(runtime, model, version)
        if total is None:  # everything was taken back
            judge = next(shard["digest"] for shard in version.shards if shard["part"] == "judge")
            features = unpack(runtime.store.get(SHARDS, judge))[0]["weight"].shape[1]
            numbers = version.layout.get("numbers")  # the grid, where targets are numbers: each has two limbs
            total = Sums.empty(features + (2 * len(numbers["offset"]) if numbers else 0))
        recomputed, rows = total.digest(space), total.rows
    except CorruptArtifact:
        if not damaged:
            raise  # whole bytes that are no sums
    return Verified(model_name, number, recorded, recomputed, rows, len(version.learned), len(shards), tuple(damaged))


def named_files(session: Session, model: Model) -> list[Damaged]:
    """Every file that a row of the model names, each once, with what it is and what its loss would cost."""
    files: dict[tuple[str, str], Damaged] = {}

    def add(area: str, digest: str | None, what: str, costs: str) -> None:
        if digest is not None:
            files.setdefault((area, digest), Damaged(area, digest, what, costs))

    area = model_area(model.id)
    stored = (Version.model_id == model.id) & Version.erased_at.is_(None)
    for version in session.scalars(select(Version).where(stored).order_by(Version.number)):
        for shard in version.shards:
            served = kind_of(shard["part"]) in SERVED
            costs = "it answers no prediction, and nothing is learned on it" if served else "nothing is learned on it"
            add(SHARDS, shard["digest"], f'part "{shard["part"]}" of version {version.number}', costs)
        what = f"answers of version {version.number} on trusted rows"
        add(area, version.bits, what, "later versions are not compared with it")
    for batch in batches.of(session, model):
        costs = "it cannot be learned, or learned again; send it anew"
        add(area, batch.stored_digest, f"rows of batch {batch.id}", costs)
    for entry in ledger.entries(session, model):
        what = f"sums of batch {entry.batch_id} in feature space {entry.feature_space[:12]}…"
        costs = "versions that learned it cannot be verified, and nothing is learned on them there"
        add(area, entry.digest, what, costs)
    return list(files.values())


def stored_sums(runtime: Runtime, model: Model, version: Version) -> Sums | None:
    """(G, Q, n) of everything that a version learned, added up from the stored entries; None where it learned no batch.

    Raises Conflict where a batch has no entry in the version's feature space.
    """
    with runtime.database.reading() as session:
        space = version.feature_space
        digests = {e.batch_id: e.digest for e in ledger.entries(session, model) if e.feature_space == space}
    total: Sums | None = None
    for batch_id in version.learned:
        if batch_id not in digests:
            raise Conflict(
                f"Version {version.number} has no ledger: batch {batch_id} was never summed in its features."
            )
        sums = sums_of(unpack_entry(runtime.store.get(model_area(model.id), digests[batch_id])))
        total = sums if total is None else total + sums
    return total
