"""Idempotency keys: a repeated POST answers with the recorded status and the resource as it is now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, select, tuple_
from sqlalchemy.orm import Session

from service.errors import Conflict
from service.registry.sql.database import clock
from service.registry.sql.tables import IdempotencyKey, Model

KEEP_SECONDS = 24 * 3600.0
FORGOTTEN = ""
"""In the place of a body's hash: the rows of that body were erased, so what comes under the key is not compared."""
PRUNED = 100
"""Keys older than a day that are deleted for each that is added."""
_ID = IdempotencyKey.caller, IdempotencyKey.key
_old = select(*_ID).where(IdempotencyKey.created_at < bindparam("before")).limit(PRUNED)
_same = tuple_(*_ID) == tuple_(bindparam("by"), bindparam("again"))
_PRUNE = delete(IdempotencyKey).where(tuple_(*_ID).in_(_old) | _same)


@dataclass(frozen=True)
class Attempt:
    """A POST under a key. `body_hash` is of the parsed body, so white space and order of members do not matter."""

    caller: str
    key: str
    method: str
    path: str
    body_hash: str


@dataclass(frozen=True)
class Recorded:
    """What the first try answered: its status and the names of what it made."""

    status: int
    resource: dict[str, Any]


def recorded(session: Session, attempt: Attempt) -> Recorded | None:
    """The answer of the first try; None where this is it. Raises Conflict where the key was used for something else."""
    row = session.get(IdempotencyKey, (attempt.caller, attempt.key))
    if row is None or row.created_at < clock(session) - KEEP_SECONDS:
        return None
    same_body = row.body_hash in (FORGOTTEN, attempt.body_hash)
    if (row.method, row.path) != (attempt.method, attempt.path) or not same_body:
        raise Conflict(
            f'The Idempotency-Key "{attempt.key[:64]}" was used for another request. Use a fresh key for a new request.'
        )
    return Recorded(row.status, row.resource)


def record(session: Session, attempt: Attempt, status: int, resource: dict[str, Any]) -> None:
    """Stores the answer, in the transaction of the effect in which `recorded` has none, and deletes a few keys older
    than a day, this one and the oldest first: other writes wait for this."""
    at = clock(session)
    session.execute(_PRUNE, {"before": at - KEEP_SECONDS, "by": attempt.caller, "again": attempt.key})
    session.add(IdempotencyKey(**vars(attempt), status=status, resource=resource, created_at=at))
    session.flush()


def forget_bodies(session: Session, model: Model, brought: Collection[str]) -> None:
    """Deletes the hashes of the bodies that brought these batches, or ordered these updates: whoever guesses the rows
    could compare them. What was answered stays, so a body that is sent once more under its key brings nothing back."""
    path, at = IdempotencyKey.path, f"/v1/models/{model.name}/"
    bring = path.in_([f"{at}{rows}" for rows in ("batches", "updates", "merges")])
    corrections = path.startswith(f"{at}batches/", autoescape=True)
    for row in session.scalars(select(IdempotencyKey).where(bring | corrections)):
        if not set(row.resource.values()).isdisjoint(brought):
            row.body_hash = FORGOTTEN
