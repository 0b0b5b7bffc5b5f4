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
    rollback,
    sign_in,
    update,
    version,
)
from service.web.view import Route

ROUTES: tuple[Route, ...] = (
    models.ROUTE,
    model.ROUTE,
    version.ROUTE,
    update.ROUTE,
    compare.ROUTE,
    lineage.ROUTE,
    predict.ROUTE,
    rollback.ROUTE,
    *keys.ROUTES,
    limits.ROUTE,
    audit.ROUTE,
    *sign_in.ROUTES,
)
