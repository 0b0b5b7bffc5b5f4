"""The audit: a row for each change of state, written in the transaction of its effect, and chained by hashes.

The hash of a row is SHA-256 over the hash before it (64 hex digits, zeros before the first row) and the row as
canonical JSON: members in the order of their names, no white space, ASCII, `at` in microseconds since the epoch.
Whoever changes, deletes or inserts a row must change every hash after it, and so the last one, which `verify` gives
for somebody to keep elsewhere. Rows say who did what to what; they hold no row, label or secret, so an erasure leaves
them as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from service.contract import keys as contract_keys
from service.contract.enums import Action
from service.registry import paging
from service.registry.callers.actor import acting
from service.registry.sql.database import Reader, clock
from service.registry.sql.shown import shown
from service.registry.sql.tables import AuditEntry

FIRST = "0" * 64
"""Stands in place of the hash before the first row."""
AT_ONCE = 1000
"""Rows that `verify` reads at once."""
_audit = AuditEntry.metadata.tables[AuditEntry.__tablename__]
_LAST = select(_audit.c.id, _audit.c.hash).order_by(_audit.c.id.desc()).limit(1)  # made once: each change runs it
_INSERT = insert(_audit)


@dataclass(frozen=True)
class Verified:
    """What `verify` has seen. rows: how many hold, from the first on · last_hash: of the last of them · broken: number
    of the first that does not hold, None where all do · head_holds: whether the hash that somebody kept is among
    theirs"""

    rows: int
    last_hash: str
    broken: int | None
    head_holds: bool = True

    @property
    def holds(self) -> bool:
        """Whether nothing was changed, as far as can be known."""
        return self.broken is None and self.head_holds


def record(
    session: Session,
    action: Action,
    model: str | None = None,
    subject: str | int | None = None,
    reason: str = "",
    ordered_by: str | None = None,
) -> None:
    """Writes down a change of state, in the caller's transaction. `subject`: an id, the number of a version, or the
    name of an alias; `reason`: the caller's words, or how many of what, but nothing of rows or labels; `ordered_by`: an
    earlier request that this follows from, where none is at work."""
    number, last_hash, at = _last(session)
    actor = acting()
    row = {
        "id": number + 1,
        "at": round(at, 6),
        "by": actor.by,
        "request_id": actor.request_id or ordered_by,
        "action": action.value,
        "model": model,
        "subject": None if subject is None else str(subject),
        "reason": reason,
    }
    session.connection().execute(_INSERT, {**row, "hash": _hash(last_hash, row)})


def page(
    session: Session, limit: int, cursor: str | None, model: str | None = None
) -> tuple[list[AuditEntry], str | None]:
    """Rows, newest first; those of a model, None: all."""
    query = select(AuditEntry)
    if model is not None:
        query = query.where(AuditEntry.model == model)
    return paging.page(session, query, AuditEntry.id, limit, cursor)


def resources_of(rows: list[AuditEntry]) -> list[contract_keys.AuditEntry]:
    return [shown(contract_keys.AuditEntry, row) for row in rows]


def last_row(session: Session) -> int:
    """The number of the last row, 0 where there is none."""
    return _last(session)[0]


def last_hash(session: Session) -> str:
    """The hash of the last row; zeros where there is none."""
    return _last(session)[1]


def has(session: Session, row_hash: str) -> bool:
    """Whether a row has this hash, or it is that before the first."""
    return row_hash == FIRST or session.scalar(select(_audit.c.id).where(_audit.c.hash == row_hash)) is not None


def any_since(session: Session, row: int, actions: Collection[Action]) -> bool:
    """Whether a row after that one is of one of these actions."""
    query = select(_audit.c.id).where(_audit.c.id > row, _audit.c.action.in_(actions)).limit(1)
    return session.scalar(query) is not None


def verify(reader: Reader, head: str | None = None) -> Verified:
    """Computes every hash anew, oldest row first. `head`: the last hash of an earlier look, which must still be there:
    without one, rows that were deleted from the end leave no trace."""
    rows, last_hash, head_holds = 0, FIRST, head in (None, FIRST)
    query = select(_audit).order_by(_audit.c.id).execution_options(yield_per=AT_ONCE)
    with closing(reader.execute(query)) as oldest_first:
        for row in oldest_first.mappings():
            if row["id"] != rows + 1 or not _follows(dict(row), last_hash):
                return Verified(rows, last_hash, row["id"], head_holds)
            rows, last_hash = rows + 1, row["hash"]
            head_holds = head_holds or head == last_hash
    return Verified(rows, last_hash, None, head_holds)


def _last(session: Session) -> tuple[int, str, float]:
    """Number and hash of the last row, and the time by the clock of the database. Nobody else writes one until a
    transaction that writes ends: they take turns."""
    last = session.connection().execute(_LAST).one_or_none()
    return (0, FIRST, clock(session)) if last is None else (last.id, last.hash, clock(session))


def _follows(row: Mapping[str, Any], before: str) -> bool:
    """Whether the hash of a stored row is that of its content and of the hash before it."""
    try:
        return bool(row["hash"] == _hash(before, row))
    except (TypeError, ValueError, OverflowError):  # a column holds what nobody here has written
        return False


def _hash(before: str, row: Mapping[str, Any]) -> str:
    content = {name: row[name] for name in row if name != "hash"} | {"at": round(row["at"] * 1_000_000)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(before.encode() + text.encode()).hexdigest()
