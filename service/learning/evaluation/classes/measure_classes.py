"""Measures an update: harm on trusted rows, gain on its own, and what its rows say against the base."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.learning.data.rows import Bools, Rows, alone
from service.learning.evaluation.classes.class_answers import Answers
from service.learning.evaluation.classes.class_assessment import ClassAssessment, own, pooled_before, since
from service.learning.evaluation.classes.evidence import Evidence, lasting, learnable, pooled, reconcile, weigh
from service.learning.evaluation.classes.likeness import in_parts, likeness, of_its_own, young
from service.learning.gate.classes.class_measurements import (
    Contradiction,
    First,
    Group,
    Harm,
    Lasting,
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


def measure(assessment: ClassAssessment, uncopied: ClassAssessment) -> tuple[Measured, Evidence | None]:
    """The numbers for the gate, and the rows behind its rules 1-4. What the candidate answers is judged by uncopied
    rows; what the base knows of the batch by all, which it never saw."""
    rows, base, ledger = (assessment.trusted, assessment.batch), assessment.base, assessment.ledger
    before = assessment.past.shown if assessment.policy.trusted != "recent" else ()
    evidence = weigh(*rows, base, ledger, assessment.policy, before) if base and ledger else None
    alike = likeness(assessment, evidence) if evidence else {}
    of_young = in_parts(assessment, evidence, young(assessment)) if evidence else {}
    trusted = assessment.trusted.counts()
    measured = Measured(
        live=assessment.live,
        first=None if assessment.base else _first(assessment),
        harm=_harm(uncopied, [name for name, like in alike.items() if of_its_own(like, assessment.policy.renames)]),
        contradiction=_contradiction(assessment, evidence) if evidence else None,
        new_classes=_new_classes(assessment, alike) if assessment.base else (),
        own=own(assessment),
        untested=_untested(assessment),
        columns=assessment.columns,
        resettled=assessment.same is not None,
        since=since(uncopied),
        sound=assessment.sound,
        exact=assessment.exact and not assessment.partial,
        partial=assessment.partial,
        stuck=assessment.stuck,
        relabels=assessment.expected,
        foreign=tuple(name for name in assessment.foreign if name not in trusted),
        replaced=assessment.replaced,
        young=tuple(NewClass(name, like.rows, 0, None, like) for name, like in of_young.items()),
    )
    return measured, evidence


def _harm(assessment: ClassAssessment, own: Sequence[str]) -> Harm | None:
    """`own`: new classes whose rows show that they are none of the old ones."""
    if not assessment.before or not len(assessment.trusted):
        return None
    rows, base, answers = assessment.trusted, assessment.base, assessment.candidate.on_trusted
    before, after = assessment.before.on_trusted.right(rows), answers.right(rows)
    masked, intruded = answers.over(assessment.old).right(rows), answers.among(assessment.new)
    by_yardstick = assessment.yardstick.on_trusted.among(assessment.new) if assessment.yardstick else None
    # class by class, a row that even the yardstick gives to a new class counts as masked
    fair = masked if by_yardstick is None else np.where(by_yardstick, masked, after)
    names = Counter(name for name, new in zip(answers.names(), intruded, strict=True) if new)
    return Harm(
        rows=len(rows),
        masked=Paired.of(before, masked),
        groups=tuple(_groups(assessment, before, fair)),
        taken=Paired.of(before, np.where(answers.among(own), masked, after)),
        intruded=int(intruded.sum()),
        intruders=tuple(name for name, _ in names.most_common()),
        yardstick_intruded=None if by_yardstick is None else int(by_yardstick.sum()),
        in_all=Paired.of(base.on_trusted.right(rows), masked) if base and assessment.same else None,
    )


def _groups(assessment: ClassAssessment, before: Bools, after: Bools) -> list[Group]:
    """Each class with enough trusted rows, the others together, and each source where there are several."""
    rows, least = assessment.trusted, assessment.policy.worst_class.min_rows
    counts = np.bincount(rows.labels, minlength=len(rows.names))
    groups = [
        _group(before, after, name, f'"{name}"', rows.labels == k)
        for k, name in enumerate(rows.names)
        if counts[k] >= least
    ]
    rare = counts[rows.labels] < least
    if rare.any():
        few = [name for name, n in zip(rows.names, counts, strict=True) if 0 < n < least]
        names = tuple(few) if len(few) <= NAMED else ()
        named = listed(names, quote=True) if names else f"{len(few)} rare classes"
        phrase = named if names else f"the {named}"
        groups.append(_group(before, after, named, phrase, rare, rare=len(few), names=names))
    if len(np.unique(rows.source)) > 1:
        places = [(name, rows.source == k) for k, name in enumerate(rows.sources) if name]
        groups += [_group(before, after, name, f'the source "{name}"', of) for name, of in places if of.sum() >= least]
    return groups


def _group(
    before: Bools, after: Bools, name: str, phrase: str, of: Bools, rare: int = 0, names: tuple[str, ...] = ()
) -> Group:
    """What these rows of the trusted ones say."""
    was, now = before[of], after[of]
    return Group(name, phrase, float(was.mean()), float(now.mean()), Paired.of(was, now), rare, names)


def _first(assessment: ClassAssessment) -> First:
    answers, kin = assessment.candidate.on_batch, assessment.batch.kin
    nothing_left = answers.judged & alone(assessment.batch)
    judged = answers.judged & ~nothing_left
    rows = assessment.batch.take(judged)
    column = {name: k for k, name in enumerate(rows.names)}
    answered = np.array([column.get(name, len(column)) for name in answers.names()], np.int64)
    counts = rows.counts()
    return First(
        Agreement.of(answered[judged], rows.labels),
        len(answers.classes),
        max(sorted(counts), key=lambda c: counts[c], default=""),
        int(nothing_left.sum()),
        one_group=not len(rows) and len(np.unique(kin)) == 1 and bool(kin[0] & np.uint64(1)),
    )


def new_rows(assessment: ClassAssessment) -> Bools:
    """Rows of B whose class is new and that were judged."""
    new = assessment.batch.codes(assessment.new) >= 0
    return np.asarray(new & assessment.candidate.on_batch.judged)


def _new_classes(assessment: ClassAssessment, alike: Mapping[str, Likeness]) -> tuple[NewClass, ...]:
    codes, new = assessment.batch.codes(assessment.new), new_rows(assessment)

    def counted(some: Bools) -> list[int]:
        return [int(n) for n in np.bincount(codes[new & some], minlength=len(assessment.new))]

    best = assessment.yardstick.on_batch if assessment.yardstick else None
    rows, hits = counted(new), counted(assessment.candidate.on_batch.right(assessment.batch))
    none = [0] * len(rows)
    judged, best_hits = (counted(best.judged), counted(best.right(assessment.batch))) if best else (none, none)
    return tuple(
        NewClass(name, rows[k], hits[k], best_hits[k] if judged[k] or not rows[k] else None, alike.get(name))
        for k, name in enumerate(assessment.new)
    )


def _untested(assessment: ClassAssessment) -> tuple[int, int] | None:
    ledger = assessment.ledger
    if not assessment.base or not ledger or len(assessment.trusted) or ledger.all.rows < MANY_ROWS:
        return None
    answers = assessment.base.on_batch
    known = (assessment.batch.codes(answers.classes) >= 0) & answers.judged
    return int(known.sum()), int((known & ~answers.right(assessment.batch)).sum())


def _contradiction(assessment: ClassAssessment, evidence: Evidence) -> Contradiction:
    """Counts of the evidence; the two heads that tell its causes apart are fitted only where a rule asks."""
    batch, base, ledger, solve = assessment.batch, assessment.base, assessment.ledger, assessment.solve
    counted = evidence.known & evidence.familiar
    last = assessment.past.evidence[max(len(assessment.past.evidence) - pooled_before(assessment.policy), 0) :]
    counts = Contradiction(
        rows=evidence.rows,
        conflicts=evidence.conflicts,
        expected=evidence.expected,
        tested=evidence.tested,
        labels=len(np.unique(batch.labels[counted])),
        classes=evidence.classes,
        pooled=pooled([*last, evidence.classes]) if last else {},
        lasting=_lasting(assessment, evidence),
        called=_called(batch, base.on_batch, counted) if base else {},
    )
    if ledger is None or solve is None or base is None:
        return counts
    strange = evidence.known & ~evidence.familiar
    most = int(np.bincount(batch.labels[strange]).max(initial=0))
    counts = replace(counts, strange=int(strange.sum()), strange_others=int(strange.sum()) - most)
    if strange_can_tell(counts, assessment.policy):
        counts = replace(counts, strange_learner=learnable(batch, strange, ledger.shift, solve))
    if needs_learner(counts, assessment.policy):
        counts = replace(counts, learner=learnable(batch, counted, ledger.shift, solve))
    # of one label in a table a joint head answers that label more: it shows no other inputs
    if needs_reconciliation(counts, assessment.policy) and not (assessment.table and counts.labels == 1):
        joint = reconcile(batch, base.on_batch, evidence.conflict, ledger, solve)
        counts = replace(counts, reconciliation=joint)
    return counts


def _lasting(assessment: ClassAssessment, evidence: Evidence) -> dict[str, Lasting]:
    """None where recent rows alone are trusted: an old row may be wrong today, and so may what was usual."""
    live, policy = assessment.live, assessment.policy
    if live is None or policy.trusted == "recent":
        return {}
    batches = [*((each.version, each.evidence) for each in assessment.past.shown), (live, evidence.classes)]
    return lasting(batches[-policy.contradicts_class.lasting_batches :], policy.contradicts_class)


def _called(batch: Rows, base: Answers, counted: Bools) -> dict[str, Counter[str]]:
    """Labels of the counted rows by what the base answers."""
    called: dict[str, Counter[str]] = defaultdict(Counter)
    for answer, label in zip(base.take(counted).names(), batch.take(counted).label_names(), strict=True):
        called[answer][label] += 1
    return dict(called)
