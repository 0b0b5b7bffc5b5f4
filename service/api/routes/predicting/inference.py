"""Routes of the Open Inference Protocol, with its binary tensor extension: metadata, readiness, inference.

https://github.com/kserve/open-inference-protocol. Inference is dispatched before the framework, as predictions are;
rows of both doors pass a version together.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from starlette.types import Receive, Scope

from service import __version__
from service.api import problems
from service.api.bodies import large_questions, prediction_bodies
from service.api.bodies.heavy_bodies import spool_if_heavy
from service.api.bodies.prediction_bodies import Question
from service.api.context import Context, Shared
from service.api.context import answer as as_json
from service.api.limits.long_answers import MOST_BINARY_SCORES, MOST_SCORES, WrittenAnswer, check_scores
from service.api.limits.request_checks import header
from service.api.openapi import EVERYWHERE, WORDS, WRITING, Responses, takes
from service.api.reader.spool import Spooled
from service.api.routes.predicting.predictions import answered, response, version_header
from service.contract import predictions as contract
from service.contract.enums import JSON, RAW
from service.contract.inputs import InputSpec, TextInput
from service.contract.tables import TableInput
from service.errors import TsuikaError
from service.intake.formats.oip_request import declared_length, read_inference
from service.intake.formats.oip_tables import datatype_of
from service.intake.formats.oip_tensors import NAME
from service.registry import aliases, models
from service.registry.sql.conditions import THERE
from service.registry.sql.tables import Version
from service.serving.answers import check_knows
from service.serving.kinds import outputs_of
from service.serving.kinds.kind import PredictOptions
from service.serving.kinds.output_tensors import PIECE
from service.serving.loaded_versions import Loaded
from service.serving.oip_answers import Encoded

routes = APIRouter(tags=["open inference protocol"])

PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
ROUTES = "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"
JSON_BYTES = b"inference-header-content-length"
PLATFORM = "tsuika_safetensors"
"""Framework and format, as the protocol names platforms."""
EXTENSIONS = ["binary_tensor_data"]


def target(scope: Scope) -> tuple[str, str | None] | None:
    """The model and the version (None: the live one) that an inference request asks; None for any other request."""
    return prediction_bodies.target_of(scope, ("POST",), PATH)


async def ask(
    shared: Context, name: str, version: str | None, scope: Scope, body: bytes | Spooled, receive: Receive
) -> WrittenAnswer:
    """Answers an inference request.

    Raises NotFound, NotLive, Erased, InvalidContent, BrokenJSON, TooLarge, Busy, DeadlinePassed, DiskFull, SenderGone.
    """
    until, length = prediction_bodies.deadline(scope), header(scope, JSON_BYTES)
    loaded = await prediction_bodies.in_time(shared.runtime.live.fetch(name, version), until)
    shared.batcher.admit(loaded.predictor)
    body = spool_if_heavy(shared, scope, body, loaded.input, length)
    if isinstance(body, Spooled):
        request = await large_questions.inference(shared, body, length, loaded)
    elif _is_long(body, length, loaded):
        request = await asyncio.to_thread(read_inference, body, length, *large_questions.asked_of(loaded))
    else:
        request = read_inference(body, length, *large_questions.asked_of(loaded))
    if request.timeout is not None:
        own = asyncio.get_running_loop().time() + request.timeout
        until = own if until is None else min(own, until)
    loaded.limits.check_rows_of(loaded.input, len(request.rows))
    prediction_bodies.check_added_back(request.rows, loaded)
    kind, rows = loaded.predictor.kind, len(request.rows)
    listed = [output for output in request.wanted if kind.width(output.name)]
    scores = sum(kind.width(output.name) for output in listed) or 1
    options = PredictOptions(source=request.source, level=request.level)
    options = loaded.settled(kind.for_outputs(scores, options), request.names)
    long = rows * scores > PIECE
    if long:
        if kind.limited(scores):
            binary = all(output.binary for output in listed)
            most = MOST_BINARY_SCORES if binary else MOST_SCORES
            check_scores(rows, scores, most, kind.listing_of_outputs(binary))
        shared.answers.admit(scope, rows * scores)
    answer = await answered(shared, loaded, Question(request.rows, options, request.names), until, receive)
    return await _written(shared, scope, Encoded(answer, request.wanted, request.id), long)


async def _written(shared: Context, scope: Scope, answer: Encoded, long: bool) -> WrittenAnswer:
    headers, media = [version_header(answer.answer)], RAW.encode() if answer.has_bytes else JSON.encode()
    if long:
        if answer.has_bytes:
            headers.append((JSON_BYTES, b"%d" % await shared.answers.length(answer.json)))
        return await shared.answers.written(scope, answer.pieces, headers, media)
    data, json_bytes = answer.whole()
    if answer.has_bytes:
        headers.append((JSON_BYTES, b"%d" % json_bytes))
    return WrittenAnswer(data, headers, media)


def _is_long(body: bytes, length: str | None, loaded: Loaded) -> bool:
    """Whether decoding takes so long that others would notice: pictures, and much JSON."""
    if loaded.input.kind == "image" and (length == "0" or b"BYTES" in body or b"\\" in body):
        return True
    if loaded.input.kind == "table":
        return len(body) > prediction_bodies.STRICT_BODY_BYTES
    if len(body) <= prediction_bodies.SMALL_BODY_BYTES:
        return False
    json_bytes = None if length is None else declared_length(length)
    bare = json_bytes is not None and json_bytes <= prediction_bodies.SMALL_BODY_BYTES
    return not bare or loaded.input.kind == "text"


def _refusals(*statuses: int) -> Responses:
    """The `responses` of a route: these, and those that every route may give."""
    return {k: {"description": WORDS[k], "model": contract.InferenceError} for k in sorted({*statuses, *EVERYWHERE})}


def _takes_tensors() -> dict[str, Any]:
    """JSON, or JSON with bytes behind it."""
    extra = takes(contract.InferenceRequest)
    extra["requestBody"]["content"][RAW] = {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON, then the bytes of tensors in their order; Inference-Header-Content-Length counts "
            "the bytes of the JSON. 0: the body is the data of the one tensor.",
        }
    }
    length = {"name": JSON_BYTES.decode(), "in": "header", "schema": {"type": "integer"}}
    return {**extra, "parameters": [{**length, "description": "Bytes of JSON before those of tensors."}]}


INFERENCE: dict[str, Any] = {
    "response_model": contract.InferenceResponse,
    "responses": _refusals(404, 409, 410, 504, *WRITING),
    "openapi_extra": _takes_tensors(),
}
METADATA: dict[str, Any] = {"response_model": contract.ModelMetadata, "responses": _refusals(404, 410)}
READY: dict[str, Any] = {"response_model": contract.ModelReady, "responses": _refusals(404, 409, 410)}


@routes.get("/v2", response_model=contract.ServerMetadata, responses=_refusals())
@routes.get("/v2/", include_in_schema=False)
async def get_server() -> Response:
    """Name, version and extensions of the server."""
    return as_json(contract.ServerMetadata(name="tsuika", version=__version__, extensions=EXTENSIONS))


@routes.get("/v2/models/{model}", **METADATA)
def get_model(shared: Shared, model: str) -> Response:
    """What a model takes and gives; `versions` lists those that can be asked."""
    return as_json(_metadata(shared, model, None))


@routes.get("/v2/models/{model}/versions/{version}", **METADATA)
def get_model_version(shared: Shared, model: str, version: str) -> Response:
    """What a version of a model takes and gives."""
    return as_json(_metadata(shared, model, version))


@routes.get("/v2/models/{model}/ready", **READY)
async def get_model_readiness(request: Request, shared: Shared, model: str) -> Response:
    """200 where the live version answers; it is loaded if need be."""
    return await _readiness(request, shared, model, None)


@routes.get("/v2/models/{model}/versions/{version}/ready", **READY)
async def get_version_readiness(request: Request, shared: Shared, model: str, version: str) -> Response:
    """200 where the version answers; it is loaded if need be."""
    return await _readiness(request, shared, model, version)


@routes.post("/v2/models/{model}/infer", **INFERENCE)
async def infer(request: Request, shared: Shared, model: str) -> Response:
    """Predict rows by the live version."""
    return response(await ask(shared, model, None, request.scope, request.scope["tsuika.body"], request.receive))


@routes.post("/v2/models/{model}/versions/{version}/infer", **INFERENCE)
async def infer_at(request: Request, shared: Shared, model: str, version: str) -> Response:
    """Predict rows by any version."""
    return response(await ask(shared, model, version, request.scope, request.scope["tsuika.body"], request.receive))


async def _readiness(request: Request, shared: Context, name: str, version: str | None) -> Response:
    """The readiness of a version; a refusal has the status that an inference request would have."""
    try:
        check_knows(await shared.runtime.live.fetch(name, version))
    except TsuikaError as error:
        status, body, headers = problems.problem(error, request.scope["tsuika.request_id"])
        readiness = {"name": name, "ready": False, "error": body["detail"]}
        return Response(json.dumps(readiness), status, {k.decode(): v.decode() for k, v in headers}, "application/json")
    return as_json(contract.ModelReady(name=name, ready=True))


def _metadata(shared: Context, name: str, version: str | None) -> contract.ModelMetadata:
    """Raises NotFound, Erased."""
    with shared.runtime.database.reading() as session:
        model = models.get(session, name)
        if version is None:
            shown = models.live(session, model)
            present = select(Version.number).where(Version.model_id == model.id, THERE)
            numbers = list(session.scalars(present.order_by(Version.number)))
        else:
            shown = aliases.present(session, model, version)
            numbers = [shown.number]
        predicted = models.target_of(model)
        if shown is None:
            outputs = outputs_of(predicted)
        else:
            outputs = outputs_of(predicted, len(shown.classes), [shard["part"] for shard in shown.shards])
        spec = models.input_of(model)
    return contract.ModelMetadata(
        name=name,
        versions=[str(number) for number in numbers],
        platform=PLATFORM,
        inputs=_inputs_of(spec),
        outputs=[contract.TensorMetadata(**output._asdict()) for output in outputs],
    )


def _inputs_of(spec: InputSpec) -> list[contract.TensorMetadata]:
    if isinstance(spec, TableInput):
        columns = [(column.name, datatype_of(column)) for column in spec.columns]
        return [contract.TensorMetadata(name=name, datatype=datatype, shape=[-1]) for name, datatype in columns]
    datatype = "BYTES" if isinstance(spec, TextInput) else "FP32"
    return [contract.TensorMetadata(name=NAME, datatype=datatype, shape=[-1, *spec.shape])]
