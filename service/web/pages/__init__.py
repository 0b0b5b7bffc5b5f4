"""The list of pages."""

from __future__ import annotations

from service.web.pages import (
    audit,
    compare,
    docs,
    keys,
    limits,
    lineage,
    make,
    model,
    models,
    predict,
    promote,
    rollback,
    sign_in,
    update,
    version,
)
from service.web.pages.data import batch, batches, correct, disputes, send
from service.web.view import Route

ROUTES: tuple[Route, ...] = (
    models.ROUTE,
    *make.ROUTES,
    *model.ROUTES,
    version.ROUTE,
    compare.ROUTE,
    lineage.ROUTE,
    predict.ROUTE,
    *update.ROUTES,
    promote.ROUTE,
    rollback.ROUTE,
    *batches.ROUTES,
    *batch.ROUTES,
    correct.ROUTE,
    *disputes.ROUTES,
    *send.ROUTES,
    *keys.ROUTES,
    limits.ROUTE,
    audit.ROUTE,
    docs.ROUTE,
    *sign_in.ROUTES,
)
