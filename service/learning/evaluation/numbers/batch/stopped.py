"""Whether a batch is like those just before it, which were stopped: then the stream has moved, and none of them errs.

A batch that is stopped is not learned: the live version grows old, what comes next lies farther off still, and beside
the promoted batches none would ever pass. But the live version has answered all of these, too. Where the next one is
as far off, to the same side and in as good an order as the stopped ones, that is how batches are now. Batches that a
rule blames in themselves, for their unit or for one value, are no evidence; nor are those in which nothing says what
the targets are, where something always did.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.learning.evaluation.numbers.batch.figures import (
    BIAS,
    FAR,
    LAST_OWN,
    MEAN,
    MEDIAN,
    NOVEL,
    ORDER,
    OWN,
    Usual,
    recent,
)
from service.learning.evaluation.numbers.number_assessment import NumberAssessment
from service.learning.gate.numbers.batch_rules import PART_OF_USUAL
from service.learning.gate.numbers.number_measurements import Beside, OwnOrder, Stopped

ONE_USUAL = 1.0
"""Usual errors by which batches may lie to different sides."""


def stopped(
    a: NumberAssessment, k: int, figures: Mapping[str, float], rows: int, own: OwnOrder | None
) -> Stopped | None:
    """The batches before this one, which were stopped, and whether it is like them: it is where its sender said that
    targets move. None where they are too few. figures, own: of this batch's number k, of so many rows."""
    if a.expected:
        return Stopped(0, agrees=True)
    of_number = [kept[k] for kept in a.stopped if k < len(kept)]
    before = [kept for kept in of_number if MEAN in kept and NOVEL not in kept and _ordered(a, k, kept)]
    if len(before) < a.policy.moved.batches:
        return None
    usual = Usual(a, before[-LAST_OWN:])
    agrees = not any(_surprising(a, name, usual.beside(figures, name, rows)) for name in (MEAN, MEDIAN, FAR))
    bias, order = (usual.beside(figures, name, rows) for name in (BIAS, ORDER))
    aside = bias is not None and bias.p < a.policy.moved.p and abs(bias.value - bias.usual) > ONE_USUAL
    disordered = order is not None and order.p < a.policy.moved.p
    says = _ordered(a, k, figures) and _says(a, own)
    return Stopped(len(before), agrees and not aside and not disordered and says)


def _surprising(a: NumberAssessment, name: str, figure: Beside | None) -> bool:
    if figure is None:
        return False
    return figure.p < a.policy.moved.p and figure.value / figure.usual > a.policy.disagrees_broadly.times


def _ordered(a: NumberAssessment, k: int, figures: Mapping[str, float]) -> bool:
    """Whether something says what the targets of a batch are, where something always did: in the last batches, however
    few, a first version's own among them."""
    rule = a.policy.unlearnable
    last = [t.figures[k][OWN] for t in recent(a)[-LAST_OWN:] if k < len(t.figures) and OWN in t.figures[k]]
    if not last or min(last) <= rule.usual_order:
        return True
    return figures.get(OWN, 0.0) >= min(rule.min_order, min(last) * PART_OF_USUAL)


def _says(a: NumberAssessment, own: OwnOrder | None) -> bool:
    """Whether a head of this batch alone finds something that is no luck, where no batch before shows what is usual."""
    known = any(OWN in figures for tested in recent(a) for figures in tested.figures)
    return known or own is None or own.p < a.policy.unlearnable.p
