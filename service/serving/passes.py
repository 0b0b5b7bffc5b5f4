"""One pass of a version over rows of several questions, and the delivery of its answers."""

from __future__ import annotations

import logging
import math
import mmap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from service.errors import DeadlinePassed
from service.learning.data.rows import Array
from service.serving.compute.forward import UNKNOWN, Forward
from service.serving.kinds.kind import USUAL, PredictOptions, RowAnswers
from service.serving.predictor import Predictor

log = logging.getLogger("tsuika.serving")

T = TypeVar("T")


class AnswerWaiter(Protocol):
    """Waits for an answer: a future, or anything with its methods. Called on the event loop only."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: RowAnswers, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None:
        """Takes the error in place of an answer."""


@dataclass(eq=False, slots=True)
class Question:
    """Rows that wait for their answer.

    until: the deadline, or None; arrived: when it came. Both on the clock of the loop.
    options: how its rows are to be answered.
    many: whether no more is kept of each row than the options ask, in `kept`; else all is, in `parts`.
    taken: rows that passes have taken so far.
    """

    rows: Array
    answer: AnswerWaiter
    until: float | None
    arrived: float = 0.0
    options: PredictOptions = USUAL
    many: bool = False
    taken: int = 0
    parts: list[RowAnswers] = field(default_factory=list)
    kept: RowAnswers | None = None

    def keep(self, part: RowAnswers, start: int, stop: int) -> None:
        """Copies what is asked of some rows into arrays for all rows. Separate arrays, however small, would lie
        between the large ones of two passes and keep the allocator from using that memory again."""
        part = part.kept(self.options)
        kept = part.room(len(self.rows)) if self.kept is None else self.kept
        self.kept = kept.put(part, start, stop)

    @property
    def left(self) -> int:
        """How many rows no pass has taken yet."""
        return len(self.rows) - self.taken


class Piece(NamedTuple):
    """The rows of a question that are in a pass."""

    question: Question
    start: int
    stop: int


class Pass(NamedTuple):
    """A finished pass, whose answers are in its questions. `faulty`: by row, the place of its first number that is not
    finite."""

    rows: int
    faulty: dict[int, int]
    seconds: float


def run(predictor: Predictor, step: Forward, pieces: Sequence[Piece]) -> Pass | Exception:
    """Runs one pass. Rows are independent, so a row that is not finite spoils its own answer only."""
    began = time.perf_counter()
    try:
        parts = [_rows_of(piece) for piece in pieces]
        rows = _joined(parts, narrow=not predictor.tables)
        numbers = rows.dtype != object and not predictor.tables  # what a table lacks is NaN, and it has no other one
        # both are NaN if any number is
        low, high = (float(np.minimum.reduce(rows, None)), float(np.maximum.reduce(rows, None))) if numbers else UNKNOWN
        options = pieces[0].question.options  # mostly all questions ask for the same
        if any(piece.question.options.unlearned for piece in pieces):
            options = options._replace(unlearned=True)
        answers = predictor.run_pass(rows, step, (low, high), options)
        seconds = time.perf_counter() - began
        predictor.pace.observe(len(rows), seconds)
        faulty = dict[int, int]()
        if numbers and not (math.isfinite(low) and math.isfinite(high)):
            faulty = _not_finite(rows)
        at = 0
        for question, start, stop in pieces:  # here rather than in `deliver`, which runs on the event loop
            first, at = at, at + stop - start
            part = answers.part(first, at, question.options)
            if question.many:
                question.keep(part, start, stop)
            else:
                question.parts.append(part)
            if isinstance(question.rows.base, mmap.mmap):  # else the whole file would stay in memory
                question.rows.base.madvise(mmap.MADV_DONTNEED)
        return Pass(len(rows), faulty, seconds)
    except Exception as error:  # every question of the pass gets it: none is left waiting
        return error


def _rows_of(piece: Piece) -> Array:
    rows = piece.question.rows
    return rows if piece.stop - piece.start == len(rows) else rows[piece.start : piece.stop]


def _joined(parts: Sequence[Array], narrow: bool) -> Array:
    """Joins parts in one step. narrow: float64 becomes float32, and numbers beyond its range become infinite."""
    if narrow and any(part.dtype == np.float64 for part in parts):
        with np.errstate(over="ignore"):
            return np.concatenate(parts, dtype=np.float32, casting="same_kind")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _not_finite(rows: Array) -> dict[int, int]:
    flat = rows.reshape(len(rows), -1)
    return {int(k): int(np.argmin(np.isfinite(flat[k]))) for k in np.flatnonzero(~np.isfinite(flat).all(1))}


class NotFinite(Exception):
    """The number at `place` (counted through the row) of row `row` is NaN, infinite or beyond float32."""

    def __init__(self, row: int, place: int) -> None:
        super().__init__(row, place)
        self.row, self.place = row, place


def unwanted(question: Question, now: float) -> bool:
    """Whether nobody waits for a question: its client disconnected, it failed, or its deadline has passed."""
    if question.answer.done():
        return True
    if question.until is None or now < question.until:
        return False
    _give(question.answer.set_exception, DeadlinePassed("The time that the request gave was over before its turn."))
    return True


def _give(receive: Callable[[T], None], value: T) -> None:
    """Calls a waiter; one that raises must not keep the others from their answers."""
    try:
        receive(value)
    except Exception:
        log.exception("an answer could not be given")


def deliver(pieces: list[Piece], outcome: Pass | Exception) -> None:
    """Gives each question whose last rows have passed its answer, or the error."""
    at = 0
    for question, start, stop in pieces:
        first, at = at, at + stop - start
        if question.answer.done():
            continue
        if isinstance(outcome, Exception):
            _give(question.answer.set_exception, outcome)
        elif outcome.faulty and (faults := [k for k in outcome.faulty if first <= k < at]):
            row = min(faults)
            _give(question.answer.set_exception, NotFinite(start + row - first, outcome.faulty[row]))
        elif stop == len(question.rows):
            kept = question.kept
            _give(question.answer.set_result, question.parts[0].concat(question.parts) if kept is None else kept)
