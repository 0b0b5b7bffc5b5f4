"""What a version is loaded from, and whether it is still there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from service.errors import NotFound, NotLive
from service.registry import models, versions
from service.registry.sql.conditions import THERE
from service.registry.sql.database import LARGEST, Reader
from service.registry.sql.tables import Model, Version
from service.remedies import PROMOTE


@dataclass(frozen=True)
class Recipe:
    """What a version is loaded from. `id`: of its row, unique among all versions."""

    id: int
    model_id: int
    number: int
    layout: dict[str, Any]
    shards: list[dict[str, Any]]


_version, _model = Version.__table__.c, Model.__table__.c
_RECIPE = (  # these are made once: making a query takes longer than running it
    select(_version.id, _version.model_id, _version.number, _version.layout, _version.shards)
    .join_from(Model.__table__, Version.__table__, _version.model_id == _model.id)
    .where(_model.name == bindparam("name"), _model.archived_at.is_(None))
)
_LIVE = _RECIPE.where(_version.id == _model.live_version_id)
_NUMBERED = _RECIPE.where(_version.number == bindparam("number"), _version.erased_at.is_(None))
_ERASED_AT = select(_version.erased_at).where(_version.id == bindparam("id"))
_ERASED = select(_version.model_id, _version.number).where(_version.erased_at.is_not(None), _version.report.is_(None))


def live(reader: Reader, name: str) -> Recipe | None:
    """The recipe of a model's live version; None where `refusal` tells why."""
    row = reader.execute(_LIVE, {"name": name}).one_or_none()
    return Recipe(*row) if row is not None else None


def numbered(reader: Reader, name: str, number: int) -> Recipe | None:
    """The recipe of version `number` of a model; None where `refusal` tells why."""
    row = reader.execute(_NUMBERED, {"name": name, "number": min(number, LARGEST)}).one_or_none()
    return Recipe(*row) if row is not None else None


def refusal(session: Session, name: str, number: int | None) -> NotFound | NotLive:
    """The error for a version, or a live one, that cannot be loaded. Raises NotFound, Erased."""
    model = models.get(session, name)
    if number is not None:
        versions.present(session, model, number)
        return versions.unknown(model, number)  # it was made since
    present = select(func.max(Version.number)).where(Version.model_id == model.id, THERE)
    if made := session.scalar(present):
        return NotLive(
            f"{name} has no live version yet; version {made} was made and waits. Look at its report, then make it "
            f"live: {PROMOTE(model=name, version=made)}."
        )
    return models.nothing_live(name)


def is_there(reader: Reader, version_id: int) -> bool:
    """Whether the version of a row was not erased."""
    return reader.execute(_ERASED_AT, {"id": version_id}).scalar_one() is None


def erased(reader: Reader) -> set[tuple[int, int]]:
    """Models and numbers of the versions that were erased; of those that were removed alone the report is there."""
    return {(model_id, number) for model_id, number in reader.execute(_ERASED)}
