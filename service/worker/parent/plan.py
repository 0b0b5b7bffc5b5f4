"""What an update learns, from which version, step by step: new batches on the base; or, where some are taken back, one
solution of the sums without them, or the lineage replayed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind
from service.errors import Conflict
from service.learning.methods import AUTO, METHODS, as_learned
from service.learning.retraction import subtracts
from service.registry import batches, lineage, updates, versions
from service.registry.rows import relearning
from service.registry.sql.learned import holds
from service.registry.sql.tables import Batch, Model, Update, Version
from service.worker.assignment import Step


@dataclass(frozen=True)
class Plan:
    """What is learned. `start`: the version that the steps begin with, None: nothing · `removed`: batches of the base
    that are taken out · `order`: of a retraction, batches as the base learned them, then those in the place of others ·
    `champion`: the version that a challenger must beat."""

    start: Version | None
    steps: list[Step]
    removed: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    champion: Version | None = None


def batches_of(steps: Iterable[Step]) -> list[str]:
    return [batch_id for step in steps for batch_id in step.batches]


def planned(session: Session, model: Model, update: Update, base: Version | None) -> Plan | None:
    """The plan of a claimed update; None where nothing is left to do. Raises Conflict where rows are gone, and where
    nothing can be learned on the base."""
    if update.kind == UpdateKind.LEARN:
        champion, new = _champion(session, model, update), _to_learn(session, model, update, base)
        if not new or (update.challenges is not None and champion is None):
            return None
        _require_clean(session, base)
        return Plan(base, [_asked(update, new)], champion=champion)
    if model.archived_at is not None:
        return None  # nothing answers any more: what is to be erased is erased from every version
    of_base = frozenset(base.learned if base is not None else ())
    removed = [b for b in update.batches if b in of_base]
    if not removed or base is None:
        return None
    adds = [b for b in update.adds or () if session.get_one(Batch, b).retracted_at is None]
    start, steps = replay(session, base, removed, adds)
    return Plan(start, steps, removed, [*relearning.as_learned(session, base), *adds])


def _to_learn(session: Session, model: Model, update: Update, base: Version | None) -> list[str]:
    """Batches that the base did not learn and that were not retracted; none where no row of them has a label and the
    method needs labels. Raises Conflict where rows were deleted."""
    known = base.learned if base else ()
    unknown = batches.by_id(session, [b for b in update.batches if not holds(known, b)])
    new = [b for b in unknown if b.retracted_at is None]
    for batch in new:
        if batch.merged is None:
            batches.require_whole(session, model, batch)
    name = str((update.requested_method or {}).get("name"))
    needs_labels = name not in METHODS or not METHODS[name].unlabelled
    return [] if needs_labels and not any(b.rows for b in new) else [b.id for b in new]


def _require_clean(session: Session, base: Version | None) -> None:
    """Raises Conflict where a retraction of a batch of the base has not succeeded: what is learned on it could never go
    live."""
    if base is None or not (bad := versions.retracted_batches(session, base.learned)):
        return
    ordered = updates.retraction_of(session, bad[0])
    order = ordered.id if ordered is not None else None
    raise Conflict(
        f"Version {base.number} is live and learned batch {bad[0]}, whose retraction {order} has not succeeded. Retry "
        "the retraction, then this update.",
        retraction=order,
    )


def _champion(session: Session, model: Model, update: Update) -> Version | None:
    """The version that a challenger must beat: that of the update it challenges, while it is live."""
    if update.challenges is None:
        return None
    version_id = session.get_one(Update, update.challenges).version_id
    return session.get_one(Version, version_id) if version_id == model.live_version_id else None


def _asked(update: Update, new: Sequence[str]) -> Step:
    """How `new` is learned: by the requested method, or by the one that a challenger was queued with."""
    method = update.requested_method if update.challenges is None else update.method
    assert method is not None
    return Step(batches=list(new), method=method, seed=update.seed)


def replay(
    session: Session, base: Version, removed: Sequence[str], adds: Sequence[str] = ()
) -> tuple[Version | None, list[Step]]:
    """The start and the steps that make `base` without `removed` and with `adds`. Raises Conflict where rows are gone.

    Where the sums are enough, one solution takes out and adds; else `adds` are learned last, as `removed` was."""
    if subtracts(base.layout, versions.shards(base), removed):
        return base, [_as_learned(session, base, list(adds))]
    start, replayed = relearning.replayed(session, base, removed)
    steps = [_as_learned(session, version, new) for version, new in replayed]
    if start is not None and start.learned and not steps:
        steps = [_as_learned(session, start, [])]  # nothing else was learned since: that version is the answer
    if adds:
        origin = [v for v in lineage.ancestors(session, base) if set(removed).intersection(v.learned)][-1]
        steps.append(_as_learned(session, origin, list(adds)))
    return start, steps


def _as_learned(session: Session, version: Version, new: list[str]) -> Step:
    """Learns `new` as the update of that version did."""
    update = session.get_one(Update, version.update_id)
    assert update.method is not None
    update_ids = (v.update_id for v in lineage.ancestors(session, version) if v.update_id is not None)
    made_by = (session.get_one(Update, update_id) for update_id in update_ids)
    request = next((u.requested_method for u in made_by if u.requested_method is not None), None)
    by_auto = request is not None and request["name"] == AUTO
    return Step(batches=new, method=as_learned(update.method), seed=update.seed, by_auto=by_auto)
