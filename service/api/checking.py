"""Checks that need more than the body: methods against architectures, If-Match against the model as it is."""

from __future__ import annotations

import hashlib
import json

from fastapi import Request
from sqlalchemy.orm import Session

from service.contract.inputs import Architecture, CnnBackbone, IdentityBackbone, InputSpec, VectorInput
from service.contract.requests import MethodChoice
from service.errors import InvalidContent, MethodRefused, PreconditionFailed
from service.learning.choice import AutoParams
from service.learning.methods import AUTO, check_params, resolve
from service.registry import models
from service.registry.tables import Model, Version


def check_method(choice: MethodChoice, architecture: Architecture, live: Version | None = None) -> None:
    """Raises MethodRefused for an unknown method or parameter, and for one that cannot work on the live version."""
    pointer = "/method"
    if choice.name == AUTO:
        check_params(AUTO, AutoParams, choice.params, pointer)
        return
    method, _ = resolve(choice.model_dump(), pointer)
    no_layers = isinstance(architecture.backbone, IdentityBackbone | CnnBackbone)
    if "dense" in method.needs and no_layers and not (live is not None and live.layout.get("neck")):
        told = (
            f"{method.name} grows hidden dense layers, and the backbone {architecture.backbone.name} has none. Make a "
            'model with {"backbone": {"name": "mlp", "hidden": [256]}}.'
        )
        raise MethodRefused(told, [(f"{pointer}/name", told)])


def check_architecture(spec: InputSpec, architecture: Architecture) -> None:
    """Raises InvalidContent where the backbone cannot take such inputs."""
    if isinstance(spec, VectorInput) and isinstance(architecture.backbone, CnnBackbone):
        raise InvalidContent.at(
            "/architecture/backbone/name", "cnn takes images; for vectors there are identity and mlp."
        )


def etag(session: Session, model: Model) -> str:
    """Names what a live-changing call depends on: the live version and the settings."""
    facts = [model.live_version_id, model.method, model.gate, model.promotion, model.retention]
    return f'"{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]}"'


def check_if_match(request: Request, session: Session, model: Model) -> None:
    """Raises PreconditionFailed, with the member `live_version`, when If-Match names another state of the model."""
    told = request.headers.get("if-match")
    if told is None or told.strip() == "*" or etag(session, model) in [tag.strip() for tag in told.split(",")]:
        return
    live = models.live(session, model)
    raise PreconditionFailed(
        f"{model.name} has changed since. GET it again and look before you repeat the call.",
        live_version=live.number if live else None,
    )
