"""A POST happens once: its effect and its Idempotency-Key are one transaction, and a second try waits for the first.

Bytes that it brings are stored before. The transaction writes the rows that name them and moves the pointers; where it
does not come about, the bytes are deleted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.types import Scope

from service.errors import Busy, InProgress, InvalidContent, NotWritable
from service.intake.json_body import hash_of
from service.registry.callers.idempotency import Attempt, record, recorded
from service.runtime import Runtime
from service.upkeep import gc
from service.upkeep.named_files import Name

PATIENCE_SECONDS = 5.0
"""How long a second try waits for the first."""
TRIES = 3
"""How often bytes are stored that an erasure sweeps away before their row is there, or that come to another's row; and
how often a transaction is begun that the database undoes."""
KEY_LENGTH = 255


class Again(Exception):
    """What was stored is not what a row has to name now: the POST begins once more."""


@dataclass(frozen=True)
class Effect:
    """The effect of a transaction: the status to answer, names of what it made (JSON-able), and what follows its
    commit. `resource`: what it made, as the API shows it, where that is known already."""

    status: int
    names: dict[str, Any]
    after: Callable[[], None] = lambda: None
    resource: BaseModel | None = None


@dataclass(frozen=True)
class Done:
    """The answer of a POST. `replayed`: an earlier try did it; then `resource` is None."""

    status: int
    names: dict[str, Any]
    replayed: bool
    resource: BaseModel | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header of a replay."""
        return {"Idempotency-Replayed": "true"} if self.replayed else {}


Act = Callable[[Session], Effect]
Begin = Callable[[set[Name]], Act]
"""Stores bytes, adds their names to the set, and returns the act whose rows name them."""


class Posts:
    """Runs the effects of POSTs, each once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._running: set[tuple[str, str]] = set()
        self._ended = threading.Condition()

    def run(self, attempt: Attempt | None, begin: Begin, brings: bool = False, common: bool = False) -> Done:
        """Runs `begin`, which stores bytes where the request `brings` some, and in one transaction the act that it
        returns; neither for a repeated key. `common`: other requests may bring the same bytes.

        Raises Conflict for a key that was used otherwise, InProgress, DiskFull, and what both raise: then no key is
        kept.
        """
        with self._alone(attempt):
            if attempt is not None:
                with self._runtime.database.reading() as session:
                    if (before := recorded(session, attempt)) is not None:
                        return Done(before.status, before.resource, True)
            if brings:
                self._runtime.require_room()
            done = self._do(attempt, begin, common)
        if isinstance(done, Done):
            return done
        done.after()
        self._runtime.crash("before_answer")
        return Done(done.status, done.names, False, done.resource)

    def _do(self, attempt: Attempt | None, begin: Begin, common: bool) -> Effect | Done:
        """Tries until it comes about, or is refused for good."""
        for left in reversed(range(TRIES)):
            unnamed = set[Name]()
            try:
                return self._try(attempt, begin, unnamed)
            except Again:
                continue
            except (Busy, NotWritable) as refusal:
                if not refusal.undone or not left:
                    raise
            finally:
                gc.discard(self._runtime, unnamed, common)
        raise Busy("What this request stored was swept away by an erasure. Send it again.")

    def _try(self, attempt: Attempt | None, begin: Begin, unnamed: set[Name]) -> Effect | Done:
        """Stores the bytes, and names them in one transaction with the act; `unnamed`: those that no row names yet.
        Raises Again where some are no longer there."""
        act = begin(unnamed)
        there = list[bool]()

        def look() -> None:
            there.extend(self._runtime.store.has(*name) for name in unnamed)

        with self._runtime.database.writing(look if unnamed else None) as session:
            # another service may have had the first try meanwhile
            if attempt is not None and (before := recorded(session, attempt)) is not None:
                return Done(before.status, before.resource, True)
            if not all(there):
                raise Again
            effect = act(session)
            if attempt is not None:
                record(session, attempt, effect.status, effect.names)
        unnamed.clear()
        return effect

    @contextmanager
    def _alone(self, attempt: Attempt | None) -> Iterator[None]:
        """Makes the second of two tries under one key wait. Raises InProgress."""
        if attempt is None:
            yield
            return
        key, until = (attempt.caller, attempt.key), time.monotonic() + PATIENCE_SECONDS
        with self._ended:
            while key in self._running:
                if not self._ended.wait(until - time.monotonic()):
                    raise InProgress("The first try under this Idempotency-Key is still at work. Ask again.")
            self._running.add(key)
        try:
            yield
        finally:
            with self._ended:
                self._running.discard(key)
                self._ended.notify_all()


@dataclass(frozen=True)
class Hashed:
    """A parsed body by its hash, as the reading process computed it."""

    hash: str


def attempt_of(key: str | None, caller: str, scope: Scope, body: Any) -> Attempt | None:
    """The request as an attempt; None without a key. Raises InvalidContent for a key that is not one."""
    if key is None:
        return None
    if not (1 <= len(key) <= KEY_LENGTH and key.isprintable()):
        raise InvalidContent(f"An Idempotency-Key has 1 to {KEY_LENGTH} printable characters.")
    body_hash = body.hash if isinstance(body, Hashed) else hash_of(body)
    return Attempt(caller, key, scope["method"], scope["path"], body_hash)
