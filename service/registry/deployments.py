"""Deployments: the live pointer and its append-only history."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract import resources
from service.contract.enums import DeploymentKind, Promotion
from service.errors import Conflict, Erased
from service.registry import listing, models, versions
from service.registry.database import now
from service.registry.tables import Deployment, Model, Version
from service.registry.times import moment

BY_GATE = "gate"
"""`by` of a promotion that the gate made; anything else is a person's key."""
BY_ORDER = "retraction"
"""`by` of the version that an ordered retraction made."""


def promote(session: Session, model: Model, version: Version, reason: str, by: str) -> Deployment:
    """Point the model at a version; the caller holds the model's lock. Raises Conflict, Erased where it may not.

    What an ordered retraction made goes live also while another retracted batch in it waits for its own retraction.
    """
    if by != BY_ORDER:
        versions.require_clean(session, model, version)
    if model.live_version_id == version.id:
        raise Conflict(f"Version {version.number} is live already.", live_version=version.number)
    return _move(session, model, version, DeploymentKind.PROMOTE, None, reason, by)


def roll_back(session: Session, model: Model, reason: str, to: int | None, by: str) -> Deployment:
    """Undo the latest promotion not yet undone, or as many as it takes until `to` is live.

    Promotion becomes manual. Raises Conflict when nothing is left to undo, when `to` is not on the way, or when the
    version before may not go live.
    """
    promotions = _not_undone(session, model)
    if to is not None:
        numbers = [versions.by_id(session, d.previous_id).number if d.previous_id else None for d in promotions]
        if to not in numbers:
            raise Conflict(
                f"Version {to} is not on the way back. To make it live, POST /v1/models/{model.name}/deployments."
            )
        promotions = promotions[: numbers.index(to) + 1]
    else:
        promotions = promotions[:1]
    if not promotions or promotions[-1].previous_id is None:
        raise Conflict(f"{model.name} has no version before this one to go back to.")
    _require_target(session, model, versions.by_id(session, promotions[-1].previous_id))
    undone = []
    for promotion in promotions:
        assert promotion.previous_id is not None
        target = versions.by_id(session, promotion.previous_id)
        undone.append(_move(session, model, target, DeploymentKind.ROLLBACK, promotion.id, reason, by))
    model.promotion = Promotion.MANUAL
    return undone[-1]


def _require_target(session: Session, model: Model, target: Version) -> None:
    """Raises Erased and Conflict like `require_clean`, and names the next version on the way back that may go live."""
    try:
        versions.require_clean(session, model, target)
    except Erased as refused:
        way = [versions.by_id(session, d.previous_id) for d in _not_undone(session, model) if d.previous_id is not None]
        clean = (
            v.number
            for v in way
            if v.id != model.live_version_id
            and v.erased_at is None
            and not versions.retracted_batches(session, v.learned)
        )
        if (number := next(clean, None)) is None:
            raise
        raise Erased(f'{refused.detail} To go back further, send {{"to": {number}}}.', to=number) from None


def _not_undone(session: Session, model: Model) -> list[Deployment]:
    """Promotions that no rollback names, newest first."""
    undone = select(Deployment.undoes).where(Deployment.model_id == model.id, Deployment.undoes.is_not(None))
    return list(
        session.scalars(
            select(Deployment)
            .where(Deployment.model_id == model.id, Deployment.kind == DeploymentKind.PROMOTE)
            .where(Deployment.id.not_in(undone))
            .order_by(Deployment.id.desc())
        )
    )


def _move(
    session: Session,
    model: Model,
    version: Version,
    kind: DeploymentKind,
    undoes: int | None,
    reason: str,
    by: str,
) -> Deployment:
    deployment = Deployment(
        model_id=model.id,
        version_id=version.id,
        previous_id=model.live_version_id,
        kind=kind,
        undoes=undoes,
        left_out=_left_out(session, models.live(session, model), version),
        reason=reason,
        by=by,
        at=now(),
    )
    model.live_version_id = version.id
    session.add(deployment)
    session.flush()
    return deployment


def _left_out(session: Session, before: Version | None, version: Version) -> Sequence[str]:
    """Batches that the version live before learned and this one did not, retracted ones left aside."""
    lost = sorted(set(before.learned if before else ()) - set(version.learned))
    gone = set(versions.retracted_batches(session, lost))
    return [b for b in lost if b not in gone]


def page(session: Session, model: Model, limit: int, cursor: str | None) -> tuple[list[Deployment], str | None]:
    """Deployments of the model, newest first."""
    return listing.page(
        session, select(Deployment).where(Deployment.model_id == model.id), Deployment.id, limit, cursor
    )


def resource(session: Session, model: Model, deployment: Deployment) -> resources.Deployment:
    """The deployment as the API shows it."""
    previous = versions.by_id(session, deployment.previous_id) if deployment.previous_id is not None else None
    return resources.Deployment.model_validate(
        {
            "id": deployment.id,
            "model": model.name,
            "version": versions.by_id(session, deployment.version_id).number,
            "previous_version": previous.number if previous else None,
            "kind": deployment.kind,
            "undoes": deployment.undoes,
            "reason": deployment.reason,
            "by": deployment.by,
            "at": moment(deployment.at),
            "left_out": deployment.left_out,
        }
    )


def rolled_back(session: Session, model: Model, deployment: Deployment, before: int) -> resources.RolledBack:
    """The answer of a rollback: `before` is the version that was live until then."""
    live = models.live(session, model)
    assert live is not None
    return resources.RolledBack(
        model=model.name,
        live_version=live.number,
        previous_version=before,
        promotion=Promotion(model.promotion),
        deployment=resource(session, model, deployment),
        left_out=_left_out(session, versions.get(session, model, before), live),
    )
