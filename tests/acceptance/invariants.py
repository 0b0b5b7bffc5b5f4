"""What must hold after every fault, read from the database and the store as they lie there.

I1 every version that is not erased loads, and its shards hash to their digests
I2 version numbers of a model have no gap and no duplicate; one update makes at most one version
I3 the live pointer names a complete version that the gate passed, a person promoted, or an ordered retraction made
I4 a batch that was answered 2xx is not lost, and counted once in what a version learned; rows go by retention alone;
   it is known which updates name it
I5 no shard named by a version is missing
I6 the audit holds, and has a row for each batch, update, claim, end of an update and move of the live pointer, in order
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from service.contract.enums import Action
from service.registry import deployments, versions
from service.registry.callers import audit
from service.registry.rows import ledger
from service.registry.sql.engines import open_database
from service.registry.sql.tables import AuditEntry, Batch, Deployment, Model, NamedBatch, Update, UpdateEvent, Version
from service.serving import predictor
from service.storage.artifacts import SHARDS, Store, model_area
from service.storage.opening import open_store

_LOADED = set[str]()
"""Versions that were loaded, by layout and digests: from bytes that have the same digests they load again."""


def hold(data: Path, acknowledged: Iterable[str] = ()) -> None:
    """Asserts I1 to I6 over a data folder; `acknowledged`: ids of batches that somebody was told of."""
    hold_in(f"sqlite:///{data / 'tsuika.db'}", (data / "store").as_uri(), acknowledged)


def hold_in(database_url: str, store_url: str, acknowledged: Iterable[str] = ()) -> None:
    """The same over a database and a store, wherever they are."""
    database, store = open_database(database_url), open_store(store_url)
    try:
        with database.reading() as session:
            for model in session.scalars(select(Model)):
                versions = list(
                    session.scalars(select(Version).where(Version.model_id == model.id).order_by(Version.id))
                )
                _versions_load(store, versions)
                _numbers_are_whole(versions)
                if model.archived_at is None:
                    _pointer_is_earned(session, model)
                _batches_are_there(session, store, model, versions)
                _is_audited(session, model, versions)
            assert audit.verify(session).holds, "I6: a row of the audit is not as it was written"
            lost = set(acknowledged) - set(session.scalars(select(Batch.id)))
            assert not lost, f"I4: acknowledged and lost: {lost}"
    finally:
        database.close()


def _versions_load(store: Store, versions: list[Version]) -> None:
    for version in versions:
        if version.erased_at is not None:
            continue
        for shard in version.shards:
            assert store.has(SHARDS, shard["digest"]), f"I5: version {version.number} lacks {shard['part']}"
            store.get(SHARDS, shard["digest"])
        key = json.dumps([version.layout, version.shards], sort_keys=True)
        if key not in _LOADED:
            predictor.load(version.layout, version.shards, lambda digest: store.get(SHARDS, digest))
            _LOADED.add(key)


def _numbers_are_whole(versions: list[Version]) -> None:
    assert [v.number for v in versions] == list(range(1, len(versions) + 1)), "I2: numbers"
    makers = [v.update_id for v in versions if v.update_id is not None]
    assert len(set(makers)) == len(makers), "I2: two versions of one update"


def _pointer_is_earned(session: Session, model: Model) -> None:
    moves = list(session.scalars(select(Deployment).where(Deployment.model_id == model.id).order_by(Deployment.id)))
    assert model.live_version_id == (moves[-1].version_id if moves else None), "I3: the pointer moved without a row"
    assert all(after.previous_id == before.version_id for before, after in pairwise(moves)), "I3: a gap in the history"
    for move in moves:
        if move.kind == "rollback":
            assert any(earlier.version_id == move.version_id for earlier in moves if earlier.id < move.id), "I3"
            continue
        version = versions.by_id(session, move.version_id)
        if version.update_id is None:
            assert move.by not in (deployments.BY_GATE, deployments.BY_ORDER), "I3: an imported version went live alone"
            continue
        update = session.get_one(Update, version.update_id)
        assert update.state == "succeeded", "I3: live without a finished update"
        if move.by == deployments.BY_GATE:
            assert (update.kind, update.verdict) == ("learn", "promoted"), "I3: the gate did not pass it"
        if move.by == deployments.BY_ORDER:
            assert (update.kind, update.verdict) == ("retract", "promoted"), "I3: nobody ordered it"
    if model.live_version_id is not None:
        assert versions.by_id(session, model.live_version_id).erased_at is None, "I3: an erased version is live"
    marked = session.scalars(select(Batch.id).where(Batch.model_id == model.id, Batch.in_live)).all()
    live = versions.by_id(session, model.live_version_id) if model.live_version_id is not None else None
    assert sorted(marked) == [*(live.learned if live is not None else ())], "I3: batches say otherwise what is live"


def _batches_are_there(session: Session, store: Store, model: Model, versions: list[Version]) -> None:
    known = {b.id: b for b in session.scalars(select(Batch).where(Batch.model_id == model.id))}
    for batch in known.values():
        if batch.erased_at is None:
            let_go = batch.kept_as is not None and not batch.kept_rows
            without = let_go or batch.merged is not None
            assert (batch.stored_digest is None) == without, f"I4: {batch.id} lost its rows"
        if batch.stored_digest is not None:
            store.get(model_area(model.id), batch.stored_digest)
    for of_space in ledger.digests(session, known).values():
        for digest in of_space.values():
            store.get(model_area(model.id), digest)
    for update in session.scalars(select(Update).where(Update.model_id == model.id)):
        found = session.scalars(select(NamedBatch.batch_id).where(NamedBatch.update_id == update.id))
        assert {*found} == {*update.batches, *(update.adds or ())}, f"I4: {update.id} is not found by its batches"
    for version in versions:
        assert len(set(version.learned)) == len(version.learned), f"I4: counted twice in version {version.number}"
        assert set(version.learned) <= set(known), f"I4: version {version.number} learned what nobody sent"


def _is_audited(session: Session, model: Model, versions: list[Version]) -> None:
    rows = session.scalars(select(AuditEntry).where(AuditEntry.model == model.name).order_by(AuditEntry.id)).all()
    if not any(row.action == Action.MODEL_CREATED for row in rows):
        return  # it is older than the audit

    def subjects(*actions: Action) -> list[str | None]:
        return [row.subject for row in rows if row.action in actions]

    def ids(kind: type[Batch] | type[Update], *conditions: ColumnElement[bool]) -> list[str]:
        return list(session.scalars(select(kind.id).where(kind.model_id == model.id, *conditions)))

    numbers = {version.id: str(version.number) for version in versions}
    moves = select(Deployment.version_id).where(Deployment.model_id == model.id).order_by(Deployment.id)
    promoted = (a for a in Action if a.startswith("version.promoted"))
    assert subjects(*promoted, Action.VERSION_ROLLED_BACK) == [numbers[v] for v in session.scalars(moves)], "I6: moves"
    assert sorted(map(str, subjects(Action.BATCH_RECEIVED))) == sorted(ids(Batch)), "I6: batches"
    assert sorted(map(str, subjects(Action.UPDATE_QUEUED))) == sorted(ids(Update)), "I6: updates"
    claims = select(UpdateEvent.update_id).join(Update, Update.id == UpdateEvent.update_id)
    claims = claims.where(Update.model_id == model.id, UpdateEvent.kind == "claimed").order_by(UpdateEvent.id)
    assert subjects(Action.UPDATE_CLAIMED) == list(session.scalars(claims)), "I6: claims"
    succeeded = ids(Update, Update.state == "succeeded")
    assert sorted(map(str, subjects(Action.UPDATE_SUCCEEDED))) == sorted(succeeded), "I6: ends of updates"
    erased = ids(Batch, Batch.erased_at.is_not(None), Batch.doomed.is_(None))
    assert sorted(map(str, subjects(Action.BATCH_ERASED))) == sorted(erased), "I6: erasures"
