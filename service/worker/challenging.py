"""Two versions of the same rows, of which one will serve: challenger or champion, a net or the exact head."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from service.errors import BudgetSpent
from service.learning.challenge import compare
from service.learning.checkpoint import Checkpoint
from service.learning.method import Data, Learned, Run
from service.learning.update import learn
from service.worker.choosing import Chosen


def within(budget_seconds: float, started: float, check: Callable[[], None]) -> Callable[[], None]:
    """`check`, and the end of a challenger's budget: raises BudgetSpent."""

    def both() -> None:
        check()
        if time.perf_counter() - started > budget_seconds:
            raise BudgetSpent(f"The challenger ran out of its budget of {budget_seconds:g} s.")

    return both


def against(
    champion: Checkpoint, challenger: Checkpoint, data: Data, chosen: Chosen, run: Run
) -> tuple[Chosen, str | None]:
    """A challenger must do clearly better on rows kept back for choosing. -> its method and why; how it lost, if so"""
    bout = compare(champion, challenger, data, run)
    told = bout.told(chosen.method.name)
    chosen = replace(chosen, why=f"auto: a challenger. {told}", challenge=None)
    return chosen, None if bout.won else told


def better(
    base: Checkpoint | None, data: Data, asked: tuple[Learned, Chosen], unless: Chosen, run: Run
) -> tuple[Learned, Chosen]:
    """What was asked for where it beats the other method on rows kept back for choosing; else what that makes."""
    learned, chosen = asked
    other = learn(base, data, unless.method, unless.params, run)
    bout = compare(other.checkpoint, learned.checkpoint, data, run)
    work = learned.multiply_adds + other.multiply_adds
    why = f"{chosen.why} {bout.told(chosen.method.name, unless.method.name)}"
    won = (learned, chosen) if bout.won else (other, unless)
    return replace(won[0], multiply_adds=work), replace(won[1], why=why)
