"""Whether a batch is like those just before it, which were stopped: then the stream has moved, and none of them errs.

A batch that is stopped is not learned: the live version grows old, what comes next lies farther off still, and beside
the promoted batches none would ever pass. But the live version has answered all of these, too. Where the next one is
as far off, to the same side and in as good an order as the stopped ones, that is how batches are now. So must the
stopped ones be among themselves: several mistakes are no move. Batches that a rule blames in themselves, for their unit
or for one value, are no evidence; nor are those in which nothing says what the targets are, where something always did.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.learning.evaluation.numbers.batch.comparison import Usual
from service.learning.evaluation.numbers.batch.figures import Figures
from service.learning.evaluation.numbers.batch.recent_batches import LAST, recent
from service.learning.evaluation.numbers.number_assessment import NumberAssessment
from service.learning.gate.numbers.first_batch_rules import PART_OF_USUAL
from service.learning.gate.numbers.number_measurements import Beside, OwnOrder, Stopped

ONE_USUAL = 1.0
"""Usual errors by which batches may lie to different sides."""
PART_OF_STEP = 0.5
"""Part of the smaller step by which two batches that were stopped may lie apart."""


def stopped(assessment: NumberAssessment, k: int, figures: Figures, rows: int, own: OwnOrder | None) -> Stopped | None:
    """The batches before this one, which were stopped, and whether it is like them: it is where its sender said that
    targets move. None where they are too few. figures, own: of this batch's number k, of so many rows."""
    if assessment.expected:
        return Stopped(0, agrees=True)
    of_number = [kept[k] for kept in assessment.stopped if k < len(kept)]
    measured = [kept for kept in of_number if kept.log_mean is not None and kept.novel is None]
    before = _alike(assessment, [kept for kept in measured if _ordered(assessment, k, kept)][-LAST:], rows)
    if len(before) < assessment.policy.moved.batches:
        return None
    says = _ordered(assessment, k, figures) and _says(assessment, own)
    return Stopped(len(before), says and _like(Usual(assessment, before), figures, rows))


def _alike(assessment: NumberAssessment, kept: Sequence[Figures], rows: int) -> list[Figures]:
    """The newest of these batches in a row, oldest first, of which each is like every other. rows: of a batch; two that
    are compared err as one of half as many does."""
    alike: list[Figures] = []
    for older in reversed(kept):
        for one in alike:
            part = PART_OF_STEP * min(abs(older.bias or 0.0), abs(one.bias or 0.0))
            pairs = ((older, one), (one, older))
            if not all(_like(Usual(assessment, [a]), b, max(rows // 2, 1), max(part, ONE_USUAL)) for a, b in pairs):
                return alike
        alike.insert(0, older)
    return alike


def _like(usual: Usual, figures: Figures, rows: int, apart: float = ONE_USUAL) -> bool:
    """Whether nothing in the figures of so many rows is worse than usual. apart: usual errors between their sides."""
    p = usual.assessment.policy.moved.p
    sizes = (usual.mean(figures, rows), usual.median(figures, rows), usual.far(figures, rows))
    agrees = not any(size is not None and _surprises(usual.assessment, size) for size in sizes)
    bias, order = usual.bias(figures, rows), usual.order(figures, rows)
    aside = bias is not None and bias.p < p and abs(bias.value - bias.usual) > apart
    return agrees and not aside and (order is None or order.p >= p)


def _surprises(assessment: NumberAssessment, size: Beside) -> bool:
    policy = assessment.policy
    return size.p < policy.moved.p and size.ratio > policy.disagrees_broadly.times


def _ordered(assessment: NumberAssessment, k: int, figures: Figures) -> bool:
    """Whether something says what the targets of a batch are, where something always did: in the last batches, however
    few, a first version's own among them."""
    rule = assessment.policy.unlearnable
    figures_of_last = [tested.figures[k] for tested in recent(assessment)[-LAST:] if k < len(tested.figures)]
    last = [order for kept in figures_of_last if (order := kept.own_order) is not None]
    if not last or min(last) <= rule.usual_order:
        return True
    return (figures.own_order or 0.0) >= min(rule.min_order, min(last) * PART_OF_USUAL)


def _says(assessment: NumberAssessment, own: OwnOrder | None) -> bool:
    """Whether a head of this batch alone finds something that is no luck, where no batch before shows what is usual."""
    known = any(figures.own_order is not None for tested in recent(assessment) for figures in tested.figures)
    return known or own is None or own.p < assessment.policy.unlearnable.p
