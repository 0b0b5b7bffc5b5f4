"""The stored files that rows name, in one list: what is kept, backed up and checked, and never collected as garbage."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from service.learning.network.part_kinds import SERVED, kind_of
from service.registry.sql import database
from service.registry.sql.conditions import THERE
from service.registry.sql.tables import Batch, LedgerEntry, Model, Update, Version
from service.storage.artifacts import SHARDS, model_area

Name = tuple[str, str]
"""Area and digest."""
UNSERVED = "it answers no prediction, and nothing is learned on it"
_SHARDS = select(Version.model_id, Version.number, Version.shards).where(THERE)
_KINDS: tuple[tuple[Select[*tuple[Any, ...]], str, str], ...] = (
    (
        select(Version.model_id, Version.bits, Version.number).where(THERE),
        "answers of version {} on trusted rows",
        "later versions are not compared with it",
    ),
    (
        select(Batch.model_id, Batch.stored_digest, Batch.id),
        "rows of batch {}",
        "it cannot be learned, or learned again; send it anew",
    ),
    (
        select(Batch.model_id, LedgerEntry.digest, Batch.id, LedgerEntry.feature_space).join(LedgerEntry),
        "sums of batch {} in feature space {:.12}…",
        "versions that learned it cannot be verified, and nothing is learned on them there",
    ),
    (
        select(Update.model_id, Update.trainings, Update.id),
        "the last save of the trainings of update {}",
        "they begin anew",
    ),
)
"""Of each kind but parts of versions: model, digest and owner of each file · what it is · what it costs to lose it."""


class Named(NamedTuple):
    """A file as one row names it. `owner`: the number of a version, or the id of a batch or update."""

    name: Name
    owner: int | str
    what: str
    costs: str


def names(session: Session, model: Model | None = None, among: Collection[Name] = ()) -> Iterator[Named]:
    """Yields each file once for every row that names it, of one model or of all. `among`: others than these may be left
    out, which is quicker."""
    digests = database.among(session, {digest for _, digest in among})
    if not among or any(area == SHARDS for area, _ in among):
        query = _SHARDS if model is None else _SHARDS.where(Version.model_id == model.id)
        for _, number, shards in session.execute(query.order_by(Version.number)):
            for shard in shards:
                costs = UNSERVED if kind_of(shard["part"]) in SERVED else "nothing is learned on it"
                what = f'part "{shard["part"]}" of version {number}'
                yield Named((SHARDS, shard["digest"]), number, what, costs)
    for files, what, costs in _KINDS:
        of_model, of_digest, of_owner, *_ = files.selected_columns
        query = files.where(of_digest.is_not(None)).order_by(of_owner)
        query = query if model is None else query.where(of_model == model.id)
        query = query.where(of_digest.in_(digests)) if among else query
        for model_id, digest, *owner in session.execute(query):
            yield Named((model_area(model_id), digest), owner[0], what.format(*owner), costs)


def named(session: Session, among: Collection[Name] = ()) -> set[Name]:
    """What rows name: nothing else is deleted as garbage. `among`: as of `names`."""
    return {each.name for each in names(session, among=among)}


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
    parts_of: dict[Name, dict[Any, None]] = {}
    for each in names(session, model):
        known = files.setdefault(each.name, NamedFile(*each.name, each.what, each.costs))
        if each.costs == UNSERVED != known.costs:
            files[each.name] = replace(known, costs=UNSERVED)
        if known.area == SHARDS:
            parts_of.setdefault(each.name, {})[each.owner] = None
    return [replace(file, versions=tuple(parts_of.get(name, ()))) for name, file in files.items()]
