"""Rows of requests that wait pass a version together: greedy, without a timer, fair between requests and versions.

As soon as nothing is computed, what waits is taken, up to the version's cap. A pass that nobody would notice runs on
the event loop; a longer one on the inference thread, while the loop reads the next requests. Large questions pass by
turns with the small ones beside them, and a few rows at a time as long as there are any; models take turns.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from service.errors import Busy
from service.learning.data.rows import Array
from service.serving.batching.passes import Answering, Pass, Piece, Question, computed, deliver, unwanted
from service.serving.batching.queues import SHARE, Line
from service.serving.compute.forward import Forward
from service.serving.predictor import Predictor, Shares

ON_LOOP_SECONDS = 0.002
"""A pass that takes longer runs on the inference thread."""
TURN_SECONDS, TURN_PART = 0.0001, 0.25
"""A pass of large questions beside small ones takes so much longer than a row, or that part of theirs, at most."""
COMPANY_SECONDS = 0.1
"""After a small question more of them are expected for so long."""
ALL = sys.maxsize
"""Every class there is."""
MANY = 4096
"""Rows times classes beyond which an answer holds no more of them than was asked for: a row of 10,000 classes has 80 kB
of scores. Letting a few go takes longer than keeping them."""
SMOOTHING, MOST_SLOWER = 0.1, 20.0
"""Weight of a pass in how much slower than its pace a version is, and the most that one says of it."""


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
        self._called = self._looked_again = False
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
        self,
        predictor: Predictor,
        rows: Array,
        source: str | None = None,
        until: float | None = None,
        top: int = ALL,
    ) -> asyncio.Future[Shares]:
        """The answer to rows [n, ...], n >= 1, that have the version's shape. Rows of a cancelled one are not
        computed. `top`: classes of each row that it has to hold, the best ones; where rows and classes are many it
        holds no more.

        It fails with NotFinite, with DeadlinePassed, or with what the pass raised.
        """
        answer: asyncio.Future[Shares] = asyncio.get_running_loop().create_future()
        self.tell(answer, predictor, rows, source, until, top)
        return answer

    def tell(
        self,
        answer: Answering,
        predictor: Predictor,
        rows: Array,
        source: str | None,
        until: float | None,
        top: int = ALL,
    ) -> None:
        """The same; `answer` is told, in the turn of the loop that finds it."""
        if (loop := self._loop) is None:  # asked for once: the answer costs a call of the system
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        many = len(rows) * len(predictor.names) > MANY
        question = Question(rows, answer, until, now, top if many else None)
        step = predictor.head_of(source)
        line = self._lines.get(step)
        if line is None:
            line = self._lines[step] = Line(predictor, step)
            self._turns.append(line)
        queue = line.of(len(rows))
        queue.waiting.append(question)
        queue.rows += len(rows)
        if queue is line.small:
            self._company = now + COMPANY_SECONDS
        self._call(loop)

    def close(self) -> None:
        """No more passes."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._called and self._turns:
            self._called = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """One pass of the version whose turn it is. Where several wait the loop looks once more for what came while
        these were read: one who came a moment late would wait for two passes."""
        if not self._looked_again and self._several:
            self._looked_again = True
            loop.call_soon(self._turn, loop)
            return
        self._called = self._looked_again = False
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

    @property
    def _several(self) -> bool:
        """Whether more than one small question waits."""
        return any(len(line.small.waiting) > 1 for line in self._turns)

    def _next(self, now: float) -> Line | None:
        """The line whose turn it is; while the inference thread is at work one that needs it waits."""
        for _ in range(len(self._turns)):
            line = self._elder(self._turns.popleft())
            quick = line.predictor.pace.seconds(min(line.due.rows, self._room(line, now))) <= ON_LOOP_SECONDS
            if self._busy is None or (quick and line is not self._busy):
                return line
            self._turns.append(line)
        return None

    def _elder(self, line: Line) -> Line:
        """That line, or in its place another of the same model that was asked before: behind a swap of versions nobody
        waits longer because others ask the new one."""
        for k, other in enumerate(self._turns):
            if other.predictor.family == line.predictor.family and other.asked < line.asked:
                self._turns[k], line = line, other
        return line

    def _back(self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], done: Future[Pass | Exception]) -> None:
        line, self._busy = self._busy, None
        assert line is not None
        self._told(line, pieces, done.result())
        self._call(loop)

    def _told(self, line: Line, pieces: list[Piece], found: Pass | Exception) -> None:
        if isinstance(found, Pass):
            expected = line.predictor.pace.seconds(found.rows)
            if expected > 0:
                seen = min(max(found.seconds / expected, 1.0), MOST_SLOWER)
                weight = SMOOTHING * min(found.seconds / ON_LOOP_SECONDS, 1.0)  # a short one says little
                line.predictor.pace.slower += weight * (seen - line.predictor.pace.slower)
        deliver(pieces, found)

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
            if unwanted(question, now):
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
