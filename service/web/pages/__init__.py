"""The list of pages."""

from __future__ import annotations

from service.web.pages import (
    audit,
    docs,
    keys,
    limits,
    make,
    model,
    models,
    predict,
    sign_in,
    update,
)
from service.web.pages.data import batch, batches, classes, correct, disputes, send
from service.web.pages.versions import compare, lineage, promote, rollback, version
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
    *classes.ROUTES,
    correct.ROUTE,
    *disputes.ROUTES,
    *send.ROUTES,
    *keys.ROUTES,
    limits.ROUTE,
    audit.ROUTE,
    *docs.ROUTES,
    *sign_in.ROUTES,
)
