"""Keys of callers, which scope each call needs, and what was done by whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from service.contract.enums import KeyScope
from service.contract.names import NO_UNSEEN, has_unseen
from service.contract.resources import Resource
from service.contract.strict import Listed, Rate, Strict

ReachedModels = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}\*?$", max_length=101)]
"""The name of a model, or how names begin, and a star."""

Scopes = frozenset[KeyScope]
"""Any one of them is enough; none: every key."""
ANY: Scopes = frozenset()
PREDICT, LEARN, PROMOTE, ADMIN = (frozenset({scope}) for scope in KeyScope)
READ = LEARN | PROMOTE

SCOPES: Mapping[str, Mapping[str, Scopes]] = {
    "/v1/models": {"GET": ANY, "POST": PROMOTE},
    "/v1/models/{model}": {"GET": ANY, "PATCH": PROMOTE, "DELETE": PROMOTE},
    "/v1/models/{model}/restore": {"POST": ADMIN},
    "/v1/models/{model}/predictions": {"GET": PREDICT, "POST": PREDICT},
    "/v1/models/{model}/versions/{version}/predictions": {"GET": PREDICT, "POST": PREDICT},
    "/v1/models/{model}/invocations": {"POST": PREDICT},
    "/v1/models/{model}/ping": {"GET": ANY},
    "/v1/models/{model}/version": {"GET": ANY},
    "/v1/models/{model}/batches": {"GET": READ, "POST": LEARN},
    "/v1/models/{model}/batches/{batch}": {"GET": READ},
    "/v1/models/{model}/batches/{batch}/rows": {"GET": PROMOTE},
    "/v1/models/{model}/batches/{batch}/suspects": {"GET": READ},
    "/v1/models/{model}/batches/{batch}/corrections": {"POST": PROMOTE},
    "/v1/models/{model}/classes": {"GET": ANY, "POST": LEARN},
    "/v1/models/{model}/classes/{name:path}": {"DELETE": LEARN},
    "/v1/models/{model}/updates": {"GET": READ, "POST": LEARN},
    "/v1/updates/{update}": {"GET": READ},
    "/v1/updates/{update}/events": {"GET": READ},
    "/v1/updates/{update}/cancel": {"POST": READ},
    "/v1/updates/{update}/retry": {"POST": READ},
    "/v1/models/{model}/retractions": {"POST": PROMOTE},
    "/v1/models/{model}/merges": {"POST": PROMOTE},
    "/v1/models/{model}/disputes": {"GET": READ},
    "/v1/models/{model}/disputes/{dispute}": {"GET": READ},
    "/v1/models/{model}/disputes/{dispute}/settle": {"POST": PROMOTE},
    "/v1/models/{model}/versions": {"GET": READ, "POST": PROMOTE},
    "/v1/models/{model}/versions/{version}": {"GET": READ},
    "/v1/models/{model}/versions/{version}/weights": {"GET": PROMOTE},
    "/v1/models/{model}/versions/{version}/ledger": {"GET": PROMOTE},
    "/v1/models/{model}/lineage": {"GET": READ},
    "/v1/models/{model}/aliases": {"GET": READ},
    "/v1/models/{model}/aliases/{name}": {"GET": READ, "PUT": PROMOTE, "DELETE": PROMOTE},
    "/v1/models/{model}/deployments": {"GET": READ, "POST": PROMOTE},
    "/v1/models/{model}/rollback": {"GET": READ, "POST": PROMOTE},
    "/v1/keys": {"GET": ADMIN, "POST": ADMIN},
    "/v1/keys/current": {"GET": ANY},
    "/v1/keys/{key}": {"GET": ADMIN, "DELETE": ADMIN},
    "/v1/audit": {"GET": ADMIN},
    "/v1/methods": {"GET": ANY},
    "/v1/limits": {"GET": ANY},
    "/v2": {"GET": ANY},
    "/v2/": {"GET": ANY},
    "/v2/models/{model}": {"GET": ANY},
    "/v2/models/{model}/versions/{version}": {"GET": ANY},
    "/v2/models/{model}/ready": {"GET": ANY},
    "/v2/models/{model}/versions/{version}/ready": {"GET": ANY},
    "/v2/models/{model}/infer": {"POST": PREDICT},
    "/v2/models/{model}/versions/{version}/infer": {"POST": PREDICT},
    "/invocations": {"POST": PREDICT},
    "/metrics": {"GET": ANY},
    "/version": {"GET": ANY},
    "/healthz": {"GET": ANY},
    "/livez": {"GET": ANY},
    "/health": {"GET": ANY},
    "/ping": {"GET": ANY},
    "/readyz": {"GET": ANY},
    "/v2/health/live": {"GET": ANY},
    "/v2/health/ready": {"GET": ANY},
    "/openapi.json": {"GET": ANY},
}
"""By the path of the route and the method. A route that is not here cannot be called."""


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
