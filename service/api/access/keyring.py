"""The keys that a process knows, and who calls by them.

A service asks for a key once TSUIKA_KEY is set or a key was ever made: one whose keys have all expired stays shut.
TSUIKA_KEY opens it as long as no key with the scope admin is good. What other processes make or revoke is known within
a poll of the database.
"""

from __future__ import annotations

import hmac
import threading
import time

from sqlalchemy.orm import Session
from starlette.types import Scope

from service.api.access.callers import HOST, OPERATOR, STRANGER, Caller
from service.api.access.rates import Rates
from service.api.health import ALIVE, READY
from service.api.limits.request_checks import CALLER, COUNTED, SIGNED_IN, check_host, header
from service.errors import ForbiddenHost, Unauthorized
from service.registry.callers import keys
from service.registry.callers.keys import PREFIX_LENGTH, StoredKey
from service.registry.sql.database import Database, clock
from service.remedies import SEND_KEY
from service.settings import Settings

PUBLIC = ALIVE | READY | {"/openapi.json"}
"""Paths that need no key."""
HAS_ADMIN = (
    "TSUIKA_KEY opens nothing as long as a key with the scope admin is good. Send that one. If it is lost, on the "
    "machine of the service `tsuika keys create NAME --scopes admin` makes another, and `tsuika keys revoke` ends it."
)
"""What the holder of TSUIKA_KEY is told once it has done what it is for."""


class Keyring:
    """The keys of a process."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._bootstrap = settings.key.encode() if settings.key else None
        self._usual = b"Bearer " + self._bootstrap if self._bootstrap else None
        self._rates = Rates()
        self._mark: int | None = None
        self._ahead = 0.0
        """By how much the clock of the database is ahead of the monotonic one here."""
        self._keys = keys.UNREAD
        self.reading = threading.Lock()
        """Held from before a session of `read` begins, so that no older state overwrites a newer one."""
        self.refresh()

    @property
    def asks(self) -> bool:
        """Whether callers need a key."""
        return self._bootstrap is not None or self._keys.any_made

    @property
    def _bootstraps(self) -> bool:
        """Whether TSUIKA_KEY, where it is set, opens all: until another key does."""
        until = self._keys.admin_until
        return until is None or self._now() >= until

    @property
    def up_to_date(self) -> bool:
        """Whether nothing was committed since the last refresh."""
        return self._database.mark() == self._mark

    def refresh(self) -> None:
        """Looks whether a key was changed, if anything was committed since."""
        if not self.up_to_date:
            self.reread()

    def reread(self) -> None:
        """Reads the keys, if any was changed: this process knows of its own change before the news of it comes."""
        with self.reading:
            mark = self._database.mark()
            with self._database.reading() as session:
                self.read(session, mark)

    def read(self, session: Session, mark: int) -> None:
        """The same in a session that began after that mark of the database."""
        before, self._keys = self._keys, keys.snapshot(session, self._keys)
        bootstrap, changed = self._bootstrap, self._keys.by_prefix is not before.by_prefix
        if bootstrap and changed and keys.was_made(session, self._keys.secret, bootstrap.decode()):
            self._bootstrap = self._usual = None  # it is that key and no more, also once it has ended
        self._mark, self._ahead = mark, clock(session) - time.monotonic()

    def admit(self, scope: Scope) -> Caller:
        """Who calls; each request is counted once, and all that a page asks as one. Compares keys in constant time.
        Raises ForbiddenHost, Unauthorized, TooMany."""
        known: Caller | None = scope.get(CALLER)
        if known is not None:
            return known
        check_host(scope, self._settings, self.asks)
        caller = self.caller(scope)
        counted: set[str] | None = scope.get(COUNTED)
        if counted is None or caller.name not in counted:
            self._rates.take(caller)
        if counted is not None:
            counted.add(caller.name)
        scope[CALLER] = caller
        return caller

    def caller(self, scope: Scope) -> Caller:
        """As `admit`, whatever the host name, and without counting. Raises Unauthorized."""
        if not self.asks:
            return HOST
        authorization: str = header(scope, b"authorization") or scope.get(SIGNED_IN, "")
        usual = self._usual is not None and hmac.compare_digest(authorization.encode("latin-1", "replace"), self._usual)
        if usual and self._bootstraps:
            return OPERATOR  # nearly everybody writes it so
        scheme, _, key = authorization.partition(" ")
        key, ended, bootstrap = key.strip(), None, False
        if scheme.lower() == "bearer" and key:
            bootstrap = self._bootstrap is not None and hmac.compare_digest(
                key.encode("latin-1", "replace"), self._bootstrap
            )
            if bootstrap and self._bootstraps:
                return OPERATOR
            stored = self._keys.by_prefix.get(key[:PREFIX_LENGTH], keys.NOBODY)
            if self._is(stored, key):
                if stored.is_good(self._now()):
                    return Caller(stored.id, stored.scopes, stored.models, stored.rate or self._settings.key_rate)
                ended = stored.id
        if scope["path"] in PUBLIC:
            return STRANGER
        if bootstrap:
            raise Unauthorized(HAS_ADMIN)
        if self._bootstrap is None and not self._keys.any_good(self._now()):
            raise Unauthorized("All keys of this service have ended. On its machine `tsuika keys create` makes one.")
        if ended is not None:
            raise Unauthorized(f"The key {ended} has ended. Ask whoever runs the service for a new one.")
        reason = "The key is not the right one." if key else "This service needs a key."
        raise Unauthorized(f"{reason} {SEND_KEY()}.")

    def still_admits(self, caller: Caller) -> bool:
        """Whether who was admitted would be so now: a key may have been revoked since, or have ended."""
        if caller in (HOST, OPERATOR):
            return self._bootstraps if caller == OPERATOR else not self.asks
        return any(key.id == caller.name and key.is_good(self._now()) for key in self._keys.by_prefix.values())

    def may_see(self, scope: Scope) -> bool:
        """Whether an answer that needs no key may name models: to who holds a key that reaches all or, where none is
        asked for, to who asks by a host name that this service answers to."""
        try:
            check_host(scope, self._settings, self.asks)
            caller = self.caller(scope)
        except (ForbiddenHost, Unauthorized):
            return False
        return caller.models is None

    def _now(self) -> float:
        """By the clock of the database, which no prediction needs to ask: when keys end is written by it."""
        return self._ahead + time.monotonic()

    def _is(self, stored: StoredKey, key: str) -> bool:
        """Whether the key is the one of the stored hash; it may have ended. A prefix that nobody has takes as long."""
        return hmac.compare_digest(keys.hash_of(self._keys.secret, key), stored.hash)
