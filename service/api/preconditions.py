"""Checks that need more than the body: methods against architectures and live versions, If-Match against the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.orm import Session

from service.contract.enums import Family, Retention
from service.contract.inputs import ARCHITECTURE, Architecture, InputSpec, PretrainedBackbone, misfit, too_wide
from service.contract.requests import MethodChoice, PatchModel
from service.contract.targets import Target
from service.errors import Conflict, DeviceMissing, InvalidContent, MethodRefused, PreconditionFailed
from service.learning.absent_rows import missing, none_kept, refused, would_lose
from service.learning.auto.choice import AutoParams
from service.learning.backbones import admission
from service.learning.devices import device_named, whole
from service.learning.methods import AUTO, METHODS, check_params, resolve
from service.learning.network.checkpoint import LAYOUT
from service.learning.network.network import TRAINED_HERE
from service.learning.update_data import Setting
from service.learning.wording import a
from service.registry import batches, models
from service.registry.sql.tables import Model, Version
from service.settings import Settings


@dataclass(frozen=True)
class Makeup:
    """What a model takes, predicts and keeps: what a method must fit."""

    input: InputSpec
    target: Target
    architecture: Architecture
    retention: Retention

    @classmethod
    def of(cls, model: Model, retention: Retention | None = None) -> Makeup:
        """Of a model as it is, or with another retention."""
        architecture = ARCHITECTURE.as_stored(model.architecture)
        return cls(
            models.input_of(model), models.target_of(model), architecture, retention or Retention(model.retention)
        )


@dataclass(frozen=True)
class Base:
    """What an update starts from: the live version, how many rows it learned, and how many of them are still stored."""

    live: Version | None = None
    learned_rows: int = 0
    kept_rows: int = 0

    @classmethod
    def of(cls, session: Session, model: Model) -> Base:
        live = models.live(session, model)
        rows = batches.rows_learned(session, live) if live is not None else batches.RowCounts()
        return cls(live, rows.brought, rows.kept)


def check_method(choice: MethodChoice, model: Makeup, base: Base, brings: frozenset[str] | None = None) -> None:
    """Raises MethodRefused for an unknown method or parameter, and for one that cannot work on the live version, with
    the rows that are kept, or on the rows of the update. `brings`: classes of these rows; None: not known yet."""
    pointer = "/method"
    if choice.name == AUTO:
        if refusal := check_params(AUTO, AutoParams, choice.params, pointer).misfit(model.target):
            raise MethodRefused(refusal[1], [(f"{pointer}/{refusal[0]}", refusal[1])])
        return
    method, params = resolve(choice.model_dump(), pointer)
    layout = LAYOUT.as_stored(base.live.layout) if base.live is not None else None
    keeps, rows = model.retention is not Retention.NONE, (base.learned_rows, base.kept_rows)
    setting = Setting(model.input, model.architecture, layout, keeps, *rows, brings, model.target)
    if refusal := method.refusal(setting, params):
        raise MethodRefused(refusal[1], [(f"{pointer}/{refusal[0]}", refusal[1])])
    reason = refused(method, params, model.retention, model.architecture, layout)
    if reason is None and "kept" in method.needs and setting.known and not setting.kept:
        reason = none_kept(method.name)
    if reason:
        raise MethodRefused(reason, [(f"{pointer}/name", reason)])


def check_device(name: str | None, settings: Settings) -> None:
    """Raises InvalidContent for a device that updates may not name, or that is not here where updates are learned."""
    if name is None:
        return
    allowed = (settings.device, *settings.update_devices)
    if whole(name) not in map(whole, allowed):
        raise InvalidContent.at(
            "/device",
            f"An update may run on {' or '.join(dict.fromkeys(allowed))} here, and not on {name}: whoever runs the "
            "service names more in TSUIKA_UPDATE_DEVICES.",
        )
    if settings.worker:
        try:
            device_named(name)
        except DeviceMissing as missing:
            raise InvalidContent.at("/device", missing.detail) from None


def check_import(choice: MethodChoice, live: Version | None, present: Callable[[], Collection[str]]) -> None:
    """Raises MethodRefused for a method that cannot go on from an imported version. `present`: reads the classes of
    which the update, or what the live version learned, has rows."""
    if live is None or choice.name not in METHODS:
        return
    method, layout = METHODS[choice.name], LAYOUT.as_stored(live.layout)
    reason = would_lose(method, missing(layout, present())) if layout.imported else None
    if live.update_id is None and "path" in method.needs:
        reason = (
            f"{method.name} needs the path of the training that made the version, and version {live.number} was "
            "imported. Use mas, which measures the weights on any rows, or l2_sp."
        )
    elif reason is None and live.update_id is None and "kept" in method.needs and method.family is not Family.BASELINE:
        reason = (
            f"{method.name} learns old rows again, and none is here of version {live.number}, which was imported. Use "
            "mas, lwf or l2_sp, which go on from its weights; the rows that they learn can be learned again later."
        )
    if reason:
        raise MethodRefused(reason, [("/method/name", reason)])


def check_retention(retention: Retention, live: Version | None) -> None:
    """Raises Conflict where a version could not go on without its rows."""
    if retention is not Retention.NONE or live is None:
        return
    layout = LAYOUT.as_stored(live.layout)
    if isinstance(layout.backbone, TRAINED_HERE) and not layout.lifts:
        raise Conflict(
            f"Version {live.number} has {a(layout.backbone.name)} that was trained here: to learn on, it needs rows. "
            'Use "exemplars", or make a version of ridge on the scaled input live first.'
        )


def check_labels(labelled: int, choice: MethodChoice, live: Version | None, pointer: str, target: Target) -> None:
    """Raises InvalidContent where no row of an update has a label or target, and its method needs some or no version
    is live."""
    able, noun = live is not None and choice.name in METHODS and METHODS[choice.name].unlabelled, target.noun
    if labelled or able:
        return
    if live is None:
        sentence = f"None of these rows has a {noun}, and a first version needs some. Send {noun}s."
        raise InvalidContent.at(pointer, sentence)
    able_ones = [m for m in METHODS.values() if m.unlabelled and m.learns(type(target))]
    others = " and ".join(m.name for m in able_ones)
    other = f", or name a method that uses rows without one: {others}" if others else ""
    raise InvalidContent.at(
        pointer, f"None of these rows has a {noun}, and {choice.name} learns from {noun}s. Send some{other}."
    )


def check_target(target: Target, spec: InputSpec, classes: Collection[str] = ()) -> None:
    """Raises InvalidContent where a target does not fit such inputs, or has no classes and some are declared."""
    if classes and not target.has_classes:
        raise InvalidContent.at("/classes", f"A model that predicts {target.predicts} has no classes. Leave them out.")
    target.check(spec)


def check_architecture(spec: InputSpec, architecture: Architecture, weights: Mapping[str, str]) -> Architecture:
    """The architecture as it is stored. Raises InvalidContent where the backbone cannot take such inputs, or has no
    `weights` (name -> file) here; and where the columns of a table are too many."""
    if reason := too_wide(spec):
        raise InvalidContent.at("/input/columns", reason)
    if isinstance(architecture.backbone, PretrainedBackbone):
        return architecture.model_copy(update={"backbone": admission.check(spec, architecture.backbone, weights)})
    if reason := misfit(spec, architecture.backbone):
        raise InvalidContent.at("/architecture/backbone/name", reason)
    return architecture


def etag(session: Session, model: Model) -> str:
    """The ETag of a model: a digest of its live version and its settings."""
    settings = [getattr(model, name) for name in PatchModel.model_fields]
    facts = [model.live_version_id, *settings]
    return f'"{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]}"'


def check_if_match(request: Request, session: Session, model: Model) -> None:
    """Raises PreconditionFailed, with the member `live_version`, when If-Match names another state of the model."""
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*" or etag(session, model) in [tag.strip() for tag in header.split(",")]:
        return
    live = models.live(session, model)
    raise PreconditionFailed(
        f"{model.name} has changed since. GET it again and look before you repeat the call.",
        live_version=live.number if live else None,
    )
