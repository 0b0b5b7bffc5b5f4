"""Two versions of the same rows, of which one will serve: challenger or champion, a net or the exact head."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from service.errors import BudgetSpent
from service.learning.evaluation.challenge import compare
from service.learning.evaluation.examine import Candidate, Context, examine
from service.learning.imported_classes import foreign
from service.learning.method import Data, Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import FROM_SCRATCH, HEAD_FROM_SCRATCH
from service.learning.update import learn
from service.worker.child.method_choice import Chosen


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
    sentence = bout.sentence(chosen.method.name)
    chosen = replace(chosen, why=f"auto: a challenger. {sentence}", challenge=None)
    return chosen, None if bout.won else sentence


def beside(
    base: Checkpoint | None,
    champion: Checkpoint,
    learned: Learned,
    data: Data,
    everything: Data,
    run: Run,
    context: Context,
) -> Candidate:
    """A challenger judged against the champion, on the trusted rows of all that both learned.

    `data`: the update's · `everything`: the same batches, none of them new. What their rows said was asked when the
    champion was judged, the newest in the lineage's memory; it is told again. Where the champion has weights from
    elsewhere, whose rows are not here, it is judged as the champion was: against their base, on the update's rows.
    """
    if foreign(champion):
        before = replace(context.past, evidence=context.past.evidence[:-1])
        return examine(base, learned, data, run, replace(context, past=before))
    notes = tuple(note for note in learned.notes if note not in (FROM_SCRATCH, HEAD_FROM_SCRATCH))
    candidate = examine(champion, replace(learned, out_of_fold=None, notes=notes), everything, run, context)
    report = candidate.report
    said = context.past.evidence[-1] if context.past.evidence else {}
    changes = {
        "cost": report.cost.model_copy(update={"rows": len(data.batch)}),
        "batch": report.batch.model_copy(update={"evidence": dict(said)}),
    }
    return replace(candidate, report=report.model_copy(update=changes))


def better(
    base: Checkpoint | None, data: Data, asked: tuple[Learned, Chosen], unless: Chosen, run: Run
) -> tuple[Learned, Chosen]:
    """What was asked for where it beats the other method on rows kept back for choosing; else what that makes."""
    learned, chosen = asked
    other = learn(base, data, unless.method, unless.params, run)
    bout = compare(other.checkpoint, learned.checkpoint, data, run)
    work = learned.multiply_adds + other.multiply_adds
    why = f"{chosen.why} {bout.sentence(chosen.method.name, unless.method.name)}"
    won = (learned, chosen) if bout.won else (other, unless)
    return replace(won[0], multiply_adds=work), replace(won[1], why=why)
