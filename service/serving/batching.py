"""Rows of requests that wait pass a version together: greedy, without a timer, fair between requests and versions.

As soon as nothing is computed, what waits is taken, up to the version's cap. A pass that nobody would notice runs on
the event loop; a longer one on the inference thread, while the loop reads the next requests. Large questions pass by
turns with the small ones beside them, and a few rows at a time as long as there are any; versions take turns.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from service.errors import Busy, DeadlinePassed
from service.learning.batch import Array
from service.serving.forward import Forward
from service.serving.lines import SHARE, Line
from service.serving.passes import Answering, Pass, Piece, Question, computed
from service.serving.predictor import Predictor, Shares

log = logging.getLogger("tsuika.serving")

T = TypeVar("T")

ON_LOOP_SECONDS = 0.002
"""A pass that takes longer runs on the inference thread."""
TURN_SECONDS, TURN_PART = 0.0001, 0.25
"""A pass of large questions beside small ones takes so much longer than a row, or that part of theirs, at most."""
COMPANY_SECONDS = 0.1
"""After a small question more of them are expected for so long."""
SMOOTHING, MOST_SLOWER = 0.1, 20.0
"""Weight of a pass in how much slower than its pace a version is, and the most that one says of it."""


class NotFinite(Exception):
    """Number `place` (counted through the row) of row `row` is NaN, infinite or beyond a float32."""

    def __init__(self, row: int, place: int) -> None:
        super().__init__(row, place)
        self.row, self.place = row, place


class Batcher:
    """The one who computes predictions in a process. Called from the event loop alone.

    queue_seconds: how long a question may wait for its turn, as the versions' measured pace tells it.
    """

    def __init__(self, queue_seconds: float) -> None:
        self._queue_seconds = queue_seconds
        self._lines: dict[Forward, Line] = {}
        self._turns: deque[Line] = deque()
        self._company = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy: Line | None = None
        self._called = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")

    @property
    def backlog(self) -> float:
        """Seconds until all the work that waits is done."""
        return sum(line.predictor.pace.waiting(line.rows) for line in self._lines.values())

    @property
    def crowded(self) -> bool:
        """Whether a question asked now may wait noticeably: its sender may be gone by then."""
        return self._busy is not None or self.backlog > ON_LOOP_SECONDS

    def admit(self, predictor: Predictor, rows: int = 1) -> None:
        """Raises Busy where so many rows would wait longer than they may; asked before a body is decoded, too."""
        if self.backlog <= self._queue_seconds:
            return
        if (wait := self._wait(predictor, rows)) > self._queue_seconds:
            raise Busy(
                f"So many predictions wait that it takes {wait:.1f} s until it is the turn of this one; they may wait "
                f"{self._queue_seconds:g} s. Ask again then.",
                retry_after=math.ceil(wait),
            )

    def _wait(self, predictor: Predictor, rows: int) -> float:
        """Seconds until it is their turn: what waits before them, and what has a turn between their turns."""
        pace = predictor.pace
        mine = [line.of(rows) for line in self._lines.values() if line.predictor is predictor]
        before = sum(queue.rows for queue in mine)
        turns = before // pace.cap + 1
        wait = pace.waiting(before)
        for line in self._lines.values():
            theirs = line.predictor.pace
            for queue in (line.small, line.large):
                if queue.rows and queue not in mine:
                    wait += theirs.waiting(min(queue.rows, turns * theirs.cap))
        return wait

    def ask(
        self, predictor: Predictor, rows: Array, source: str | None = None, until: float | None = None
    ) -> asyncio.Future[Shares]:
        """The answer to rows [n, ...], n >= 1, that have the version's shape. Rows of a cancelled one are not
        computed.

        It fails with NotFinite, with DeadlinePassed, or with what the pass raised.
        """
        answer: asyncio.Future[Shares] = asyncio.get_running_loop().create_future()
        self.tell(answer, predictor, rows, source, until)
        return answer

    def tell(
        self, answer: Answering, predictor: Predictor, rows: Array, source: str | None, until: float | None
    ) -> None:
        """The same; `answer` is told, in the turn of the loop that finds it."""
        if (loop := self._loop) is None:  # asked for once: the answer costs a call of the system
            loop = self._loop = asyncio.get_running_loop()
        question = Question(rows, answer, until)
        step = predictor.head_of(source)
        line = self._lines.get(step)
        if line is None:
            line = self._lines[step] = Line(predictor, step)
            self._turns.append(line)
        queue = line.of(len(rows))
        queue.waiting.append(question)
        queue.rows += len(rows)
        if queue is line.small:
            self._company = loop.time() + COMPANY_SECONDS
        self._call(loop)

    def close(self) -> None:
        """No more passes."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._called and self._turns:
            self._called = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """One pass of the version whose turn it is."""
        self._called = False
        now = loop.time()
        line = self._next(now)
        if line is None:
            return  # all wait for the inference thread, which calls when it is free
        pieces = self._gather(line, now)
        rows = sum(piece.stop - piece.start for piece in pieces)
        if line.small.waiting or line.large.waiting:
            self._turns.append(line)
        else:
            self._lines.pop(line.step, None)
        if not pieces:
            pass
        elif line.predictor.pace.seconds(rows) <= ON_LOOP_SECONDS:
            self._told(line, pieces, computed(line.predictor, line.step, pieces))
        else:
            self._busy = line
            work = self._thread.submit(computed, line.predictor, line.step, pieces)
            work.add_done_callback(lambda done: loop.call_soon_threadsafe(self._back, loop, pieces, done))
        self._call(loop)

    def _next(self, now: float) -> Line | None:
        """The line whose turn it is; while the inference thread is at work one that needs it waits."""
        for _ in range(len(self._turns)):
            line = self._turns.popleft()
            quick = line.predictor.pace.seconds(min(line.due.rows, self._room(line, now))) <= ON_LOOP_SECONDS
            if self._busy is None or (quick and line is not self._busy):
                return line
            self._turns.append(line)
        return None

    def _back(self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], done: Future[Pass | Exception]) -> None:
        line, self._busy = self._busy, None
        assert line is not None
        self._told(line, pieces, done.result())
        self._call(loop)

    def _told(self, line: Line, pieces: list[Piece], found: Pass | Exception) -> None:
        if isinstance(found, Pass):
            expected = line.predictor.pace.seconds(len(found.shares.best))
            if expected > 0:
                seen = min(max(found.seconds / expected, 1.0), MOST_SLOWER)
                weight = SMOOTHING * min(found.seconds / ON_LOOP_SECONDS, 1.0)  # a short one says little
                line.predictor.pace.slower += weight * (seen - line.predictor.pace.slower)
        _deliver(pieces, found)

    def _room(self, line: Line, now: float) -> int:
        """Rows of the next pass at most."""
        pace = line.predictor.pace
        if line.due is line.small or now > self._company:
            return pace.cap
        seconds = max(pace.seconds(1) + TURN_SECONDS, TURN_PART * pace.seconds(line.turn))
        return min(pace.within(seconds), pace.cap)

    def _gather(self, line: Line, now: float) -> list[Piece]:
        """Rows of the next pass, a share of each question in turn, until there is no room or nothing waits."""
        queue, room, pieces = line.due, self._room(line, now), list[Piece]()
        line.large_next = queue is line.small
        share = SHARE if len(queue.waiting) > 1 else room
        while queue.waiting and room:
            question = queue.waiting.popleft()
            if _unwanted(question, now):
                queue.rows -= question.left
                continue
            n = min(question.left, room, share)
            pieces.append(Piece(question, question.taken, question.taken + n))
            question.taken += n
            room -= n
            queue.rows -= n
            if question.left:
                queue.waiting.append(question)
        line.turn = sum(piece.stop - piece.start for piece in pieces) if queue is line.small else line.turn
        return pieces


def _unwanted(question: Question, now: float) -> bool:
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


def _deliver(pieces: list[Piece], found: Pass | Exception) -> None:
    """Every question of a pass gets its part, or its own fault."""
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
        question.parts.append(found.shares.part(first, at))
        if stop == len(question.rows):
            _tell(question.answer.set_result, Shares.concat(question.parts))
