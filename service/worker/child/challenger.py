"""Two versions that learned the same rows are compared: a challenger and the champion, a net and the exact head."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, eq=False)
class Champion:
    """The version that a challenger must beat, and the one that both were learned on."""

    checkpoint: Checkpoint
    base: Checkpoint | None


def within_budget(budget_seconds: float, started: float, check: Callable[[], None]) -> Callable[[], None]:
    """Makes `check` raise BudgetSpent, too, once a challenger's budget is spent."""

    def check_both() -> None:
        check()
        if time.perf_counter() - started > budget_seconds:
            raise BudgetSpent(f"The challenger ran out of its budget of {budget_seconds:g} s.")

    return check_both


def challenge(
    champion: Champion, challenger: Checkpoint, data: Data, chosen: Chosen, run: Run
) -> tuple[Chosen, str | None]:
    """Compares both on rows kept back for choosing. -> the challenger's method and why; how it lost, if it did"""
    bout = compare(champion.checkpoint, challenger, data, run)
    sentence = bout.sentence(chosen.method.name)
    chosen = replace(chosen, why=f"auto: a challenger. {sentence}", challenge=None)
    return chosen, None if bout.won else sentence


def examine_challenger(
    champion: Champion, learned: Learned, data: Data, everything: Data, run: Run, context: Context
) -> Candidate:
    """Judges a challenger against the champion, on the trusted rows of all that both learned.

    `data`: the update's · `everything`: the same batches, none of them new. The evidence of their rows is that of the
    champion's report, the newest that the lineage remembers. A champion with weights from elsewhere learned rows that
    are not here: then the challenger is judged as it was, against their base on the update's rows.
    """
    if foreign(champion.checkpoint):
        before = replace(context.past, evidence=context.past.evidence[:-1])
        return examine(champion.base, learned, data, run, replace(context, past=before))
    notes = tuple(note for note in learned.notes if note not in (FROM_SCRATCH, HEAD_FROM_SCRATCH))
    learned = replace(learned, out_of_fold=None, notes=notes)
    candidate = examine(champion.checkpoint, learned, everything, run, context)
    report = candidate.report
    evidence = context.past.evidence[-1] if context.past.evidence else {}
    changes = {
        "cost": report.cost.model_copy(update={"rows": len(data.batch)}),
        "batch": report.batch.model_copy(update={"evidence": dict(evidence)}),
    }
    return replace(candidate, report=report.model_copy(update=changes))


def better(base: Checkpoint | None, data: Data, learned: Learned, chosen: Chosen, run: Run) -> tuple[Learned, Chosen]:
    """What was learned if it beats what the rival method makes, on rows kept back for choosing; else that."""
    rival = chosen.rival
    if rival is None:
        return learned, chosen
    other = learn(base, data, rival.method, rival.params, run)
    bout = compare(other.checkpoint, learned.checkpoint, data, run)
    why = f"{chosen.why} {bout.sentence(chosen.method.name, rival.method.name)}"
    winner, method = (learned, chosen) if bout.won else (other, rival)
    work = learned.multiply_adds + other.multiply_adds
    return replace(winner, multiply_adds=work), replace(method, why=why)
