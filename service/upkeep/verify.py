"""Verification: every stored file of a model is hashed, and the digest of a version's ledger recomputed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.errors import Conflict, CorruptArtifact
from service.learning.data.serialization import unpack
from service.learning.ledger.entry import sums_of, unpack_entry
from service.learning.ledger.sums import Sums
from service.registry import batches, models, versions
from service.registry.rows import ledger
from service.registry.sql.tables import Model, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, length, model_area
from service.upkeep.named_files import NamedFile, named_files


@dataclass(frozen=True)
class Verified:
    """What a verification found. `shards`: how many stored parts of the version hash to their digest · `damaged`: among
    all files that a row of the model names · `recomputed`: None where a file that it takes cannot be read · `merged`:
    those of the rows that came as merged ledgers."""

    model: str
    version: int
    recorded: str
    recomputed: str | None
    rows: int
    batches: int
    shards: int
    damaged: tuple[NamedFile, ...] = ()
    merged: int = 0

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
        merged = batches.rows_of(session, version.learned).elsewhere
    damaged = []
    for done, file in enumerate(files):
        if length(runtime.store, file.area, file.digest) is None:
            damaged.append(file)
        progress(done + 1, len(files))
    if damaged:  # unless an update that runs beside has made another save meanwhile, and deleted that one
        with runtime.database.reading() as session:
            named = {(file.area, file.digest) for file in named_files(session, model)}
        damaged = [file for file in damaged if (file.area, file.digest) in named]
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
    learned = len(version.learned)
    return Verified(model_name, number, recorded, recomputed, rows, learned, len(shards), tuple(damaged), merged)


def stored_sums(runtime: Runtime, model: Model, version: Version) -> Sums | None:
    """(G, Q, n) of everything that a version learned, added up from the stored entries; None where it learned no batch.

    Raises Conflict where a batch has no entry in the version's feature space.
    """
    with runtime.database.reading() as session:
        digests = ledger.digests(session, version.learned).get(version.feature_space or "", {})
    total: Sums | None = None
    for batch_id in version.learned:
        if batch_id not in digests:
            raise Conflict(
                f"Version {version.number} has no ledger: batch {batch_id} was never summed in its features."
            )
        sums = sums_of(unpack_entry(runtime.store.get(model_area(model.id), digests[batch_id])))
        total = sums if total is None else total + sums
    return total
