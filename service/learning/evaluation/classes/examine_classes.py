"""Judges a version of classes: base, candidate and yardstick answer the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from service.contract.policy import GatePolicy
from service.contract.reports.class_report import Older, Report
from service.contract.tables import TableInput
from service.contract.targets.kind import AnyPolicy
from service.learning.absent_rows import foreign
from service.learning.data.matrices import matrix
from service.learning.data.rows import Rows
from service.learning.data.slips import class_notes, slip_notes, value_notes
from service.learning.evaluation.assessment import ExamAnswers
from service.learning.evaluation.classes.backbone_note import backbone_note
from service.learning.evaluation.classes.class_answers import (
    Answers,
    base_answers,
    candidate_answers,
    older_answers,
    own_answers,
    softmax,
)
from service.learning.evaluation.classes.class_assessment import (
    ClassAssessment,
    ClassPast,
    Correctness,
    mean_drop,
    remember,
)
from service.learning.evaluation.classes.class_challenge import ClassComparison, compare
from service.learning.evaluation.classes.class_report import UNLIKE, assess, left_out_suspects, with_batch
from service.learning.evaluation.classes.familiarity import is_familiar
from service.learning.evaluation.classes.learning_curve import learning_curve
from service.learning.evaluation.column_slips import column_slips
from service.learning.evaluation.context import (
    HALF,
    Arrays,
    Candidate,
    Champion,
    Exam,
    Remembered,
    UpdateContext,
    counts_of,
    usual_rows,
)
from service.learning.evaluation.gaps import mostly_gaps
from service.learning.evaluation.version_answers import ExamRows, VersionAnswers
from service.learning.exact.out_of_fold import judged_out_of_fold, ridge_out_of_fold
from service.learning.exact.params import USUAL_PRIOR
from service.learning.exact.ridge_solver import DEFAULT_ALPHA, alphas_of, choose_alpha
from service.learning.exact.solve import solve_ridge
from service.learning.ledger.batch_weights import weights_of
from service.learning.ledger.feature_space import rounded
from service.learning.method import Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import load_scale
from service.learning.network.scale_notes import scale_notes
from service.learning.network.table_scale import TableScale
from service.learning.run import Run
from service.learning.update_data import Data

WORTH_LABELLING = 0.3
"""From this share of unfamiliar rows on, a note says what to do about rows without a label."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassContext(UpdateContext):
    """What surrounds an update whose targets are classes."""

    policy: GatePolicy = field(default_factory=GatePolicy)
    past: ClassPast = field(default_factory=ClassPast)

    @classmethod
    def looking_back(cls, policy: AnyPolicy, memories: Sequence[tuple[int, Arrays]], lineage: Remembered) -> Self:
        assert isinstance(policy, GatePolicy), "classes are judged by a policy of classes"
        correctness = [(version, Correctness.load(arrays)) for version, arrays in memories]
        return cls(policy=policy, past=ClassPast(correctness, lineage.evidence, lineage.shown))

    def judge(self, exam: Exam) -> tuple[Checkpoint, Report, Correctness]:
        exam = _fair(exam, self.policy)
        assessment = _assessment(exam, self)
        data, space, ledger = exam.data, exam.space, exam.rows.ledger
        report = with_unlabelled(assess(assessment), exam, self.policy)
        new = data.new_values(exam.base)
        known = exam.base.classes if exam.base else ()
        slips = [*class_notes(data.batch.counts(), known, data.batch.batches), *slip_notes(new)]
        if any(UNLIKE in note for note in report.batch.notes):
            slips += value_notes(new)
        report = with_batch(report, new_values=new, notes=[*report.batch.notes, *slips])
        assert assessment.solve is not None
        curve = learning_curve(ledger, data.grown(space), exam.rows.batch, exam.rows.trusted, assessment.solve)
        notes = [*report.notes, *exam.chosen_anew(report.gate)]
        report = report.model_copy(update={"learning_curve": curve, "notes": notes})
        return exam.candidate, report, remember(assessment)

    def compare(
        self, champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run, later: Rows | None = None
    ) -> ClassComparison:
        return compare(champion, challenger, data, run, later)

    def examine_challenger(
        self, champion: Champion, learned: Learned, data: Data, everything: Data, run: Run
    ) -> Candidate:
        """The evidence of their rows is that of the champion's report, the newest that the lineage remembers. A
        champion with weights from elsewhere learned rows that are not here: then the challenger is judged as it was,
        against their base on the update's rows."""
        if foreign(champion.checkpoint):
            before = replace(self.past, evidence=self.past.evidence[:-1])
            return replace(self, past=before).examine(champion.base, learned, data, run)
        candidate = super().examine_challenger(champion, learned, data, everything, run)
        report = candidate.report
        assert isinstance(report, Report)
        evidence = self.past.evidence[-1] if self.past.evidence else {}
        return replace(candidate, report=with_batch(report, evidence=dict(evidence)))

    def with_suspects(self, candidate: Candidate, learned: Learned, data: Data) -> Candidate:
        if learned.out_of_fold is None:
            return candidate
        report = candidate.report
        assert isinstance(report, Report)
        gaps = mostly_gaps(data)
        listed = left_out_suspects(data.batch, own_answers(learned), self.policy.familiar.confident, gaps)
        return replace(candidate, report=with_batch(report, suspect_rows=listed))


def _of_other_kind(exam: Exam) -> bool:
    return exam.base is not None and exam.base.layout.exact is None


def _fair(exam: Exam, policy: GatePolicy) -> Exam:
    """The exam, beside the base itself where other settings of the same kind alone cost the mean over the classes more
    than an update may forget: bad rows choose settings, too.

    Both answer without what shares count: what favours common classes costs that mean, and is a trade all the same."""
    if exam.before is None or exam.same is None or _of_other_kind(exam) or not len(exam.rows.trusted):
        return exam
    before, same = (base_answers(a).on_trusted.even().right(exam.rows.trusted) for a in (exam.before, exam.same))
    lost = mean_drop(exam.rows.trusted, before, same) > policy.forgets.max_masked_drop
    return replace(exam, same=None) if lost else exam


def _assessment(exam: Exam, context: ClassContext) -> ClassAssessment:
    """The answers of base, candidate and yardstick, and what else a report is made of."""
    base, candidate, rows = exam.base, exam.candidate, exam.rows
    answers = candidate_answers(exam.after, exam.learned)
    exact, weights = candidate.layout.exact, weights_of(candidate)
    yardstick = _yardstick(exam, answers)
    alpha = yardstick.alpha if yardstick else exact.alpha if exact and exact.alpha else DEFAULT_ALPHA
    counted = {} if weights.plain else counts_of(candidate, exam.data)
    notes = [*exam.learned.notes, *_notes(base, candidate, exam.data, exam.run), *exam.gone]
    return ClassAssessment(
        policy=context.policy,
        trusted=rows.trusted,
        batch=rows.batch,
        candidate=answers,
        cost=context.cost(exam, candidate),
        exact=exact is not None and weights.whole and not exact.kept_columns,
        live=context.live,
        base=base_answers(exam.before) if exam.before else None,
        same=base_answers(exam.same) if exam.same else None,
        yardstick=yardstick.answers if yardstick else None,
        ledger=rows.ledger,
        solve=lambda sums: solve_ridge(sums, exam.space.shift, alpha, USUAL_PRIOR),
        past=context.past,
        sound=True,
        method=exam.learned.details,
        notes=notes,
        foreign=foreign(base),
        replaced=bool(foreign(base)) and not foreign(candidate),
        older=_older(exam.after, exam.before) if rows.last is not None else None,
        partial=exact is not None and (not weights.plain or bool(exam.gone)),
        stuck=exam.learned.stuck,
        expected=context.expected,
        columns=column_slips(exam.data, context.policy.wrong_columns) if base else None,
        gaps=mostly_gaps(exam.data),
        challenges=context.challenges,
        table=isinstance(exam.data.input, TableInput),
        other_kind=_of_other_kind(exam),
        counts=exam.data.batch.counts(),
        faded=frozenset(batch for batch, counts in counted.items() if counts < HALF),
    )


def _older(candidate: VersionAnswers, base: VersionAnswers | None) -> Older:
    """Accuracy on trusted rows that are too old to judge by."""
    rows = candidate.rows.older
    answers = [older_answers(version) if version and len(rows) else None for version in (base, candidate)]
    before, after = (float(a.right(rows).mean()) if a else None for a in answers)
    return Older(before=before, after=after, rows=len(rows))


@dataclass(frozen=True, eq=False)
class Yardstick:
    """The exact head over the same history, which is the joint solution in its space."""

    alpha: float
    answers: ExamAnswers[Answers]


def _yardstick(exam: Exam, answers: ExamAnswers[Answers]) -> Yardstick | None:
    """A ridge with the usual prior is its own yardstick: it has no regret by construction. None where there are no rows
    at all, and for a version to which the past counts less, the joint solution being of use to rules on new classes."""
    base, candidate = exam.base, exam.candidate
    exact, weights = candidate.layout.exact, weights_of(candidate)
    usual = exact is not None and exact.prior == USUAL_PRIOR and not exact.kept_columns
    if exact is not None and exact.alpha is not None and usual and weights.plain:
        return Yardstick(exact.alpha, answers)
    if base is not None and not weights.plain and set(candidate.classes) <= set(base.classes):
        return None
    return _ridge(exam.rows, exam.run)


def _ridge(rows: ExamRows, run: Run) -> Yardstick | None:
    """Ridge in the space of the rows, judged like a candidate. None where there are no rows at all."""
    grown = rows.data.grown(rows.space)
    if not grown.all.rows:
        return None
    shift = rows.space.shift
    alphas = alphas_of(rows.data.input)
    alpha = choose_alpha(grown.learn, grown.select, shift, USUAL_PRIOR, alphas, run).alpha
    classes = grown.all.classes
    judge = solve_ridge(grown.unjudged, shift, alpha, USUAL_PRIOR).aligned(classes)
    _, own = judged_out_of_fold(
        lambda asked: ridge_out_of_fold(grown.all, asked, shift, alpha, USUAL_PRIOR, run), rows.batch, classes
    )
    trusted = rows.trusted.values(rows.space.shift)
    logits = matrix(len(trusted), len(classes), lambda some: judge.logits(trusted[some]))
    return Yardstick(alpha, ExamAnswers(softmax(classes, logits), softmax(classes, own)))


def _notes(base: Checkpoint | None, candidate: Checkpoint, data: Data, run: Run) -> list[str]:
    if not len(data.batch):
        return []
    scale = load_scale(data.input, candidate.parts["scale"])
    weak = backbone_note(candidate, data, run) if base is None else None
    fitted = base is None and isinstance(scale, TableScale)
    of_inputs = scale_notes(scale, data.batch.inputs, fitted, known=usual_rows(data, base is None))
    return [*of_inputs, *([weak] if weak else [])]


def with_unlabelled(report: Report, exam: Exam, policy: GatePolicy) -> Report:
    """Adds to the report how many of the update's rows without a label are unlike anything that was learned; without
    trusted rows nobody knows how far familiar rows lie."""
    rows, ledger, share = len(exam.data.unlabelled), exam.rows.ledger, None
    if not rows:
        return report
    if len(ledger.exam):
        features = rounded(exam.space, exam.data.unlabelled, exam.run.silent)
        share = float(1 - is_familiar(ledger.unjudged, ledger.exam, features, policy.familiar.quantile).mean())
    notes = [*report.batch.notes, _on_unlabelled(rows, share)]
    return with_batch(report, unlabelled=rows, unlabelled_unfamiliar_share=share, notes=notes)


def _on_unlabelled(rows: int, share: float | None) -> str:
    came = "1 row came" if rows == 1 else f"{rows:,} rows came"
    note = f"{came} without a label: only the method mas uses such rows."
    if share is None:
        return note
    strange = round(share * rows)
    words = f" {strange:,} of them {'is' if strange == 1 else 'are'} unlike anything that was learned."
    return note + words + (" Labels for some of those would help most." if share >= WORTH_LABELLING else "")
