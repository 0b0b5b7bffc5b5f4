"""Rows of concurrent questions pass together: fairly, and an error reaches only the question that caused it."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.errors import Busy, DeadlinePassed
from service.learning.data.rows import Array
from service.serving import batcher as batching
from service.serving import passes
from service.serving.batcher import Batcher
from service.serving.compute.forward import UNKNOWN, Extremes, Forward
from service.serving.kinds.classes import Probabilities
from service.serving.kinds.kind import USUAL, PredictOptions
from service.serving.pace import Pace
from service.serving.passes import NotFinite
from service.serving.predictor import Predictor
from tests.serving.test_predictor import checkpoint

QUICK, SLOW = 1e-6, 0.02
"""Seconds a row: on the event loop, and on the inference thread."""


class Steady(Pace):
    """A pace that is never corrected."""

    def observe(self, rows: int, seconds: float) -> None:
        pass


class Noted(Predictor):
    """A real version that notes how many rows passed together. `gate`: its passes wait until it is set."""

    def __init__(self, a_row: float, cap: int = 64) -> None:
        super().__init__(checkpoint(["a", "b", "c"]))
        self.pace = Steady(0.0, a_row, cap)
        self.passes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def run_pass(
        self, inputs: Array, step: Forward, extremes: Extremes = UNKNOWN, options: PredictOptions = USUAL
    ) -> Probabilities:
        if hasattr(self, "passes"):
            self.gate.wait(60.0)
            self.passes.append(len(inputs))
        return super().run_pass(inputs, step, extremes, options)


def rows(n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)


def close(answer: Probabilities, predictor: Predictor, asked: Array) -> bool:
    return np.allclose(answer.values, predictor.answer(asked).values, atol=1e-6)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60.0):
            return await coroutine

    return asyncio.run(bounded())


async def busy_with(batcher: Batcher, predictor: Noted) -> asyncio.Future[Probabilities]:
    """The answer to one row, for which the inference thread waits until the gate is set."""
    predictor.gate.clear()
    first = batcher.ask(predictor, rows(1))
    while batcher._running is None:
        await asyncio.sleep(0)
    return first


@pytest.mark.parametrize("a_row", [QUICK, SLOW])
def test_questions_that_wait_pass_together(batcher: Batcher, a_row: float) -> None:
    predictor = Noted(a_row, cap=8)
    asked = [rows(1, k) for k in range(20)]

    async def go() -> list[Probabilities]:
        return await asyncio.gather(*(batcher.ask(predictor, question) for question in asked))

    answers = run(go())
    assert predictor.passes == [8, 8, 4]
    assert all(close(f, predictor, q) for f, q in zip(answers, asked, strict=True))


def test_what_arrives_during_a_pass_makes_the_next_one(batcher: Batcher) -> None:
    predictor = Noted(SLOW)

    async def go() -> None:
        first = await busy_with(batcher, predictor)
        later = [batcher.ask(predictor, rows(2, k)) for k in range(5)]
        predictor.gate.set()
        await asyncio.gather(first, *later)

    run(go())
    assert predictor.passes == [1, 10]


@pytest.mark.parametrize("a_row", [QUICK, SLOW])
def test_a_small_question_does_not_wait_for_the_large_one_before_it(batcher: Batcher, a_row: float) -> None:
    predictor = Noted(a_row, cap=32)

    async def go() -> tuple[list[int], Probabilities]:
        large = batcher.ask(predictor, rows(1000))
        await batcher.ask(predictor, rows(3))
        assert not large.done()
        before = list(predictor.passes)
        return before, await large

    before, answers = run(go())
    assert before in ([3], [3, 1])  # the thread may have begun the next pass since
    assert sum(predictor.passes) == 1003
    assert close(answers, predictor, rows(1000))


def test_a_large_question_passes_a_few_rows_at_a_time_while_there_are_small_ones(
    batcher: Batcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By turns with them, however many there are: some more where these were many; and in whole passes again once they
    have stayed away."""
    predictor, a_row = Noted(QUICK, cap=32), batching.TURN_SECONDS / 4
    predictor.pace.a_row = a_row

    async def go() -> list[int]:
        large = batcher.ask(predictor, rows(500))
        for k in range(3):
            await asyncio.gather(*(batcher.ask(predictor, rows(1, k)) for _ in range(40)))
        beside = list(predictor.passes)
        monkeypatch.setattr(batcher, "_small_until", 0.0)
        await large
        assert set(predictor.passes[len(beside) + 1 : -1]) == {32}
        return beside

    assert run(go())[:6] == [32, 8, 8, 5, 32, 8]


def test_versions_take_turns(batcher: Batcher) -> None:
    crowded, other = Noted(SLOW, cap=4), Noted(SLOW, cap=4)

    async def go() -> None:
        many = [batcher.ask(crowded, rows(4, k)) for k in range(50)]
        await batcher.ask(other, rows(1))
        assert len(crowded.passes) <= 2
        await asyncio.gather(*many)

    run(go())


def test_a_quick_version_does_not_wait_for_a_slow_one(batcher: Batcher) -> None:
    slow, quick = Noted(SLOW), Noted(QUICK)

    async def go() -> None:
        waiting = await busy_with(batcher, slow)
        await batcher.ask(quick, rows(1))
        assert not waiting.done()
        slow.gate.set()
        await waiting

    run(go())


@pytest.mark.parametrize("a_row", [QUICK, SLOW])
def test_a_pass_that_fails_fails_its_questions_and_no_other(batcher: Batcher, a_row: float) -> None:
    """A row of another width is refused at the door; here nobody hangs for it, whoever is beside it."""
    predictor = Noted(a_row, cap=4)

    async def go() -> list[Any]:
        odd = rows(1).reshape(2, 2)
        questions = [rows(2), odd, rows(1), rows(4, 5)]
        return await asyncio.gather(*(batcher.ask(predictor, q) for q in questions), return_exceptions=True)

    outcomes = run(go())
    assert [isinstance(f, ValueError) for f in outcomes] == [True, True, False, False]
    assert close(outcomes[3], predictor, rows(4, 5))


@pytest.mark.parametrize("a_row", [QUICK, SLOW])
def test_a_row_that_is_not_finite_spoils_its_own_question_alone(batcher: Batcher, a_row: float) -> None:
    predictor = Noted(a_row)
    spoiled, extreme = rows(40, 1), np.full((2, 4), 3.4e38, np.float32)
    spoiled[33, 2] = np.nan

    async def go() -> list[Any]:
        questions = [rows(3), spoiled, extreme, rows(5, 2)]
        return await asyncio.gather(*(batcher.ask(predictor, q) for q in questions), return_exceptions=True)

    outcomes = run(go())
    assert isinstance(outcomes[1], NotFinite)
    assert (outcomes[1].row, outcomes[1].place) == (33, 2)
    for k, asked in ((0, rows(3)), (2, extreme), (3, rows(5, 2))):
        assert close(outcomes[k], predictor, asked)


def test_what_nobody_waits_for_is_not_computed(batcher: Batcher) -> None:
    """One whose sender went away, and one whose time was over before its turn."""
    predictor = Noted(SLOW)

    async def go() -> Any:
        first = await busy_with(batcher, predictor)
        gone = batcher.ask(predictor, rows(7))
        late = batcher.ask(predictor, rows(9), until=asyncio.get_running_loop().time() + 0.01)
        there = batcher.ask(predictor, rows(2), until=asyncio.get_running_loop().time() + 10.0)
        gone.cancel()
        await asyncio.sleep(0.02)
        predictor.gate.set()
        return await asyncio.gather(first, late, there, return_exceptions=True)

    _, late, there = run(go())
    assert isinstance(late, DeadlinePassed)
    assert len(there.best) == 2
    assert predictor.passes == [1, 2]
    assert batcher.backlog == 0.0


def test_more_work_than_may_wait_is_refused_until_some_of_it_is_done(batcher: Batcher) -> None:
    predictor, other = Noted(SLOW, cap=4), Noted(SLOW, cap=4)

    async def go() -> None:
        waiting = [await busy_with(batcher, predictor)]
        while batcher.backlog <= 1.0:
            batcher.admit(predictor)
            waiting.append(batcher.ask(predictor, rows(5)))
        with pytest.raises(Busy, match="Ask again") as busy:
            batcher.admit(predictor)
        assert busy.value.retry_after == 2
        assert batcher.crowded
        batcher.admit(predictor, 20)  # a large one has the next turn
        batcher.admit(other)
        predictor.gate.set()
        await asyncio.gather(*waiting)
        batcher.admit(predictor)
        assert not batcher.crowded

    run(go())


def test_work_waits_longer_where_the_processor_is_shared(batcher: Batcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace is what a version can do; a pass that took thrice as long tells what it does now."""
    clock, takes = [0.0], [3 * SLOW]
    monkeypatch.setattr(passes, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    class Shared(Noted):
        def run_pass(
            self, inputs: Array, step: Forward, extremes: Extremes = UNKNOWN, options: PredictOptions = USUAL
        ) -> Probabilities:
            clock[0] += takes[0]
            return super().run_pass(inputs, step, extremes, options)

    predictor = Shared(SLOW, cap=1)

    async def a_row() -> float:
        for _ in range(60):
            await batcher.ask(predictor, rows(1))
        waiting = batcher.ask(predictor, rows(10))
        seconds = batcher.backlog / 10
        await waiting
        return seconds

    async def slow_and_quick() -> tuple[float, float]:
        slow = await a_row()
        takes[0] = SLOW / 2
        return slow, await a_row()

    assert run(slow_and_quick()) == pytest.approx((3 * SLOW, SLOW), rel=0.05)


@pytest.mark.parametrize(("first", "expected"), [(2, [3]), (1, [1, 1])])
def test_where_several_wait_one_who_comes_a_moment_later_passes_with_them(
    batcher: Batcher, first: int, expected: list[int]
) -> None:
    predictor = Noted(QUICK, cap=8)

    async def late() -> Probabilities:
        return await batcher.ask(predictor, rows(1))

    async def together() -> None:
        await asyncio.gather(*(batcher.ask(predictor, rows(1)) for _ in range(first)), late())

    run(together())
    assert predictor.passes == expected


@pytest.mark.parametrize("related", [True, False])
def test_versions_of_a_model_answer_in_the_order_of_the_questions_and_models_take_turns(
    batcher: Batcher, related: bool
) -> None:
    old, new = Noted(SLOW, cap=1), Noted(SLOW, cap=1)
    if related:
        new.family = old.family
    order: list[str] = []

    async def one(name: str, predictor: Predictor) -> None:
        await batcher.ask(predictor, rows(1))
        order.append(name)

    async def swapped() -> None:
        loop = asyncio.get_running_loop()
        asking = [loop.create_task(one("old", old)) for _ in range(4)]
        while batcher._running is None:
            await asyncio.sleep(0)
        asking += [loop.create_task(one("new", new)) for _ in range(4)]
        await asyncio.sleep(0)
        old.gate.set()
        await asyncio.gather(*asking)

    old.gate.clear()
    run(swapped())
    assert (order == ["old"] * 4 + ["new"] * 4) == related
    assert (order[:5].count("new") >= 2) == (not related)


def test_one_who_cannot_be_told_keeps_no_answer_from_the_others(batcher: Batcher) -> None:
    class Gone:
        def done(self) -> bool:
            return False

        def set_result(self, result: Probabilities, /) -> None:
            raise RuntimeError("the handler is closed")

        def set_exception(self, exception: Exception, /) -> None:
            raise RuntimeError("the handler is closed")

    predictor = Noted(QUICK, cap=16)

    async def together() -> list[int]:
        first = batcher.ask(predictor, rows(2))
        batcher.submit(Gone(), predictor, rows(2), USUAL, None)
        batcher.submit(Gone(), predictor, rows(2), USUAL, 0.0)
        last = batcher.ask(predictor, rows(40))
        counts = [len((await waiting).best) for waiting in (first, last)]
        return [*counts, len((await batcher.ask(predictor, rows(1))).best)]

    assert run(together()) == [2, 40, 1]
    assert batcher.backlog == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_mix_of_questions_is_answered_as_each_would_be_alone(batcher: Batcher, seed: int) -> None:
    chance = random.Random(seed)
    predictors = [Noted(QUICK, cap=16), Noted(SLOW, cap=8), Noted(SLOW, cap=64)]

    async def one(k: int) -> str:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        predictor, asked = chance.choice(predictors), rows(chance.choice([1, 1, 2, 7, 40, 150]), k)
        bad = chance.random() < 0.1
        if bad:
            asked[chance.randrange(len(asked)), 1] = np.inf
        answer = batcher.ask(predictor, asked)
        if chance.random() < 0.1:
            answer.cancel()
        try:
            outcome = await answer
        except NotFinite:
            return "refused" if bad else "wrong"
        except asyncio.CancelledError:
            return "gone"
        return "right" if not bad and close(outcome, predictor, asked) else "wrong"

    async def go() -> list[str]:
        return await asyncio.gather(*(one(k) for k in range(120)))

    outcomes = run(go())
    assert "wrong" not in outcomes
    assert outcomes.count("right") > 60
    assert batcher.backlog == 0.0
    assert not batcher._queues
    assert not batcher._turns
