"""Verification: recompute the digest of a version's ledger from the stored entries, and compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.errors import Conflict
from service.learning.serialization import unpack_rows
from service.learning.sums import Sums
from service.registry import ledger, models, versions
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
        space, recorded, learned = version.feature_space, version.ledger_digest, list(version.learned)
        if space is None or recorded is None:
            raise Conflict(
                f"Version {number} of {model_name} was trained by gradients: no ledger decides its head, so there is "
                "no digest to verify. Its shards are verified whenever they are loaded."
            )
        digests = {e.batch_id: e.digest for e in ledger.entries(session, model) if e.feature_space == space}
        shards = [s["digest"] for s in version.shards]
        area = model_area(model.id)
    total: Sums | None = None
    for done, batch_id in enumerate(learned):
        sums = Sums.of(unpack_rows(runtime.store.get(area, digests[batch_id])))
        total = sums if total is None else total + sums
        progress(done + 1, len(learned))
    for digest in shards:
        runtime.store.get(SHARDS, digest)
    return Verified(
        model_name,
        number,
        recorded,
        total.digest(space) if total is not None else "",
        total.rows if total is not None else 0,
        len(learned),
        len(shards),
    )
