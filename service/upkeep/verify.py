"""Verification: recompute the digest of a version's ledger from the stored entries, and compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.errors import Conflict
from service.learning.serialization import unpack
from service.learning.summed import sums_of, unpack_entry
from service.learning.sums import Sums
from service.registry import ledger, models, versions
from service.registry.tables import Model, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area


@dataclass(frozen=True)
class Verified:
    """What was recomputed. `shards`: stored parts whose bytes hash to their digest."""

    model: str
    version: int
    recorded: str
    recomputed: str
    rows: int
    batches: int
    shards: int

    @property
    def holds(self) -> bool:
        """Whether both digests are the same."""
        return self.recorded == self.recomputed


def verify(
    runtime: Runtime, model_name: str, number: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> Verified:
    """Add up the stored entries of everything that the version learned. Raises NotFound, Erased, CorruptArtifact, and
    Conflict where the version has no exact head."""
    with runtime.database.reading() as session:
        model = models.get(session, model_name)
        version = versions.present(session, model, number)
        space, recorded = version.feature_space, version.ledger_digest
        if space is None or recorded is None:
            raise Conflict(
                f"Version {number} of {model_name} was trained by gradients: no ledger decides its head, so there is "
                "no digest to verify. Its shards are verified whenever they are loaded."
            )
    total = stored_sums(runtime, model, version, progress)
    parts = {shard["part"]: runtime.store.get(SHARDS, shard["digest"]) for shard in version.shards}
    if total is None:
        total = Sums.empty(unpack(parts["judge"])[0]["weight"].shape[1])  # everything was taken back
    recomputed = total.digest(space)
    return Verified(model_name, number, recorded, recomputed, total.rows, len(version.learned), len(parts))


def stored_sums(
    runtime: Runtime, model: Model, version: Version, progress: Callable[[int, int], None] = lambda done, total: None
) -> Sums | None:
    """(G, Q, n) of everything that a version learned, added up from the stored entries; null: it holds no rows.

    Raises Conflict where a batch has no entry in the version's feature space.
    """
    with runtime.database.reading() as session:
        space = version.feature_space
        digests = {e.batch_id: e.digest for e in ledger.entries(session, model) if e.feature_space == space}
    total: Sums | None = None
    for done, batch_id in enumerate(version.learned):
        if batch_id not in digests:
            raise Conflict(
                f"Version {version.number} has no ledger: batch {batch_id} was never summed in its features."
            )
        sums = sums_of(unpack_entry(runtime.store.get(model_area(model.id), digests[batch_id])))
        total = sums if total is None else total + sums
        progress(done + 1, len(version.learned))
    return total
