"""Training beside remembered rows, which are checked: are they the wrong past, or were they learned by heart?"""

from __future__ import annotations

from service.learning.method_params import GradientParams
from service.learning.training.aims.aim import Answered
from service.learning.training.fit import Fit, Hooks
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled

ENOUGH = 30
"""Fewest rows for which errors say something."""


def fit_beside(learner: Learner, params: GradientParams, memory: Labelled, hooks: Hooks) -> Fit:
    """Trains on the batch beside a memory. Notes where the version before answers the memory much better than the
    update's rows of classes that it knew, and where the memory is answered much better afterwards than rows kept back.
    """
    known, moved, by_heart = learner.batch.take(~learner.aim.new(learner.batch.y)), None, None
    if min(memory.rows, known.rows) >= ENOUGH:
        moved = learner.aim.moved(_answered(learner, memory), _answered(learner, known))
    done = learner.fit(params, memory=memory, hooks=hooks)
    held = learner.training_rows.selected
    if min(memory.rows, held.rows) >= ENOUGH:
        by_heart = learner.aim.by_heart(_answered(learner, memory), _answered(learner, held))
    learner.notes += [note for note in (moved, by_heart) if note is not None]
    return done


def _answered(learner: Learner, rows: Labelled) -> Answered:
    return Answered(learner.answers(rows), rows.y)
