"""Makes the report of an update: measures it on trusted rows and on its own, and has the gate judge it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.contract.enums import Interference, Outcome
from service.contract.figures import percent
from service.contract.reports.class_report import (
    ONE_SIDED,
    BatchEvidence,
    Commonest,
    LostSince,
    NewClassesScore,
    OldClasses,
    Pair,
    Report,
    SuspectRow,
    TestedClass,
    TestedScore,
    WorstClassDrop,
    Yardstick,
)
from service.contract.reports.facts import BatchPart, GateReport
from service.learning.data.near_duplicates import shared
from service.learning.data.rows import Floats, Rows
from service.learning.evaluation.batch_parts import batch_parts
from service.learning.evaluation.classes.class_answers import (
    Answers,
    calibration_error,
    class_scores,
    commonest,
    scored,
    standing_for,
)
from service.learning.evaluation.classes.class_assessment import ClassAssessment
from service.learning.evaluation.classes.clusters import clusters
from service.learning.evaluation.classes.evidence import SUSPECT_ROWS, Evidence, dispute, suspects, unlike_the_rest
from service.learning.evaluation.classes.measure_classes import measure, new_rows
from service.learning.evaluation.gaps import RowNames, among
from service.learning.gate.classes.class_gate import judge
from service.learning.gate.classes.class_measurements import Contradiction, Harm, Measured, Since
from service.learning.gate.classes.contradiction_rules import on_purpose, reconcilable, unexcused
from service.learning.statistics import Paired, wilson
from service.learning.wording import rows as counted_rows

RELABELLED = (
    "These labels change on purpose, as their sender said (expect: relabel), so nothing stopped it for contradicting "
    "the live version. Rows with the old labels still count: take their batches back."
)
NOT_RENAMED = (
    "Its sender said that these labels change on purpose (expect: relabel). That excuses known classes under other "
    "names, and these rows do not show it, so rules 2 to 4 hold it."
)
UNLIKE = "are unlike anything seen before"
TESTED_CLASSES = 20
"""Classes that a report lists with what the version before answered to the update's rows."""
NAMED = 3
"""Classes that it missed and that have a note."""
MANY_COPIES = 10
"""A report says so where every tenth row is a copy of another."""
UNLIKELY = 0.25
"""Rows expected with a label so unlikely, where all labels are right, below which a report has a note on the row."""


def assess(assessment: ClassAssessment) -> Report:
    """Measures and judges an update. A head is fitted only where a rule may need it.

    Repetitions of a row count once, in every number of the report but its cost.
    """
    every = assessment.distinct()
    counted, every_row = every.uncopied(), len(assessment.batch)
    copies = _copies(assessment, counted)
    measured, evidence = measure(every, counted)
    gate = judge(measured, counted.policy)
    harm = measured.harm
    worst = max(harm.groups, key=lambda g: g.paired.drop, default=None) if harm else None
    unmasked = None
    if counted.base and len(counted.trusted):
        both = (answers.on_trusted.right(counted.trusted) for answers in (counted.base, counted.candidate))
        unmasked = Paired.of(*both)
    old = _old_classes(counted, harm, unmasked)
    tested = _tested(every)
    # Of what was stopped the gate says more; of labels that change on purpose the live version has the old ones.
    missed = _missed_noted(tested, every.live) if gate.outcome is Outcome.PASS and not every.expected else []
    own_rows = _batch_evidence(counted, evidence, measured.contradiction)
    parts = _parts(every) if gate.outcome is not Outcome.PASS else []
    return Report(
        before=scored(counted.base.on_trusted, counted.trusted, _of_all(counted)) if counted.base else None,
        after=scored(counted.candidate.on_trusted, counted.trusted, _of_all(counted)),
        tested=tested,
        old_classes=old,
        new_classes=_new_classes_score(counted),
        forgetting=_forgetting(old, measured.since),
        lost_since=_lost_since(measured),
        interference=_interference(gate),
        worst_class=WorstClassDrop(name=worst.name, drop=worst.paired.drop, rare=worst.rare, names=[*worst.names])
        if worst
        else None,
        negative_flips=unmasked.worse / unmasked.rows if unmasked else None,
        positive_flips=unmasked.better / unmasked.rows if unmasked else None,
        yardstick=_yardstick(counted),
        older=counted.older,
        batch=own_rows.model_copy(update=copies | {"parts": parts, "notes": [*missed, *own_rows.notes]}),
        cost=counted.cost,
        gate=gate,
        exact=counted.exact,
        method=dict(counted.method),
        notes=[*counted.notes, *_copies_noted(copies["near_duplicates"], every_row), *_copied_noted(counted)],
    )


def _of_all(assessment: ClassAssessment) -> Floats | None:
    """What trusted rows count so that a share of them is one of all learned rows, once a class has more than are kept;
    None: all alike. -> [n]"""
    ledger = assessment.ledger
    if ledger is None or np.bincount(ledger.exam.labels, minlength=1).max() < ledger.exam.bound:
        return None
    return standing_for(assessment.trusted, ledger)


def _tested(assessment: ClassAssessment) -> TestedScore | None:
    """What the base answered to rows of its classes before they were learned."""
    if not assessment.base:
        return None
    answers = assessment.base.on_batch
    known = np.flatnonzero(answers.judged & (assessment.batch.codes(answers.classes) >= 0))
    rows, own = assessment.batch.take(known), answers.take(known)
    if not len(rows):
        return None
    right = own.right(rows)
    classes = [
        TestedClass(class_=name, **score.model_dump())
        for name, score in sorted(class_scores(right, rows).items(), key=lambda of: (of[1].accuracy, -of[1].rows))
    ]
    return TestedScore(
        accuracy=float(right.mean()),
        rows=len(rows),
        ece=calibration_error(own, rows),
        classes=classes[:TESTED_CLASSES],
        commonest=commonest(rows),
    )


def _missed_noted(tested: TestedScore | None, live: int | None) -> list[str]:
    """Notes on classes that the live version missed in rows that were new to it, which a share of all rows may hide."""
    if tested is None or not tested.missed:
        return []
    notes = [
        f"Before they were learned version {live} was right on {of.right:,} of {counted_rows(of.rows)} of "
        f'"{of.class_}".'
        for of in tested.missed[:NAMED]
    ]
    most = tested.commonest
    if most is not None and most.accuracy >= ONE_SIDED:
        notes[-1] += (
            f" Of all {tested.rows:,} it was right on {percent(tested.accuracy)}; always saying "
            f'"{most.class_}" is right on {percent(most.accuracy)}.'
        )
    return notes


def _parts(assessment: ClassAssessment) -> list[BatchPart]:
    """The batches of the update by what the base answers to rows of its classes."""
    if not assessment.base:
        return []
    rows, answers = assessment.batch, assessment.base.on_batch
    known = answers.judged & (rows.codes(answers.classes) >= 0)
    return batch_parts(rows, np.where(known, ~answers.right(rows), np.nan))


def with_batch(report: Report, **changes: Any) -> Report:
    """The report with changes to what it says of the update's own rows."""
    return report.model_copy(update={"batch": report.batch.model_copy(update=changes)})


def _copies(every: ClassAssessment, counted: ClassAssessment) -> dict[str, int]:
    """Rows of the update that are counted once with another, and those that are nearly trusted rows."""
    near = shared(every.batch.marks, every.trusted.marks)
    return {"near_duplicates": len(every.batch) - len(counted.batch), "near_trusted": int(near.sum())}


def _copies_noted(copies: int, rows: int) -> list[str]:
    if copies * MANY_COPIES < rows or copies < 2:
        return []
    return [
        f"{copies:,} of {rows:,} rows are nearly the same as another with the same label, and count as one with it. "
        "Rows that differ but belong together, such as those of one patient, are kept together by groups."
    ]


def _copied_noted(assessment: ClassAssessment) -> list[str]:
    """A note on rows that judge although the update has copies of them."""
    copied, trusted = int(assessment.copied.sum()), counted_rows(len(assessment.trusted))
    if not copied:
        return []
    return [
        f"The update learns copies of {copied:,} of {trusted}. Too few others are left to judge by, so these judge, "
        "too: the accuracy after it may be too high."
    ]


def _old_classes(assessment: ClassAssessment, harm: Harm | None, unmasked: Paired | None) -> OldClasses:
    gone = sorted({*assessment.old}.difference(assessment.candidate.on_trusted.classes))
    if not assessment.base or not harm or not unmasked:
        nothing = Pair(before=None, after=None)
        return OldClasses(before=None, after=None, interval=None, masked=nothing, intrusion=None, gone=gone)
    before = float(assessment.base.on_trusted.right(assessment.trusted).mean())
    masked = assessment.candidate.on_trusted.over(assessment.old).right(assessment.trusted)
    return OldClasses(
        before=before,
        after=before - unmasked.drop,
        interval=unmasked.interval,
        masked=Pair(before=before, after=float(masked.mean())),
        intrusion=harm.intruded / harm.rows,
        gone=gone,
    )


def _forgetting(old: OldClasses, since: Sequence[Since]) -> float | None:
    """The most that was lost since the base or a remembered version: share of the rows that both answered, over the
    classes of that time; below 0 where more was won since each."""
    if old.masked.before is None or old.masked.after is None:
        return None
    return max([old.masked.before - old.masked.after, *(then.paired.drop for then in since if then.paired.rows)])


def _lost_since(measured: Measured) -> LostSince | None:
    of = measured.lost_since
    if of is None or of.in_all is None:
        return None
    return LostSince(
        version=of.version,
        rows=of.in_all.rows,
        lost=of.in_all.drop,
        p=of.in_all.p_harm,
        forgotten=of.paired.drop,
        newer=len(of.lacks) + len(measured.new_classes),
    )


def _interference(gate: GateReport) -> Interference:
    """Sudden if rule 5 or 8 fires, gradual if rule 9 does."""
    fired = {rule.number for rule in gate.rules if rule.severity}
    return Interference.SUDDEN if fired & {5, 8} else Interference.GRADUAL if 9 in fired else Interference.NONE


def _new_classes_score(assessment: ClassAssessment) -> NewClassesScore:
    which = new_rows(assessment)
    rows, right = assessment.batch.take(which), assessment.candidate.on_batch.right(assessment.batch)[which]
    several = not assessment.base and len(assessment.new) > 1
    counts, of_all = assessment.counts or rows.counts(), None
    if several and len(rows):
        most, every = max(sorted(counts), key=lambda name: counts[name]), sum(counts.values())
        of_all = Commonest(class_=most, accuracy=counts[most] / every, rows=every)
    return NewClassesScore(
        names=list(assessment.new),
        after=float(right.mean()) if len(rows) else None,
        interval=wilson(int(right.sum()), len(rows)),
        rows=len(rows),
        classes=class_scores(right, rows),
        commonest=commonest(rows) if several else None,
        commonest_of_all=of_all,
    )


def _yardstick(assessment: ClassAssessment) -> Yardstick | None:
    if not assessment.yardstick:
        return None
    rows, answers = assessment.trusted, assessment.yardstick.on_trusted
    of_all, own_right = _of_all(assessment), assessment.candidate.on_trusted.right(rows)
    accuracy = float(np.average(answers.right(rows), weights=of_all)) if len(rows) else None
    own = assessment.yardstick.on_batch
    new = own.right(assessment.batch)[new_rows(assessment) & own.judged]
    return Yardstick(
        method="ridge",
        accuracy=accuracy,
        regret=accuracy - float(np.average(own_right, weights=of_all)) if accuracy is not None else None,
        intrusion=float(answers.among(assessment.new).mean()) if len(rows) else None,
        new_classes=float(new.mean()) if len(new) else None,
    )


def _batch_evidence(
    assessment: ClassAssessment, evidence: Evidence | None, contradiction: Contradiction | None
) -> BatchEvidence:
    own, confident = assessment.candidate.on_batch, assessment.policy.familiar.confident
    gaps = assessment.gaps
    left_out = left_out_suspects(assessment.batch, own, confident, gaps)
    surely = suspects(assessment.batch, own, unlike_the_rest(assessment.batch, own, UNLIKELY), confident, gaps)
    if not evidence or not contradiction or not assessment.base:
        return BatchEvidence(conflicts=None, suspect_rows=left_out, notes=_left_out_noted(surely))
    answers, conflict = assessment.base.on_batch, evidence.conflict
    alike = clusters(assessment.batch, answers, evidence, assessment.ledger.unjudged) if assessment.ledger else None
    listed = suspects(assessment.batch, answers, conflict, confident, gaps, alike)
    known = {(row.batch, row.row) for row in listed}
    left_out = [row for row in left_out if (row.batch, row.row) not in known]
    shown = sorted([*listed, *left_out], key=lambda row: (-row.alike, -row.score))[:SUSPECT_ROWS]
    sure = sum(row.score >= confident and (row.batch, row.row) in known for row in shown)
    both = reconcilable(contradiction, assessment.policy)
    guilty = {} if assessment.expected else unexcused(contradiction, assessment.policy)
    return BatchEvidence(
        conflicts=evidence.conflicts,
        familiar=evidence.rows,
        expected=evidence.expected,
        unfamiliar_share=evidence.unfamiliar_share,
        suspect_rows=shown,
        disputes=[dispute(name, of_class, assessment.batch, answers, conflict) for name, of_class in guilty.items()],
        evidence={} if assessment.expected else dict(evidence.classes),
        reconcilable=both,
        notes=_relabelled(assessment, contradiction)
        + _notes(assessment, evidence, both, shown[:1], (sure, len(shown) - sure))
        + _left_out_noted([row for row in surely if row in left_out]),
    )


def left_out_suspects(batch: Rows, own: Answers, confident: float, gaps: RowNames) -> list[SuspectRow]:
    """Rows whose label heads contradict that learned all else. own: the answers of these heads to the batch."""
    return suspects(batch, own, unlike_the_rest(batch, own), confident, gaps)


def _left_out_noted(rows: Sequence[SuspectRow]) -> list[str]:
    """A note on rows that the rest contradicts."""
    if not rows:
        return []
    count, them = ("1 row carries", "it") if len(rows) == 1 else (f"{len(rows)} rows carry", "them")
    count = f"At least {count}" if len(rows) == SUSPECT_ROWS else count
    return [f"{count} a label that all other rows speak against: is it a slip? The report lists {them}."]


def _relabelled(assessment: ClassAssessment, contradiction: Contradiction) -> list[str]:
    """A note where its sender said that labels change on purpose."""
    if not assessment.expected:
        return []
    return [RELABELLED if on_purpose(contradiction, assessment.policy) else NOT_RENAMED]


def _notes(
    assessment: ClassAssessment,
    evidence: Evidence,
    both: bool | None,
    first: Sequence[SuspectRow],
    listed: tuple[int, int],
) -> list[str]:
    """first: the row that is listed first, if any · listed: how many rows are of which the base is sure, and others."""
    notes = list[str]()
    if both:
        notes.append("Shifted inputs: old and new rows can both be right, as those of another region or style are.")
    if first and (most := first[0]).alike:
        notes.append(
            f'{most.alike} rows that lie close together say "{most.label}" where version {assessment.live} says '
            f'"{most.suggested}": they are listed first. Learned, they may change the answer to rows like them.'
        )
    confident = assessment.policy.familiar.confident
    surely = 0
    if assessment.base is not None:
        told = evidence.conflict & ~among(assessment.batch, assessment.gaps)
        surely = int((told & (assessment.base.on_batch.scores >= confident)).sum())
    if surely:
        rows, them = ("1 row carries", "it") if surely == 1 else (f"{surely:,} rows carry", "them")
        shown, less = listed
        some = f"{shown:,} of {them}" if shown < surely else them
        some += f", and {less:,} more that {'looks' if less == 1 else 'look'} wrong for weaker reasons" if less else ""
        notes.append(f"{rows} a label where version {assessment.live} is sure of another one; the report lists {some}.")
    known = int(evidence.known.sum())
    if known and known - evidence.rows >= 0.3 * known:
        notes.append(f"{known - evidence.rows:,} of {known:,} rows of known classes {UNLIKE}.")
    return notes
