"""Measures an update: harm on trusted rows, gain on its own, and what its rows say against the base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.learning.data.rows import Bools, alone
from service.learning.evaluation.classes.class_assessment import ClassAssessment, pooled_before, since
from service.learning.evaluation.classes.evidence import Evidence, learnable, pooled, reconcile, weigh
from service.learning.evaluation.classes.likeness import in_parts, likeness, of_its_own, young
from service.learning.gate.classes.class_measurements import (
    Contradiction,
    First,
    Group,
    Harm,
    Likeness,
    Measured,
    NewClass,
)
from service.learning.gate.classes.contradiction_rules import needs_learner, needs_reconciliation, strange_can_tell
from service.learning.statistics import Agreement, Paired
from service.learning.wording import listed

NAMED = 3
"""Classes with too few trusted rows to be judged alone that are named as a group; more are counted."""
MANY_ROWS = 100
"""Learned rows of which some would be trusted, if they were not all of one group."""


def measure(a: ClassAssessment, uncopied: ClassAssessment) -> tuple[Measured, Evidence | None]:
    """The numbers for the gate, and the rows behind its rules 1-4. What the candidate answers is judged by uncopied
    rows; what the base knows of the batch by all, which it never saw."""
    evidence = weigh(a.trusted, a.batch, a.base, a.ledger, a.policy) if a.base and a.ledger else None
    alike = likeness(a, evidence) if evidence else {}
    of_young = in_parts(a, evidence, young(a)) if evidence else {}
    trusted = a.trusted.counts()
    measured = Measured(
        live=a.live,
        first=None if a.base else _first(a),
        harm=_harm(uncopied, [name for name, like in alike.items() if of_its_own(like, a.policy.renames)]),
        contradiction=_contradiction(a, evidence) if evidence else None,
        new_classes=_new_classes(a, alike) if a.base else (),
        own=_own(a),
        untested=_untested(a),
        resettled=a.same is not None,
        since=since(uncopied),
        sound=a.sound,
        exact=a.exact and not a.partial,
        partial=a.partial,
        stuck=a.stuck,
        relabels=a.expected,
        foreign=tuple(name for name in a.foreign if name not in trusted),
        replaced=a.replaced,
        batches=a.batch.batches,
        young=tuple(NewClass(name, like.rows, 0, None, like) for name, like in of_young.items()),
    )
    return measured, evidence


def _harm(a: ClassAssessment, own: Sequence[str]) -> Harm | None:
    """`own`: new classes whose rows show that they are none of the old ones."""
    if not a.before or not len(a.trusted):
        return None
    rows, answers, before = a.trusted, a.candidate.on_trusted, a.before.on_trusted.right(a.trusted)
    after, masked, intruded = answers.right(rows), answers.over(a.old).right(rows), answers.among(a.new)
    by_yardstick = a.yardstick.on_trusted.among(a.new) if a.yardstick else None
    # class by class, a row that even the yardstick gives to a new class counts as masked
    fair = masked if by_yardstick is None else np.where(by_yardstick, masked, after)
    names = Counter(name for name, new in zip(answers.names(), intruded, strict=True) if new)
    return Harm(
        rows=len(rows),
        masked=Paired.of(before, masked),
        groups=tuple(_groups(a, before, fair)),
        taken=Paired.of(before, np.where(answers.among(own), masked, after)),
        intruded=int(intruded.sum()),
        intruders=tuple(name for name, _ in names.most_common()),
        yardstick_intruded=None if by_yardstick is None else int(by_yardstick.sum()),
        in_all=Paired.of(a.base.on_trusted.right(rows), masked) if a.base and a.same else None,
    )


def _groups(a: ClassAssessment, before: Bools, after: Bools) -> list[Group]:
    """Each class with enough trusted rows, the others together, and each source where there are several."""
    rows, least = a.trusted, a.policy.worst_class.min_rows
    counts = np.bincount(rows.labels, minlength=len(rows.names))
    masks = [(name, f'"{name}"', rows.labels == k, False) for k, name in enumerate(rows.names) if counts[k] >= least]
    rare = counts[rows.labels] < least
    if rare.any():
        few = [name for name, n in zip(rows.names, counts, strict=True) if 0 < n < least]
        named = listed(few, quote=True) if len(few) <= NAMED else f"{len(few)} rare classes"
        masks.append((named, named if len(few) <= NAMED else f"the {named}", rare, len(few) > 1))
    if len(np.unique(rows.source)) > 1:
        sources = [
            (name, f'the source "{name}"', rows.source == k, False) for k, name in enumerate(rows.sources) if name
        ]
        masks += [source for source in sources if source[2].sum() >= least]
    return [
        Group(name, phrase, float(before[m].mean()), float(after[m].mean()), Paired.of(before[m], after[m]), several)
        for name, phrase, m, several in masks
    ]


def _first(a: ClassAssessment) -> First:
    answers = a.candidate.on_batch
    nothing_left = answers.judged & alone(a.batch)
    judged = answers.judged & ~nothing_left
    rows = a.batch.take(judged)
    column = {name: k for k, name in enumerate(rows.names)}
    answered = np.array([column.get(name, len(column)) for name in answers.names()], np.int64)
    counts = rows.counts()
    return First(
        Agreement.of(answered[judged], rows.labels),
        len(answers.classes),
        max(sorted(counts), key=lambda c: counts[c], default=""),
        int(nothing_left.sum()),
        one_group=not len(rows) and len(np.unique(a.batch.kin)) == 1 and bool(a.batch.kin[0] & np.uint64(1)),
    )


def new_rows(a: ClassAssessment) -> Bools:
    """Rows of B whose class is new and that were judged."""
    new = a.batch.codes(a.new) >= 0
    return np.asarray(new & a.candidate.on_batch.judged)


def _new_classes(a: ClassAssessment, alike: Mapping[str, Likeness]) -> tuple[NewClass, ...]:
    codes, new = a.batch.codes(a.new), new_rows(a)

    def counted(some: Bools) -> list[int]:
        return [int(n) for n in np.bincount(codes[new & some], minlength=len(a.new))]

    best = a.yardstick.on_batch if a.yardstick else None
    rows, hits = counted(new), counted(a.candidate.on_batch.right(a.batch))
    none = [0] * len(rows)
    judged, best_hits = (counted(best.judged), counted(best.right(a.batch))) if best else (none, none)
    return tuple(
        NewClass(name, rows[k], hits[k], best_hits[k] if judged[k] or not rows[k] else None, alike.get(name))
        for k, name in enumerate(a.new)
    )


def _own(a: ClassAssessment) -> Paired | None:
    if not a.before:
        return None
    before, after = a.before.on_batch, a.candidate.on_batch
    both = before.judged & after.judged
    return Paired.of(before.right(a.batch)[both], after.right(a.batch)[both])


def _untested(a: ClassAssessment) -> tuple[int, int] | None:
    if not a.base or not a.ledger or len(a.trusted) or a.ledger.all.rows < MANY_ROWS:
        return None
    answers = a.base.on_batch
    known = (a.batch.codes(answers.classes) >= 0) & answers.judged
    return int(known.sum()), int((known & ~answers.right(a.batch)).sum())


def _contradiction(a: ClassAssessment, evidence: Evidence) -> Contradiction:
    """Counts of the evidence; the two heads that tell its causes apart are fitted only where a rule asks."""
    counted = evidence.known & evidence.familiar
    last = a.past.evidence[max(len(a.past.evidence) - pooled_before(a.policy), 0) :]
    counts = Contradiction(
        rows=evidence.rows,
        conflicts=evidence.conflicts,
        expected=evidence.expected,
        labels=len(np.unique(a.batch.labels[counted])),
        classes=evidence.classes,
        pooled=pooled([*last, evidence.classes]) if last else {},
    )
    if a.ledger is None or a.solve is None or a.base is None:
        return counts
    strange = evidence.known & ~evidence.familiar
    most = int(np.bincount(a.batch.labels[strange]).max(initial=0))
    counts = replace(counts, strange=int(strange.sum()), strange_others=int(strange.sum()) - most)
    if strange_can_tell(counts, a.policy):
        counts = replace(counts, strange_learner=learnable(a.batch, strange, a.ledger.shift, a.solve))
    if needs_learner(counts, a.policy):
        counts = replace(counts, learner=learnable(a.batch, counted, a.ledger.shift, a.solve))
    # of one label in a table a joint head answers that label more: it shows no other inputs
    if needs_reconciliation(counts, a.policy) and not (a.table and counts.labels == 1):
        joint = reconcile(a.batch, a.base.on_batch, evidence.conflict, a.ledger, a.solve)
        counts = replace(counts, reconciliation=joint)
    return counts
