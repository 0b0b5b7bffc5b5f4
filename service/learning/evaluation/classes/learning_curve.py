"""Estimates what more rows would bring: the exact head of some folds beside that of all, on rows that neither learned.

Accuracy is taken to rise by the same amount with every multiplication of a class's rows, as power laws do over a small
range (Hestness et al., "Deep learning scaling is predictable, empirically", 2017). Nothing is read again: both heads
come from the sums of the history and of the update's own rows, so the cost does not grow with the history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from service.contract.reports.class_report import CurvePoint, LearningCurve, MoreRows
from service.learning.data.matrices import parts
from service.learning.data.rows import SELECT_FOLD, Bools, FeatureRows, distinct
from service.learning.evaluation.classes.evidence import Solve
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.statistics import Paired
from service.learning.wording import listed, points
from service.learning.wording import rows as counted

SOME_FOLDS = 5
"""The smaller head learns folds 3 to 5 of the update's rows, the other 3 to 9."""
WIDEST = 2500
"""Features beyond which one more head, which nothing else needs, would take too much of an update: half a second."""
MORE = 20
"""More rows that the gain is estimated for; for a class that has more, as many again."""
ENOUGH = 500
"""Learning rows of a class from which as many again bring less than a few hundred judging rows can show."""
LEAST_JUDGED = 10
"""Judged rows of a class below which nothing is estimated."""
JUDGING_EVERY = 5
"""Two folds of ten judge."""
SAID = 3
"""Classes that get a sentence."""


def learning_curve(
    known: Ledger, grown: Ledger, entry: FeatureRows, trusted: FeatureRows, solve: Solve
) -> LearningCurve | None:
    """Estimates what more rows of each class of the update would bring. `known`: sums of the history, `grown`: with the
    entry.

    None where the update has no learning rows, each of its classes has many, or the features are too many.
    """
    learning = entry.bare().take(entry.folds > SELECT_FOLD)
    if not len(learning) or known.width > WIDEST:
        return None
    more, has = grown.learn, _rows(grown.learn)
    if all(has[name] >= ENOUGH for name in learning.present()):
        return None
    less = known.learn.with_rows(entry.take((entry.folds > SELECT_FOLD) & (entry.folds <= SOME_FOLDS)))
    had = _rows(less)
    judged = FeatureRows.concat([trusted, entry.take((entry.folds <= SELECT_FOLD) & ~entry.lent)])
    judged = judged.take(distinct(judged))
    before, after = (_right(sums, judged, known.shift, solve) for sums in (less, more))
    names = sorted(learning.present())
    codes = judged.codes(names)
    classes = [
        _more_rows(name, had.get(name, 0), has[name], before[codes == k], after[codes == k])
        for k, name in enumerate(names)
    ]
    curve = [
        CurvePoint(rows=sums.rows, accuracy=float(right.mean()))
        for sums, right in ((less, before), (more, after))
        if len(judged)
    ]
    return LearningCurve(points=curve, classes=classes, told=_sentences(classes))


def _rows(sums: Sums) -> dict[str, int]:
    return dict(zip(sums.classes, sums.n.astype(int).tolist(), strict=True))


def _right(sums: Sums, rows: FeatureRows, shift: int, solve: Solve) -> Bools:
    if not sums.rows or not len(rows):
        return np.zeros(len(rows), bool)
    head = solve(sums)
    features, shape = rows.values(shift), (len(rows), len(head.classes))
    answers = np.concatenate([head.logits(features[place]).argmax(1) for place in parts(*shape)])
    return np.asarray(answers == rows.codes(head.classes))


def _more_rows(name: str, had: int, has: int, before: Bools, after: Bools) -> MoreRows:
    more = max(MORE, has)
    none = MoreRows(class_=name, rows=has, judged=len(after), more=more, gain=None, interval=None)
    if len(after) < LEAST_JUDGED or not 0 < had < has:
        return none
    paired = Paired.of(before, after)
    interval = paired.interval
    assert interval is not None
    steps = min(math.log((has + more) / has) / math.log(has / had), 2.0)
    room = 1 - float(after.mean())
    gain, low, high = (min(steps * change, room) + 0.0 for change in (-paired.drop, *interval))
    return none.model_copy(update={"gain": gain, "interval": (low, high)})


def _sentences(classes: Sequence[MoreRows]) -> list[str]:
    """Plain sentences: of the classes that surely gain first; then of those that have too few rows to tell."""
    sentences = []
    surely = [c for c in classes if c.interval is not None and c.interval[0] > 0]
    for c in sorted(surely, key=lambda c: (-(c.gain or 0.0), c.class_))[:SAID]:
        assert c.gain is not None
        assert c.interval is not None
        low, high = (f"{100 * bound:.0f}" for bound in c.interval)
        sentences.append(
            f'{c.more:,} more rows of "{c.class_}" would bring about {points(c.gain)} there ({low} to {high}).'
        )
    few = [c for c in classes if c.gain is None]
    if few:
        least = min(few, key=lambda c: (c.judged, c.rows, c.class_))
        names = listed([c.class_ for c in few], quote=True)
        sentences.append(
            f'What more rows of {names} would bring cannot be told yet: "{least.class_}" has {_wanting(least)}'
        )
    if not surely and len(few) < len(classes):
        sentences.append(
            "No class of this update surely gained from its latest rows: more of the same would bring little."
        )
    return sentences


def _wanting(least: MoreRows) -> str:
    """What a class has too little of, and how many rows bring it."""
    if least.judged >= LEAST_JUDGED:
        return f"{counted(least.rows)} to learn from. Send {MORE} or more of it."
    send = JUDGING_EVERY * (LEAST_JUDGED - least.judged)
    return (
        f"{counted(least.judged)} to judge by, of the {LEAST_JUDGED} that it takes. About one in five that "
        f"come judges: send {send} more of it."
    )
