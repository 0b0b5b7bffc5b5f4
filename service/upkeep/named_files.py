"""The stored files that rows of a model name: what each is, and what its loss would cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.learning.network.checkpoint import SERVED, kind_of
from service.registry import batches, ledger
from service.registry.sql.tables import Model, Update, Version
from service.storage.artifacts import SHARDS, model_area
from service.upkeep.gc import Name

UNSERVED = "it answers no prediction, and nothing is learned on it"
UNLEARNED = "nothing is learned on it"


@dataclass(frozen=True)
class NamedFile:
    """A file of the store. `what` it is, by the first row that names it · `costs`: what cannot be done without it ·
    `versions`: those that it is a part of."""

    area: str
    digest: str
    what: str
    costs: str
    versions: tuple[int, ...] = ()

    @property
    def served(self) -> bool:
        """Whether its versions answer no prediction without it."""
        return self.costs == UNSERVED


def named_files(session: Session, model: Model) -> list[NamedFile]:
    """Every file that a row of the model names, each once."""
    files: dict[Name, NamedFile] = {}
    parts_of: dict[Name, dict[int, None]] = {}

    def add(area: str, digest: str | None, what: str, costs: str) -> None:
        if digest is not None:
            known = files.setdefault((area, digest), NamedFile(area, digest, what, costs))
            if costs == UNSERVED != known.costs:
                files[area, digest] = replace(known, costs=costs)

    area = model_area(model.id)
    stored = (Version.model_id == model.id) & Version.erased_at.is_(None)
    facts = select(Version.number, Version.shards, Version.bits).where(stored).order_by(Version.number)
    for number, shards, bits in session.execute(facts):
        for shard in shards:
            costs = UNSERVED if kind_of(shard["part"]) in SERVED else UNLEARNED
            add(SHARDS, shard["digest"], f'part "{shard["part"]}" of version {number}', costs)
            parts_of.setdefault((SHARDS, shard["digest"]), {})[number] = None
        add(area, bits, f"answers of version {number} on trusted rows", "later versions are not compared with it")
    for batch in batches.of(session, model):
        costs = "it cannot be learned, or learned again; send it anew"
        add(area, batch.stored_digest, f"rows of batch {batch.id}", costs)
    for entry in ledger.entries(session, model):
        what = f"sums of batch {entry.batch_id} in feature space {entry.feature_space[:12]}…"
        costs = "versions that learned it cannot be verified, and nothing is learned on them there"
        add(area, entry.digest, what, costs)
    saves = select(Update.id, Update.trainings).where(Update.model_id == model.id, Update.trainings.is_not(None))
    for update_id, digest in session.execute(saves):
        add(area, digest, f"the last save of the trainings of update {update_id}", "they begin anew")
    return [replace(file, versions=tuple(parts_of.get(name, ()))) for name, file in files.items()]
