"""Versions over HTTP: facts, weights, the exact ledger, and who descends from whom."""

from __future__ import annotations

import numpy as np
from fastapi import APIRouter, Response

from service.api.context import Page, Shared, answer, version_number
from service.api.describing import gives, refusals
from service.contract import resources
from service.errors import Conflict
from service.learning.serialization import pack, unpack
from service.registry import models, versions
from service.storage.artifacts import SHARDS
from service.upkeep.verify import stored_sums

routes = APIRouter(tags=["versions"])

SAFETENSORS = "application/octet-stream"


@routes.get("/v1/models/{model}/versions", response_model=resources.Page[resources.Version], responses=refusals(404))
def list_versions(shared: Shared, page: Page, model: str) -> Response:
    """Versions, newest first."""
    with shared.runtime.database.reading() as session:
        found = models.get(session, model)
        items, following = versions.page(session, found, page.limit, page.cursor)
        shown = [versions.resource(session, found, v) for v in items]
    return answer(resources.Page[resources.Version](items=shown, next_cursor=following))


@routes.get("/v1/models/{model}/versions/{version}", response_model=resources.Version, responses=refusals(404))
def get_version(shared: Shared, model: str, version: str) -> Response:
    """A version: what it learned, from which parent, and what was measured."""
    with shared.runtime.database.reading() as session:
        found = models.get(session, model)
        return answer(versions.resource(session, found, versions.get(session, found, version_number(version))))


@routes.get(
    "/v1/models/{model}/versions/{version}/weights",
    response_class=Response,
    responses=gives(SAFETENSORS, "safetensors: every tensor as `part/name`.") | refusals(404, 410),
)
def get_weights(shared: Shared, model: str, version: str) -> Response:
    """All parts of a version as one safetensors file; the metadata holds layout and classes."""
    with shared.runtime.database.reading() as session:
        found = models.get(session, model)
        facts = versions.present(session, found, version_number(version))
    tensors = {
        f"{shard['part']}/{name}": array
        for shard in facts.shards
        for name, array in unpack(shared.runtime.store.get(SHARDS, shard["digest"]))[0].items()
    }
    meta = {"model": model, "version": facts.number, "classes": facts.classes, "layout": facts.layout}
    return _file(pack(tensors, meta), f"{model}-{facts.number}.safetensors")


@routes.get(
    "/v1/models/{model}/versions/{version}/ledger",
    response_class=Response,
    responses=gives(SAFETENSORS, "safetensors: `G` [M+1, M+1], `Q` [M+1, C] and `n` [C], float64.")
    | refusals(404, 409, 410),
)
def get_ledger(shared: Shared, model: str, version: str) -> Response:
    """The exact sums of a version: anybody can solve the head from them. The metadata holds the class names."""
    with shared.runtime.database.reading() as session:
        found = models.get(session, model)
        facts = versions.present(session, found, version_number(version))
    sums = stored_sums(shared.runtime, found, facts) if facts.feature_space is not None else None
    if sums is None:
        raise Conflict(f"Version {facts.number} has no ledger: no exact sums stand behind it.")
    tensors = {"G": sums.G, "Q": sums.Q, "n": np.asarray(sums.n, np.float64)}
    meta = {
        "model": model,
        "version": facts.number,
        "classes": list(sums.classes),
        "feature_space": facts.feature_space,
        "digest": facts.ledger_digest,
    }
    return _file(pack(tensors, meta), f"{model}-{facts.number}-ledger.safetensors")


@routes.get("/v1/models/{model}/lineage", response_model=resources.Lineage, responses=refusals(404))
def get_lineage(shared: Shared, model: str) -> Response:
    """All versions with their parents, oldest first."""
    with shared.runtime.database.reading() as session:
        return answer(versions.lineage(session, models.get(session, model)))


def _file(data: bytes, name: str) -> Response:
    return Response(data, 200, {"Content-Disposition": f'attachment; filename="{name}"'}, SAFETENSORS)
