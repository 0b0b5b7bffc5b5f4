"""What an update is judged by: what base, candidate and yardstick answer, and what the lineage remembers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.contract.policy import GatePolicy
from service.contract.reports.class_report import ClassEvidence, Older
from service.contract.reports.facts import Cost
from service.learning.data.near_duplicates import shared
from service.learning.data.rows import SELECT_FOLD, Bools, Floats, Ints, Rows, distinct
from service.learning.evaluation.assessment import Assessment, ExamAnswers, places_of_same
from service.learning.evaluation.classes.class_answers import Answers
from service.learning.evaluation.classes.evidence import Solve
from service.learning.evaluation.context import Shown
from service.learning.gate.classes.class_measurements import ALL, Since
from service.learning.ledger.ledger import Ledger
from service.learning.statistics import Narrowed, Paired

KEPT_SHARE = 0.5
"""Part of a class's trusted rows that must stay where those that the update has copies of do not judge."""

LEAST_MARGIN = 0.01
"""Least usual margin, for a version that is sure of nothing."""


@dataclass(frozen=True, eq=False)
class Correctness:
    """Which of its trusted rows one version answers rightly.

    `classes`: the columns it had. batch [n] indexes `batches`, row [n], right [n]; margin [n]: see `Answers.margins`,
    None in what an earlier release wrote. settings: share of the trusted rows, and of those of each class, that
    settings alone have lost since the first version, where they changed · gained: share of their own rows that updates
    have surely won since then, out of fold, less what they lost, added up.
    """

    classes: tuple[str, ...]
    batches: tuple[str, ...]
    batch: NDArray[np.int32]
    row: NDArray[np.int32]
    right: Bools
    margin: NDArray[np.float16] | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    gained: float = 0.0

    @staticmethod
    def of(rows: Rows, right: Bools, classes: Sequence[str], margin: Floats | None = None) -> Correctness:
        """The correctness of a version on these rows. right [n], margin [n]"""
        batch, row = rows.batch.astype(np.int32), rows.row.astype(np.int32)
        kept = None if margin is None else margin.astype(np.float16)
        return Correctness(tuple(classes), rows.batches, batch, row, np.asarray(right, bool), kept)

    def places(self, rows: Rows) -> tuple[Ints, Ints]:
        """Rows that this version answered, too: their places, and their places here. -> [s], [s]"""
        return places_of_same(rows, self.batches, self.batch, self.row)

    def against(
        self,
        candidate: Answers,
        rows: Rows,
        few: int = 1,
        few_margins: int = 1,
        places: tuple[Ints, Ints] | None = None,
    ) -> tuple[Paired, dict[str, Paired], dict[str, Narrowed]]:
        """Compares that version and the candidate on the rows that both answered, over the columns that version had;
        on those of each class that has `few` of these rows or more; and by the margins of each that has `few_margins`,
        where both know the same classes: one that is added takes a part of its neighbours' scores. `places`: those of
        these rows, where they are known.
        """
        both, of_self = self.places(rows) if places is None else places
        answered = candidate.judged[both]
        both, of_self = both[answered], of_self[answered]
        before, after = self.right[of_self], candidate.over(self.classes).right(rows)[both]
        labels = rows.labels[both]

        total = Paired.of(before, after)
        of_classes = {rows.names[k]: of for k, of in by_code(labels, np.arange(len(both))).items() if len(of) >= few}
        paired = {c: Paired.of(before[of], after[of]) for c, of in of_classes.items()}
        if self.margin is None or set(self.classes) != set(candidate.classes):
            return total, paired, {}
        was, now = self.margin[of_self].astype(np.float64), candidate.margins(rows)[both]
        known = np.flatnonzero(~np.isnan(was) & ~np.isnan(now))
        was, now = (m / max(float(np.median(np.abs(m[known]))), LEAST_MARGIN) if len(known) else m for m in (was, now))
        margins = {
            rows.names[k]: Narrowed.of(Paired.of(before[of], after[of]), was[of], now[of])
            for k, of in by_code(labels, known).items()
            if len(of) >= few_margins
        }
        return total, paired, margins

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays, for a safetensors shard; names travel as the bytes of a JSON text."""
        more = [dict(self.settings), self.gained] if self.settings or self.gained else []
        named = [self.classes, self.batches, *more]
        names = json.dumps(named, ensure_ascii=False).encode()
        return {
            "batch": self.batch,
            "row": self.row,
            "right": self.right.astype(np.uint8),
            **({} if self.margin is None else {"even_margin": self.margin}),
            "names": np.frombuffer(names, np.uint8).copy(),
        }

    @staticmethod
    def load(arrays: Mapping[str, ArrayLike]) -> Correctness:
        """Reverses `arrays`; takes torch tensors too."""
        classes, batches, *more = json.loads(np.asarray(arrays["names"]).tobytes())
        return Correctness(
            tuple(classes),
            tuple(batches),
            np.asarray(arrays["batch"], np.int32),
            np.asarray(arrays["row"], np.int32),
            np.asarray(arrays["right"]).astype(bool),
            np.asarray(arrays["even_margin"], np.float16) if "even_margin" in arrays else None,
            *more,
        )


@dataclass(frozen=True, eq=False)
class ClassPast:
    """What a lineage remembers, newest last.

    `correctness`: version number and correctness of the last promoted versions, see `remember`.
    `evidence`: `batch.evidence` of the reports of the base and the versions before it · `shown`: the same of
    batches that are learned or held, each with the version that was live before it; none from before a version that a
    person promoted against the gate.
    """

    correctness: Sequence[tuple[int, Correctness]] = ()
    evidence: Sequence[Mapping[str, ClassEvidence]] = ()
    shown: Sequence[Shown] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassAssessment(Assessment[GatePolicy, Answers, ClassPast]):
    """All that a report on classes is made of.

    `yardstick`: its answers, as the candidate's; NaN where no head is left that never saw the row. `ledger`: the base's
    sums in some space; where there is one, inputs of T and B are its rounded features, int16, and `solve` fits the
    exact head to its sums. `partial`, `stuck`: see `Measured`. `table`: whether inputs are rows of a table
    · `other_kind`: the base has no exact head · `counts`: rows of each class among all of the update's, of which B may
    be a part.
    `faded`: batches that count less than half of what the newest counts. `foreign`: classes whose weights the base has
    from elsewhere, and `replaced`: the candidate no longer has them.
    """

    past: ClassPast = field(default_factory=ClassPast)
    cost: Cost
    exact: bool
    yardstick: ExamAnswers[Answers] | None = None
    ledger: Ledger | None = None
    solve: Solve | None = None
    method: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    older: Older | None = None
    faded: frozenset[str] = frozenset()
    foreign: Sequence[str] = ()
    replaced: bool = False
    partial: bool = False
    stuck: bool = False
    table: bool = False
    other_kind: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def old(self) -> tuple[str, ...]:
        """Classes that the base can answer."""
        return self.base.on_trusted.classes if self.base else ()

    @property
    def new(self) -> tuple[str, ...]:
        """Classes that this update brought."""
        old = frozenset(self.old)
        return tuple(c for c in self.candidate.on_trusted.classes if c not in old)

    def distinct(self) -> ClassAssessment:
        """The assessment without repetitions of a row and label, near-duplicates among them: copies are right or
        wrong together and prove nothing."""
        batch = distinct(self.batch)  # in the order of the rows; their features may be many
        return self._take(distinct(self.trusted), batch if len(batch) < len(self.batch) else slice(None))

    def uncopied(self) -> ClassAssessment:
        """The assessment without trusted rows of which the update brings a copy, under the same label, to learn from:
        what was learned proves nothing.

        Of a class that would keep too few they stay, as they do where too few were left in all: copies may not take the
        evidence away. Copies under another label do harm, so their rows judge.
        """
        copied = np.flatnonzero(self.copied)
        rows, least = self.trusted, self.policy.worst_class.min_rows
        had, out = (np.bincount(labels, minlength=len(rows.names)) for labels in (rows.labels, rows.labels[copied]))
        enough = (had - out >= KEPT_SHARE * had) & ((had - out >= least) | (had < least))
        copied = copied[enough[rows.labels[copied]]]
        if not len(copied) or len(rows) - len(copied) < least:
            return self
        return self._take(np.delete(np.arange(len(rows)), copied), slice(None))

    @property
    def copied(self) -> Bools:
        """Trusted rows of which the update brings a copy with the same label to learn from."""
        batch, copied = self.batch.bare(), np.zeros(len(self.trusted), bool)
        learned = batch.take((batch.folds >= SELECT_FOLD) | batch.lent)
        codes = learned.codes(self.trusted.names)
        for k in np.unique(codes[codes >= 0]):
            of_class = self.trusted.labels == k
            copied[of_class] = shared(self.trusted.marks[of_class], learned.marks[codes == k])
        return copied

    def _take(self, trusted: Ints, batch: Ints | slice) -> ClassAssessment:
        def of(answers: ExamAnswers[Answers]) -> ExamAnswers[Answers]:
            return ExamAnswers(answers.on_trusted.take(trusted), answers.on_batch.take(batch))

        candidate = of(self.candidate)
        same = self.yardstick is self.candidate  # then its answers, which may be large, stand in memory once
        return replace(
            self,
            trusted=self.trusted.take(trusted),
            batch=self.batch.take(batch),
            candidate=candidate,
            base=self.base and of(self.base),
            same=self.same and of(self.same),
            yardstick=candidate if same else self.yardstick and of(self.yardstick),
        )


def since(assessment: ClassAssessment) -> tuple[Since, ...]:
    """Every remembered version beside the candidate, on rows and columns that both have; oldest first.

    Where recent rows alone are trusted, on those that still count, and of the versions that answered most of them: what
    an older one has in common with them is a batch or two that is about to leave. Classes are not compared then:
    a stream that moves takes now from one, now from another.
    """
    rows, candidate, least = assessment.trusted, assessment.candidate.on_trusted, 1.0
    base = assessment.base and assessment.base.on_trusted
    if assessment.policy.trusted == "recent":
        counts = ~rows.in_batches(assessment.faded)
        rows, candidate, base = rows.take(counts), candidate.take(counts), base and base.take(counts)
        least = counts.sum() / 2
    few, few_margins = assessment.policy.worst_class.min_rows, assessment.policy.slow_loss.min_margins
    now, gained, right = settings_lost(assessment), own_gained(assessment), candidate.right(rows)
    was = assessment.past.correctness[-1][1].settings if assessment.past.correctness else {}
    compared = []
    for number, then in assessment.past.correctness:
        places = then.places(rows)
        of_base = None
        if base:
            of_base = Since(number, *then.against(base, rows, few, few_margins, places), _more(was, then.settings))
        compared.append(
            Since(
                number,
                *then.against(candidate, rows, few, few_margins, places),
                _more(now, then.settings),
                of_base,
                gained - then.gained,
                tuple(name for name in assessment.old if name not in then.classes),
                Paired.of(then.right[places[1]], right[places[0]]),
            )
        )
    if assessment.policy.trusted == "recent":
        compared = [replace(s, classes={}, margins={}) for s in compared]
    return tuple(s for s in compared if s.paired.rows >= least)


def settings_lost(assessment: ClassAssessment) -> Mapping[str, float]:
    """`Correctness.settings` of the candidate; of all trusted rows by the name ALL. Of another kind of version all
    counts, of other settings what the mean over the classes did not lose as well (`mean_drop`)."""
    lost = dict(assessment.past.correctness[-1][1].settings) if assessment.past.correctness else {}
    same = assessment.candidate if assessment.challenges else assessment.same
    if assessment.base is None or same is None or not len(assessment.trusted):
        return lost
    before, after = (answers.on_trusted.right(assessment.trusted) for answers in (assessment.base, same))
    of_kind = assessment.challenges or assessment.other_kind
    in_mean = 0.0 if of_kind else max(mean_drop(assessment.trusted, before, after), 0.0)
    every = np.arange(len(before))
    of_classes = ((assessment.trusted.names[k], rows) for k, rows in by_code(assessment.trusted.labels, every).items())
    for name, rows in ((ALL, every), *of_classes):
        lost[name] = lost.get(name, 0.0) + Paired.of(before[rows], after[rows]).drop - in_mean
    return lost


def own(assessment: ClassAssessment) -> Paired | None:
    """What it is compared with, and the candidate, on the update's own rows that both judged. None of a first one."""
    if not assessment.before:
        return None
    before, after = assessment.before.on_batch, assessment.candidate.on_batch
    both = before.judged & after.judged
    return Paired.of(before.right(assessment.batch)[both], after.right(assessment.batch)[both])


def own_gained(assessment: ClassAssessment) -> float:
    """`Correctness.gained` of the candidate. What may be luck counts as nothing, as do few rows and a challenger, which
    learned nothing new."""
    so_far = assessment.past.correctness[-1][1].gained if assessment.past.correctness else 0.0
    paired = None if assessment.challenges else own(assessment)
    if paired is None or paired.rows < assessment.policy.learned_nothing.min_rows:
        return so_far
    return so_far + paired.gain


def mean_drop(trusted: Rows, before: Bools, after: Bools) -> float:
    """What the mean over the classes lost. Settings trade rows of one class for those of another: what is lost in that
    mean, too, is no trade, and no excuse. before, after: right [n]"""
    of_classes = by_code(trusted.labels, np.arange(len(before))).values()
    return float(np.mean([Paired.of(before[rows], after[rows]).drop for rows in of_classes])) if len(before) else 0.0


def _more(now: Mapping[str, float], then: Mapping[str, float]) -> dict[str, float]:
    return {name: lost - then.get(name, 0.0) for name, lost in now.items() if lost != then.get(name, 0.0)}


def pooled_before(policy: GatePolicy) -> int:
    """Earlier batches whose evidence counts."""
    most = policy.contradicts_class.pooled_batches
    return (min(most, policy.recent_batches) if policy.trusted == "recent" else most) - 1


def remember(assessment: ClassAssessment) -> Correctness:
    """The candidate's correctness, and its margins, on what will be trusted rows once it is live: T, and the judging
    rows of B."""
    trusted, batch = assessment.candidate.on_trusted, assessment.candidate.on_batch
    judging = assessment.batch.judging & batch.judged
    rows = Rows.concat([assessment.trusted.bare(), assessment.batch.take(judging).bare()])
    right = np.concatenate([trusted.right(assessment.trusted), batch.right(assessment.batch)[judging]])
    margin = np.concatenate([trusted.margins(assessment.trusted), batch.margins(assessment.batch)[judging]])
    kept = Correctness.of(rows, right, trusted.classes, margin)
    return replace(kept, settings=settings_lost(assessment), gained=own_gained(assessment))


def by_code(codes: Ints, rows: Ints) -> dict[int, Ints]:
    """Rows by their code, ascending; -1 is none. codes [n], rows [m], places in these"""
    rows = rows[codes[rows] >= 0]
    if not len(rows):
        return {}
    order = rows[np.argsort(codes[rows], kind="stable")]
    values, starts = np.unique(codes[order], return_index=True)
    return {int(k): part for k, part in zip(values, np.split(order, starts[1:]), strict=True)}
