"""How a lineage is learned again without some batches: where to start, what to replay, which rows it needs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind
from service.errors import Conflict
from service.registry import batches, lineage, versions
from service.registry.sql.tables import Batch, Model, Update, Version


def as_learned(session: Session, base: Version) -> list[str]:
    """The batches of the base in the order in which its lineage learned them."""
    learned, order = frozenset(base.learned), dict[str, None]()
    for version in reversed(lineage.ancestors(session, base)):
        update = session.get(Update, version.update_id) if version.update_id is not None else None
        order |= dict.fromkeys(b for b in _brought(update) if b not in order and b in learned)
    return list(order)


def replayed(
    session: Session, base: Version, removed: Sequence[str]
) -> tuple[Version | None, list[tuple[Version, list[str]]]]:
    """How to learn the base again without `removed`: where to start, and what follows, oldest first.

    The start is the newest of the base and its parents that is there and learned none of them; what follows is each
    later version with the batches that it brought. Raises Conflict where rows that they need were deleted.
    """
    final = set(base.learned) - set(removed)
    chain = lineage.ancestors(session, base)
    whole = (k for k, v in enumerate(chain) if v.erased_at is None and final.issuperset(v.learned))
    clean = next(whole, len(chain))
    start = chain[clean] if clean < len(chain) else None
    known = set(start.learned) if start else set()
    steps = []
    for version in reversed(chain[:clean]):
        update = session.get(Update, version.update_id) if version.update_id is not None else None
        learned = frozenset(version.learned)
        new = [b for b in _brought(update) if b in learned and b in final and b not in known]
        if new:
            steps.append((version, new))
            known.update(new)
    _require_rows(session, base, removed, [b for _, new in steps for b in new])
    return start, steps


def _brought(update: Update | None) -> Sequence[str]:
    """The batches that an update was to learn, those that take others' places among them."""
    if update is None:
        return []
    return update.batches if update.kind == UpdateKind.LEARN else update.adds or []


def _require_rows(session: Session, base: Version, removed: Sequence[str], needed: Sequence[str]) -> None:
    """Raises Conflict, naming the nearest version without `removed`, where rows of a needed batch were deleted."""
    lost = next((b for b in (session.get_one(Batch, b) for b in needed) if not batches.is_whole(b)), None)
    if lost is None:
        return
    model = session.get_one(Model, base.model_id)
    gone = f"were deleted (retention {model.retention})" if lost.merged is None else "are elsewhere (a merged ledger)"
    near = versions.nearest_clean(session, model, base.number, removed)
    remedy = (
        f"The nearest version that never learned it is {near}: make that live, then take the batch back."
        if near
        else "No good version is without it: archive the model and make a new one from rows that you have."
    )
    raise Conflict(
        f"Weights of version {base.number} were trained on batch {removed[0]}. Learning again without it needs the "
        f"rows of batch {lost.id}, which {gone}. {remedy}",
        nearest_clean=near,
    )
