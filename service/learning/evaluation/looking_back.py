"""What a lineage remembers, and how far back a version is compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.contract.policy import GatePolicy
from service.learning.data.rows import Rows
from service.learning.evaluation.answers import Bits
from service.learning.gate.measurements import Since

if TYPE_CHECKING:
    from service.learning.evaluation.assessment import Assessment


def ages(last: int, versions: int) -> list[int]:
    """Which of so many promoted versions are looked back on, 1 = the newest: the `last` ones, then 16, 32, 64 ... back,
    and the first. Small losses add up over any time, and few versions tell of all of it."""
    doubled = (2**k for k in range(last.bit_length(), versions.bit_length()))
    return sorted({*range(1, min(last, versions) + 1), *(age for age in doubled if age > last), versions} - {0})


def since(a: Assessment) -> tuple[Since, ...]:
    """Every remembered version beside the candidate, on rows and columns that both have; oldest first.

    Where recent rows alone are trusted, on those that still count, and of the versions that were asked about most of
    them: what an older one has in common with them is a batch or two that is about to leave.
    """
    rows, candidate, least = a.trusted, a.candidate, 1.0
    if a.policy.trusted == "recent":
        counts = np.array([a.faded is None or b not in a.faded for b in rows.batches], bool)[rows.batch]
        rows, candidate, least = rows.take(counts), candidate.take(counts), counts.sum() / 2
    few = a.policy.worst_class.min_rows
    compared = [Since(number, *bits.against(candidate, rows, few)) for number, bits in a.past.bits]
    return tuple(s for s in compared if s.paired.rows >= least)


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
