"""Which scope each call needs: one table, and the check of every request against it before its handler runs."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from service.api.access.callers import Caller
from service.api.context import Context
from service.api.limits.request_checks import CALLER
from service.contract.enums import KeyScope
from service.registry import updates
from service.registry.callers.reach import Reach
from service.registry.sql.database import Database
from service.registry.sql.tables import Model, Update

Scopes = frozenset[KeyScope]
"""Any one of them is enough; none: every key."""
ANY: Scopes = frozenset()
PREDICT, LEARN, PROMOTE, ADMIN = (frozenset({scope}) for scope in KeyScope)
READ = LEARN | PROMOTE

SCOPES: Mapping[str, Mapping[str, Scopes]] = {
    "/v1/models": {"GET": ANY, "POST": PROMOTE},
    "/v1/models/{model}": {"GET": ANY, "PATCH": PROMOTE, "DELETE": ADMIN},
    "/v1/models/{model}/restore": {"POST": ADMIN},
    "/v1/models/{model}/predictions": {"GET": PREDICT, "POST": PREDICT},
    "/v1/models/{model}/versions/{version}/predictions": {"GET": PREDICT, "POST": PREDICT},
    "/v1/models/{model}/invocations": {"POST": PREDICT},
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
    "/v1/models/{model}/rollback": {"POST": PROMOTE},
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


async def check_access(request: Request) -> None:
    """Raises Forbidden where the key lacks the scope of the call, and NotFound for what does not exist for it."""
    caller: Caller = request.scope[CALLER]
    caller.require(SCOPES[request.scope["route"].path][request.method], request.path_params.get("model"))
    if caller.models is not None and "update" in request.path_params:
        context: Context = request.app.state.context
        await run_in_threadpool(_require_update, context.runtime.database, caller, request.path_params["update"])


def _require_update(database: Database, caller: Caller, update_id: str) -> None:
    """Raises NotFound for an update of a model that does not exist for the caller: what looks for it finds as little as
    for one that there is not."""
    own = select(Model.id).where((caller.models or Reach()).holds(Model.name))
    query = select(Update.id).where(Update.id == update_id, Update.model_id.in_(own))
    with database.reading() as session:
        if session.scalar(query) is None:
            raise updates.unknown(update_id)
