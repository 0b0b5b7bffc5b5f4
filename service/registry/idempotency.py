"""Idempotency keys: a repeated POST answers with the recorded status and the resource as it is now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from service.errors import Conflict
from service.registry.database import now
from service.registry.tables import IdempotencyKey

KEEP_SECONDS = 24 * 3600.0


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


def body_hash(body: Any) -> str:
    """SHA-256 of a parsed JSON body in canonical form."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def recorded(session: Session, attempt: Attempt) -> Recorded | None:
    """The answer of the first try, None for a first try. Raises Conflict when the key was used for something else."""
    row = session.get(IdempotencyKey, (attempt.caller, attempt.key))
    if row is None or row.created_at < now() - KEEP_SECONDS:
        return None
    if (row.method, row.path, row.body_hash) != (attempt.method, attempt.path, attempt.body_hash):
        raise Conflict(
            f'The Idempotency-Key "{attempt.key[:64]}" was used for another request. Use a fresh key for a new request.'
        )
    return Recorded(row.status, row.resource)


def record(session: Session, attempt: Attempt, status: int, resource: dict[str, Any]) -> None:
    """Remember the answer, in the transaction of the effect; keys older than a day go."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now() - KEEP_SECONDS))
    session.add(
        IdempotencyKey(
            caller=attempt.caller,
            key=attempt.key,
            method=attempt.method,
            path=attempt.path,
            body_hash=attempt.body_hash,
            status=status,
            resource=resource,
            created_at=now(),
        )
    )
    session.flush()
