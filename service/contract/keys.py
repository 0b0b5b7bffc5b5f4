"""Keys of callers, and what was done by whom."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from service.contract.enums import KeyScope
from service.contract.names import NO_UNSEEN, has_unseen
from service.contract.resources import Resource
from service.contract.strict import Listed, Rate, Strict

ReachedModels = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}\*?$", max_length=101)]
"""The name of a model, or how names begin, and a star."""


def _seen(name: str | None) -> str | None:
    if name is not None and has_unseen(name):
        raise ValueError(f"name {NO_UNSEEN}")
    return name


class CreateKey(Strict):
    """Make a key. Its secret is in the answer to this request alone."""

    name: Annotated[str | None, AfterValidator(_seen)] = Field(
        default=None, min_length=1, max_length=100, description="Who or what holds it; that of the key it replaces."
    )
    scopes: Listed[KeyScope] | None = Field(
        default=None, min_length=1, max_length=len(KeyScope), description="What it may do; as the key it replaces."
    )
    models: Listed[ReachedModels] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="The models that exist for it, by name or by how names begin (`team-a-*`); null: those of the key "
        "it replaces, without one all.",
    )
    rate: Rate | None = Field(default=None, description="Most requests a second.")
    bytes: int | None = Field(default=None, ge=1, le=2**53, description="Most bytes of stored batches that it sent.")
    queued: int | None = Field(default=None, ge=1, le=1_000_000, description="Most updates that it has waiting.")
    expires_at: Annotated[datetime, Field(json_schema_extra={"maxLength": 40})] | None = Field(
        default=None, description="RFC 3339; null: it does not end by itself."
    )
    replaces: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="A key whose place it takes: what is left out here is as there."
    )
    overlap_hours: float = Field(
        default=24.0,
        ge=0,
        le=24 * 365,
        allow_inf_nan=False,
        description="How long the key that `replaces` names is still good.",
    )


class CurrentKey(Resource):
    """What the key that asks may do."""

    id: str = Field(description="As in the audit; `bootstrap key` of TSUIKA_KEY, `anonymous` where nobody needs a key.")
    name: str | None = None
    prefix: str | None = Field(default=None, description="Its first characters; null where it is none that was made.")
    scopes: list[KeyScope]
    models: list[str] | None = Field(default=None, description="The models that exist for it; null: all of them.")
    rate: float | None = Field(default=None, description="Most requests a second; null: as the service is set.")
    bytes: int | None = Field(
        default=None, description="Most bytes of stored batches that it sent; null: as the service is set."
    )
    queued: int | None = Field(
        default=None, description="Most updates that it has waiting; null: as the service is set."
    )
    expires_at: datetime | None = None


class Key(CurrentKey):
    """A key of callers, without its secret."""

    name: str
    prefix: str = Field(description="Its first characters.")
    replaces: str | None
    by: str
    created_at: datetime
    revoked_at: datetime | None
    good: bool = Field(description="Whether it opens anything now.")


class NewKey(Key):
    """A key that was just made."""

    secret: str | None = Field(description="What callers send; it is shown once. null where the request is repeated.")


class AuditEntry(Resource):
    """A change of state: who made it, by which request, why; chained to the one before it (docs/audit.md)."""

    id: int
    at: datetime
    by: str = Field(description="The id of a key, `bootstrap key`, `anonymous`, `command line`, `worker` or `service`.")
    request_id: str | None
    action: str = Field(description="What was done, such as `version.promoted_by_hand`.", examples=["batch.received"])
    model: str | None
    subject: str | None = Field(description="An id, the number of a version, or the name of an alias.")
    reason: str = Field(description="Why, in the caller's words; else how many of what, or the verdict.")
    hash: str = Field(description="SHA-256 over the hash before it and this row.")
