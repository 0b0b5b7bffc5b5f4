"""What it takes to learn a lineage again without some batches: where to start, what to replay, which rows it needs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind
from service.errors import Conflict
from service.registry import batches, versions
from service.registry.sql.tables import Batch, Model, Update, Version


def clean_start(session: Session, base: Version, removed: Sequence[str]) -> tuple[Version | None, list[Version]]:
    """The newest of the base and its parents that never learned `removed`, and those made after it, oldest first."""
    final = set(base.learned) - set(removed)
    chain = versions.ancestors(session, base)
    clean = next((k for k, v in enumerate(chain) if final.issuperset(v.learned)), len(chain))
    return (chain[clean] if clean < len(chain) else None), chain[:clean][::-1]


def as_learned(session: Session, base: Version) -> list[str]:
    """The batches of the base in the order in which its lineage learned them."""
    order: dict[str, None] = {}
    for version in reversed(versions.ancestors(session, base)):
        update = session.get(Update, version.update_id) if version.update_id is not None else None
        if update is not None and update.kind == UpdateKind.LEARN:
            order |= dict.fromkeys(b for b in update.batches if b not in order and b in base.learned)
    return list(order)


def replayed(session: Session, base: Version, removed: Sequence[str]) -> list[tuple[Version, list[str]]]:
    """What is learned again after the clean start, oldest first: each version with the batches that it brought."""
    final = set(base.learned) - set(removed)
    start, after = clean_start(session, base, removed)
    known = set(start.learned) if start else set()
    found = []
    for version in after:
        update = session.get(Update, version.update_id) if version.update_id is not None else None
        if update is None or update.kind == UpdateKind.RETRACT:
            continue
        new = [b for b in update.batches if b in version.learned and b in final and b not in known]
        if new:
            found.append((version, new))
            known.update(new)
    return found


def require_rows(session: Session, model: Model, base: Version, removed: Sequence[str]) -> None:
    """Refuse (Conflict) a replay that would need rows which were deleted, naming the nearest version to go to."""
    needed = [b for _, new in replayed(session, base, removed) for b in new]
    lost = next((b for b in needed if not batches.is_whole(session.get_one(Batch, b))), None)
    if lost is None:
        return
    near = nearest_without(session, model, base.number, removed)
    remedy = (
        f"The nearest version that never learned it is {near}: make that live, then take the batch back."
        if near
        else "No version is without it: archive the model and make a new one from rows that you have."
    )
    raise Conflict(
        f"Weights of version {base.number} were trained on batch {removed[0]}. Learning again without it needs the "
        f"rows of batch {lost}, which were deleted (retention {model.retention}). {remedy}",
        nearest_clean=near,
    )


def nearest_without(session: Session, model: Model, number: int, removed: Sequence[str]) -> int | None:
    """The version with the nearest number that is there and never learned these batches, or a retracted one."""
    gone = set(session.scalars(select(Batch.id).where(Batch.model_id == model.id, Batch.retracted_at.is_not(None))))
    there = session.scalars(select(Version).where(Version.model_id == model.id, Version.erased_at.is_(None)))
    clean = [v.number for v in there if not gone.union(removed).intersection(v.learned)]
    return min(clean, key=lambda n: (abs(n - number), n)) if clean else None
