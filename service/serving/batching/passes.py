"""One pass of a version over rows of several questions: what goes in, and what is found."""

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
from service.serving.predictor import Predictor, Shares


class Answering(Protocol):
    """Who waits for an answer: a future, or anybody who wants it at once. Called from the event loop alone."""

    def done(self) -> bool:
        """Whether nobody waits any more."""
        ...

    def set_result(self, result: Shares, /) -> None:
        """Here it is."""
        ...

    def set_exception(self, exception: Exception, /) -> None:
        """There will be none."""
        ...


@dataclass(eq=False)
class Question:
    """Rows that wait for their answer. `until`: when nobody wants it any more; `asked`: when it came. Both on the clock
    of the loop. `top`: the best classes of each row that are kept, in `held`, where rows and classes are many; null:
    all, in `parts`."""

    rows: Array
    answer: Answering
    until: float | None
    asked: float = 0.0
    top: int | None = None
    taken: int = 0
    parts: list[Shares] = field(default_factory=list)
    held: Shares | None = None

    def hold(self, kept: Shares, start: int, stop: int) -> None:
        """The best classes of some of its rows, written where those of all rows stand. Arrays of their own would be
        made between the large ones of this pass and the next, and however small they are, the memory of these could not
        be used again."""
        if self.held is None:
            n, k = len(self.rows), kept.shares.shape[1]
            columns = None if kept.columns is None else np.empty((n, k), np.int32)
            self.held = Shares(np.empty((n, k)), np.empty(n, np.int32), np.empty(n), columns=columns)
        held = self.held
        held.shares[start:stop], held.best[start:stop], held.score[start:stop] = kept[:3]
        if held.columns is not None and kept.columns is not None:
            held.columns[start:stop] = kept.columns
        if kept.outside and not held.outside:
            self.held = held._replace(outside=frozenset(start + k for k in kept.outside))

    @property
    def left(self) -> int:
        """Rows that no pass has taken yet."""
        return len(self.rows) - self.taken


class Piece(NamedTuple):
    """Rows of a question within a pass."""

    question: Question
    start: int
    stop: int


class Pass(NamedTuple):
    """A pass of so many rows, whose questions have taken what it found, and how long it took; `faulty`: the first
    number that is not finite, of each row that has one."""

    rows: int
    faulty: dict[int, int]
    seconds: float


def computed(predictor: Predictor, step: Forward, pieces: Sequence[Piece]) -> Pass | Exception:
    """One pass. A row does not touch the others, so that one which is not finite spoils its own answer alone."""
    began = time.perf_counter()
    try:
        rows = _together([_rows_of(piece) for piece in pieces])
        numbers = rows.dtype != object
        # both are NaN where one is
        low, high = (float(np.minimum.reduce(rows, None)), float(np.maximum.reduce(rows, None))) if numbers else UNKNOWN
        found = predictor.pass_of(rows, step, (low, high))
        seconds = time.perf_counter() - began
        predictor.pace.seen(len(rows), seconds)
        faulty = dict[int, int]()
        if numbers:
            if predictor.range is not None and not (predictor.range[0] <= low and high <= predictor.range[1]):
                found = found._replace(outside=_outside(rows, *predictor.range))
            if not (math.isfinite(low) and math.isfinite(high)):
                faulty = _not_finite(rows)
        at = 0
        for question, start, stop in pieces:  # here, where it does not hold up the event loop
            first, at = at, at + stop - start
            part = found.part(first, at)
            if question.top is None:
                question.parts.append(part)
            else:
                question.hold(part.kept(question.top), start, stop)
            if isinstance(question.rows.base, mmap.mmap):  # else a file of pictures, unpacked, would stay in memory
                question.rows.base.madvise(mmap.MADV_DONTNEED)
        return Pass(len(rows), faulty, seconds)
    except Exception as error:  # told to every question of the pass: none is left waiting
        return error


def _rows_of(piece: Piece) -> Array:
    rows = piece.question.rows
    return rows if piece.stop - piece.start == len(rows) else rows[piece.start : piece.stop]


def _together(parts: Sequence[Array]) -> Array:
    """Parts one after another; float64 becomes float32, a number beyond it infinite: one step for all of them."""
    if any(part.dtype == np.float64 for part in parts):
        with np.errstate(over="ignore"):
            return np.concatenate(parts, dtype=np.float32, casting="same_kind")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _outside(rows: Array, low: float, high: float) -> frozenset[int]:
    flat = rows.reshape(len(rows), -1)
    return frozenset(np.flatnonzero((flat.min(1) < low) | (flat.max(1) > high)).tolist())


def _not_finite(rows: Array) -> dict[int, int]:
    flat = rows.reshape(len(rows), -1)
    return {int(k): int(np.argmin(np.isfinite(flat[k]))) for k in np.flatnonzero(~np.isfinite(flat).all(1))}


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
