"""The route of the audit: who changed what, and when."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response

from service.api.context import Page, Shared
from service.api.lists import list_page
from service.api.openapi import refusals
from service.contract import keys as contract_keys
from service.contract import resources
from service.errors import InvalidContent, NotFound
from service.registry import models
from service.registry.callers import audit

routes = APIRouter(tags=["audit"])


@routes.get("/v1/audit", response_model=resources.Page[contract_keys.AuditEntry], responses=refusals())
def list_audit(
    shared: Shared,
    page: Page,
    model: Annotated[str | None, Query(max_length=100, description="Only of this model, archived or not.")] = None,
) -> Response:
    """Changes of state, newest first, each with who made it; chained by hashes, which `tsuika audit verify` checks."""
    with shared.runtime.database.reading() as session:
        if model is not None:
            try:
                models.get(session, model, archived_too=True)
            except NotFound as error:
                raise InvalidContent.at("/model", error.detail) from None
        return list_page(page, partial(audit.page, session, model=model), audit.resources_of)
