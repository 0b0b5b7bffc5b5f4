"""What a lineage remembers, and how far back a version is compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.contract.policy import GatePolicy
from service.learning.batch import Rows
from service.learning.evaluation import Bits
from service.learning.statistics import Paired

if TYPE_CHECKING:
    from service.learning.assessment import Assessment


def since(a: Assessment) -> tuple[int, Paired] | None:
    """The remembered version that the candidate lost most against, on rows and columns that both have.

    Where recent rows alone are trusted, on those that still count, and of the versions that were asked about most of
    them: what an older one has in common with them is a batch or two that is about to leave.
    """
    last, rows, candidate, least = a.past.bits[-a.policy.slow_loss.versions :], a.trusted, a.candidate, 1.0
    if a.policy.trusted == "recent":
        counts = np.array([a.faded is None or b not in a.faded for b in rows.batches], bool)[rows.batch]
        rows, candidate, least = rows.take(counts), candidate.take(counts), counts.sum() / 2
    found = [(number, bits.against(candidate, rows)) for number, bits in last]
    return max(((n, p) for n, p in found if p.rows >= least), key=lambda item: item[1].drop, default=None)


def pooled_before(policy: GatePolicy) -> int:
    """Earlier batches whose evidence counts."""
    most = policy.contradicts_class.pooled_batches
    return (min(most, policy.recent_batches) if policy.trusted == "recent" else most) - 1


def remember(a: Assessment) -> Bits:
    """Right or wrong of the candidate on what will be trusted rows once it is live: T, and the judging rows of B."""
    mine = a.batch.judging & a.candidate_on_batch.judged
    rows = Rows.concat([_bare(a.trusted), _bare(a.batch.take(mine))])
    right = np.concatenate([a.candidate.right(a.trusted), a.candidate_on_batch.right(a.batch)[mine]])
    return Bits.of(rows, right, a.candidate.classes)


def _bare(rows: Rows) -> Rows:
    return rows.with_inputs(np.zeros((len(rows), 0), np.int16))
