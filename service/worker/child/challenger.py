"""Two versions that learned the same rows are compared: a challenger and the champion, a net and the exact head."""

from __future__ import annotations

import time
from dataclasses import replace

from service.errors import BudgetSpent
from service.learning.evaluation.context import Champion, UpdateContext
from service.learning.method import Data, Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import FROM_SCRATCH, HEAD_FROM_SCRATCH
from service.learning.update import learn
from service.worker.child.method_choice import Chosen

TOOK_OVER = (
    "The exact head takes over from a network. That alone changes answers, which is not due to these rows: they are "
    "judged beside the exact head of all rows before them."
)


def within_budget(run: Run, budget_seconds: float, started: float) -> Run:
    """The run, whose `check` raises BudgetSpent, too, once a challenger's budget is spent."""

    def check() -> None:
        run.check()
        if time.perf_counter() - started > budget_seconds:
            raise BudgetSpent(f"The challenger ran out of its budget of {budget_seconds:g} s.")

    return replace(run, check=check)


def challenge(
    champion: Champion, challenger: Checkpoint, data: Data, chosen: Chosen, run: Run, context: UpdateContext
) -> tuple[Chosen, str | None]:
    """Compares both on rows kept back for choosing. -> the challenger's method and why; how it lost, if it did"""
    comparison = context.compare(champion.checkpoint, challenger, data, run)
    sentence = comparison.sentence(chosen.method.name)
    chosen = replace(chosen, why=f"auto: a challenger. {sentence}", challenge=None)
    return chosen, None if comparison.won else sentence


def without_first_notes(learned: Learned) -> Learned:
    """What a challenger learned, without the notes that it had no version: it was trained beside one."""
    return replace(
        learned, notes=tuple(note for note in learned.notes if note not in (FROM_SCRATCH, HEAD_FROM_SCRATCH))
    )


def better(
    base: Checkpoint | None, data: Data, learned: Learned, chosen: Chosen, run: Run, context: UpdateContext
) -> tuple[Learned, Chosen]:
    """What was learned if it beats what the rival method makes, on rows kept back for choosing; else that."""
    rival = chosen.rival
    if rival is None:
        return learned, chosen
    other = learn(base, data, rival.method, rival.params, run)
    comparison = context.compare(other.checkpoint, learned.checkpoint, data, run)
    why = f"{chosen.why} {comparison.sentence(chosen.method.name, rival.method.name)}"
    winner, method = (learned, chosen) if comparison.won else (other, rival)
    work = learned.multiply_adds + other.multiply_adds
    return replace(winner, multiply_adds=work), replace(method, why=why)


def taken_over(base: Checkpoint | None, earlier: Data, learned: Learned, chosen: Chosen, run: Run) -> Learned:
    """What the exact head learned that takes over from a net, with what it makes of `earlier` rows alone: the base's,
    and none of the update. The net had won by its kind, and that goes with it whatever the update brings."""
    without = learn(base, earlier, chosen.method, chosen.params, run).checkpoint
    return replace(learned, without=without, notes=(*learned.notes, TOOK_OVER))
