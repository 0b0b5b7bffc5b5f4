"""A head for each source: the shared one, with the source's own rows counting more.

Where the caller names the source of a row, the head of its region, style or site answers. The rows of the others stay
in the equations and say what the source has never shown; so each head is pulled toward the shared one, the harder the
fewer rows the source has. How much more its own rows count is one number, chosen on selecting rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np

from service.contract.figures import percent
from service.learning.data.rows import Bools, FeatureRows, Floats, Rows
from service.learning.exact.solve import Head
from service.learning.exact.solver import Estimator
from service.learning.exact.weighted_data import WeightedData
from service.learning.network.checkpoint import Checkpoint, Tensors, source_head
from service.learning.wording import listed

PULLS = (1.0, 3.0, 10.0)
"""Factors by which a source's own rows count more, tried in this order; ties go to the first."""
LEAST_ROWS = 5
"""Selecting rows of a source, of two classes or more, with which it may have a head."""
TOO_FEW = (
    f"No source has a head of its own: that takes two sources with {LEAST_ROWS} rows of two classes among those kept "
    "back for choosing, in batches that still count."
)
MOST_WORK = 4e10
"""Heads times the cube of their width: there may be 40 narrow ones, four wide ones."""
FEWEST = 4

Wish = Literal["auto"] | bool


H = TypeVar("H")


@dataclass(frozen=True, eq=False)
class SourceHeads(Generic[H]):
    """The heads of each source, by name: the served ones, and those that never saw the judging folds."""

    names: tuple[str, ...]
    pull: float
    served: list[H]
    judged: list[H]
    scores: dict[str, float]
    note: str

    def parts(self, tensors: Callable[[H], Tensors]) -> dict[str, Tensors]:
        parts: dict[str, Tensors] = {}
        for k, (served, judged) in enumerate(zip(self.served, self.judged, strict=True)):
            parts |= {source_head(k): tensors(served), f"judge.source.{k}": tensors(judged)}
        return parts

    def report(self) -> dict[str, object]:
        return {"sources": list(self.names), "source_pull": self.pull, "source_pulls_tried": self.scores}


def source_heads(wish: Wish, weighted: WeightedData, shared: Head, estimator: Estimator) -> SourceHeads[Head] | None:
    """Solves the heads of sources; None where fewer than two have enough rows or, on "auto", the shared one is better.

    shared: the head of all learning rows.
    """
    ledger, shift = weighted.ledger, estimator.shift
    selected = ledger.selected
    names = sources_with_rows(selected, ledger.width, LEAST_ROWS) if wish else ()
    if len(names) < 2:
        return None
    own = [weighted.of_source(name).ledger for name in names]
    rows = selected.take(np.isin(selected.source, [selected.sources.index(name) for name in names]))
    scores = {"shared": _share(rows, [shared] * len(names), names, shift)}
    for pull in PULLS:
        estimator.run.check()
        learned = [estimator.head(ledger.learn.weighted_with(own_sums.learn, pull)) for own_sums in own]
        scores[f"{pull:g}"] = _share(rows, learned, names, shift)
    best = max(PULLS, key=lambda pull: (scores[f"{pull:g}"], -pull))
    if wish == "auto" and scores[f"{best:g}"] < scores["shared"]:
        return None
    estimator.run.check()
    judged = [estimator.head(ledger.unjudged.weighted_with(own_sums.unjudged, best)) for own_sums in own]
    served = [estimator.head(ledger.all.weighted_with(own_sums.all, best)) for own_sums in own]
    rounded = {name: round(share, 4) for name, share in scores.items()}
    note = _note(names, ledger.exam, judged, estimator.head(ledger.unjudged), shift)
    return SourceHeads(names, best, served, judged, rounded, note)


def own_out_of_fold(heads: SourceHeads[Head], weighted: WeightedData, estimator: Estimator, logits: Floats) -> Floats:
    """Returns out-of-fold logits of the update's rows, each by the head of its source. -> [n, C]

    `logits`: by the shared head, which answers rows of sources without one.
    """
    answers, total, entry = logits.copy(), weighted.counts(), weighted.data.entry(weighted.space)
    for name, mask in by_source(heads.names, entry):
        own = weighted.of_source(name)
        own_counts = own.counts()
        counts = {batch: total.get(batch, 0.0) + heads.pull * own_counts.get(batch, 0.0) for batch in entry.batches}
        others = weighted.earlier().weighted_with(own.earlier(), heads.pull)
        answers[mask] = estimator.weighted_out_of_fold(others, entry, counts)[mask]
    return answers


def by_source(names: Sequence[str], rows: Rows) -> list[tuple[str, Bools]]:
    """Finds the rows of each of these sources that has some. -> masks [n]"""
    at = {source: k for k, source in enumerate(rows.sources)}
    masks = [(name, np.asarray(rows.source == at[name], bool)) for name in names if name in at]
    return [(name, mask) for name, mask in masks if mask.any()]


def answered_by_source(version: Checkpoint, part: str, rows: Rows, features: Floats, logits: Floats) -> Floats:
    """Returns logits [n, C] in which rows of a source with a head (`part`.source.<k>) have its own. features [n, M]"""
    answers = logits.copy() if version.layout.sources else logits
    for name, mask in by_source(version.layout.sources, rows):
        head = version.parts[f"{part}.source.{version.layout.sources.index(name)}"]
        answers[mask] = features[mask] @ head["weight"].double().numpy().T + head["bias"].double().numpy()
    return answers


def sources_with_rows(selected: FeatureRows, width: int, least: int) -> tuple[str, ...]:
    """Returns sources with enough selecting rows, of two classes or more, those with most of them, by name."""
    rows = Counter(selected.sources[k] for k in selected.source)
    labels = {name: len(np.unique(selected.labels[mask])) for name, mask in by_source(selected.sources, selected)}
    enough = [name for name, n in rows.items() if name and n >= least and (selected.numeric or labels[name] > 1)]
    most = max(int(MOST_WORK / max(width, 1) ** 3), FEWEST)
    return tuple(sorted(sorted(enough, key=lambda name: (-rows[name], name))[:most]))


def _right(rows: FeatureRows, heads: Sequence[Head], names: Sequence[str], shift: int) -> Bools:
    """Finds the rows that the head of their source answers right. -> [n]"""
    right = np.zeros(len(rows), bool)
    for name, mask in by_source(names, rows):
        head = heads[names.index(name)]
        own = rows.take(mask)
        answers = head.logits(own.values(shift)).argmax(1)
        right[mask] = answers == own.codes(head.classes)
    return right


def _share(rows: FeatureRows, heads: Sequence[Head], names: Sequence[str], shift: int) -> float:
    return float(_right(rows, heads, names, shift).mean())


def _note(names: Sequence[str], exam: FeatureRows, judged: Sequence[Head], shared: Head, shift: int) -> str:
    note = f"{listed(names, quote=True)} have heads of their own, for predictions that name their source"
    named = np.zeros(len(exam), bool)
    for _, mask in by_source(names, exam):
        named |= mask
    rows = exam.take(named)
    if not len(rows):
        return f"{note}; all others are answered by the shared one."
    with_source, without = _share(rows, judged, names, shift), _share(rows, [shared] * len(names), names, shift)
    note += f": right on {percent(with_source)} of their trusted rows,"
    return f"{note} where the shared head is on {percent(without)}."
