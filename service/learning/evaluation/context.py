"""Examines a version, whatever its targets are: base and candidate answer the same rows, and the gate judges.

Harm is measured on trusted rows, by heads that never saw a judging fold; gain on the update's own rows, out of fold.
The ledger in which the batch is examined is the version's own feature space while that stands still; where training
moves the backbone it is the scaled input. `UpdateContext` is the contract: one class a kind of target, in `classes` and
in `numbers`, says what is measured.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from service.contract.enums import Outcome
from service.contract.inputs import IdentityBackbone, PretrainedBackbone, VectorInput
from service.contract.reports import AnyReport
from service.contract.reports.class_report import ClassEvidence
from service.contract.reports.facts import Cost, GateReport
from service.contract.targets.kind import AnyPolicy
from service.learning.absent_rows import lacking
from service.learning.backbones import bounded
from service.learning.data.rows import Array, Rows
from service.learning.evaluation.assessment import Memory
from service.learning.evaluation.challenge import Comparison
from service.learning.evaluation.cost import cost_of
from service.learning.evaluation.version_answers import ExamRows, VersionAnswers
from service.learning.exact.frozen_features import moved
from service.learning.ledger.batch_weights import aged, weights_of
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import examining_network, pretrained_network
from service.learning.method import Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import declared_scale, load_scale
from service.learning.run import Run
from service.learning.update_data import Data

Arrays = Mapping[str, NDArray[Any]]

HALF = 0.5
"""A batch that counts less than so much is meant to be forgotten."""

OTHER_SETTINGS = (
    "With these rows other settings of the method do best ({what}). They change some answers by themselves; the batch "
    "is not blamed for that."
)
"""Said of what goes live alone: of what is stopped, the rules that compare without such a change say so."""


@dataclass(frozen=True, eq=False)
class Exam:
    """Who answers which rows. base: None for a first version · after, before: candidate and base · same: what the
    settings of the candidate make without the batch, where they are others · gone: a note where sums lack rows."""

    base: Checkpoint | None
    learned: Learned
    data: Data
    run: Run
    rows: ExamRows
    after: VersionAnswers
    before: VersionAnswers | None
    same: VersionAnswers | None
    gone: list[str]

    @classmethod
    def of(
        cls, base: Checkpoint | None, learned: Learned, data: Data, run: Run, space: Space, last: int | None
    ) -> Exam:
        """last: rows of so many latest batches alone are trusted; None: of all"""
        ledger = data.ledger(space)
        run.check()
        rows = ExamRows(data, space, ledger, last=last)
        before = rows.answered_by(base) if base is not None else None
        same = rows.answered_by(learned.without) if base is not None and learned.without is not None else None
        after = rows.answered_by(learned.checkpoint)
        return cls(base, learned, data, run, rows, after, before, same, lacking(ledger, data.known_rows))

    @property
    def candidate(self) -> Checkpoint:
        return self.learned.checkpoint

    def chosen_anew(self, gate: GateReport) -> list[str]:
        """The note on settings of an exact head that are not those of the base, where the version passed the gate. A
        lift has a note of its own, and a decay is what somebody asked for, or a reason of `auto`."""
        if self.base is None or self.same is None or gate.outcome is not Outcome.PASS:
            return []
        before, now = self.base.layout.exact, self.candidate.layout.exact
        pairs = ((name, getattr(before, name, None), getattr(now, name, None)) for name in ("method", "alpha"))
        what = [f"{name} {_said(old)} → {_said(new)}" for name, old, new in pairs if old is not None and old != new]
        return [OTHER_SETTINGS.format(what=", ".join(what))] if what else []

    @property
    def space(self) -> Space:
        return self.rows.space


def _said(setting: object) -> str:
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


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


class Shown(Protocol):
    """What a batch showed of each class beside that version; how many of its rows were like those seen, and carried
    another label than the version answers."""

    @property
    def version(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def conflicts(self) -> int: ...

    @property
    def evidence(self) -> Mapping[str, ClassEvidence]: ...


class Remembered(Protocol):
    """What a lineage remembers beside what versions left; of each kind of target its own."""

    @property
    def evidence(self) -> Sequence[Mapping[str, ClassEvidence]]:
        """What the last batches showed of each class; none where targets are numbers."""

    @property
    def shown(self) -> Sequence[Shown]:
        """The same of those that are learned or held, with the version that was live before each, oldest first; none
        from before a version that a person promoted against the gate."""

    @property
    def stopped(self) -> Sequence[Sequence[Mapping[str, float]]]:
        """Figures of the batches in a row that were stopped since the base came, for each number of a row; none where
        targets are classes."""


@dataclass(frozen=True, eq=False, kw_only=True)
class UpdateContext(ABC):
    """What surrounds an update, whatever its targets are: number of the live version, and when it began. Each kind of
    target adds its policy and what the lineage remembers, and judges in its own way."""

    policy: AnyPolicy
    live: int | None = None
    wait_seconds: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    retraining: int | None = None
    """Multiply-adds that joint retraining on all learned rows would take; see `cost.retraining_cost`."""
    challenges: bool = False
    """Whether a challenger is judged, against a champion that learned the same rows."""
    expected: bool = False
    """Whether its sender says that labels, or targets, of known inputs change on purpose."""

    @classmethod
    @abstractmethod
    def looking_back(cls, policy: AnyPolicy, memories: Sequence[tuple[int, Arrays]], lineage: Remembered) -> Self:
        """The context of a lineage: what promoted versions left, by number, oldest first, and what else it
        remembers."""

    @abstractmethod
    def judge(self, exam: Exam) -> tuple[Checkpoint, AnyReport, Memory]:
        """Judges a version against the base on trusted rows and on the update's own. -> the version with what comes of
        judging it, its report, and what its lineage will remember"""

    @abstractmethod
    def compare(
        self, champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run, later: Rows | None = None
    ) -> Comparison:
        """Compares both on the selecting rows of history and batch, which neither has learned; or on `later` rows, that
        came after those of the data, by exact heads of these alone. Reads the history."""

    def space(self, base: Checkpoint | None, candidate: Checkpoint, data: Data) -> Space:
        return ledger_space(base, candidate, data)

    def examine(self, base: Checkpoint | None, learned: Learned, data: Data, run: Run) -> Candidate:
        run.progress("judging", 0, 1)
        space = self.space(base, learned.checkpoint, data)
        last = self.policy.recent_batches if self.policy.trusted == "recent" else None
        version, report, memory = self.judge(Exam.of(base, learned, data, run, space, last))
        digest = data.grown(space).digest if version.layout.exact is not None else None
        run.progress("judging", 1, 1)
        return Candidate(version, report, memory, space, digest)

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
        """Lists suspect rows of the batches that a correction brought in the place of others.

        learned, data: the step that learned them; they are its own rows, and answered out of fold
        """
        return candidate

    def cost(self, exam: Exam, version: Checkpoint) -> Cost:
        return cost_of(
            exam.base,
            replace(exam.learned, checkpoint=version),
            exam.data,
            started=self.started,
            wait_seconds=self.wait_seconds,
            retraining=self.retraining,
        )


def usual_rows(data: Data, first: bool) -> Array | None:
    """Rows that show what lies beyond the scale of the model as a rule: trusted ones, of a first version those that its
    scale was fitted to. None where rows were deleted, where the scale was declared, and of a first table, whose notes
    say what to declare. [n, ...]"""
    if not first:
        return data.exam.inputs if data.kept_rows else None
    fitted = isinstance(data.input, VectorInput) and declared_scale(data.input) is None
    return data.batch.inputs if fitted else None


def counts_of(version: Checkpoint, data: Data) -> dict[str, float]:
    """What a row of each batch counts for a version."""
    weights = weights_of(version)
    return aged(weights.decay, data.weighted_batches(weights))


def still_counting(version: Checkpoint, data: Data) -> frozenset[str]:
    """Batches that count at least half of what the newest counts: a version that is meant to forget the others is not
    judged by them."""
    return frozenset(batch for batch, counts in counts_of(version, data).items() if counts >= HALF)


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
