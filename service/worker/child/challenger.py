"""Two versions that learned the same rows are compared: a challenger and the champion, a net and the exact head."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from service.errors import BudgetSpent
from service.learning.evaluation.context import UpdateContext
from service.learning.method import Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import FROM_SCRATCH, HEAD_FROM_SCRATCH
from service.learning.update import learn
from service.learning.update_data import Data
from service.worker.child.method_choice import StepChoice

TOOK_OVER = (
    "The exact head replaces a network. That alone changes answers, so these rows are judged beside the exact head of "
    "all rows before them."
)


def within_budget(run: Run, budget_seconds: float, started: float) -> Run:
    """The run, whose `check` raises BudgetSpent, too, once a challenger's budget is spent."""

    def check() -> None:
        run.check()
        if time.perf_counter() - started > budget_seconds:
            raise BudgetSpent(f"The challenger ran out of its budget of {budget_seconds:g} s.")

    return replace(run, check=check)


@dataclass(frozen=True, eq=False)
class InTime:
    """The data that two versions are compared on. whole: all that both learned · earlier: batches before the latest, as
    known ones · later: the latest, as new ones."""

    whole: Data
    earlier: Data
    later: Data


def challenge(
    champion: Checkpoint, data: InTime, learned: Learned, chosen: StepChoice, run: Run, context: UpdateContext
) -> tuple[Learned, StepChoice, str | None]:
    """Compares both on rows kept back for choosing. Where joint training beats an exact head there, both answer the
    later rows, too, having learned the earlier ones alone, if there are any.

    -> the challenger, its method and why; how it lost, if it did
    """
    comparison = context.compare(champion, learned.checkpoint, data.whole, run)
    by_later = champion.layout.exact is not None and chosen.method.name == "retrain" and data.earlier.known_rows
    if comparison.won and by_later:
        before = learn(champion, data.earlier, chosen.method, chosen.params, run)
        learned = replace(learned, multiply_adds=learned.multiply_adds + before.multiply_adds)
        ahead = context.compare(champion, before.checkpoint, data.earlier, run, later=data.later.batch)
        comparison = ahead if ahead.rows else comparison
    sentence = comparison.sentence(chosen.method.name)
    chosen = replace(chosen, why=f"auto: a challenger. {sentence}", challenge=None)
    return learned, chosen, None if comparison.won else sentence


def without_first_notes(learned: Learned) -> Learned:
    """What a challenger learned, without the notes that it had no version: it was trained beside one."""
    return replace(
        learned, notes=tuple(note for note in learned.notes if note not in (FROM_SCRATCH, HEAD_FROM_SCRATCH))
    )


def better(
    base: Checkpoint, data: InTime, learned: Learned, chosen: StepChoice, run: Run, context: UpdateContext
) -> tuple[Learned, StepChoice]:
    """What a net learned if it beats what its rival makes, an exact head, on rows kept back for choosing, and unless
    that head of the earlier rows, all that the base learned, beats the base on the later ones, the update's own.

    Else what the head learned, with what it makes of the earlier rows alone: the net had won by its kind, and that goes
    with it whatever the update brings.
    """
    rival = chosen.rival
    if rival is None:
        return learned, chosen
    other = learn(base, data.whole, rival.method, rival.params, run)
    work = learned.multiply_adds + other.multiply_adds
    comparison = context.compare(other.checkpoint, learned.checkpoint, data.whole, run)
    sentence = comparison.sentence(chosen.method.name, rival.method.name)
    if comparison.won:
        back = context.compare(base, other.checkpoint, data.earlier, run, later=data.later.batch)
        if not back.won:
            return replace(learned, multiply_adds=work), replace(chosen, why=f"{chosen.why} {sentence}")
        sentence = back.sentence(rival.method.name)
    without = learn(base, data.earlier, rival.method, rival.params, run).checkpoint
    notes = (*other.notes, TOOK_OVER)
    return replace(other, without=without, notes=notes, multiply_adds=work), replace(
        rival, why=f"{chosen.why} {sentence}"
    )
