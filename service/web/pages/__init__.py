"""The list of pages."""

from __future__ import annotations

from service.web.pages import model, models, rollback, sign_in, update, version
from service.web.view import Route

ROUTES: tuple[Route, ...] = (
    models.ROUTE,
    model.ROUTE,
    version.ROUTE,
    update.ROUTE,
    rollback.ROUTE,
    *sign_in.ROUTES,
)
