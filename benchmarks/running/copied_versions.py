"""Many versions at once: copies of the rows that the latest update of a model left in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from service.contract.enums import Action
from service.registry import models
from service.registry.batches import new_batch_id
from service.registry.callers import audit
from service.registry.deployments import BY_GATE
from service.registry.ids import new_id
from service.registry.sql.learned import EVERY
from service.registry.sql.tables import Batch, Deployment, LedgerEntry, NamedBatch, Table, Update, UpdateEvent, Version
from service.runtime import Runtime

Row = dict[str, Any]
_TABLES = Table.metadata.tables


def add_copies(runtime: Runtime, name: str, count: int) -> None:
    """Adds so many versions after the live one, each with a batch, an update and its events, a promotion and entries of
    the audit: names and numbers are their own, all else is as the latest update left it. What reads them finds what it
    would after as many updates; what learns would miss their rows."""
    with runtime.database.writing() as session:
        model = models.get(session, name, locked=True)
        live = session.get_one(Version, model.live_version_id)
        learned, made = [*live.learned], live.update_id
        [version], [order] = _rows(session, Version, id=live.id), _rows(session, Update, id=made)
        [batch] = _rows(session, Batch, id=order["batches"][0])
        [entry] = _rows(session, LedgerEntry, batch_id=batch["id"])
        [move] = _rows(session, Deployment, version_id=live.id, by=BY_GATE)
        events = _rows(session, UpdateEvent, update_id=made)
        new: dict[type[Table], list[Row]] = {
            t: [] for t in (Batch, Update, NamedBatch, Version, LedgerEntry, UpdateEvent, Deployment)
        }
        ends = list[Row]()
        for k in range(1, count + 1):
            ids: Row = {"batch": new_batch_id(), "update": new_id("upd"), "version": live.id + k}
            learned.append(ids["batch"])
            number = live.number + k
            whole = [*learned] if number % EVERY == 0 else None
            new[Batch].append({**batch, "id": ids["batch"], "digest": f"{number:064x}"})
            ends.append({"base_version_id": live.id + k - 1, "version_id": live.id + k})
            bare = {"id": ids["update"], "batches": [ids["batch"]], "base_version_id": None, "version_id": None}
            new[Update].append({**order, **bare})
            new[NamedBatch].append({"batch_id": ids["batch"], "update_id": ids["update"]})
            counted = {"number": number, "batch_count": len(learned), "rows": version["rows"] + k * batch["rows"]}
            names = {"learned": whole, "more": [ids["batch"]], "parent_id": live.id + k - 1, "update_id": ids["update"]}
            new[Version].append({**version, "id": live.id + k, **counted, **names})
            new[LedgerEntry].append({**entry, "batch_id": ids["batch"]})
            new[UpdateEvent] += [{**_without_id(event), "update_id": ids["update"]} for event in events]
            new[Deployment].append({**_without_id(move), "version_id": live.id + k, "previous_id": live.id + k - 1})
            audit.record(session, Action.BATCH_RECEIVED, name, ids["batch"], f"{batch['rows']} rows")
            audit.record(session, Action.UPDATE_QUEUED, name, ids["update"])
            audit.record(session, Action.UPDATE_CLAIMED, name, ids["update"], order["worker"])
            audit.record(
                session, Action.VERSION_PROMOTED_BY_GATE, name, number, f"by {ids['update']}: every check passed"
            )
            audit.record(session, Action.UPDATE_SUCCEEDED, name, ids["update"], f"promoted: version {number}")
        for table, rows in new.items():
            session.execute(insert(_TABLES[table.__tablename__]), rows)
        for row, end in zip(new[Update], ends, strict=True):
            session.execute(update(_TABLES["updates"]).where(_TABLES["updates"].c.id == row["id"]).values(**end))
        model.live_version_id = live.id + count


def _rows(session: Session, table: type[Table], **of: Any) -> list[Row]:
    columns = _TABLES[table.__tablename__].c
    found = session.execute(select(*columns).where(*(columns[name] == value for name, value in of.items())))
    return [dict(row) for row in found.mappings()]


def _without_id(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "id"}
