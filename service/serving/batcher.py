"""Batches the rows of waiting requests: greedily, without a timer, fair between requests and versions.

A pass begins as soon as none is running, with all rows that wait, up to the version's cap. A short pass runs on the
event loop, a longer one on the inference thread, while the loop reads the next requests. Large questions take turns
with small ones, a few rows at a time while small ones come; versions take turns, too.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from service.errors import Busy
from service.learning.data.rows import Array
from service.serving import passes
from service.serving.compute.forward import Forward
from service.serving.kinds.kind import PredictOptions, RowAnswers
from service.serving.passes import AnswerWaiter, Pass, Piece, Question, deliver, unwanted
from service.serving.predictor import Predictor
from service.serving.queues import SHARE, VersionQueues
from service.telemetry.metrics import Histogram

ON_LOOP_SECONDS = 0.002
"""A longer pass runs on the inference thread."""
TURN_SECONDS, TURN_PART = 0.0001, 0.25
"""How much longer than one row a pass of large questions may take while small ones come; or which part of a pass of
small ones, if that is longer."""
COMPANY_SECONDS = 0.1
"""For so long after a small question more of them are expected."""
ALL = PredictOptions(top=sys.maxsize)
"""Asks for every class."""
ROWS = Histogram("tsuika_batch_rows", "Rows that a version computes in one pass.", bounds=(1, 4, 16, 64, 256, 1024))
MANY = 4096
"""Rows times columns beyond which an answer keeps no more than was asked for: the probabilities of a row of 10,000
classes take 80 kB. Below it, dropping some takes longer than keeping all."""
SMOOTHING, MOST_SLOWER = 0.1, 20.0
"""Weight of one pass in the running mean of `Pace.slower`, and the most that one pass may count."""


class Batcher:
    """Computes the predictions of a process. Called on the event loop only.

    queue_seconds: how long a question may wait for its turn, by the measured pace of the versions. backlog: seconds
    until all waiting rows are computed.
    """

    def __init__(self, queue_seconds: float) -> None:
        self._queue_seconds, self.backlog = queue_seconds, 0.0
        self._queues: dict[Forward, VersionQueues] = {}
        self._turns: deque[VersionQueues] = deque()
        self._small_until = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: VersionQueues | None = None
        self._scheduled = self._postponed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")

    @property
    def crowded(self) -> bool:
        """Whether a question asked now may wait so long that its client may disconnect before."""
        return self._running is not None or self.backlog > ON_LOOP_SECONDS

    def admit(self, predictor: Predictor, rows: int = 1) -> None:
        """Raises Busy if so many rows would wait too long. Called before a body is decoded, too."""
        if self.backlog <= self._queue_seconds:
            return
        if (wait := self._wait(predictor, rows)) > self._queue_seconds:
            raise Busy(
                f"So many predictions wait that it takes {wait:.1f} s until it is the turn of this one; they may wait "
                f"{self._queue_seconds:g} s. Ask again then.",
                retry_after=math.ceil(wait),
            )

    def _wait(self, predictor: Predictor, rows: int) -> float:
        """Seconds until so many rows have their turn: the rows before them, and the turns of other queues between."""
        pace = predictor.pace
        own = [queues.queue_for(rows) for queues in self._queues.values() if queues.predictor is predictor]
        before = sum(queue.rows for queue in own)
        turns = before // pace.cap + 1
        wait = pace.waiting(before)
        for queues in self._queues.values():
            other = queues.predictor.pace
            for queue in (queues.small, queues.large):
                if queue.rows and queue not in own:
                    wait += other.waiting(min(queue.rows, turns * other.cap))
        return wait

    def ask(
        self, predictor: Predictor, rows: Array, options: PredictOptions = ALL, until: float | None = None
    ) -> asyncio.Future[RowAnswers]:
        """The answer to rows [n, ...], n >= 1, that have the version's shape. Cancelling it drops the rows that wait.

        options: the answer holds at least what they ask, and no more if rows and columns are many.
        It fails with NotFinite, with DeadlinePassed, or with what the pass raised.
        """
        answer: asyncio.Future[RowAnswers] = asyncio.get_running_loop().create_future()
        self.submit(answer, predictor, rows, options, until)
        return answer

    def submit(
        self, answer: AnswerWaiter, predictor: Predictor, rows: Array, options: PredictOptions, until: float | None
    ) -> None:
        """As `ask`, but gives the answer to `answer`, in the turn of the loop that has it."""
        if (loop := self._loop) is None:  # kept: finding the running loop costs a system call
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        many = len(rows) * len(predictor.names) > MANY
        question = Question(rows, answer, until, now, options, many)
        step = predictor.head_of(options.source)
        queues = self._queues.get(step)
        if queues is None:
            queues = self._queues[step] = VersionQueues(predictor, step)
            self._turns.append(queues)
        queue = queues.queue_for(len(rows))
        queue.waiting.append(question)
        queue.rows += len(rows)
        self.backlog += predictor.pace.waiting(len(rows))
        if queue is queues.small:
            self._small_until = now + COMPANY_SECONDS
        self._schedule(loop)

    @property
    def waiting(self) -> int:
        return sum(len(q.small.waiting) + len(q.large.waiting) for q in self._queues.values())

    def close(self) -> None:
        """Ends the inference thread, after the pass that it is computing."""
        self._thread.shutdown(cancel_futures=True)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and self._turns:
            self._scheduled = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Runs one pass of the version whose turn it is. If several questions wait, the loop first reads once more: a
        question that arrives a moment late would wait for two passes."""
        if not self._postponed and self._several:
            self._postponed = True
            loop.call_soon(self._turn, loop)
            return
        self._scheduled = self._postponed = False
        now = loop.time()
        queues = self._next(now)
        if queues is None:
            return  # all wait for the inference thread; its callback schedules the next turn
        pieces = self._gather(queues, now)
        rows = sum(piece.stop - piece.start for piece in pieces)
        if queues.small.waiting or queues.large.waiting:
            self._turns.append(queues)
        else:
            self._queues.pop(queues.step, None)
        self.backlog = sum(waiting.predictor.pace.waiting(waiting.rows) for waiting in self._queues.values())
        if not pieces:
            self._schedule(loop)
            return
        ROWS.observe(rows)
        if queues.predictor.pace.seconds(rows) <= ON_LOOP_SECONDS:
            self._finish(queues, pieces, passes.run(queues.predictor, queues.step, pieces))
        else:
            self._running = queues
            work = self._thread.submit(passes.run, queues.predictor, queues.step, pieces)
            work.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finish_threaded, loop, pieces, done))
        self._schedule(loop)

    @property
    def _several(self) -> bool:
        """Whether more than one small question waits."""
        return any(len(queues.small.waiting) > 1 for queues in self._turns)

    def _next(self, now: float) -> VersionQueues | None:
        """The version whose turn it is; one that needs the inference thread waits while that is busy."""
        for _ in range(len(self._turns)):
            queues = self._oldest_of_model(self._turns.popleft())
            quick = queues.predictor.pace.seconds(min(queues.due.rows, self._room(queues, now))) <= ON_LOOP_SECONDS
            if self._running is None or (quick and queues is not self._running):
                return queues
            self._turns.append(queues)
        return None

    def _oldest_of_model(self, queues: VersionQueues) -> VersionQueues:
        """These queues, or those of another version of the model whose next question is older: after a swap nobody
        waits longer because others ask the new version."""
        for k, other in enumerate(self._turns):
            if other.predictor.family == queues.predictor.family and other.arrived < queues.arrived:
                self._turns[k], queues = queues, other
        return queues

    def _finish_threaded(
        self, loop: asyncio.AbstractEventLoop, pieces: list[Piece], done: Future[Pass | Exception]
    ) -> None:
        queues, self._running = self._running, None
        assert queues is not None
        self._finish(queues, pieces, done.result())
        self._schedule(loop)

    def _finish(self, queues: VersionQueues, pieces: list[Piece], outcome: Pass | Exception) -> None:
        pace = queues.predictor.pace
        if isinstance(outcome, Pass) and (expected := pace.seconds(outcome.rows)) > 0:
            slower = min(max(outcome.seconds / expected, 1.0), MOST_SLOWER)
            weight = SMOOTHING * min(outcome.seconds / ON_LOOP_SECONDS, 1.0)  # a short pass says little
            pace.slower += weight * (slower - pace.slower)
        deliver(pieces, outcome)

    def _room(self, queues: VersionQueues, now: float) -> int:
        """Most rows of the next pass."""
        pace = queues.predictor.pace
        if queues.due is queues.small or now > self._small_until:
            return pace.cap
        seconds = max(pace.seconds(1) + TURN_SECONDS, TURN_PART * pace.seconds(queues.small_rows))
        return min(pace.within(seconds), pace.cap)

    def _gather(self, queues: VersionQueues, now: float) -> list[Piece]:
        """Takes the rows of the next pass, some of each question in turn, until it is full or none wait."""
        queue, room, pieces = queues.due, self._room(queues, now), list[Piece]()
        queues.large_next = queue is queues.small
        share = SHARE if len(queue.waiting) > 1 else room
        while queue.waiting and room:
            question = queue.waiting.popleft()
            if unwanted(question, now):
                queue.rows -= question.left
                continue
            start, left = question.taken, question.left
            n = min(left, room, share)
            pieces.append(Piece(question, start, start + n))
            question.taken = start + n
            room -= n
            queue.rows -= n
            if n < left:
                queue.waiting.append(question)
        if queue is queues.small:
            queues.small_rows = sum(piece.stop - piece.start for piece in pieces)
        return pieces
