"""Base, candidate and yardstick answer the same rows; the gate is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from service.contract.inputs import IdentityBackbone, PretrainedBackbone
from service.contract.policy import GatePolicy
from service.contract.report import Cost, LearningCurve, Older, Report
from service.learning.backbones import bounded
from service.learning.data.sides import parted
from service.learning.evaluation.answers import Answers, Bits
from service.learning.evaluation.assessment import Assessment, Past, remember
from service.learning.evaluation.backbone_note import backbone_note
from service.learning.evaluation.cost import cost_of
from service.learning.evaluation.learning_curve import learning_curve
from service.learning.evaluation.report import assess
from service.learning.evaluation.unlabelled import with_unlabelled
from service.learning.evaluation.version_answers import Asked, View, answers, features_of, softmax
from service.learning.exact.frozen_features import moved
from service.learning.exact.out_of_fold import judged_apart, ridge_apart
from service.learning.exact.ridge_solver import DEFAULT_ALPHA, choose_alpha
from service.learning.exact.solve import Head, solve_ridge
from service.learning.imported_classes import foreign
from service.learning.ledger.batch_weights import Weights, aged
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import examining_network, pretrained_network
from service.learning.ledger.sums import Sums
from service.learning.method import Data, Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import InputScale, leaves_scale, narrow_columns
from service.learning.retention import lacking
from service.learning.run import Run
from service.learning.tables import table

YARDSTICK_PRIOR = 0.25


HALF = 0.5
"""A batch that counts less than so much is meant to be forgotten."""


@dataclass(frozen=True, eq=False)
class Context:
    """What surrounds an update: the policy it is judged by, what the lineage remembers, and when it began."""

    policy: GatePolicy = field(default_factory=GatePolicy)
    past: Past = field(default_factory=Past)
    live: int | None = None
    wait_seconds: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    retraining: int | None = None
    """Multiply-adds that joint retraining on all learned rows would take; see `cost.retraining_cost`."""

    def cost(self, base: Checkpoint | None, learned: Learned, data: Data) -> Cost:
        """What the update has cost until now."""
        since, waited = self.started, self.wait_seconds
        return cost_of(base, learned, data, started=since, wait_seconds=waited, retraining=self.retraining)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A version that was made and judged, not yet stored. `space`: where its ledger can go on, null: nowhere."""

    checkpoint: Checkpoint
    report: Report
    bits: Bits
    space: Space
    ledger_digest: str | None


def examine(base: Checkpoint | None, learned: Learned, data: Data, run: Run, context: Context) -> Candidate:
    """Judge a version against the base on trusted rows and on the update's own."""
    run.progress("judging", 0, 1)
    candidate = learned.checkpoint
    space = ledger_space(base, candidate, data)
    ledger = data.ledger(space)
    run.check()
    policy, gone = context.policy, lacking(ledger, data.known_rows)
    view = View(data, space, ledger, last=policy.recent_batches if policy.trusted == "recent" else None)
    asked, before = view.asking(candidate), view.asking(base) if base else None
    on_trusted, on_batch = asked.on_trusted(), _own(asked, learned)
    exact = candidate.layout.exact
    weights = Weights(exact.decay, exact.source_weights) if exact else Weights()
    if (
        exact is not None
        and exact.alpha is not None
        and exact.prior == YARDSTICK_PRIOR
        and weights.plain
        and not exact.kept_columns
    ):
        # a ridge with the usual prior is its own yardstick: it has no regret by construction
        yardstick: Yardstick | None = Yardstick(exact.alpha, on_trusted, on_batch)
    elif base is not None and not weights.plain and set(candidate.classes) <= set(base.classes):
        yardstick = None  # the joint solution over a past that counts less: of use to rules on new classes alone
    else:
        yardstick = _yardstick(view, run)
    alpha = yardstick.alpha if yardstick else exact.alpha if exact and exact.alpha else DEFAULT_ALPHA

    def solve(sums: Sums) -> Head:
        return solve_ridge(sums, space.shift, alpha, YARDSTICK_PRIOR)

    assessment = Assessment(
        policy=policy,
        trusted=view.trusted,
        batch=view.batch,
        candidate=on_trusted,
        candidate_on_batch=on_batch,
        cost=context.cost(base, learned, data),
        exact=exact is not None and weights.whole and not exact.kept_columns,
        live=context.live,
        base=before.on_trusted() if before else None,
        base_on_batch=before.on_batch() if before else None,
        yardstick=yardstick.on_trusted if yardstick else None,
        yardstick_on_batch=yardstick.on_batch if yardstick else None,
        ledger=ledger,
        solve=solve,
        past=context.past,
        sound=True,
        method=learned.details,
        notes=[*learned.notes, *_notes(base, candidate, data, run), *gone],
        foreign=foreign(base),
        replaced=bool(foreign(base)) and not foreign(candidate),
        older=_older(asked, before) if view.last is not None else None,
        partial=exact is not None and (not weights.plain or bool(gone)),
        stuck=learned.stuck,
        faded=frozenset(b for b, counts in aged(weights.decay, data.steps(weights)).items() if counts < HALF),
    )
    report = with_unlabelled(assess(assessment), data, space, ledger, context.policy, run)
    report = report.model_copy(update={"learning_curve": _curve(view, solve)})
    run.progress("judging", 1, 1)
    return Candidate(
        checkpoint=candidate,
        report=report,
        bits=remember(assessment),
        space=space,
        ledger_digest=data.grown(space).digest if exact else None,
    )


def _curve(view: View, solve: Callable[[Sums], Head]) -> LearningCurve | None:
    grown = view.data.grown(view.space)
    return learning_curve(view.ledger, grown, view.batch, view.trusted, solve)


def _older(candidate: Asked, base: Asked | None) -> Older:
    """Accuracy on trusted rows that are too old to judge by."""
    rows = candidate.view.older
    shares = [asked.on_older() if asked and len(rows) else None for asked in (base, candidate)]
    before, after = (float(a.right(rows).mean()) if a else None for a in shares)
    return Older(before=before, after=after, rows=len(rows))


def ledger_space(base: Checkpoint | None, candidate: Checkpoint, data: Data) -> Space:
    """The candidate's own feature space where the backbone stands still.

    Where training moved it: of a pretrained backbone that states a bound, the space of the weights it came with; else
    the scaled input, of images random convolutions.
    """
    layout, scale = candidate.layout, InputScale.load(candidate.parts["scale"])
    came = layout.backbone if isinstance(layout.backbone, PretrainedBackbone) else None
    if layout.shift is not None:
        space = Space.of(candidate)
        if isinstance(layout.backbone, IdentityBackbone) or (came is not None and not moved(layout)):
            return space
        if base is not None and base.layout.shift is not None and Space.of(base).id == space.id:
            return space
    if came is not None and bounded(came):
        return Space.of(pretrained_network(layout.input, scale, came, data.pretrained()))
    return Space.of(examining_network(layout.input, scale))


def _own(candidate: Asked, learned: Learned) -> Answers:
    """The candidate on the update's own rows, by heads that never saw them; NaN where there is none."""
    if learned.out_of_fold is not None:
        return answers(candidate.version, learned.out_of_fold)
    served, rows = candidate.on_batch(), candidate.view.batch
    single = rows.judging & ~parted(rows.marks, rows.folds)
    hidden = np.where(single[:, None], served.probabilities, np.nan)
    return Answers(served.classes, hidden)


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The exact head over the same history: it is the joint solution in its space."""

    alpha: float
    on_trusted: Answers
    on_batch: Answers


def _yardstick(view: View, run: Run) -> Yardstick | None:
    """Ridge in the view's space, judged like a candidate. Null where there are no rows at all."""
    grown = view.data.grown(view.space)
    if not grown.all.rows:
        return None
    shift = view.space.shift
    alpha = choose_alpha(grown.learn, grown.select, shift, YARDSTICK_PRIOR, check=run.check).alpha

    def solve(sums: Sums) -> Head:
        return solve_ridge(sums, shift, alpha, YARDSTICK_PRIOR)

    classes = grown.all.classes
    judge = solve(grown.unjudged).aligned(classes)
    _, own = judged_apart(
        lambda asked: ridge_apart(grown.all, asked, shift, alpha, YARDSTICK_PRIOR, run.check), view.batch, classes
    )
    trusted = features_of(view.trusted, view.space)
    return Yardstick(
        alpha,
        softmax(classes, table(len(trusted), len(classes), lambda place: judge.logits(trusted[place]))),
        softmax(classes, own),
    )


def _notes(base: Checkpoint | None, candidate: Checkpoint, data: Data, run: Run) -> list[str]:
    if not len(data.batch):
        return []
    scale, inputs = InputScale.load(candidate.parts["scale"]), data.batch.inputs
    weak = backbone_note(candidate, data, run) if base is None else None
    return [note for note in (leaves_scale(scale, inputs), narrow_columns(scale, inputs), weak) if note]
