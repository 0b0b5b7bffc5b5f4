"""How a batch is taken back: by subtraction where only the ledger's head learned it, else by replaying the lineage."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind
from service.learning.checkpoint import DECIDED, SOLVED
from service.registry import versions
from service.registry.tables import Update, Version
from service.worker.assignment import Step


def replay(session: Session, base: Version, removed: Sequence[str]) -> tuple[Version | None, list[Step]]:
    """Where to start and what to do so that `base` comes out without `removed`."""
    if subtracts(base, removed):
        return base, [_step(session, base, [])]
    final = set(base.learned) - set(removed)
    chain = versions.ancestors(session, base)
    clean = next((k for k, v in enumerate(chain) if final.issuperset(v.learned)), len(chain))
    start = chain[clean] if clean < len(chain) else None
    known = set(start.learned) if start else set()
    steps = []
    for version in reversed(chain[:clean]):
        update = _update(session, version)
        if update.kind == UpdateKind.RETRACT:
            continue
        new = [b for b in update.batches if b in version.learned and b in final and b not in known]
        if new:
            steps.append(_step(session, version, new))
            known.update(new)
    if start is not None and start.learned and not steps:
        steps = [_step(session, start, [])]  # nothing else was learned since: that version is the answer
    return start, steps


def subtracts(base: Version, removed: Sequence[str]) -> bool:
    """Whether every shard but the solved head never learned the batches: then the sums are enough."""
    if base.layout.get("exact") is None:
        return False
    trained = [s for s in base.shards if s["part"].split(".")[0] not in (*DECIDED, *SOLVED)]
    return not any(set(removed).intersection(s["learned"]) for s in trained)


def _step(session: Session, version: Version, new: list[str]) -> Step:
    update = _update(session, version)
    assert update.method is not None
    return Step(batches=new, method=update.method, seed=update.seed)


def _update(session: Session, version: Version) -> Update:
    return session.get_one(Update, version.update_id)
