"""What a batch says against the version that is live: are its labels learnable, and do they contradict what is known?

Rows of known classes are judged by the base, which never saw them. Only *familiar* rows count: a row unlike anything
seen may well carry a label that the base would not give. Honest shift and swapped labels look alike here; whether old
and new rows can both be right (`reconcile`) tells them apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from service.contract.policy import GatePolicy
from service.contract.report import ClassEvidence, Dispute, SuspectRow
from service.learning.batch import Bools, Ints, Rows
from service.learning.evaluation import Answers
from service.learning.familiarity import is_familiar
from service.learning.ledger import Ledger, Sums
from service.learning.measured import Reconciliation
from service.learning.statistics import Agreement, Paired

if TYPE_CHECKING:
    from service.learning.solve import Head

Solve = Callable[[Sums], "Head"]
"""Fits the exact head to sums; alpha and prior are the caller's."""

SUSPECT_ROWS = 100


@dataclass(frozen=True, eq=False)
class Evidence:
    """Masks over the batch's rows [n], and the counts of its familiar rows of known classes.

    `expected`: share of conflicts that the base's own mistakes on trusted rows would give this mix of classes.
    `classes`: rows that the base confidently calls c, and how many of them carry another label.
    """

    known: Bools
    familiar: Bools
    conflict: Bools
    expected: float
    classes: Mapping[str, ClassEvidence]

    @property
    def rows(self) -> int:
        return int((self.known & self.familiar).sum())

    @property
    def conflicts(self) -> int:
        return int(self.conflict.sum())

    @property
    def share(self) -> float:
        return self.conflicts / self.rows if self.rows else 0.0

    @property
    def excess(self) -> float:
        """Conflicts as a share of rows, above the expected share."""
        return self.share - self.expected if self.rows else 0.0

    @property
    def unfamiliar_share(self) -> float | None:
        known = int(self.known.sum())
        return 1 - self.rows / known if known else None


def weigh(
    trusted: Rows, base_on_trusted: Answers, batch: Rows, base_on_batch: Answers, ledger: Ledger, policy: GatePolicy
) -> Evidence | None:
    """The batch's rows against the base. trusted, batch: rows with rounded features in the ledger's space.

    Null where there are no trusted rows: nobody knows how often the base is wrong by itself.
    """
    if not base_on_trusted.judged.any():
        return None
    known = (batch.codes(base_on_batch.classes) >= 0) & base_on_batch.judged
    familiar = known.copy()
    familiar[known] = is_familiar(ledger.unjudged, trusted.inputs, batch.inputs[known], policy.familiar.quantile)
    counted = known & familiar
    conflict = counted & ~base_on_batch.right(batch)
    return Evidence(
        known=known,
        familiar=familiar,
        conflict=conflict,
        expected=_expected(trusted, base_on_trusted, batch.take(counted)),
        classes=_by_class(trusted, base_on_trusted, batch, base_on_batch, counted, policy.familiar.confident),
    )


def _expected(trusted: Rows, base: Answers, counted: Rows) -> float:
    """Sum over classes of share in the batch x (wrong + 1) / (rows + 2) on trusted rows."""
    if not len(counted):
        return 0.0
    wrong = ~base.right(trusted)
    rows = Counter(trusted.label_names())
    missed = Counter(name for name, w in zip(trusted.label_names(), wrong, strict=True) if w)
    return sum(k * (missed[c] + 1) / (rows[c] + 2) for c, k in counted.counts().items()) / len(counted)


def _by_class(
    trusted: Rows, base_on_trusted: Answers, batch: Rows, base_on_batch: Answers, counted: Bools, confident: float
) -> dict[str, ClassEvidence]:
    """Rule 3's counts for each class that the base is sure of in this batch."""
    classes = base_on_batch.classes
    sure = counted & (base_on_batch.scores >= confident)
    sure_trusted = base_on_trusted.scores >= confident
    right = base_on_trusted.right(trusted)
    called_trusted = np.array(base_on_trusted.names(), object)
    labels = np.array(batch.label_names(), object)
    found = {}
    for column in np.unique(base_on_batch.best[sure]):
        name = classes[column]
        mine = labels[sure & (base_on_batch.best == column)]
        before = sure_trusted & (called_trusted == name)
        toward = Counter(label for label in mine if label != name)
        found[name] = ClassEvidence(
            confident=len(mine),
            conflicts=toward.total(),
            expected=float(((before & ~right).sum() + 1) / (before.sum() + 2)),
            toward=dict(toward.most_common()),
        )
    return found


def pooled(batches: Iterable[Mapping[str, ClassEvidence]]) -> dict[str, ClassEvidence]:
    """Counts of several batches as one; the expected share is weighted by rows. Slow poison shows only here."""
    total: dict[str, ClassEvidence] = {}
    for batch in batches:
        for name, new in batch.items():
            old = total.get(name, ClassEvidence(confident=0, conflicts=0, expected=0.0))
            rows = old.confident + new.confident
            total[name] = ClassEvidence(
                confident=rows,
                conflicts=old.conflicts + new.conflicts,
                expected=(old.expected * old.confident + new.expected * new.confident) / rows if rows else new.expected,
                toward=dict(Counter(old.toward) + Counter(new.toward)),
            )
    return total


def learnable(batch: Rows, counted: Bools, shift: int, solve: Solve) -> Agreement:
    """A head fitted on the batch alone, out of fold, on the counted rows: does any rule link rows to labels?"""
    said = _out_of_fold(batch, counted, shift, lambda rest: solve(Sums.of(rest)))
    return Agreement.of(said, batch.labels[counted])


def reconcile(
    trusted: Rows, batch: Rows, base_on_batch: Answers, conflict: Bools, ledger: Ledger, solve: Solve
) -> Reconciliation:
    """Fits the ledger's head with the batch weighted to the mass of the old rows, out of fold."""
    weight = max(1, round(ledger.all.rows / max(len(batch), 1)))

    def joint(seen: Sums, rest: Rows) -> Head:
        return solve(_together(seen, Sums.of(rest), weight))

    said = _out_of_fold(batch, conflict, ledger.shift, lambda rest: joint(ledger.all, rest))
    fixed = float((said == batch.labels[conflict]).mean())
    concerned = {*batch.take(conflict).present(), *base_on_batch.take(conflict).names()}
    old = trusted.take(np.isin(trusted.labels, [k for k, name in enumerate(trusted.names) if name in concerned]))
    if not len(old):
        return Reconciliation(fixed, 0.0)
    before = _answers(solve(ledger.unjudged), old, ledger.shift)
    after = _answers(joint(ledger.unjudged, batch.take(~batch.judging)), old, ledger.shift)
    return Reconciliation(fixed, Paired.of(before.right(old), after.right(old)).drop)


def _together(seen: Sums, more: Sums, weight: int) -> Sums:
    """Sums in which each of the new rows stands for `weight` rows: for a look, not for the ledger."""
    classes = tuple(dict.fromkeys((*seen.classes, *more.classes)))
    a, b = seen.aligned(classes), more.aligned(classes)
    return Sums(classes, a.G + weight * b.G, a.Q + weight * b.Q, a.n + weight * b.n)


def _out_of_fold(batch: Rows, asked: Bools, shift: int, fit: Callable[[Rows], Head]) -> Ints:
    """Answers to the asked rows by heads fitted without their group of folds, as places in `batch.names`; a class that
    the batch does not have comes after those. -> [asked.sum()]"""
    said = np.full(len(batch), len(batch.names), np.int64)
    group = batch.folds // 2
    for k in np.unique(group[asked]):
        rest = batch.take(group != k)
        mine = asked & (group == k)
        if len(rest):
            answers = _answers(fit(rest), batch.take(mine), shift)
            place = {name: at for at, name in enumerate(batch.names)}
            said[mine] = [place.get(name, len(batch.names)) for name in answers.names()]
    return said[asked]


def _answers(head: Head, rows: Rows, shift: int) -> Answers:
    return Answers(tuple(head.classes), head.logits(rows.inputs.astype(np.float64) * 2.0**-shift))


def suspects(batch: Rows, base_on_batch: Answers, conflict: Bools, confident: float) -> list[SuspectRow]:
    """The rows that most likely carry a wrong label: the base is sure of another class; the surest first."""
    scores = base_on_batch.scores
    sure = np.flatnonzero(conflict & (scores >= confident))
    names, labels = base_on_batch.names(), batch.label_names()
    return [
        SuspectRow(
            batch=batch.batches[batch.batch[k]],
            row=int(batch.row[k]),
            label=labels[k],
            suggested=names[k],
            score=float(scores[k]),
        )
        for k in sure[np.argsort(-scores[sure], kind="stable")][:SUSPECT_ROWS]
    ]


def dispute(name: str, evidence: ClassEvidence, batch: Rows, base_on_batch: Answers, conflict: Bools) -> Dispute:
    """What is disputed about a class: what the rows say instead, how many, and where they came from (null: mixed)."""
    called = np.array(base_on_batch.names(), object) == name
    sources = {batch.sources[k] for k in batch.source[conflict & called]}
    source = sources.pop() if len(sources) == 1 else ""
    return Dispute(
        class_=name,
        suggested=max(sorted(evidence.toward), key=lambda label: evidence.toward[label], default=name),
        rows=evidence.conflicts,
        source=source or None,
    )
