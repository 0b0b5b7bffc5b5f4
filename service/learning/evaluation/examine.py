"""Examines a version: base, candidate and yardstick answer the same rows, and the gate judges.

Harm is measured on trusted rows, by heads that never saw a judging fold; gain on the update's own rows, out of fold.
The ledger in which the batch is examined is the version's own feature space while that stands still; where training
moves the backbone it is the scaled input.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.contract.inputs import IdentityBackbone, PretrainedBackbone
from service.contract.number_report import AnyReport
from service.contract.policy import GatePolicy
from service.contract.report import Cost, Older, Report
from service.contract.tables import TableInput
from service.learning.absent_rows import foreign, lacking
from service.learning.backbones import bounded
from service.learning.data.matrices import matrix
from service.learning.data.slips import slip_notes
from service.learning.evaluation.answers import Answers, ExamAnswers
from service.learning.evaluation.assessment import Assessment, Past, remember
from service.learning.evaluation.backbone_note import backbone_note
from service.learning.evaluation.challenge import Bout, compare
from service.learning.evaluation.cost import cost_of
from service.learning.evaluation.learning_curve import learning_curve
from service.learning.evaluation.report import assess, left_out_suspects
from service.learning.evaluation.unlabelled import with_unlabelled
from service.learning.evaluation.version_answers import ExamRows, VersionAnswers, softmax
from service.learning.exact.frozen_features import moved
from service.learning.exact.out_of_fold import judged_out_of_fold, ridge_out_of_fold
from service.learning.exact.ridge_solver import DEFAULT_ALPHA, alphas_of, choose_alpha
from service.learning.exact.solve import Head, solve_ridge
from service.learning.ledger.batch_weights import aged, weights_of
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import examining_network, pretrained_network
from service.learning.ledger.sums import Sums
from service.learning.method import Data, Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import load_scale
from service.learning.network.scale_notes import scale_notes
from service.learning.network.table_scale import TableScale
from service.learning.run import Run

YARDSTICK_PRIOR = 0.25
HALF = 0.5
"""A batch that counts less than so much is meant to be forgotten."""


class Memory(Protocol):
    """What a version leaves for later ones to be compared with."""

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays, for a safetensors shard."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A version that was made and judged, not yet stored. `bits`: what its lineage will remember of it. `space`: where
    its ledger can go on. `ledger_digest`: of its sums, None unless its head is exact."""

    checkpoint: Checkpoint
    report: AnyReport
    bits: Memory
    space: Space
    ledger_digest: str | None


@dataclass(frozen=True, eq=False)
class Champion:
    """The version that a challenger must beat, and the one that both were learned on."""

    checkpoint: Checkpoint
    base: Checkpoint | None


@dataclass(frozen=True, eq=False, kw_only=True)
class UpdateContext(ABC):
    """What surrounds an update, whatever its targets are: number of the live version, and when it began. Each kind of
    target adds its policy and what the lineage remembers, and examines in its own way."""

    live: int | None = None
    wait_seconds: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    retraining: int | None = None
    """Multiply-adds that joint retraining on all learned rows would take; see `cost.retraining_cost`."""
    challenges: bool = False
    """Whether a challenger is judged, against a champion that learned the same rows."""

    @abstractmethod
    def examine(self, base: Checkpoint | None, learned: Learned, data: Data, run: Run) -> Candidate:
        """Judges a version against the base on trusted rows and on the update's own."""

    @abstractmethod
    def compare(self, champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run) -> Bout:
        """Compares both on the selecting rows of history and batch, which neither has learned. Reads the history."""

    def examine_challenger(
        self, champion: Champion, learned: Learned, data: Data, everything: Data, run: Run
    ) -> Candidate:
        """Judges a challenger against the champion, on the trusted rows of all that both learned.

        `data`: the update's · `everything`: the same batches, none of them new
        """
        learned = replace(learned, out_of_fold=None, without=None)
        candidate = replace(self, challenges=True).examine(champion.checkpoint, learned, everything, run)
        cost = candidate.report.cost.model_copy(update={"rows": len(data.batch)})
        return replace(candidate, report=candidate.report.model_copy(update={"cost": cost}))

    def with_suspects(self, candidate: Candidate, learned: Learned, data: Data) -> Candidate:
        """Lists suspect rows of the batches that a correction brought in the place of others, if targets are classes.

        learned, data: the step that learned them; they are its own rows, and answered out of fold
        """
        return candidate

    def cost(self, base: Checkpoint | None, learned: Learned, data: Data) -> Cost:
        return cost_of(
            base, learned, data, started=self.started, wait_seconds=self.wait_seconds, retraining=self.retraining
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Context(UpdateContext):
    """What surrounds an update whose targets are classes."""

    policy: GatePolicy = field(default_factory=GatePolicy)
    past: Past = field(default_factory=Past)
    relabels: bool = False
    """Whether labels of known inputs change on purpose."""

    def examine(self, base: Checkpoint | None, learned: Learned, data: Data, run: Run) -> Candidate:
        return examine(base, learned, data, run, self)

    def compare(self, champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run) -> Bout:
        return compare(champion, challenger, data, run)

    def examine_challenger(
        self, champion: Champion, learned: Learned, data: Data, everything: Data, run: Run
    ) -> Candidate:
        """The evidence of their rows is that of the champion's report, the newest that the lineage remembers. A
        champion with weights from elsewhere learned rows that are not here: then the challenger is judged as it was,
        against their base on the update's rows."""
        if foreign(champion.checkpoint):
            before = replace(self.past, evidence=self.past.evidence[:-1])
            return examine(champion.base, learned, data, run, replace(self, past=before))
        candidate = super().examine_challenger(champion, learned, data, everything, run)
        report = candidate.report
        assert isinstance(report, Report)
        evidence = self.past.evidence[-1] if self.past.evidence else {}
        batch = report.batch.model_copy(update={"evidence": dict(evidence)})
        return replace(candidate, report=report.model_copy(update={"batch": batch}))

    def with_suspects(self, candidate: Candidate, learned: Learned, data: Data) -> Candidate:
        if learned.out_of_fold is None:
            return candidate
        version, report = learned.checkpoint, candidate.report
        assert isinstance(report, Report)
        own = softmax(version.classes, learned.out_of_fold, version.layout.temperature)
        listed = left_out_suspects(data.batch, own, self.policy.familiar.confident)
        batch = report.batch.model_copy(update={"suspect_rows": listed})
        return replace(candidate, report=report.model_copy(update={"batch": batch}))


def examine(base: Checkpoint | None, learned: Learned, data: Data, run: Run, context: Context) -> Candidate:
    """Judges a version against the base on trusted rows and on the update's own."""
    run.progress("judging", 0, 1)
    candidate, policy = learned.checkpoint, context.policy
    space = ledger_space(base, candidate, data)
    ledger = data.ledger(space)
    run.check()
    gone = lacking(ledger, data.known_rows)
    rows = ExamRows(data, space, ledger, last=policy.recent_batches if policy.trusted == "recent" else None)
    after, before = rows.answered_by(candidate), rows.answered_by(base) if base else None
    same = rows.answered_by(learned.without) if base and learned.without is not None else None
    answers = ExamAnswers(after.on_trusted(), _own(after, learned))
    exact = candidate.layout.exact
    weights = weights_of(candidate)
    if (
        exact is not None
        and exact.alpha is not None
        and exact.prior == YARDSTICK_PRIOR
        and weights.plain
        and not exact.kept_columns
    ):
        # a ridge with the usual prior is its own yardstick: it has no regret by construction
        yardstick: Yardstick | None = Yardstick(exact.alpha, answers)
    elif base is not None and not weights.plain and set(candidate.classes) <= set(base.classes):
        yardstick = None  # the joint solution over a past that counts less: of use to rules on new classes alone
    else:
        yardstick = _yardstick(rows, run)
    alpha = yardstick.alpha if yardstick else exact.alpha if exact and exact.alpha else DEFAULT_ALPHA

    def solve(sums: Sums) -> Head:
        return solve_ridge(sums, space.shift, alpha, YARDSTICK_PRIOR)

    assessment = Assessment(
        policy=policy,
        trusted=rows.trusted,
        batch=rows.batch,
        candidate=answers,
        cost=context.cost(base, learned, data),
        exact=exact is not None and weights.whole and not exact.kept_columns,
        live=context.live,
        base=before.on_both() if before else None,
        same=same.on_both() if same else None,
        yardstick=yardstick.answers if yardstick else None,
        ledger=ledger,
        solve=solve,
        past=context.past,
        sound=True,
        method=learned.details,
        notes=[*learned.notes, *_notes(base, candidate, data, run), *gone],
        foreign=foreign(base),
        replaced=bool(foreign(base)) and not foreign(candidate),
        older=_older(after, before) if rows.last is not None else None,
        partial=exact is not None and (not weights.plain or bool(gone)),
        stuck=learned.stuck,
        relabels=context.relabels,
        challenges=context.challenges,
        table=isinstance(data.input, TableInput),
        faded=frozenset(
            b for b, counts in aged(weights.decay, data.weighted_batches(weights)).items() if counts < HALF
        ),
    )
    report = with_unlabelled(assess(assessment), data, space, ledger, policy, run)
    new = data.new_values(base)
    batch = report.batch.model_copy(update={"new_values": new, "notes": [*report.batch.notes, *slip_notes(new)]})
    grown = data.grown(space)
    curve = learning_curve(ledger, grown, rows.batch, rows.trusted, solve)
    run.progress("judging", 1, 1)
    return Candidate(
        checkpoint=candidate,
        report=report.model_copy(update={"learning_curve": curve, "batch": batch}),
        bits=remember(assessment),
        space=space,
        ledger_digest=grown.digest if exact else None,
    )


def _older(candidate: VersionAnswers, base: VersionAnswers | None) -> Older:
    """Accuracy on trusted rows that are too old to judge by."""
    rows = candidate.rows.older
    answers = [version.on_older() if version and len(rows) else None for version in (base, candidate)]
    before, after = (float(a.right(rows).mean()) if a else None for a in answers)
    return Older(before=before, after=after, rows=len(rows))


def ledger_space(base: Checkpoint | None, candidate: Checkpoint, data: Data) -> Space:
    """Returns the candidate's own feature space where its backbone stands still.

    Where training moved it: for a pretrained backbone that states a bound, the space of the weights it came with; else
    the scaled input, or random convolutions of images.
    """
    layout, scale = candidate.layout, load_scale(candidate.layout.input, candidate.parts["scale"])
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


def _own(candidate: VersionAnswers, learned: Learned) -> Answers:
    """Answers to the update's own rows by heads that never saw them; NaN where there is none."""
    if learned.out_of_fold is not None:
        version = candidate.version
        return softmax(version.classes, learned.out_of_fold, version.layout.temperature)
    served = candidate.on_batch()
    return Answers(served.classes, candidate.rows.unlearned(served.probabilities))


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The exact head over the same history, which is the joint solution in its space."""

    alpha: float
    answers: ExamAnswers


def _yardstick(rows: ExamRows, run: Run) -> Yardstick | None:
    """Ridge in the space of the rows, judged like a candidate. None where there are no rows at all."""
    grown = rows.data.grown(rows.space)
    if not grown.all.rows:
        return None
    shift = rows.space.shift
    alphas = alphas_of(rows.data.input)
    alpha = choose_alpha(grown.learn, grown.select, shift, YARDSTICK_PRIOR, alphas, run).alpha

    def solve(sums: Sums) -> Head:
        return solve_ridge(sums, shift, alpha, YARDSTICK_PRIOR)

    classes = grown.all.classes
    judge = solve(grown.unjudged).aligned(classes)
    _, own = judged_out_of_fold(
        lambda asked: ridge_out_of_fold(grown.all, asked, shift, alpha, YARDSTICK_PRIOR, run), rows.batch, classes
    )
    trusted = rows.trusted.values(rows.space.shift)
    logits = matrix(len(trusted), len(classes), lambda some: judge.logits(trusted[some]))
    return Yardstick(alpha, ExamAnswers(softmax(classes, logits), softmax(classes, own)))


def _notes(base: Checkpoint | None, candidate: Checkpoint, data: Data, run: Run) -> list[str]:
    if not len(data.batch):
        return []
    scale = load_scale(data.input, candidate.parts["scale"])
    weak = backbone_note(candidate, data, run) if base is None else None
    of_inputs = scale_notes(scale, data.batch.inputs, fitted=base is None and isinstance(scale, TableScale))
    return [*of_inputs, *([weak] if weak else [])]
