"""Which classes a batch contradicts: by itself, with the last batches, or with all for as long as it lasts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from service.contract.policy import GatePolicy
from service.contract.reports.class_report import ClassEvidence
from service.learning.gate.classes.class_measurements import Contradiction
from service.learning.statistics import at_least

Counts = Callable[[ClassEvidence, GatePolicy], tuple[int, float]]
"""Gives the conflicts of a class that count, and the share from which they are too many."""

MANY_ROWS = 100
"""Familiar rows from which a batch must itself show as many rows of a class as the rule speaks of."""


def scattered(batch: Contradiction, policy: GatePolicy) -> dict[str, ClassEvidence]:
    """Those of which most rows carry other labels that do not agree with one another."""
    agree = contradicted(batch, policy, agreeing)
    return {c: e for c, e in contradicted(batch, policy, conflicts).items() if c not in agree}


def contradicted(batch: Contradiction, policy: GatePolicy, counts: Counts) -> dict[str, ClassEvidence]:
    """Contradicted classes, surest first: by this batch alone, then with the last ones pooled, then with all that last.

    Counts of several batches accuse only one that itself shows such a share: honest rows do not answer for earlier
    ones, and two rows out of hundreds are no share.
    """
    rule = policy.contradicts_class
    least = rule.min_rows if batch.rows >= MANY_ROWS else 1
    alone = _among(batch.classes, policy, counts, rule.p)
    together = _among({c: e for c, e in batch.pooled.items() if c in batch.classes}, policy, counts, rule.p)
    shown = {c for c, e in batch.classes.items() if e.confident >= least and _over(e, policy, counts)}
    found = alone | {c: e for c, e in together.items() if c not in alone and c in shown}
    since = {c: of.evidence for c, of in batch.lasting.items()}
    lasting = _among(since, policy, counts, rule.lasting_p, len(batch.classes))
    return found | {c: e for c, e in lasting.items() if c not in found and _shows(batch, c, e, policy)}


def _shows(batch: Contradiction, name: str, lasting: ClassEvidence, policy: GatePolicy) -> bool:
    """Whether the batch's rows of a class carry the label of those before. All that the live version calls so count:
    it is sure of ever fewer as it learns such rows."""
    called = batch.called.get(name, {})
    alike = sum(called.get(label, 0) for label in lasting.toward)
    own = lasting.model_copy(update={"confident": sum(called.values()), "conflicts": alike, "toward": {name: alike}})
    least = policy.contradicts_class.min_rows if batch.rows >= MANY_ROWS else 1
    return alike >= least and _over(own, policy, agreeing)


def _among(
    classes: Mapping[str, ClassEvidence], policy: GatePolicy, counts: Counts, p: float, among: int = 0
) -> dict[str, ClassEvidence]:
    """Those of some classes that are contradicted, surest first. among: classes that were looked at, if these are not
    all."""
    rule = policy.contradicts_class
    tested = {c: e for c, e in classes.items() if e.confident >= rule.min_rows}
    chance = {c: at_least(counts(e, policy)[0], e.confident, e.expected, e.tested) for c, e in tested.items()}
    guilty = [c for c, e in tested.items() if _over(e, policy, counts) and chance[c] < p / max(len(tested), among)]
    return {c: tested[c] for c in sorted(guilty, key=lambda c: chance[c])}


def _over(evidence: ClassEvidence, policy: GatePolicy, counts: Counts) -> bool:
    count, limit = counts(evidence, policy)
    return count >= limit * evidence.confident > 0


def agreeing(evidence: ClassEvidence, policy: GatePolicy) -> tuple[int, float]:
    """Conflicts that agree with one another, and the share from which they are too many. A class that was renamed has
    one other name; rows of another style that only look like it have many, each the right one."""
    rule = policy.contradicts_class
    return max(evidence.toward.values(), default=0), max(rule.min_share, rule.times_expected * evidence.expected)


def conflicts(evidence: ClassEvidence, policy: GatePolicy) -> tuple[int, float]:
    """All conflicts, and the share from which they are too many."""
    rule = policy.contradicts_class
    return evidence.conflicts, max(rule.min_scattered, rule.times_expected * evidence.expected)
