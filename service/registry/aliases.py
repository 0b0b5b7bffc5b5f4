"""Names in place of version numbers: `live`, `previous`, and those that people give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from service.contract import version_resources
from service.contract.enums import Action
from service.errors import Conflict, NotFound, NotLive
from service.registry import models, paging, versions
from service.registry.callers import audit
from service.registry.sql.database import LARGEST, Reader, clock
from service.registry.sql.shown import shown
from service.registry.sql.tables import Alias, Deployment, Model, Version
from service.remedies import LIST_ALIASES

LIVE, PREVIOUS = "live", "previous"
RESERVED = (LIVE, PREVIOUS)
DIGITS = len(str(LARGEST))
"""Of the largest number that a version can have."""


@dataclass(frozen=True)
class Pointers:
    """Where the names of a model point. `previous`: what was live before the last move of the live pointer. `level`: of
    the intervals of a model of numbers; `leave_out`: columns of CSV files that the model does not look at. Each process
    that serves it follows both as it follows the pointers."""

    model_id: int
    live: int | None
    previous: int | None
    named: Mapping[str, int]
    level: float | None = None
    leave_out: Sequence[str] = ()

    def number(self, model: str, text: str) -> int:
        """The number of the version that a path names, which need not exist. Raises NotFound, NotLive."""
        if (number := number_in(text)) is not None:
            return number
        if text == LIVE:
            if self.live is None:
                raise models.nothing_live(model)
            return self.live
        if text == PREVIOUS:
            if self.previous is None:
                raise NotLive(f"{model} has no previous version: nothing was live before the live one.")
            return self.previous
        if text in self.named:
            return self.named[text]
        raise _unknown(model, text)


def number_in(text: str) -> int | None:
    """The number in a path; None where it is a name, or longer than any number of a version."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS else None


def _unknown(model: str, text: str) -> NotFound:
    return NotFound(
        f'{model} has no version "{text[:100]}": versions are numbers 1, 2, 3 ..., live, previous, or an alias. '
        f"{LIST_ALIASES(model=model)} lists them."
    )


_model, _moved, _alias = Model.__table__.c, Deployment.__table__.c, Alias.__table__.c
_live, _previous, _named = (Version.__table__.alias() for _ in range(3))
_last = select(func.max(_moved.id)).where(_moved.model_id == _model.id).correlate(Model.__table__).scalar_subquery()
_level = _model.target["level"].as_float()
_POINTERS = (  # made once: every poll and swap runs it, and making it takes longer than running it
    select(
        _model.name,
        _model.id,
        _live.c.number,
        _previous.c.number,
        _level,
        _model.leave_out,
        _alias.name,
        _named.c.number,
    )
    .select_from(Model.__table__)
    .outerjoin(_live, _live.c.id == _model.live_version_id)
    .outerjoin(Deployment.__table__, _moved.id == _last)
    .outerjoin(_previous, _previous.c.id == _moved.previous_id)
    .outerjoin(Alias.__table__, _alias.model_id == _model.id)
    .outerjoin(_named, _named.c.id == _alias.version_id)
    .where(_model.archived_at.is_(None))
)
_POINTERS_OF_ONE = _POINTERS.where(_model.name == bindparam("model"))


def pointers(reader: Reader, name: str | None = None) -> dict[str, Pointers]:
    """Reads the pointers of every model that is not archived, or of one, by the model's name: one query."""
    rows = reader.execute(_POINTERS) if name is None else reader.execute(_POINTERS_OF_ONE, {"model": name})
    by_model: dict[str, Pointers] = {}
    named: dict[str, dict[str, int]] = {}
    for model, model_id, live_number, previous_number, level, leave_out, alias, number in rows:
        if model not in by_model:
            named[model] = {}
            by_model[model] = Pointers(
                model_id, live_number, previous_number, named[model], level, tuple(leave_out or ())
            )
        if alias is not None and number is not None:
            named[model][alias] = number
    return by_model


def version(session: Session, model: Model, text: str) -> Version:
    """The version that a path names, erased or not. Raises NotFound, NotLive."""
    return versions.get(session, model, pointers(session, model.name)[model.name].number(model.name, text))


def present(session: Session, model: Model, text: str) -> Version:
    """The version that a path names, its bytes still there. Raises NotFound, NotLive, Erased."""
    return versions.present(session, model, version(session, model, text).number)


def put(session: Session, model: Model, name: str, number: int, by: str, most: int) -> bool:
    """Points a name at a version, where a model may have so many; -> whether the name is new. Raises NotFound, Erased,
    Conflict."""
    target = versions.present(session, model, number)
    known = _find(session, model, name)
    if known is None:
        count = session.scalar(select(func.count()).select_from(Alias).where(Alias.model_id == model.id)) or 0
        if count >= most:
            raise Conflict(f"{model.name} has {most:,} aliases already. Delete one that is no longer used.")
    alias = known or Alias(model_id=model.id, name=name)
    alias.version_id, alias.by, alias.at = target.id, by, clock(session)
    session.add(alias)
    audit.record(session, Action.ALIAS_PUT, model.name, name, f"version {number}")
    return known is None


def get(session: Session, model: Model, name: str) -> Alias:
    """The alias of that name. Raises NotFound."""
    alias = _find(session, model, name)
    if alias is None:
        raise NotFound(f'{model.name} has no alias "{name[:100]}". {LIST_ALIASES(model=model.name)} lists them.')
    return alias


def delete(session: Session, model: Model, name: str) -> None:
    """Deletes a name; its version stays. Raises NotFound."""
    session.delete(get(session, model, name))
    audit.record(session, Action.ALIAS_DELETED, model.name, name)


def page(session: Session, model: Model, limit: int, cursor: str | None) -> tuple[list[Alias], str | None]:
    """Aliases of the model, newest first."""
    return paging.numbered(session, select(Alias).where(Alias.model_id == model.id), Alias.id, limit, cursor)


def resources_of(session: Session, model: Model, aliases: Sequence[Alias]) -> list[version_resources.Alias]:
    """Aliases of the model as the API shows them: one query, however many they are."""
    numbers = versions.numbers_of(session, [alias.version_id for alias in aliases])
    return [
        shown(version_resources.Alias, alias, model=model.name, version=numbers[alias.version_id]) for alias in aliases
    ]


def _find(session: Session, model: Model, name: str) -> Alias | None:
    return session.scalars(select(Alias).where(Alias.model_id == model.id, Alias.name == name)).one_or_none()
