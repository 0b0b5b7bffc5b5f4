"""Keys of callers: made, replaced, revoked, never deleted. Of a secret the registry keeps a keyed hash.

A secret is `tsuika_`, twelve hex digits that are public and find its row, `_`, and 256 random bits. So much chance
needs no slow hash; the key of the hash is the secret of the installation, so that what two of them keep is not alike.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract import keys as contract_keys
from service.contract.enums import Action, KeyScope
from service.contract.keys import CreateKey
from service.errors import Conflict, InvalidContent, NotFound
from service.registry import models, paging
from service.registry.callers import audit
from service.registry.callers.reach import ANY_ENDING, Reach
from service.registry.ids import new_id
from service.registry.sql.database import clock
from service.registry.sql.shown import shown
from service.registry.sql.tables import ApiKey
from service.remedies import LIST_KEYS

BRAND = "tsuika_"
PREFIX_LENGTH = len(BRAND) + 12
ENDED_SECONDS = 90 * 24 * 3600.0
"""For so long who holds a key that has ended is told so; later it is as one that never was."""
CHANGES = {Action.KEY_CREATED, Action.KEY_REPLACED, Action.KEY_REVOKED}
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Later moments are beyond what times of every zone can be written as."""
SAY_OR_REPLACE = "Say it, or name the key that is replaced."


@dataclass(frozen=True)
class StoredKey:
    """What a process must know of a key to recognise it. `expires_at`: seconds since the epoch."""

    id: str
    hash: str
    scopes: frozenset[KeyScope]
    models: Reach | None
    rate: float | None
    expires_at: float | None

    def is_good(self, at: float) -> bool:
        """Whether it has not ended by then."""
        return self.expires_at is None or at < self.expires_at


NOBODY = StoredKey("", "-" * 64, frozenset(), None, None, None)
"""Stands for a prefix that no key has: no key has this hash."""


@dataclass(frozen=True)
class Keys:
    """Keys by prefix, as of row `audited` of the audit: those that are not revoked, unless they ended long ago.
    `any_made`: whether a key was ever made; `admin_until`: until when one with the scope admin is good, in seconds
    since the epoch; None: there is none."""

    secret: bytes
    by_prefix: Mapping[str, StoredKey]
    any_made: bool
    audited: int
    admin_until: float | None = None

    def any_good(self, at: float) -> bool:
        """Whether any of them is still good then."""
        return any(key.is_good(at) for key in self.by_prefix.values())


UNREAD = Keys(b"", {}, False, -1)
"""Before the first look."""


def create(session: Session, order: CreateKey, by: str) -> tuple[ApiKey, str]:
    """-> the key and its secret. Raises InvalidContent, Conflict where the key to replace is no longer good."""
    old = _to_replace(session, order.replaces)
    name, scopes = _name_and_scopes(order, old)
    if old is None and "overlap_hours" in order.model_fields_set:
        raise InvalidContent.at("/overlap_hours", "No key is replaced. Name it in `replaces`, or leave this out.")
    reached = _reached_models(session, order, old, scopes)
    expires_at = _end(session, order)
    prefix = f"{BRAND}{secrets.token_hex(6)}"
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        id=new_id("key"),
        name=name,
        prefix=prefix,
        hash=hash_of(models.installation_secret(session), secret),
        scopes=sorted(set(scopes), key=list(KeyScope).index),
        models=reached,
        rate=order.rate or (old and old.rate),
        bytes=order.bytes or (old and old.bytes),
        queued=order.queued or (old and old.queued),
        replaces=None if old is None else old.id,
        by=by,
        created_at=clock(session),
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    audit.record(session, Action.KEY_CREATED, subject=key.id, reason=f"{key.name}: {', '.join(key.scopes)}")
    if old is not None:
        end = clock(session) + 3600.0 * order.overlap_hours
        old.expires_at = end if old.expires_at is None else min(end, old.expires_at)
        audit.record(session, Action.KEY_REPLACED, subject=old.id, reason=f"by {key.id}")
    return key, secret


def revoke(session: Session, key: ApiKey) -> None:
    """Makes a key useless, at once here and within a poll elsewhere; again changes nothing."""
    if key.revoked_at is None:
        key.revoked_at = clock(session)
        audit.record(session, Action.KEY_REVOKED, subject=key.id)


def first(session: Session, name: str) -> str:
    """The first of the keys that took one another's place up to this one; `name` itself where it is no stored key."""
    while (key := session.get(ApiKey, name)) is not None and key.replaces is not None:
        name = key.replaces
    return name


def line(session: Session, name: str) -> set[str]:
    """The keys that took one another's place, with this one among them; `name` alone where it is no stored key."""
    known = select(ApiKey.id, ApiKey.replaces).where(ApiKey.id == name).cte(recursive=True)
    beside = (ApiKey.replaces == known.c.id) | (ApiKey.id == known.c.replaces)
    known = known.union(select(ApiKey.id, ApiKey.replaces).join(known, beside))
    return {name, *session.scalars(select(known.c.id))}


def get(session: Session, key_id: str) -> ApiKey:
    """The key of that id. Raises NotFound."""
    key = session.get(ApiKey, key_id) if len(key_id) <= 64 else None
    if key is None:
        raise NotFound(f'There is no key "{key_id[:64]}". {LIST_KEYS()} lists them.')
    return key


def page(session: Session, limit: int, cursor: str | None) -> tuple[list[ApiKey], str | None]:
    """Keys, newest first, revoked ones too."""
    return paging.page(session, select(ApiKey), ApiKey.id, limit, cursor)


def snapshot(session: Session, before: Keys = UNREAD) -> Keys:
    """The keys that a process must know; `before`, where no key was made, replaced or revoked since: the audit says."""
    last = audit.last_row(session)
    if before is not UNREAD and last >= before.audited and not audit.any_since(session, before.audited, CHANGES):
        return replace(before, audited=last)
    recent = ApiKey.expires_at.is_(None) | (ApiKey.expires_at > clock(session) - ENDED_SECONDS)
    known = {
        key.prefix: _stored(key) for key in session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None), recent))
    }
    ends = (key.expires_at for key in known.values() if KeyScope.ADMIN in key.scopes)
    return Keys(
        secret=before.secret or models.installation_secret(session),
        by_prefix=known,
        any_made=session.scalar(select(ApiKey.id).limit(1)) is not None,
        audited=last,
        admin_until=max((inf if end is None else end for end in ends), default=None),
    )


def _stored(key: ApiKey) -> StoredKey:
    return StoredKey(
        key.id,
        key.hash,
        frozenset(map(KeyScope, key.scopes)),
        None if key.models is None else Reach.of(key.models),
        key.rate,
        key.expires_at,
    )


def was_made(session: Session, installation_secret: bytes, secret: str) -> bool:
    """Whether this is the secret of a key that was ever made here, one that has ended, too."""
    stored = session.scalars(select(ApiKey.hash).where(ApiKey.prefix == secret[:PREFIX_LENGTH]))
    return hash_of(installation_secret, secret) in set(stored)


def hash_of(installation_secret: bytes, secret: str) -> str:
    """HMAC-SHA256 of the secret of a key, in hex."""
    return hmac.digest(installation_secret, b"api key\0" + secret.encode(), hashlib.sha256).hex()


def current(session: Session, name: str, scopes: Collection[KeyScope]) -> contract_keys.CurrentKey:
    """What the caller of that name may do, who has these scopes on all models where it is no key that was made."""
    key = session.get(ApiKey, name)
    if key is None:
        return contract_keys.CurrentKey(id=name, scopes=sorted(scopes, key=list(KeyScope).index))
    return shown(contract_keys.CurrentKey, key)


def resource(session: Session, key: ApiKey) -> contract_keys.Key:
    return resources_of(session, [key])[0]


def new_resource(session: Session, key: ApiKey, secret: str | None) -> contract_keys.NewKey:
    """A key with its secret, as its maker sees it."""
    return shown(contract_keys.NewKey, key, good=_is_good(key, clock(session)), secret=secret)


def resources_of(session: Session, keys: Collection[ApiKey]) -> list[contract_keys.Key]:
    at = clock(session)
    return [shown(contract_keys.Key, key, good=_is_good(key, at)) for key in keys]


def _is_good(key: ApiKey, at: float) -> bool:
    return key.revoked_at is None and _stored(key).is_good(at)


def _to_replace(session: Session, key_id: str | None) -> ApiKey | None:
    if key_id is None:
        return None
    try:
        key = get(session, key_id)
    except NotFound as error:
        raise InvalidContent.at("/replaces", error.detail) from None
    if not _is_good(key, clock(session)):
        raise Conflict(f"Key {key.id} was revoked or has expired. Make a new one without `replaces`.")
    return key


def _name_and_scopes(order: CreateKey, old: ApiKey | None) -> tuple[str, Collection[KeyScope]]:
    """Those that are asked for, else those of the key that is replaced."""
    name, scopes = order.name, order.scopes
    if old is not None:
        name, scopes = name or old.name, scopes or [KeyScope(scope) for scope in old.scopes]
    if not scopes:
        raise InvalidContent.at("/scopes", SAY_OR_REPLACE)
    if not name:
        raise InvalidContent.at("/name", SAY_OR_REPLACE)
    return name, scopes


def _reached_models(
    session: Session, order: CreateKey, old: ApiKey | None, scopes: Collection[KeyScope]
) -> list[str] | None:
    """The models that are asked for, else those of the key that is replaced; None: all, as a key of admins does."""
    if KeyScope.ADMIN in scopes:
        if order.models:
            raise InvalidContent.at("/models", "A key with the scope admin reaches all models. Leave models out.")
        return None
    for place, model in enumerate(order.models or ()):
        if not model.endswith(ANY_ENDING):
            _require_model(session, model, f"/models/{place}")
    names = order.models or (old.models if old is not None else None)
    return None if names is None else sorted(set(names))


def _require_model(session: Session, name: str, pointer: str) -> None:
    try:
        models.get(session, name, archived_too=True)
    except NotFound as error:
        raise InvalidContent.at(pointer, error.detail) from None


def _end(session: Session, order: CreateKey) -> float | None:
    """When a new key ends, in seconds since the epoch."""
    if order.expires_at is None:
        return None
    at: datetime = order.expires_at if order.expires_at.tzinfo else order.expires_at.replace(tzinfo=UTC)
    if at.timestamp() <= clock(session):
        raise InvalidContent.at("/expires_at", "That moment has passed. Name one to come, as 2027-12-31T00:00:00Z.")
    if at >= NEVER:
        raise InvalidContent.at("/expires_at", "Name a moment before the year 9999, or leave it out for no end.")
    return at.timestamp()
