"""Retraction takes batches back: the version without them gets a certificate that anybody can recompute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from service.contract.inputs import InputSpec
from service.contract.reports.facts import Certificate, ShardFact
from service.learning.data.serialization import digest, pack_shard
from service.learning.evaluation.context import Candidate, UpdateContext
from service.learning.method import Learned
from service.learning.network.checkpoint import Checkpoint, Layout
from service.learning.network.part_kinds import DECIDED, REMADE, SOLVED, kind_of
from service.learning.run import Run
from service.learning.update_data import Data


@dataclass(frozen=True)
class Retraction:
    """What is taken back. removed: batches · appeared: batches of the base as they were learned, each with its classes
    as they first appear in it · by_auto: `auto` had chosen the method, or one of them, with these batches among its
    rows; without them it might have chosen otherwise. It does not choose again, and the certificate says so.
    """

    removed: frozenset[str]
    appeared: Mapping[str, Sequence[str]]
    by_auto: bool = False


def certify(
    base: Checkpoint, learned: Learned, data: Data, run: Run, context: UpdateContext, retraction: Retraction
) -> Candidate:
    """Examines and certifies the version that came out. The gate reports and does not veto: the caller ordered it.

    base: the version that learned the removed batches · data: the known rows without them, and no new ones.
    """
    candidate = context.examine(base, learned, data, run)
    now, removed = candidate.checkpoint, retraction.removed
    certificate = Certificate(
        feature_space=candidate.space.id if candidate.ledger_digest else None,
        ledger_digest=candidate.ledger_digest,
        rows=data.known_rows,
        removed=sorted(removed),
        shards=[_shard(part, base, now, removed) for part in sorted(now.parts)],
        decided=[
            *_decided(base, now, retraction),
            *(["grid"] if data.target.fits_grid and next(iter(retraction.appeared), None) in removed else []),
            *(["method"] if retraction.by_auto else []),
        ],
        exact=candidate.report.exact,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        processor=torch.backends.cpu.get_cpu_capability(),
        seed=run.seed,
    )
    return replace(candidate, report=candidate.report.model_copy(update={"certificate": certificate}))


def subtracts(layout: Mapping[str, Any], shards: Iterable[Mapping[str, Any]], removed: Iterable[str]) -> bool:
    """Whether no shard but the solved head learned the batches: then the sums are enough."""
    trained = [s for s in shards if kind_of(s["part"]) not in DECIDED | SOLVED | REMADE]
    gone = frozenset(removed)
    return layout.get("exact") is not None and not any(gone.intersection(s["learned"]) for s in trained)


def blank(spec: InputSpec, base: Checkpoint) -> Learned:
    """A version that knows nothing, for when everything was taken back."""
    layout = Layout(input=spec, classes=[], numbers=base.layout.numbers)
    return Learned(
        Checkpoint(layout, {"scale": base.parts["scale"]}, {"scale": frozenset()}),
        notes=("Every batch was taken back. Rows that are sent again are learned again.",),
    )


def _shard(part: str, base: Checkpoint, now: Checkpoint, removed: frozenset[str]) -> ShardFact:
    """The digest of one part, and whether it was computed anew."""
    same = part in base.parts and pack_shard(base.parts[part]) == pack_shard(now.parts[part])
    saw = removed & base.learned.get(part, frozenset())
    status = "never saw it" if same and not saw else "recomputed"
    if same and saw and kind_of(part) in DECIDED:
        status = "decided by it, holds nothing learned"
    return ShardFact(part=part, digest=digest(pack_shard(now.parts[part])), status=status)


def _decided(base: Checkpoint, now: Checkpoint, retraction: Retraction) -> list[str]:
    """Decisions of the removed batches that still hold; strength and temperature are always chosen anew."""
    kept = [
        p for p in sorted(now.parts) if kind_of(p) in DECIDED and retraction.removed & base.learned.get(p, frozenset())
    ]
    exact = now.layout.exact
    if exact is not None and not exact.lift_named and not now.layout.lifts:
        kept.append("lift")  # the choice of no lift counts, too, and leaves no part that could name its batches
    return [*kept, "class order"] if _ordered(base, now, retraction) else kept


def _ordered(base: Checkpoint, now: Checkpoint, retraction: Retraction) -> bool:
    """Whether the columns keep the base's order, and would have another without the removed batches."""
    appeared = retraction.appeared

    def order(batches: Iterable[str]) -> list[str]:
        return [c for c in dict.fromkeys(c for b in batches for c in appeared[b]) if c in now.classes]

    kept = [c for c in base.classes if c in now.classes] == list(now.classes)
    return kept and order(appeared) != order(b for b in appeared if b not in retraction.removed)
