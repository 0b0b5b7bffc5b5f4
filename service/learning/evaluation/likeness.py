"""Whether the rows of a new class are rows of old classes under another name.

Those that the live version knows well stand beside trusted rows that it calls the same. Of pairs of one and the other,
in how many does the first lie nearer to the new class? Where nothing but the name differs, in half of them; where the
class is real, in nearly all, also where it looks like an old one. (Area under the ROC curve: Mann and Whitney, "On a
test of whether one of two random variables is stochastically larger than the other", 1947.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.contract.policy import Renames
from service.learning.data.rows import FeatureRows, Ints, alone, distinct
from service.learning.evaluation.answers import Answers, Floats
from service.learning.evaluation.assessment import Assessment
from service.learning.evaluation.evidence import Evidence
from service.learning.exact.solve import Head
from service.learning.gate.measurements import Likeness
from service.learning.ledger.sums import Sums
from service.learning.statistics import auc

PARTS = 3
"""Parts of the rows of a class of which too few are kept back."""
AS_SURE = 0.4
"""Of pairs of such a row and a trusted row that is called the same, the base is surer of the former in so many: in half
of them where nothing but the name differs, in few where the class is real."""
TINY = float(np.finfo(np.float64).tiny)
NOTHING = np.zeros(0, np.int64)


def likeness(a: Assessment, evidence: Evidence) -> dict[str, Likeness]:
    """By new class: its rows beside trusted rows that the base calls the same. Those alone that it is sure of and that
    are familiar, where they are many enough; else all, since of a hard problem it may be sure of nothing.

    The exact head tells whether they can be told apart at all, where there is one; else the candidate.
    """
    if not a.new or a.base is None or not len(a.trusted):
        return {}
    rule, confident = a.policy.renames, a.policy.familiar.confident
    head, base, base_on_batch = a.yardstick or a.candidate, a.base.on_trusted, a.base.on_batch
    old, new = _Margins.of(head.on_trusted, a.old), _Margins.of(head.on_batch, a.old)
    sure_before, sure = base.scores >= confident, evidence.familiar & (base_on_batch.scores >= confident)
    both = head.on_trusted.judged & base.judged
    called_before, called = base.best, base_on_batch.best
    every, surely = (_by(called_before, np.flatnonzero(both & which)) for which in (True, sure_before))
    usual, judged = float((both & sure_before).mean()), head.on_batch.judged & base_on_batch.judged & ~alone(a.batch)
    mine, alike = _by(a.batch.codes(a.new), np.flatnonzero(judged)), {}
    for k, name in enumerate(a.new):
        rows = mine.get(k, NOTHING)
        known = rows[sure[rows]]
        few = (
            len(known) < max(rule.min_sure, rule.min_share_of_many * usual * len(rows)) and len(rows) >= rule.many_rows
        )
        ours, theirs = _by(called, rows if few else known), every if few else surely
        apart = _separation(new.toward(name), old.toward(name), ours, theirs)
        counted = Counter({base_on_batch.classes[c]: len(places) for c, places in ours.items()})
        alike[name] = Likeness(len(rows), len(known), usual, dict(counted.most_common()), *apart, all=few)
    counts = a.batch.counts()
    few_judged = [c for c in a.new if alike[c].rows < rule.min_rows <= counts.get(c, 0)]
    return alike | in_parts(a, evidence, few_judged)


def young(a: Assessment) -> tuple[str, ...]:
    """Classes of this batch that came after the first version that is looked back on, and of which fewer rows are
    trusted than rule 12 needs: rows that come a few at a time were never judged by it."""
    if a.base is None or not a.past.bits:
        return ()
    first, trusted = frozenset(a.past.bits[0][1].classes), a.trusted.counts()
    known = frozenset(a.old) - first
    return tuple(c for c in a.batch.present() if c in known and trusted.get(c, 0) < a.policy.renames.min_rows)


def in_parts(a: Assessment, evidence: Evidence, names: Sequence[str]) -> dict[str, Likeness]:
    """The same of classes of which too few rows are kept back: all are of one group, or they came a few at a time.

    Their rows, those that are trusted among them, are parted in three; each part is judged by the exact head of the two
    others and of all that is learned and not trusted. The base answers as if it did not know these classes.
    """
    old = [c for c in a.old if c not in names]
    if not names or not old or a.base is None or a.ledger is None or a.solve is None:
        return {}
    rule, confident = a.policy.renames, a.policy.familiar.confident
    base, on_batch = _without(a.base.on_trusted, old), _without(a.base.on_batch, old)
    beside = np.flatnonzero((a.trusted.codes(old) >= 0) & base.judged)
    ours = np.flatnonzero((a.batch.codes(names) >= 0) & on_batch.judged)
    earlier = np.flatnonzero((a.trusted.codes(names) >= 0) & base.judged)
    mine = FeatureRows.concat([a.batch.take(ours), a.trusted.take(earlier)])
    one = distinct(mine)
    if not len(one) or not len(beside):
        return {}
    mine = mine.take(one)
    called = np.concatenate([on_batch.best[ours], base.best[earlier]])[one]
    scores = np.concatenate([on_batch.scores[ours], base.scores[earlier]])[one]
    sure = (scores >= confident) & np.concatenate([evidence.familiar[ours], np.ones(len(earlier), bool)])[one]
    there, sure_before = a.trusted.take(beside), base.scores[beside] >= confident
    called_before, usual = base.best[beside], float(sure_before.mean())
    codes, part = mine.codes(names), np.empty(len(mine), np.int64)
    part[np.lexsort((mine.hashes, codes))] = np.arange(len(mine)) % PARTS
    heads = [_asked(a, a.solve(a.ledger.unjudged + Sums.of(mine.take(part != k))), mine, there) for k in range(PARTS)]
    every, alike = _by(called_before, np.arange(len(beside))), {}
    for k, name in enumerate(names):
        rows = np.flatnonzero(codes == k)
        known = rows[sure[rows]]
        few = (
            len(known) < max(rule.min_sure, rule.min_share_of_many * usual * len(rows)) and len(rows) >= rule.many_rows
        ) or (name in a.old and _as_sure(scores, base.scores[beside], _by(called, rows), every))
        asked = rows if few else known
        theirs = _by(called_before, np.flatnonzero(sure_before | few))
        found = []
        for p, (new, before) in enumerate(heads):
            own, others = (_Margins.of(answers, old) for answers in (new, before))
            if name in own.place:
                mine_called = _by(called, asked[part[asked] == p])
                found.append(_separation(own.toward(name), others.toward(name), mine_called, theirs))
        compared = sum(n for n, _, _ in found)
        apart = sum(n * value for n, _, value in found if value is not None) / compared if compared else None
        counted = Counter({on_batch.classes[c]: len(places) for c, places in _by(called, asked).items()})
        most = max((n for _, n, _ in found), default=0)
        alike[name] = Likeness(
            len(rows), len(known), usual, dict(counted.most_common()), compared, most, apart, all=few
        )
    return alike


def _as_sure(ours: Floats, theirs: Floats, mine: Mapping[int, Ints], beside: Mapping[int, Ints]) -> bool:
    """Whether the base is as sure of rows of a class that it knows a little as of trusted rows that it calls the same.
    Of an old class under two names it is sure of neither: what was learned of the second speaks against the first."""
    _, _, higher = _separation(ours, theirs, mine, beside)
    return higher is not None and higher >= AS_SURE


def _without(answers: Answers, classes: Sequence[str]) -> Answers:
    """As if it knew these classes alone."""
    some = answers.over(classes)
    return Answers(some.classes, some.probabilities / np.maximum(some.probabilities.sum(1, keepdims=True), TINY))


def _asked(a: Assessment, head: Head, *parts: FeatureRows) -> list[Answers]:
    assert a.ledger is not None
    logits = [head.logits(rows.values(a.ledger.shift)) for rows in parts]
    powers = [np.exp(each - each.max(1, keepdims=True)) for each in logits]
    return [Answers(head.classes, each / each.sum(1, keepdims=True)) for each in powers]


def of_its_own(alike: Likeness, rule: Renames) -> bool:
    """Whether the rows of a new class show that it is no old one: few of them are taken for one, or they can be told
    apart."""
    if alike.rows < rule.min_rows or alike.separation is None:
        return alike.rows >= rule.min_rows
    return alike.separation >= rule.min_separation or (not alike.all and alike.share < rule.min_share_of_many)


@dataclass(frozen=True, eq=False)
class _Margins:
    """How much nearer rows lie to a class than to any old one, in logarithms. probabilities [n, C], best_old [n]"""

    place: dict[str, int]
    probabilities: Floats
    best_old: Floats

    @staticmethod
    def of(answers: Answers, old: Sequence[str]) -> _Margins:
        place = {name: k for k, name in enumerate(answers.classes)}
        known = [place[name] for name in old if name in place]  # of a class, all rows may judge
        first = known == list(range(len(known)))  # a view then, and no second table of so many rows and classes
        scores = answers.probabilities[:, : len(known)] if first else answers.probabilities[:, known]
        return _Margins(place, answers.probabilities, _log(scores.max(1, initial=0.0)))

    def toward(self, name: str) -> Floats:
        return _log(self.probabilities[:, self.place[name]]) - self.best_old


def _log(probabilities: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)))


def _by(codes: Ints, rows: Ints) -> dict[int, Ints]:
    """Rows by their code; -1 is none."""
    rows = rows[codes[rows] >= 0]
    if not len(rows):
        return {}
    order = rows[np.argsort(codes[rows], kind="stable")]
    values, starts = np.unique(codes[order], return_index=True)
    return {int(k): part for k, part in zip(values, np.split(order, starts[1:]), strict=True)}


def _separation(
    new: Floats, old: Floats, ours: Mapping[int, Ints], theirs: Mapping[int, Ints]
) -> tuple[int, int, float | None]:
    """Rows of the new class that stood beside trusted ones, those, and the mean over the former of the share of trusted
    rows, called the same, that lie farther from it. new, old: margins of all rows; ours, theirs: rows as they are
    called."""
    shared = [(rows, theirs[c]) for c, rows in ours.items() if c in theirs]
    compared, beside = sum(len(rows) for rows, _ in shared), sum(len(rows) for _, rows in shared)
    total = sum(len(rows) * auc(new[rows], old[trusted]) for rows, trusted in shared)
    return compared, beside, total / compared if compared else None
