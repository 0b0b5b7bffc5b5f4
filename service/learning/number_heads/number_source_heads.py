"""A head for each source where targets are numbers: the shared one, with the source's own rows counting more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from service.learning.data.rows import FeatureRows, Floats
from service.learning.exact.source_heads import PULLS, SourceHeads, Wish, by_source, sources_with_rows
from service.learning.exact.weighted_data import WeightedData
from service.learning.ledger.sums import Sums
from service.learning.number_heads.equations import NumberEquations, NumberHead, goals_in_units, grid_of, number_head
from service.learning.number_heads.number_out_of_fold import LeavingOut, counted
from service.learning.run import Run
from service.learning.wording import listed

LEAST_ROWS = 20
"""Selecting rows of a source with which it may have a head."""
TOO_FEW = "No source has a head of its own: that takes two with enough rows among those kept for choosing."


def number_source_heads(
    wish: Wish, weighted: WeightedData, shared: Callable[[], NumberHead], alpha: float, run: Run
) -> SourceHeads[NumberHead] | None:
    """Solves the heads of sources; None where fewer than two have enough rows or, on "auto", the shared one is better.

    shared: makes the head of all learning rows. Scores are mean squared errors of the shared head and of each pull on
    selecting rows, in units.
    """
    ledger, space = weighted.ledger, weighted.space
    grid = grid_of(space)
    selected = ledger.selected
    names = sources_with_rows(selected, space.features, LEAST_ROWS) if wish else ()
    if len(names) < 2:
        return None

    def heads(total: Sums, own: Sequence[Sums], pull: float) -> list[NumberHead]:
        run.check()
        return [number_head(total.weighted_with(sums, pull), grid.size, space.shift, alpha) for sums in own]

    def error(rows: FeatureRows, by: Sequence[NumberHead]) -> float:
        misses = np.full((len(rows), grid.size), np.nan)
        for name, mask in by_source(names, rows):
            answers = by[names.index(name)].answers(rows.take(mask), space.shift)
            misses[mask] = answers - goals_in_units(rows.take(mask), grid)
        return float(np.nanmean(misses**2)) if np.isfinite(misses).any() else np.nan

    own = [weighted.of_source(name).ledger for name in names]
    scores = {"shared": error(selected, [shared()] * len(names))}
    for pull in PULLS:
        scores[f"{pull:g}"] = error(selected, heads(ledger.learn, [sums.learn for sums in own], pull))
    best = min(PULLS, key=lambda pull: (scores[f"{pull:g}"], pull))
    if wish == "auto" and scores[f"{best:g}"] >= scores["shared"]:
        return None
    judged = heads(ledger.unjudged, [sums.unjudged for sums in own], best)
    served = heads(ledger.all, [sums.all for sums in own], best)
    together = [number_head(ledger.unjudged, grid.size, space.shift, alpha)] * len(names)
    note = _note(names, error(ledger.exam, judged), error(ledger.exam, together))
    return SourceHeads(names, best, served, judged, {name: round(s, 6) for name, s in scores.items()}, note)


def answered_by_own(
    heads: SourceHeads[NumberHead], weighted: WeightedData, alpha: float, answers: Floats, run: Run
) -> Floats:
    """Out-of-fold answers to the update's rows, each by the head of its source. -> [n, k]

    `answers`: by the shared head, for rows of sources without one.
    """
    answers, entry, space = answers.copy(), weighted.data.entry(weighted.space), weighted.space
    grid = grid_of(space)
    for name, mask in by_source(heads.names, entry):
        own = weighted.of_source(name)
        total = weighted.ledger.all.weighted_with(own.ledger.all, heads.pull)
        counts = counted(entry, weighted) + heads.pull * counted(entry, own)
        equations = NumberEquations(total, grid.size, space.shift)
        answers[mask] = LeavingOut(equations, alpha, grid, run).judged(entry, counts)[mask]
    return answers


def _note(names: Sequence[str], own: float, shared: float) -> str:
    """Says what naming the source is worth, on trusted rows, by mean squared errors."""
    note = f"{listed(names, quote=True)} have heads of their own, for predictions that name their source"
    if not np.isfinite(own) or not shared > 0:
        return f"{note}; all others are answered by the shared one."
    ratio = (own / shared) ** 0.5
    return f"{note}: on their trusted rows the root mean square error is {ratio:.2f} times that of the shared head."
