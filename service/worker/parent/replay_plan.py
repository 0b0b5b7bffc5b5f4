"""How a batch is taken back: by subtraction where only the ledger's head learned it, else by replaying the lineage."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.learning.methods import AUTO, as_learned
from service.learning.retraction import subtracts
from service.registry import versions
from service.registry.rows import lineage
from service.registry.sql.tables import Model, Update, Version
from service.worker.assignment import Step


def replay(
    session: Session, base: Version, removed: Sequence[str], adds: Sequence[str] = ()
) -> tuple[Version | None, list[Step]]:
    """The start and the steps that make `base` without `removed` and with `adds`. Raises Conflict where rows are gone.

    Where the sums are enough, one solution takes out and adds; else `adds` are learned last, as `removed` was."""
    if subtracts(base.layout, versions.shards(base), removed):
        return base, [_step(session, base, list(adds))]
    lineage.require_rows(session, session.get_one(Model, base.model_id), base, removed)
    start, replayed = lineage.replayed(session, base, removed)
    steps = [_step(session, version, new) for version, new in replayed]
    if start is not None and start.learned and not steps:
        steps = [_step(session, start, [])]  # nothing else was learned since: that version is the answer
    if adds:
        origin = [v for v in versions.ancestors(session, base) if set(removed).intersection(v.learned)][-1]
        steps.append(_step(session, origin, list(adds)))
    return start, steps


def _step(session: Session, version: Version, new: list[str]) -> Step:
    """Learns `new` as the update of that version did."""
    update = session.get_one(Update, version.update_id)
    assert update.method is not None
    update_ids = (v.update_id for v in versions.ancestors(session, version) if v.update_id is not None)
    updates = (session.get_one(Update, update_id) for update_id in update_ids)
    request = next((u.requested_method for u in updates if u.requested_method is not None), None)
    by_auto = request is not None and request["name"] == AUTO
    return Step(batches=new, method=as_learned(update.method), seed=update.seed, by_auto=by_auto)
