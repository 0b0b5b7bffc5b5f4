"""Who waits for an answer is told: the answer, its fault, or that its time is over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from service.errors import DeadlinePassed
from service.serving.batching.passes import Pass, Piece, Question
from service.serving.predictor import Shares

log = logging.getLogger("tsuika.serving")

T = TypeVar("T")


class NotFinite(Exception):
    """Number `place` (counted through the row) of row `row` is NaN, infinite or beyond a float32."""

    def __init__(self, row: int, place: int) -> None:
        super().__init__(row, place)
        self.row, self.place = row, place


def unwanted(question: Question, now: float) -> bool:
    """Whether nobody waits for it any more: its sender went away, it has failed, or its time is over."""
    if question.answer.done():
        return True
    if question.until is None or now < question.until:
        return False
    _tell(question.answer.set_exception, DeadlinePassed("The time that the request gave was over before its turn."))
    return True


def _tell(told: Callable[[T], None], what: T) -> None:
    """One who cannot be told must not keep the others from being told."""
    try:
        told(what)
    except Exception:
        log.exception("an answer could not be given")


def deliver(pieces: list[Piece], found: Pass | Exception) -> None:
    """Every question whose last rows have passed is told the answer, one with a fault that."""
    at = 0
    for question, start, stop in pieces:
        first, at = at, at + stop - start
        if question.answer.done():
            continue
        if isinstance(found, Exception):
            _tell(question.answer.set_exception, found)
            continue
        if found.faulty:
            faults = [k for k in sorted(found.faulty) if first <= k < at]
            if faults:
                _tell(question.answer.set_exception, NotFinite(start + faults[0] - first, found.faulty[faults[0]]))
                continue
        if stop == len(question.rows):
            held = question.held
            _tell(question.answer.set_result, held if held is not None else Shares.concat(question.parts))
