"""Learning by closed form: adds the update's rounded features to the ledger, and solves.

One set of sums gives three kinds of heads: the *served* one knows every row, the *judged* one folds 2-9, and five
others answer the update's own rows, each without its group of folds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch

from service.contract.tables import TableInput
from service.learning.data.rows import FeatureRows, Floats, smallest
from service.learning.exact.calibration import ENOUGH_ROWS, MOST_ROWS, on_selecting_rows, temperature_of
from service.learning.exact.decay import DecayChoice
from service.learning.exact.frozen_features import FrozenFeatures
from service.learning.exact.out_of_fold import judged_out_of_fold
from service.learning.exact.params import ExactParams
from service.learning.exact.solve import ABSENT, Head, gains
from service.learning.exact.solver import Estimator, Fitted, Solver
from service.learning.exact.source_heads import PULLS, TOO_FEW, SourceHeads, own_out_of_fold, source_heads
from service.learning.exact.weighted_data import WeightedData
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.ledger.feature_space import feature_rows
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.method import Learned
from service.learning.network.checkpoint import BlockLayout, Checkpoint, ExactHead, Tensors
from service.learning.run import Run
from service.learning.statistics import same_shares
from service.learning.update_data import Data
from service.learning.wording import listed

OTHER_SHARES = 1e-4
"""Chance below which a batch has its classes in other shares than the rows before it."""


class Linear(Protocol):
    """A head: weight [columns, M] and bias [columns], float64."""

    @property
    def weight(self) -> Floats: ...
    @property
    def bias(self) -> Floats: ...


H = TypeVar("H", bound=Linear)


@dataclass(frozen=True, eq=False)
class SolvedHeads(Generic[H]):
    """The heads of one set of sums. out_of_fold [n, columns]: answers to the update's own rows"""

    served: H
    judged: H
    out_of_fold: Floats
    sources: SourceHeads[H] | None

    def version(
        self, frozen: FrozenFeatures, data: Data, weights: BatchWeights, exact: dict[str, Any], **facts: Any
    ) -> Checkpoint:
        """The version with these heads on the features. exact: how they were solved, see `ExactHead` · facts: what
        else its layout says"""
        parts = head_parts(self.served, self.judged)
        solved = ExactHead(
            lift_rows=frozen.lift_rows,
            lift_named=frozen.lift_named,
            lift_ahead=frozen.lift_ahead,
            decay=weights.decay,
            source_weights=dict(weights.sources),
            **exact,
        )
        names = list(self.sources.names) if self.sources else []
        parts |= self.sources.parts(_tensors) if self.sources else {}
        return frozen.version(data, parts, sources=names, exact=solved, **facts)


def head_parts(served: Linear, judged: Linear) -> dict[str, Tensors]:
    return {"head.0": _tensors(served), "judge": _tensors(judged)}


def _tensors(head: Linear) -> Tensors:
    return {
        "weight": torch.from_numpy(np.ascontiguousarray(head.weight, np.float32)),
        "bias": torch.from_numpy(head.bias.astype(np.float32)),
    }


def earlier_with_new_settings(base: Checkpoint | None, made: Checkpoint, weighted: WeightedData) -> Ledger | None:
    """The sums of all rows but the update's own, where its settings are not those of the base; else None."""
    before, now = base.layout.exact if base is not None else None, made.layout.exact
    if base is None or before is None or now is None or not len(weighted.data.batch):
        return None
    kept = (before.method, before.alpha, before.decay, base.layout.lifts)
    if kept == (now.method, now.alpha, now.decay, made.layout.lifts) or weighted.earlier_ledger.all.mass <= 0:
        return None
    return weighted.earlier_ledger


def learn_exactly(
    base: Checkpoint | None, data: Data, frozen: FrozenFeatures, solver: Solver, params: ExactParams, run: Run
) -> Learned:
    """Makes the version of a closed form on frozen features.

    An empty batch solves the ledger anew, as after a retraction. Classes that no longer have rows leave.
    """
    weights, searched = params.weights(data, frozen.space, solver)
    entry = data.entry(frozen.space)
    run.check()
    weighted = WeightedData(data, frozen.space, weights)
    solved = _solve(base, weighted, solver, params, run)
    form, classes = solved.fitted.solver, solved.served.classes
    exact = {"method": form.name, "alpha": solved.fitted.alpha, "prior": solver.prior, "log_share": solved.log_share}
    facts = {"outputs": len(classes), "classes": list(classes), "temperature": solved.temperature}
    made = solved.version(frozen, data, weights, exact, **facts)
    return Learned(
        made,
        out_of_fold=solved.out_of_fold,
        details={**frozen.details, **_details(frozen, solved, weights, searched)},
        notes=(*frozen.notes, *([solved.doubt] if solved.doubt else []), *_notes(data, params, weights, solved)),
        multiply_adds=_multiply_adds(frozen, entry, solved),
        without=_without(base, made, weighted, solved, run),
    )


def _without(
    base: Checkpoint | None, made: Checkpoint, weighted: WeightedData, solved: Solved, run: Run
) -> Checkpoint | None:
    """What the settings of this version make of all rows but the update's own, where they are not those of the base;
    shared heads alone. Strength and lift are settings of tables, whose strengths go up to ten and answer common classes
    more, the larger they are; what shares count is one of all inputs.

    None, too, where the batch has the classes in other shares than the rows before it: wrong labels choose settings."""
    tables = isinstance(weighted.data.input, TableInput)
    earlier = earlier_with_new_settings(base, made, weighted) if tables else None
    of_shares = base is not None and earlier is None and _by_shares(base, made)
    if base is None or not len(weighted.data.batch) or not (earlier or of_shares):
        return None
    rows = earlier or weighted.earlier_ledger
    before_it = dict(zip(rows.all.classes, rows.all.n.tolist(), strict=True))
    if not before_it or same_shares(before_it, weighted.data.batch.counts()) < OTHER_SHARES:
        return None
    if earlier is None:
        return _moved(base, rows, solved.log_share)
    known = tuple(name for name in made.classes if name in earlier.all.classes)
    fitted, shift = solved.fitted, weighted.space.shift
    estimator = Estimator(fitted.solver, fitted.alpha, shift, known, run, solved.log_share)
    parts = head_parts(estimator.head(earlier.all), estimator.head(earlier.unjudged))
    head = [BlockLayout(rows=(0, len(known)), columns=(0, weighted.space.width), part="head.0")]
    layout = made.layout.model_copy(update={"classes": list(known), "head": head, "sources": []})
    return Checkpoint(layout, {**made.parts, **parts}, made.learned)


def _by_shares(base: Checkpoint, made: Checkpoint) -> bool:
    """Whether a class's share counts otherwise than in the base. From 0 it goes to what rows kept back make of it, once
    they are enough, and common classes are answered more from one update to the next."""
    before, now = base.layout.exact, made.layout.exact
    return before is not None and now is not None and before.log_share != now.log_share


def _moved(base: Checkpoint, earlier: Ledger, log_share: float) -> Checkpoint:
    """The base, in whose shared heads a class's share of all rows before the update counts so much."""
    exact, parts = base.layout.exact, dict(base.parts)
    assert exact is not None
    for part, sums in (("head.0", earlier.all), ("judge", earlier.unjudged)):
        at = [k for k, name in enumerate(base.classes) if name in sums.classes]
        bias = base.parts[part]["bias"].clone()
        more = gains([base.classes[k] for k in at], sums, log_share - exact.log_share)
        bias[at] += torch.from_numpy(more).to(bias.dtype)
        parts[part] = {**base.parts[part], "bias": bias}
    layout = base.layout.model_copy(update={"exact": exact.model_copy(update={"log_share": log_share}), "sources": []})
    return Checkpoint(layout, parts, base.learned)


@dataclass(frozen=True, eq=False)
class Solved(SolvedHeads[Head]):
    """`fitted`: the head of folds 3-9 and the strength that was chosen with it · `log_share`: see `Calibration`."""

    fitted: Fitted
    temperature: float
    log_share: float
    doubt: str | None


def _solve(base: Checkpoint | None, weighted: WeightedData, solver: Solver, params: ExactParams, run: Run) -> Solved:
    """Solves the heads."""
    data, space = weighted.data, weighted.space
    entry, unweighted = data.entry(space), data.grown(space)
    run.progress("solving", 0, 3)
    ledger = weighted.ledger
    fitted = solver.fit(ledger.learn, ledger.select, smallest(ledger.selected, MOST_ROWS), space.shift, run)
    classes = _classes(base, unweighted, entry)
    calibration = on_selecting_rows(ledger, fitted.head, params.prior == "fitted")
    log_share = calibration.log_share if calibration else 0.0
    estimator = Estimator(fitted.solver, fitted.alpha, space.shift, classes, run, log_share)
    run.progress("solving", 1, 3)
    served, out_of_fold = _out_of_fold(weighted, estimator, entry, own=True)
    run.progress("solving", 2, 3)
    judged = estimator.head(ledger.unjudged)
    run.check()
    learned = fitted.head.moved(ledger.learn, log_share).aligned(classes)
    sources = source_heads(params.per_source, weighted, learned, estimator)
    if sources is not None and len(entry):
        out_of_fold = own_out_of_fold(sources, weighted, estimator, out_of_fold)
    temperature, doubt = (
        (calibration.temperature, None) if calibration else _temperature(base, weighted, estimator, entry, out_of_fold)
    )
    run.progress("solving", 3, 3)
    return Solved(served, judged, out_of_fold, sources, fitted, temperature, log_share, doubt)


def _temperature(
    base: Checkpoint | None, weighted: WeightedData, estimator: Estimator, entry: FeatureRows, out_of_fold: Floats
) -> tuple[float, str | None]:
    """Returns the temperature where selecting rows are too few, and a note; of a head of another kind, and after a
    retraction, all rows are answered out of fold, where these are here."""
    data = weighted.data
    # after a retraction nothing is inherited: the rows that left may have decided it
    inherited = _inherited(base, estimator.solver) if len(entry) else None
    plain = weighted.weights.plain
    other_kind = bool(data.known_rows) and inherited is None and plain and data.kept_rows == data.known_rows
    if len(data.grown(weighted.space).selected) < ENOUGH_ROWS and (other_kind or not len(entry)):
        everything = feature_rows(weighted.space, data.kept(), estimator.run.silent)
        entry = FeatureRows.concat([everything, entry]) if len(entry) else everything
        _, out_of_fold = _out_of_fold(weighted, estimator, entry, own=False)
    return temperature_of(entry, out_of_fold, estimator.classes, inherited)


def _out_of_fold(weighted: WeightedData, estimator: Estimator, rows: FeatureRows, *, own: bool) -> tuple[Head, Floats]:
    """Returns the head of everything, and out-of-fold logits of the update's `own` rows or of all rows. -> [n, C]"""
    total = weighted.ledger.all
    if weighted.weights.plain and total.mass and len(rows):
        head, answers = judged_out_of_fold(lambda judged: estimator.out_of_fold(total, judged), rows, estimator.classes)
        return head.aligned(estimator.classes), answers
    others = weighted.earlier() if own and len(rows) else Sums.empty(weighted.space.width)
    answers = estimator.weighted_out_of_fold(others, rows, weighted.counts())
    return estimator.head(total), answers


def _notes(data: Data, params: ExactParams, weights: BatchWeights, solved: Solved) -> list[str]:
    """Returns notes on sources and weights, and on what no longer holds with them."""
    notes = params.notes(data, weights, solved.sources, TOO_FEW)
    gone = [name for k, name in enumerate(solved.served.classes) if solved.served.bias[k] == ABSENT]
    if gone:
        notes.append(f"No row of {listed(gone, quote=True)} counts any more: never answered.")
    return notes


def _inherited(base: Checkpoint | None, solver: Solver) -> float | None:
    """Returns the base's temperature where its scores are of the same kind."""
    exact = base.layout.exact if base is not None else None
    return base.layout.temperature if base is not None and exact is not None and exact.method == solver.name else None


def _classes(base: Checkpoint | None, ledger: Ledger, entry: FeatureRows) -> tuple[str, ...]:
    """Returns the classes that have rows: the base's in their order, then new ones as they appear in the update."""
    with_rows = frozenset(ledger.all.classes)
    named = (*(base.classes if base else ()), *entry.present(), *ledger.all.classes)
    return tuple(name for name in dict.fromkeys(named) if name in with_rows)


def _details(frozen: FrozenFeatures, solved: Solved, weights: BatchWeights, searched: DecayChoice) -> dict[str, object]:
    by, fitted = solved.sources, solved.fitted
    return {
        **weights.report(),
        **(by.report() if by else {}),
        **searched.report(),
        "lift": [lift.kind for lift in frozen.layout.lifts] or ["none"],
        "features": frozen.space.width,
        "grid": frozen.space.step,
        "form": fitted.solver.name,
        **({"forms_tried": asdict(fitted.compared)} if fitted.compared else {}),
        "alpha": fitted.alpha,
        "alphas_tried": {f"{alpha:g}": score for alpha, score in fitted.tried.items()},
        "temperature": solved.temperature,
        "log_share": solved.log_share,
    }


def _multiply_adds(frozen: FrozenFeatures, entry: FeatureRows, solved: Solved) -> int:
    """Counts features of the new rows, their sums (once by fold and once a group) and a Cholesky of M^3 / 6 a head."""
    width, groups = frozen.space.width, len(np.unique(entry.folds // 2))
    heads = max(len(solved.fitted.tried), 1) + 2 + groups
    heads += (len(PULLS) + 2) * len(solved.sources.names) if solved.sources else 0
    sums = 2 * len(entry) * (width + 1) ** 2
    solving = heads * (width**3 // 6 + width**2 * len(solved.served.classes))
    return len(entry) * frozen.space.multiply_adds + sums + solving
