"""What is measured of an update: harm on trusted rows, gain on its own, and what its rows say against the base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.contract.policy import GatePolicy
from service.contract.report import ClassEvidence, ClassScore, Cost, Older
from service.learning.data.rows import SELECT_FOLD, Bools, Ints, Rows, alone, distinct
from service.learning.data.sides import shared
from service.learning.evaluation.answers import Answers, Bits, class_scores
from service.learning.evaluation.evidence import Evidence, Solve, learnable, pooled, reconcile, weigh
from service.learning.evaluation.likeness import in_parts, likeness, of_its_own, young
from service.learning.evaluation.looking_back import pooled_before, since
from service.learning.gate.contradiction_rules import needs_learner, needs_reconciliation, strange_can_tell
from service.learning.gate.measurements import Contradiction, First, Group, Harm, Likeness, Measured, NewClass
from service.learning.ledger.ledger import Ledger
from service.learning.statistics import Agreement, Paired
from service.learning.wording import listed

KEPT_SHARE = 0.5
"""So great a part of a class's trusted rows must be left where those that the update has copies of do not judge."""
NAMED = 3
"""Classes with too few trusted rows to be judged alone that are named as a group; more are counted."""

MANY_ROWS = 100
"""Learned rows of which some would be trusted, if they were not all of one group."""


@dataclass(frozen=True, eq=False)
class Past:
    """What a lineage remembers, newest last.

    `bits`: (version number, right or wrong on its trusted rows) of the last promoted versions, see `remember`.
    `best_masked`: `old_classes.best_masked` of the base's report.
    `evidence`: `batch.evidence` of the reports of the base and the versions before it.
    """

    bits: Sequence[tuple[int, Bits]] = ()
    best_masked: Mapping[str, float] = field(default_factory=dict)
    evidence: Sequence[Mapping[str, ClassEvidence]] = ()


@dataclass(frozen=True, eq=False)
class Assessment:
    """All that a report is made of.

    `trusted` (T): exam rows of base.learned; `batch` (B): the update's own. `ledger`: the base's sums in some space;
    where there is one, inputs of T and B are its rounded features, int16, and `solve` fits the exact head to its sums.
    `live`: number of the base. `base`, `candidate`, `yardstick`: answers on T by heads that never saw it.
    `..._on_batch`: answers on B, the base's by the head it serves, the others' out of fold; NaN where no head is left
    that never saw the row. `partial`, `stuck`: see `Measured`. The base is null for a first version, the yardstick
    where there is none. `faded`: batches that count less than half of what the newest counts. `foreign`: classes whose
    weights the base has from elsewhere, and `replaced`: the candidate has them no more.
    """

    policy: GatePolicy
    trusted: Rows
    batch: Rows
    candidate: Answers
    candidate_on_batch: Answers
    cost: Cost
    exact: bool
    live: int | None = None
    base: Answers | None = None
    base_on_batch: Answers | None = None
    yardstick: Answers | None = None
    yardstick_on_batch: Answers | None = None
    yardstick_method: str = "ridge"
    ledger: Ledger | None = None
    solve: Solve | None = None
    past: Past = field(default_factory=Past)
    sound: bool | None = None
    method: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    older: Older | None = None
    faded: frozenset[str] | None = None
    foreign: Sequence[str] = ()
    replaced: bool = False
    partial: bool = False
    stuck: bool = False

    @property
    def old(self) -> tuple[str, ...]:
        """Classes that the base can answer."""
        return self.base.classes if self.base else ()

    @property
    def new(self) -> tuple[str, ...]:
        """Classes that this update brought."""
        old = frozenset(self.old)
        return tuple(c for c in self.candidate.classes if c not in old)

    def distinct(self) -> Assessment:
        """The same without repetitions of a row and label, near-duplicates among them: copies are right or wrong
        together and prove nothing."""
        b = distinct(self.batch)
        candidate = self.candidate_on_batch.take(b)
        same = self.yardstick_on_batch is self.candidate_on_batch
        return replace(
            self._judged_by(distinct(self.trusted)),
            batch=self.batch.take(b),
            candidate_on_batch=candidate,
            base_on_batch=self.base_on_batch and self.base_on_batch.take(b),
            yardstick_on_batch=candidate if same else self.yardstick_on_batch and self.yardstick_on_batch.take(b),
        )

    def uncopied(self) -> Assessment:
        """The same without trusted rows of which the update brings a copy, under the same label, to learn from: what
        was learned proves nothing. Of a class that would keep too few they stay, as they do where too few were left
        in all: copies may not take the evidence away. Copies under another label do harm, so their rows judge."""
        copied = np.flatnonzero(self.copied)
        rows, least = self.trusted, self.policy.worst_class.min_rows
        had, out = (np.bincount(labels, minlength=len(rows.names)) for labels in (rows.labels, rows.labels[copied]))
        enough = (had - out >= KEPT_SHARE * had) & ((had - out >= least) | (had < least))
        copied = copied[enough[rows.labels[copied]]]
        if not len(copied) or len(rows) - len(copied) < least:
            return self
        return self._judged_by(np.delete(np.arange(len(rows)), copied))

    @property
    def copied(self) -> Bools:
        """Trusted rows of which the update brings a copy with the same label to learn from."""
        learned = self.batch.take((self.batch.folds >= SELECT_FOLD) | self.batch.lent)
        theirs, found = learned.codes(self.trusted.names), np.zeros(len(self.trusted), bool)
        for k in np.unique(theirs[theirs >= 0]):
            mine = np.flatnonzero(self.trusted.labels == k)
            found[mine] = shared(self.trusted.marks[mine], learned.marks[theirs == k])
        return found

    def _judged_by(self, which: Ints) -> Assessment:
        """The same with those trusted rows alone."""
        candidate, same = self.candidate.take(which), self.yardstick is self.candidate
        return replace(
            self,
            trusted=self.trusted.take(which),
            candidate=candidate,
            base=self.base and self.base.take(which),
            yardstick=candidate if same else self.yardstick and self.yardstick.take(which),
        )


def measure(a: Assessment, uncopied: Assessment) -> tuple[Measured, Evidence | None]:
    """The numbers for the gate, and the rows behind its rules 1-4. What the candidate answers is judged by uncopied
    rows; what the base knows of the batch by all, which it never saw."""
    evidence, trusted = _evidence(a), a.trusted.counts()
    alike = likeness(a, evidence) if evidence else {}
    measured = Measured(
        live=a.live,
        first=None if a.base else _first(a),
        harm=_harm(uncopied, [name for name, like in alike.items() if of_its_own(like, a.policy.renames)]),
        contradiction=_contradiction(a, evidence) if evidence else None,
        new_classes=_new_classes(a, alike) if a.base else (),
        own=_own(a),
        untested=_untested(a),
        since=since(uncopied),
        sound=a.sound,
        exact=a.exact and not a.partial,
        partial=a.partial,
        stuck=a.stuck,
        foreign=tuple(name for name in a.foreign if name not in trusted),
        replaced=a.replaced,
        batches=a.batch.batches,
        young=_young(a, evidence) if evidence else (),
    )
    return measured, evidence


def _harm(a: Assessment, own: Sequence[str]) -> Harm | None:
    """`own`: new classes whose rows show that they are none of the old ones."""
    if not a.base or not len(a.trusted):
        return None
    rows, before = a.trusted, a.base.right(a.trusted)
    masked = a.candidate.over(a.old).right(rows)
    intruded = a.candidate.among(a.new)
    names = Counter(name for name, new in zip(a.candidate.names(), intruded, strict=True) if new)
    return Harm(
        rows=len(rows),
        masked=Paired.of(before, masked),
        groups=tuple(_groups(a, before, _fair(a, masked))),
        taken=Paired.of(before, np.where(a.candidate.among(own), masked, a.candidate.right(rows))),
        intruded=int(intruded.sum()),
        intruders=tuple(name for name, _ in names.most_common()),
        yardstick_intruded=int(a.yardstick.among(a.new).sum()) if a.yardstick else None,
    )


def _fair(a: Assessment, masked: Bools) -> Bools:
    """Right after, for judging class by class: a row that even the yardstick gives to a new class counts as masked."""
    excused = a.yardstick.among(a.new) if a.yardstick else np.ones(len(masked), bool)
    return np.asarray(np.where(excused, masked, a.candidate.right(a.trusted)))


def _groups(a: Assessment, before: Bools, after: Bools) -> list[Group]:
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
        Group(name, said, float(before[m].mean()), float(after[m].mean()), Paired.of(before[m], after[m]), several)
        for name, said, m, several in masks
    ]


def _first(a: Assessment) -> First:
    judged = a.candidate_on_batch.judged
    nothing_left = judged & alone(a.batch)
    judged = judged & ~nothing_left
    rows = a.batch.take(judged)
    place = {name: k for k, name in enumerate(rows.names)}
    answered = np.array([place.get(name, len(place)) for name in a.candidate_on_batch.names()], np.int64)
    counts = rows.counts()
    return First(
        Agreement.of(answered[judged], rows.labels),
        len(a.candidate.classes),
        max(sorted(counts), key=lambda c: counts[c], default=""),
        int(nothing_left.sum()),
        one_group=not len(rows) and len(np.unique(a.batch.kin)) == 1 and bool(a.batch.kin[0] & np.uint64(1)),
    )


def new_rows(a: Assessment) -> Bools:
    """Rows of B whose class is new and that were judged."""
    new = a.batch.codes(a.new) >= 0
    return np.asarray(new & a.candidate_on_batch.judged)


def _new_classes(a: Assessment, alike: Mapping[str, Likeness]) -> tuple[NewClass, ...]:
    which = new_rows(a)
    mine = class_scores(a.candidate_on_batch.right(a.batch)[which], a.batch.take(which))
    theirs: Mapping[str, ClassScore] = {}
    if a.yardstick_on_batch:
        both = which & a.yardstick_on_batch.judged
        theirs = class_scores(a.yardstick_on_batch.right(a.batch)[both], a.batch.take(both))
    return tuple(_new_class(name, mine.get(name), theirs.get(name), alike.get(name)) for name in a.new)


def _new_class(name: str, mine: ClassScore | None, theirs: ClassScore | None, alike: Likeness | None) -> NewClass:
    if mine is None:
        return NewClass(name, 0, 0, 0, alike)
    return NewClass(name, mine.rows, _hits(mine), _hits(theirs) if theirs else None, alike)


def _young(a: Assessment, evidence: Evidence) -> tuple[NewClass, ...]:
    alike = in_parts(a, evidence, young(a))
    return tuple(NewClass(name, like.rows, 0, None, like) for name, like in alike.items())


def _hits(score: ClassScore) -> int:
    return round(score.accuracy * score.rows)


def _own(a: Assessment) -> Paired | None:
    if not a.base_on_batch:
        return None
    both = a.base_on_batch.judged & a.candidate_on_batch.judged
    return Paired.of(a.base_on_batch.right(a.batch)[both], a.candidate_on_batch.right(a.batch)[both])


def _untested(a: Assessment) -> tuple[int, int] | None:
    if not a.base_on_batch or not a.ledger or len(a.trusted) or a.ledger.all.rows < MANY_ROWS:
        return None
    known = (a.batch.codes(a.base_on_batch.classes) >= 0) & a.base_on_batch.judged
    return int(known.sum()), int((known & ~a.base_on_batch.right(a.batch)).sum())


def _evidence(a: Assessment) -> Evidence | None:
    if not a.base or not a.base_on_batch or not a.ledger:
        return None
    return weigh(a.trusted, a.base, a.batch, a.base_on_batch, a.ledger, a.policy)


def _contradiction(a: Assessment, evidence: Evidence) -> Contradiction:
    """Counts of the evidence; the two heads that tell its causes apart are fitted only where a rule asks."""
    counted = evidence.known & evidence.familiar
    last = a.past.evidence[max(len(a.past.evidence) - pooled_before(a.policy), 0) :]
    found = Contradiction(
        rows=evidence.rows,
        conflicts=evidence.conflicts,
        expected=evidence.expected,
        labels=len(np.unique(a.batch.labels[counted])),
        classes=evidence.classes,
        pooled=pooled([*last, evidence.classes]) if last else {},
    )
    if a.ledger is None or a.solve is None or a.base_on_batch is None:
        return found
    strange = evidence.known & ~evidence.familiar
    most = int(np.bincount(a.batch.labels[strange]).max(initial=0))
    found = replace(found, strange=int(strange.sum()), strange_others=int(strange.sum()) - most)
    if strange_can_tell(found, a.policy):
        found = replace(found, strange_learner=learnable(a.batch, strange, a.ledger.shift, a.solve))
    if needs_learner(found, a.policy):
        found = replace(found, learner=learnable(a.batch, counted, a.ledger.shift, a.solve))
    if needs_reconciliation(found, a.policy):
        joint = reconcile(a.batch, a.base_on_batch, evidence.conflict, a.ledger, a.solve)
        found = replace(found, reconciliation=joint)
    return found
