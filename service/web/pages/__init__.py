"""The list of pages."""

from __future__ import annotations

from service.web.pages import (
    audit,
    compare,
    keys,
    limits,
    lineage,
    model,
    models,
    predict,
    promote,
    rollback,
    sign_in,
    update,
    version,
)
from service.web.pages.data import batch, batches, disputes, send
from service.web.view import Route

ROUTES: tuple[Route, ...] = (
    models.ROUTE,
    model.ROUTE,
    version.ROUTE,
    compare.ROUTE,
    lineage.ROUTE,
    predict.ROUTE,
    *update.ROUTES,
    promote.ROUTE,
    rollback.ROUTE,
    *batches.ROUTES,
    *batch.ROUTES,
    *disputes.ROUTES,
    send.ROUTE,
    *keys.ROUTES,
    limits.ROUTE,
    audit.ROUTE,
    *sign_in.ROUTES,
)
