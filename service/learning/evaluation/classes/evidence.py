"""Weighs a batch against the version that is live: are its labels learnable, and do they contradict what is known?

Rows of known classes are judged by the base, which never saw them. Only *familiar* rows count: a row unlike anything
seen may well carry a label that the base would not give. Honest shift and swapped labels look alike here; whether old
and new rows can both be right (`reconcile`) tells them apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.policy import ContradictsClass, GatePolicy
from service.contract.reports.class_report import ClassEvidence, Dispute, SuspectRow
from service.learning.data.rows import SELECT_FOLD, Bools, FeatureRows, Ints, Rows
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.classes.class_answers import Answers, standing_for
from service.learning.evaluation.classes.familiarity import is_familiar
from service.learning.evaluation.context import Shown
from service.learning.evaluation.gaps import RowNames, among
from service.learning.exact.solve import Head
from service.learning.gate.classes.class_measurements import Lasting, Reconciliation
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.statistics import Agreement

Solve = Callable[[Sums], Head]
"""Fits the exact head to sums; alpha and prior are the caller's."""

SUSPECT_ROWS = 100
"""Most rows that a report lists."""
SURE_ROWS = 20
"""The rate at which sure answers of a class are wrong is drawn toward that of all classes, as if by so many more rows:
else a class with three trusted rows could never be contradicted."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Masks over the batch's rows [n], and the counts of its familiar rows of known classes. `known`: rows of a known
    class · `familiar`: rows of any class that are like what was seen · `conflict`: known, familiar, and another label.

    `expected`: share of conflicts that the base's own mistakes on trusted rows would give this mix of classes, and
    `tested`: how many trusted rows in this mix would tell it as well, as those and earlier batches do.
    `classes`: rows that the base confidently calls c, and how many of them carry another label.
    """

    known: Bools
    familiar: Bools
    conflict: Bools
    expected: float
    classes: Mapping[str, ClassEvidence]
    tested: float = 0.0

    @property
    def rows(self) -> int:
        return int((self.known & self.familiar).sum())

    @property
    def conflicts(self) -> int:
        return int(self.conflict.sum())

    @property
    def unfamiliar_share(self) -> float | None:
        known = int(self.known.sum())
        return 1 - self.rows / known if known else None


def weigh(
    trusted: FeatureRows,
    batch: FeatureRows,
    base: ExamAnswers[Answers],
    ledger: Ledger,
    policy: GatePolicy,
    before: Sequence[Shown] = (),
) -> Evidence | None:
    """Weighs the batch's rows against the base. trusted, batch: rows with rounded features in the ledger's space ·
    before: what earlier batches showed.

    None where there are no trusted rows: nobody knows how often the base is wrong by itself.
    """
    answers = base.on_batch
    if not base.on_trusted.judged.any():
        return None
    known = (batch.codes(answers.classes) >= 0) & answers.judged
    familiar = is_familiar(ledger.unjudged, trusted, batch.inputs, policy.familiar.quantile)
    counted = known & familiar
    expected = _expected(trusted, base.on_trusted, batch.take(counted))
    return Evidence(
        known=known,
        familiar=familiar,
        conflict=counted & ~answers.right(batch),
        expected=expected,
        tested=_tested(_telling(trusted, ledger, before, expected), batch.take(counted)),
        classes=_by_class(_Sure.of(trusted, base.on_trusted, ledger, policy), batch, base.on_batch, counted),
    )


def _expected(trusted: Rows, base: Answers, counted: Rows) -> float:
    """Sum over classes of share in the batch x (wrong + 1) / (rows + 2) on trusted rows: careful where they are few."""
    if not len(counted):
        return 0.0
    rows, wrong = Counter(trusted.counts()), Counter(trusted.take(~base.right(trusted)).counts())
    return sum(n * (wrong[c] + 1) / (rows[c] + 2) for c, n in counted.counts().items()) / len(counted)


def _telling(trusted: Rows, ledger: Ledger, before: Sequence[Shown], expected: float) -> dict[str, float]:
    """Rows of each class that tell what is usual: trusted ones; and where no greater share of the last batches was in
    conflict than is expected, as many of their rows as are of the class among all. In a table of few different rows
    hardly any are trusted: shuffled labels would be no more than so few explain."""
    counts, all_rows = {name: float(n) for name, n in trusted.counts().items()}, ledger.all
    rows = sum(of.rows for of in before)
    if sum(of.conflicts for of in before) <= expected * rows and all_rows.mass:
        for name, n in zip(all_rows.classes, all_rows.n.tolist(), strict=True):
            counts[name] = counts.get(name, 0.0) + rows * n / all_rows.mass
    return counts


def _tested(telling: Mapping[str, float], counted: Rows) -> float:
    """Rows in the batch's mix of classes whose share of mistakes would vary as much as that sum does."""
    mix = counted.counts()
    varies = sum((n / len(counted)) ** 2 / (telling.get(c, 0.0) + 2) for c, n in mix.items())
    return 1 / varies if varies else 0.0


@dataclass(frozen=True, eq=False)
class _Sure:
    """How often the base is wrong of trusted rows where it is sure, from a score of `confident` on.

    called [m]: its answers · sure, wrong [m] · counts [m]: see `standing_for`.
    """

    confident: float
    called: NDArray[np.object_]
    sure: Bools
    wrong: Bools
    counts: NDArray[np.float64]

    @staticmethod
    def of(trusted: Rows, base: Answers, ledger: Ledger, policy: GatePolicy) -> _Sure:
        called, confident = np.array(base.names(), object), policy.familiar.confident
        counts = standing_for(trusted, ledger)
        return _Sure(confident, called, base.scores >= confident, ~base.right(trusted), counts)

    def usual(self, rows: Bools) -> float:
        """Share of some rows that are wrong, careful where they are few."""
        return float((self.counts[rows & self.wrong].sum() + 1) / (self.counts[rows].sum() + 2))

    def expected(self, name: str) -> tuple[float, float]:
        """Share of sure answers of a class that are wrong, drawn to that of all sure answers, and of how many rows."""
        sure = (self.called == name) & self.sure
        wrong, rows = self.counts[sure & self.wrong].sum(), self.counts[sure].sum()
        share = float((wrong + SURE_ROWS * self.usual(self.sure)) / (rows + SURE_ROWS))
        return share, float(sure.sum() + SURE_ROWS)


def _by_class(trusted: _Sure, batch: Rows, base: Answers, counted: Bools) -> dict[str, ClassEvidence]:
    """Rule 3's counts for each class that the base is sure of in this batch."""
    usual = trusted.usual(trusted.sure)
    sure = counted & (base.scores >= trusted.confident)
    labels = np.array(batch.label_names(), object)[sure]
    called = np.array(base.names(), object)[sure]
    classes = {}
    for name in sorted(set(called)):
        of_class = called == name
        toward = Counter(labels[of_class & (labels != name)])
        others = ~of_class & (called != max(toward, key=lambda label: toward[label], default=name))
        elsewhere = float(((labels != called)[others].sum() + SURE_ROWS * usual) / (others.sum() + SURE_ROWS))
        expected, tested = max(trusted.expected(name), (elsewhere, float(others.sum() + SURE_ROWS)))
        classes[name] = ClassEvidence(
            confident=int(of_class.sum()),
            conflicts=toward.total(),
            expected=expected,
            tested=tested,
            toward=dict(toward.most_common()),
        )
    return classes


def pooled(batches: Iterable[Mapping[str, ClassEvidence]]) -> dict[str, ClassEvidence]:
    """Counts of several batches as one; the expected share is weighted by rows, and rests on the most that one of them
    had: trusted rows stay. Slow poison shows only here."""
    total: dict[str, ClassEvidence] = {}
    for batch in batches:
        for name, new in batch.items():
            old = total.get(name, ClassEvidence(confident=0, conflicts=0, expected=0.0))
            rows = old.confident + new.confident
            total[name] = ClassEvidence(
                confident=rows,
                conflicts=old.conflicts + new.conflicts,
                expected=(old.expected * old.confident + new.expected * new.confident) / rows if rows else new.expected,
                tested=max(old.tested, new.tested),
                toward=dict(Counter(old.toward) + Counter(new.toward)),
            )
    return total


def lasting(batches: Sequence[tuple[int, Mapping[str, ClassEvidence]]], rule: ContradictsClass) -> dict[str, Lasting]:
    """Of each class the label that too many of its rows carry, counted since that began.

    batches: what each showed, and the version that was live before it, oldest first. The usual share of that version
    goes on to count: rows that were learned with wrong labels judge, too, so what is usual would grow with the harm.
    A count begins anew where conflicts are nearer to the usual share than to too many (CUSUM, Page 1954): a version
    that follows a stream that moves is soon contradicted no longer.
    """
    counts: dict[str, Lasting] = {}
    for name in {name for _, shown in batches for name in shown}:
        of_class = [(before, shown[name]) for before, shown in batches if name in shown]
        of_labels = (
            _lasting(of_class, label, rule) for label in {label for _, shown in of_class for label in shown.toward}
        )
        counted = [each for each in of_labels if each is not None]
        if counted:
            counts[name] = max(counted, key=lambda each: each.evidence.conflicts)
    return counts


def _lasting(batches: Sequence[tuple[int, ClassEvidence]], label: str, rule: ContradictsClass) -> Lasting | None:
    """The rows of a class since so many carry that label; None where they are no more than usual."""
    count, weight = None, 0.0
    for before, shown in batches:
        if count is None or weight <= 0:
            usual = shown.model_copy(update={"confident": 0, "conflicts": 0, "toward": {}})
            count, weight = Lasting(before, usual), 0.0
        of = count.evidence
        conflicts = shown.toward.get(label, 0)
        weight += _likelier(
            conflicts, shown.confident, of.expected, max(rule.min_share, rule.times_expected * of.expected)
        )
        alike = of.conflicts + conflicts
        more = {"confident": of.confident + shown.confident, "conflicts": alike, "toward": {label: alike}}
        count = Lasting(count.since, of.model_copy(update=more))
    return count if weight > 0 else None


def _likelier(conflicts: int, rows: int, usual: float, many: float) -> float:
    """By how much so many conflicts are likelier where that share is many than where it is usual, as a logarithm."""
    if not usual < many < 1:
        return 0.0
    return conflicts * math.log(many / usual) + (rows - conflicts) * math.log((1 - many) / (1 - usual))


def learnable(batch: FeatureRows, counted: Bools, shift: int, solve: Solve) -> Agreement:
    """Whether any rule links rows to labels: how a head of the batch alone does on the counted rows, out of fold."""
    answers = _out_of_fold(batch, counted, shift, lambda rest: solve(Sums.of(rest)))
    return Agreement.of(answers, batch.labels[counted])


def reconcile(
    batch: FeatureRows, base_on_batch: Answers, conflict: Bools, ledger: Ledger, solve: Solve
) -> Reconciliation:
    """Fits the ledger's head with the batch weighted to the mass of the old rows, out of fold on both sides.

    With swapped labels the same inputs have two labels in equal shares, so either half of them is lost.
    """

    def joint(seen: Sums, rest: FeatureRows) -> Head:
        return solve(seen.weighted_with(Sums.of(rest), seen.rows / max(len(rest), 1)))

    together = _out_of_fold(batch, conflict, ledger.shift, lambda rest: joint(ledger.all, rest))
    alone = _out_of_fold(batch, conflict, ledger.shift, lambda rest: solve(Sums.of(rest)))
    truth = batch.labels[conflict]
    old = FeatureRows.concat([ledger.exam, ledger.selected])
    before = _answers(solve(ledger.learn), old, ledger.shift)
    after = _answers(joint(ledger.learn, batch.take(batch.folds > SELECT_FOLD)), old, ledger.shift)
    lost = before.right(old).astype(np.int64) - after.right(old)
    involved = Counter(batch.take(conflict).label_names() + base_on_batch.take(conflict).names())
    weight = np.array([involved[name] for name in old.names])[old.labels] / np.bincount(old.labels)[old.labels]
    loss = float((lost * weight).sum() / weight.sum()) if weight.any() else 0.0
    return Reconciliation(fixed=float((together == truth).mean()), loss=loss, alone=float((alone == truth).mean()))


def _out_of_fold(batch: FeatureRows, which: Bools, shift: int, fit: Callable[[FeatureRows], Head]) -> Ints:
    """Answers to some rows by heads fitted without their group of folds, as indices of `batch.names`; a class that the
    batch does not have comes after those. -> [which.sum()]"""
    index = {name: k for k, name in enumerate(batch.names)}
    answers = np.full(len(batch), len(index), np.int64)
    group = batch.folds // 2
    for k in np.unique(group[which]):
        rest, left_out = batch.take(group != k), which & (group == k)
        if len(rest):
            names = _answers(fit(rest), batch.take(left_out), shift).names()
            answers[left_out] = [index.get(name, len(index)) for name in names]
    return answers[which]


def _answers(head: Head, rows: FeatureRows, shift: int) -> Answers:
    return Answers(tuple(head.classes), head.logits(rows.values(shift)))


def suspects(
    batch: Rows,
    base_on_batch: Answers,
    conflict: Bools,
    confident: float,
    gaps: RowNames = frozenset(),
    alike: Ints | None = None,
) -> list[SuspectRow]:
    """Lists the rows that most likely carry a wrong label: first those that lie close to others with the same label,
    `alike` so many; then those that the base is sure are of another class, the surest first. Of `gaps` none is listed.
    """
    scores, close = base_on_batch.scores, np.zeros(len(batch), np.int64) if alike is None else alike
    listed = np.flatnonzero(conflict & ((scores >= confident) | (close > 0)) & ~among(batch, gaps))
    names, labels = base_on_batch.names(), batch.label_names()
    return [
        SuspectRow(
            batch=batch.batches[batch.batch[k]],
            row=int(batch.row[k]),
            label=labels[k],
            suggested=names[k],
            score=float(scores[k]),
            alike=int(close[k]),
        )
        for k in listed[np.lexsort((-scores[listed], -close[listed]))][:SUSPECT_ROWS]
    ]


def unlike_the_rest(batch: Rows, left_out: Answers, most: float = np.inf) -> Bools:
    """Finds rows whose label is not what heads answer that learned all else and never saw them; a row whose class has
    no other row to learn from is none. left_out: answers by such heads, those of an exact head in closed form · most:
    rows with so unlikely a label that scores expect in such a batch if all are right -> [n]"""
    codes = batch.codes(left_out.classes)
    answered = left_out.judged & (codes >= 0)
    own = left_out.probabilities[np.arange(len(codes)), codes] if left_out.classes else np.zeros(len(codes))
    own = np.where(answered, own, 0.0)
    return np.asarray((own > 0) & (own * left_out.judged.sum() < most) & ~left_out.right(batch))


def dispute(name: str, evidence: ClassEvidence, batch: Rows, base_on_batch: Answers, conflict: Bools) -> Dispute:
    """What is disputed about a class: the label that rows carry instead, how many, and their source (None: several)."""
    called = np.array(base_on_batch.names(), object) == name
    sources = {batch.sources[k] for k in batch.source[conflict & called]}
    return Dispute(
        class_=name,
        suggested=max(sorted(evidence.toward), key=lambda label: evidence.toward[label], default=name),
        rows=evidence.conflicts,
        source=(sources.pop() or None) if len(sources) == 1 else None,
    )
