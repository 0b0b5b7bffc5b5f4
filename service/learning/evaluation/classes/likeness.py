"""Tells whether the rows of a new class are rows of old classes under another name.

Rows that the live version knows well stand beside trusted rows that it calls the same. Of pairs of one and the other,
in how many does the first lie nearer to the new class? Where nothing but the name differs, in half of them; where the
class is real, in nearly all, also where it looks like an old one. (Area under the ROC curve: Mann and Whitney, "On a
test of whether one of two random variables is stochastically larger than the other", 1947.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.contract.policy import Renames
from service.learning.data.rows import Bools, FeatureRows, Floats, Ints, alone, distinct
from service.learning.evaluation.classes.class_answers import Answers, softmax
from service.learning.evaluation.classes.class_assessment import ClassAssessment, by_code
from service.learning.evaluation.classes.evidence import SURE_ROWS, Evidence
from service.learning.gate.classes.class_measurements import Likeness
from service.learning.ledger.sums import Sums
from service.learning.statistics import auc

PARTS = 3
"""Parts of the rows of a class of which too few are kept back."""
AS_SURE = 0.4
"""Share of pairs of such a row and a trusted row that is called the same in which the base is surer of the former: half
where nothing but the name differs, few where the class is real."""
TINY = float(np.finfo(np.float64).tiny)
NOTHING = np.zeros(0, np.int64)


def likeness(assessment: ClassAssessment, evidence: Evidence) -> dict[str, Likeness]:
    """Compares the rows of each new class with trusted rows that the base calls the same: those that are familiar and
    that it is sure of, where they are many enough; else all, since of a hard problem it may be sure of nothing.

    The exact head, where there is one, shows whether they can be told apart at all; else the candidate.
    """
    if not assessment.new or assessment.base is None or not len(assessment.trusted):
        return {}
    rule, confident = assessment.policy.renames, assessment.policy.familiar.confident
    head = assessment.yardstick or assessment.candidate
    base, base_on_batch = assessment.base.on_trusted, assessment.base.on_batch
    old, new = _Margins.of(head.on_trusted, assessment.old), _Margins.of(head.on_batch, assessment.old)
    sure_before, sure = base.scores >= confident, evidence.familiar & (base_on_batch.scores >= confident)
    answered = head.on_trusted.judged & base.judged
    every, surely = (by_code(base.best, np.flatnonzero(answered & which)) for which in (True, sure_before))
    usual = float((answered & sure_before).mean())
    of_old = _usual_by_class(assessment.trusted.codes(base.classes), sure_before, np.flatnonzero(answered), usual)
    judged = head.on_batch.judged & base_on_batch.judged & ~alone(assessment.batch)
    of_class, alike = by_code(assessment.batch.codes(assessment.new), np.flatnonzero(judged)), {}
    for k, name in enumerate(assessment.new):
        rows = of_class.get(k, NOTHING)
        known = rows[sure[rows]]
        unsure = _unsure(known, rows, usual, rule)
        called, beside = by_code(base_on_batch.best, rows if unsure else known), every if unsure else surely
        separation = _separation(new.toward(name), old.toward(name), called, beside)
        counts = _counted(called, base_on_batch.classes)
        least = _least(of_old, called, usual)
        alike[name] = Likeness(len(rows), len(known), least, counts, *separation, all=unsure)
    sent = assessment.batch.counts()
    few_judged = [c for c in assessment.new if alike[c].rows < rule.min_rows <= sent.get(c, 0)]
    return alike | in_parts(assessment, evidence, few_judged)


def young(assessment: ClassAssessment) -> tuple[str, ...]:
    """Classes of this batch that came after the first version that is looked back on, and of which fewer rows are
    trusted than rule 12 needs: rows that come a few at a time were never judged by it."""
    if assessment.base is None or not assessment.past.correctness:
        return ()
    first, trusted = frozenset(assessment.past.correctness[0][1].classes), assessment.trusted.counts()
    known, least = frozenset(assessment.old) - first, assessment.policy.renames.min_rows
    return tuple(c for c in assessment.batch.present() if c in known and trusted.get(c, 0) < least)


def in_parts(assessment: ClassAssessment, evidence: Evidence, names: Sequence[str]) -> dict[str, Likeness]:
    """Compares classes of which too few rows are kept back, since all are of one group or they came a few at a time.

    Their rows, trusted ones among them, are divided into three parts; each is judged by the exact head of the two
    others and of all that is learned and not trusted. The base answers as if it did not know these classes.
    """
    old = [c for c in assessment.old if c not in names]
    if not names or not old or assessment.base is None or assessment.ledger is None or assessment.solve is None:
        return {}
    rule, confident = assessment.policy.renames, assessment.policy.familiar.confident
    base, on_batch = _without(assessment.base.on_trusted, old), _without(assessment.base.on_batch, old)
    beside = np.flatnonzero((assessment.trusted.codes(old) >= 0) & base.judged)
    sent = np.flatnonzero((assessment.batch.codes(names) >= 0) & on_batch.judged)
    earlier = np.flatnonzero((assessment.trusted.codes(names) >= 0) & base.judged)
    new = FeatureRows.concat([assessment.batch.take(sent), assessment.trusted.take(earlier)])
    once = distinct(new)
    if not len(once) or not len(beside):
        return {}
    new, trusted = new.take(once), assessment.trusted.take(beside)
    best = np.concatenate([on_batch.best[sent], base.best[earlier]])[once]
    scores = np.concatenate([on_batch.scores[sent], base.scores[earlier]])[once]
    sure = (scores >= confident) & np.concatenate([evidence.familiar[sent], np.ones(len(earlier), bool)])[once]
    sure_before = base.scores[beside] >= confident
    usual = float(sure_before.mean())
    of_old = _usual_by_class(trusted.codes(base.classes), sure_before, np.arange(len(beside)), usual)
    codes, part = new.codes(names), np.empty(len(new), np.int64)
    part[np.lexsort((new.hashes, codes))] = np.arange(len(new)) % PARTS
    margins = []
    for k in range(PARTS):
        head = assessment.solve(assessment.ledger.unjudged + Sums.of(new.take(part != k)))
        logits = (head.logits(rows.values(assessment.ledger.shift)) for rows in (new, trusted))
        margins.append([_Margins.of(softmax(head.classes, some), old) for some in logits])
    every, alike = by_code(base.best[beside], np.arange(len(beside))), {}
    for k, name in enumerate(names):
        rows = np.flatnonzero(codes == k)
        known = rows[sure[rows]]
        unsure = _unsure(known, rows, usual, rule) or (
            name in assessment.old and _as_sure(scores, base.scores[beside], by_code(best, rows), every)
        )
        compared = rows if unsure else known
        called_same = by_code(base.best[beside], np.flatnonzero(sure_before | unsure))
        separations = [
            _separation(
                of_new.toward(name), of_old.toward(name), by_code(best, compared[part[compared] == p]), called_same
            )
            for p, (of_new, of_old) in enumerate(margins)
            if name in of_new.column
        ]
        stood = sum(n for n, _, _ in separations)
        mean = sum(n * value for n, _, value in separations if value is not None) / stood if stood else None
        most = max((n for _, n, _ in separations), default=0)
        called = by_code(best, compared)
        counts, least = _counted(called, on_batch.classes), _least(of_old, called, usual)
        alike[name] = Likeness(len(rows), len(known), least, counts, stood, most, mean, all=unsure)
    return alike


def _unsure(known: Ints, rows: Ints, usual: float, rule: Renames) -> bool:
    """Whether the rows are many and the base knows too few of them, so that all are compared."""
    return len(rows) >= rule.many_rows and len(known) < max(rule.min_sure, rule.min_share_of_many * usual * len(rows))


def _usual_by_class(labels: Ints, sure: Bools, rows: Ints, usual: float) -> dict[int, float]:
    """Share of the trusted rows of each class that the base is sure of, drawn to that of all as if by `SURE_ROWS` more:
    of a rare or hard class it is less. labels, sure [m]; rows: those that count"""
    counts, surely = (by_code(labels, some) for some in (rows, rows[sure[rows]]))
    return {
        k: (len(surely.get(k, NOTHING)) + SURE_ROWS * usual) / (len(of_class) + SURE_ROWS)
        for k, of_class in counts.items()
    }


def _least(of_old: Mapping[int, float], called: Iterable[int], usual: float) -> float:
    """The usual share of the class that the base is least often sure of, among those that rows are taken for: if they
    are that class by another name, it is sure of no more of them. Most of a rare class may be taken for a common one.
    """
    return min((of_old[c] for c in called if c in of_old), default=usual)


def _counted(called: Mapping[int, Ints], classes: Sequence[str]) -> dict[str, int]:
    """Rows by the class that they are called, most first."""
    return dict(Counter({classes[c]: len(rows) for c, rows in called.items()}).most_common())


def _as_sure(new: Floats, old: Floats, called: Mapping[int, Ints], beside: Mapping[int, Ints]) -> bool:
    """Whether the base is as sure of rows of a class that it knows a little as of trusted rows that it calls the same.
    Of an old class under two names it is sure of neither: what was learned of the second speaks against the first."""
    _, _, higher = _separation(new, old, called, beside)
    return higher is not None and higher >= AS_SURE


def _without(answers: Answers, classes: Sequence[str]) -> Answers:
    some = answers.over(classes)
    return Answers(some.classes, some.probabilities / np.maximum(some.probabilities.sum(1, keepdims=True), TINY))


def of_its_own(alike: Likeness, rule: Renames) -> bool:
    """Whether the rows of a new class show that it is no old one: few of them are taken for one, or they stand
    apart from those."""
    if alike.rows < rule.min_rows or alike.separation is None:
        return alike.rows >= rule.min_rows
    return alike.separation >= rule.min_separation or (not alike.all and alike.share < rule.min_share_of_many)


@dataclass(frozen=True, eq=False)
class _Margins:
    """How much nearer rows lie to a class than to any old one, in logarithms. probabilities [n, C], best_old [n]"""

    column: dict[str, int]
    probabilities: Floats
    best_old: Floats

    @staticmethod
    def of(answers: Answers, old: Sequence[str]) -> _Margins:
        column = {name: k for k, name in enumerate(answers.classes)}
        known = [column[name] for name in old if name in column]  # of a class, all rows may judge
        first = known == list(range(len(known)))  # a view then, and no second table of so many rows and classes
        scores = answers.probabilities[:, : len(known)] if first else answers.probabilities[:, known]
        return _Margins(column, answers.probabilities, _log(scores.max(1, initial=0.0)))

    def toward(self, name: str) -> Floats:
        return _log(self.probabilities[:, self.column[name]]) - self.best_old


def _log(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(probabilities, TINY)))


def _separation(
    new: Floats, old: Floats, called: Mapping[int, Ints], beside: Mapping[int, Ints]
) -> tuple[int, int, float | None]:
    """Rows of the new class that stood beside trusted ones, those, and the mean over the former of the share of trusted
    rows, called the same, that lie farther from it.

    new, old: margins of all rows; called, beside: rows of the new class and trusted ones by what they are called.
    """
    pairs = [(rows, beside[c]) for c, rows in called.items() if c in beside]
    compared, trusted = sum(len(rows) for rows, _ in pairs), sum(len(rows) for _, rows in pairs)
    total = sum(len(rows) * auc(new[rows], old[others]) for rows, others in pairs)
    return compared, trusted, total / compared if compared else None
