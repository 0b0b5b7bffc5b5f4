"""The check of every request against the table of scopes, before its handler runs."""

from __future__ import annotations

from fastapi import Request
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from service.api.access.callers import Caller
from service.api.context import Context
from service.api.limits.request_checks import CALLER
from service.contract.keys import SCOPES
from service.registry import updates
from service.registry.callers.reach import Reach
from service.registry.sql.database import Database
from service.registry.sql.tables import Model, Update


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
