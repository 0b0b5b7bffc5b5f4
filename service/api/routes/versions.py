"""Routes of versions: facts, weights in and out, lineage, and aliases: names that stand for version numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from service.api.bodies.version_upload import BACKBONE, read_import
from service.api.context import LARGEST_NUMBER, Context, Page, Shared, answer, attempt, body_of, caller
from service.api.idempotent_posts import Act, Effect
from service.api.lists import list_of_model
from service.api.openapi import KEY, also, gives, refusals, takes
from service.contract import requests, resources, version_resources
from service.contract.enums import FORM_DATA, LEFT_OUT, RAW, SAFETENSORS
from service.contract.inputs import BUILT_IN, PretrainedBackbone
from service.contract.requests import Reason
from service.errors import Conflict, InvalidContent, MethodRefused, NotFound
from service.learning.backbones import starting_weights
from service.learning.data.serialization import pack, pack_shard, unpack
from service.learning.network.checkpoint import Checkpoint
from service.registry import aliases, deployments, lineage, models, versions
from service.registry.sql.tables import Version
from service.remedies import MERGE
from service.storage.artifacts import SHARDS, Store
from service.upkeep.named_files import Name

routes = APIRouter(tags=["versions"])

ALIAS = re.compile(r"(?![0-9]+$)[a-z0-9][a-z0-9._-]{0,99}")


@routes.get(
    "/v1/models/{model}/versions",
    response_model=resources.Page[version_resources.Version] | resources.Page[version_resources.VersionSummary],
    responses=refusals(404),
)
def list_versions(
    shared: Shared,
    page: Page,
    model: str,
    batches: Annotated[
        bool,
        Query(description="false: without `batches` and `shards`, which name all that a version learned."),
    ] = True,
) -> Response:
    """Versions, newest first."""
    if batches:
        return list_of_model(shared, page, model, versions.page, versions.resources_of)
    return list_of_model(shared, page, model, versions.summaries, versions.summaries_of)


@routes.get("/v1/models/{model}/versions/{version}", response_model=version_resources.Version, responses=refusals(404))
def get_version(shared: Shared, model: str, version: str) -> Response:
    """A version, by number, live, previous or an alias: what it learned, from which parent, and what was measured."""
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        return answer(versions.resources_of(session, record, [aliases.version(session, record, version)])[0])


@routes.get(
    "/v1/models/{model}/versions/{version}/weights",
    response_class=Response,
    responses=gives(RAW, "safetensors: every tensor as `part/name`.") | refusals(404, 410, 507),
)
async def get_weights(
    request: Request,
    shared: Shared,
    model: str,
    version: str,
    whole: Annotated[
        bool,
        Query(
            description="true: with the weights of a pretrained backbone, too, where those that are installed here are "
            "the same; else the file names them by digest."
        ),
    ] = False,
) -> Response:
    """All parts of a version as one safetensors file; the metadata holds layout, classes, and which columns of files
    the model leaves out."""
    return await shared.downloads.send(request, lambda: _weights(shared, model, version, whole))


def _weights(shared: Context, model: str, version: str, whole: bool) -> tuple[bytes, str]:
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        facts = aliases.present(session, record, version)
    left_out = {} if whole else _installed(facts, shared.runtime.settings.weights)
    tensors = {
        f"{shard['part']}/{name}": array
        for shard in facts.shards
        if shard["part"] not in left_out
        for name, array in unpack(shared.runtime.store.get(SHARDS, shard["digest"]))[0].items()
    }
    meta = {"model": model, "version": facts.number, "classes": facts.classes, "layout": facts.layout}
    meta |= {LEFT_OUT: left_out} if left_out else {}
    meta |= {"leave_out": record.leave_out} if record.leave_out else {}
    return pack(tensors, meta), f"{model}-{facts.number}.safetensors"


@routes.get("/v1/models/{model}/lineage", response_model=version_resources.Lineage, responses=refusals(404))
def get_lineage(
    shared: Shared,
    model: str,
    after: Annotated[int, Query(ge=0, description="Only versions with a higher number.")] = 0,
    before: Annotated[int | None, Query(ge=0, description="Only versions with a lower number.")] = None,
) -> Response:
    """All versions with their parents, oldest first; or those after a number, before one."""
    with shared.runtime.database.reading() as session:
        return answer(lineage.resource_of(session, models.get(session, model), after, before))


def _installed(facts: Version, files: Mapping[str, str]) -> dict[str, str]:
    """Part and digest of the weights of a pretrained backbone that are those that any model has here; empty where no
    part is. files: weights of backbones that the operator named."""
    shard = next((shard for shard in facts.shards if shard["part"] == BACKBONE and not shard["learned"]), None)
    if shard is None or facts.layout["backbone"]["name"] in BUILT_IN:
        return {}
    backbone = PretrainedBackbone.model_validate(facts.layout["backbone"])
    try:
        same = starting_weights(backbone, files).digest == shard["digest"]
    except MethodRefused:  # they cannot be read here
        return {}
    return {BACKBONE: shard["digest"]} if same else {}


FILE = {"type": "string", "format": "binary", "description": "safetensors; tensors are named part/name."}
IMPORT: dict[str, Any] = {
    "parameters": [KEY],
    "requestBody": {
        "required": True,
        "content": {
            RAW: {"schema": FILE},
            SAFETENSORS: {"schema": FILE},
            FORM_DATA: {
                "schema": {
                    "type": "object",
                    "required": ["weights"],
                    "properties": {
                        "weights": FILE,
                        "architecture": {
                            "type": "string",
                            "description": 'JSON: {"backbone": {"name": "mlp", "hidden": [256]}}. Without it, the file '
                            "is one that GET .../weights gave.",
                        },
                        "classes": {"type": "string", "description": 'JSON: the columns in order, ["a", "b"].'},
                        "scale": {"type": "string", "description": "JSON: as a model declares its scale."},
                    },
                }
            },
        },
    },
}


@routes.post(
    "/v1/models/{model}/versions",
    status_code=201,
    response_model=version_resources.Version,
    responses=refusals(404, 409, writes=True),
    openapi_extra=IMPORT,
)
def import_version(
    request: Request,
    shared: Shared,
    model: str,
    promote: Annotated[bool, Query(description="Make it live at once; else only a deployment does.")] = False,
    reason: Annotated[Reason, Query()] = "",
) -> Response:
    """Take in a model that was trained elsewhere as a version: weights as safetensors, an architecture by name.

    The file says what it is in its metadata, or the other parts of a multipart body do: `architecture`, `classes` and,
    where the model declares none, `scale`, each as JSON. A file that GET .../weights gave says it already.
    """
    data: bytes = request.scope["tsuika.body"]
    by, runtime = caller(request), shared.runtime
    with runtime.database.reading() as session:
        record = models.to_import(session, model)
    identity = {"body": hashlib.sha256(data).hexdigest(), "promote": promote, "reason": reason}

    def begin(stored: set[Name]) -> Act:
        media = request.headers.get("content-type", "")
        if not (target := models.target_of(record)).has_classes:
            raise Conflict(
                f"{model} predicts {target.predicts}, and takes in no versions. Let it learn from rows with "
                f"{target.member}, or from the ledger of a model that is declared alike: {MERGE(model=model)}."
            )
        checkpoint = read_import(
            data, media, models.input_of(record), runtime.settings.weights, runtime.settings.max_depth
        )
        made = _stored(runtime.store, checkpoint, stored)

        def act(session: Session) -> Effect:
            current = models.get(session, model, locked=True)
            runtime.settings.check_classes(made.classes, current.classes, "/classes")
            models.add_classes(session, current, made.classes)
            version = versions.add(session, current, None, None, made)
            names = {"version": version.number}
            if not promote:
                return Effect(201, names, runtime.changed)
            deployments.promote(session, current, version, reason or "imported", by)
            loaded = runtime.live.prepare(current.id, model, version.number, version.layout, version.shards)
            return Effect(201, names, lambda: runtime.live.swap(loaded))

        return act

    done = shared.posts.run(attempt(request, identity), begin, brings=True, common=True)
    number = done.names["version"]
    with runtime.database.reading() as session:
        record = models.get(session, model)
        resource = versions.resources_of(session, record, [versions.get(session, record, number)])[0]
    return answer(resource, done.status, {"Location": f"/v1/models/{model}/versions/{number}", **done.headers})


def _stored(store: Store, checkpoint: Checkpoint, stored: set[Name]) -> versions.Made:
    """Stores the parts of a version, before its row is written."""
    shards = []
    for part, tensors in checkpoint.parts.items():
        data = pack_shard(tensors)
        digest = store.put(SHARDS, data, anew=True)  # others may have the same weights
        stored.add((SHARDS, digest))
        shards.append({"part": part, "digest": digest, "bytes": len(data), "learned": []})
    return versions.Made(
        learned=[],
        layout=checkpoint.layout.model_dump(mode="json"),
        shards=shards,
        classes=checkpoint.classes,
        parameters=checkpoint.parameters,
    )


@routes.put(
    "/v1/models/{model}/aliases/{name}",
    response_model=version_resources.Alias,
    responses=also(201, version_resources.Alias, "The name is new.") | refusals(404, 409, 410, writes=True),
    openapi_extra=takes(requests.PutAlias, example={"version": 3}),
)
def put_alias(request: Request, shared: Shared, model: str, name: str) -> Response:
    """Point a name at a version: from now on it stands for the number in every path. 201 when the name is new."""
    _check_alias(name)
    order, _ = body_of(request, requests.PutAlias)
    with shared.runtime.database.writing() as session:
        record = models.get(session, model)
        if order.version > LARGEST_NUMBER:
            raise InvalidContent.at("/version", f"{model} has no such version.")
        try:
            most = shared.runtime.settings.model_aliases
            new = aliases.put(session, record, name, order.version, caller(request), most)
        except NotFound as error:
            raise InvalidContent.at("/version", error.detail) from None
        session.flush()
        resource = aliases.resources_of(session, record, [aliases.get(session, record, name)])[0]
    shared.runtime.live.reread(model)
    return answer(resource, 201 if new else 200, {"Location": f"/v1/models/{model}/aliases/{name}"} if new else {})


@routes.get(
    "/v1/models/{model}/aliases", response_model=resources.Page[version_resources.Alias], responses=refusals(404)
)
def list_aliases(shared: Shared, page: Page, model: str) -> Response:
    """Names that people gave to versions, newest first."""
    return list_of_model(shared, page, model, aliases.page, aliases.resources_of)


@routes.get("/v1/models/{model}/aliases/{name}", response_model=version_resources.Alias, responses=refusals(404))
def get_alias(shared: Shared, model: str, name: str) -> Response:
    """Where a name points, who pointed it there, and when."""
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        return answer(aliases.resources_of(session, record, [aliases.get(session, record, name)])[0])


@routes.delete("/v1/models/{model}/aliases/{name}", status_code=204, responses=refusals(404))
def delete_alias(shared: Shared, model: str, name: str) -> Response:
    """Forget a name; its version stays."""
    with shared.runtime.database.writing() as session:
        aliases.delete(session, models.get(session, model), name)
    shared.runtime.live.reread(model)
    return Response(status_code=204)


def _check_alias(name: str) -> None:
    """Raises InvalidContent for a name that cannot be an alias."""
    if name in aliases.RESERVED:
        raise InvalidContent.at("/name", f"{name} is no name to give: it always names the {name} version.")
    if not ALIAS.fullmatch(name):
        raise InvalidContent.at(
            "/name",
            "An alias is lower case letters, digits, '.', '_' and '-', at most 100; it begins with a letter or "
            "digit and is not digits alone.",
        )
