"""An update: the method learns, base, candidate and yardstick answer the same rows, and the gate judges.

Harm is measured on trusted rows, by heads that never saw a judging fold; gain on the update's own rows, out of fold.
The ledger in which the batch is examined is the version's own feature space while that stands still; where training
moves the backbone it is the scaled input.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from service.contract.strict import Strict
from service.errors import MethodRefused
from service.learning.evaluation.examine import Candidate, UpdateContext
from service.learning.imported_classes import refuse_to_forget
from service.learning.method import Data, Learned, Method
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.values import with_values
from service.learning.run import Run


def run_update(
    base: Checkpoint | None, data: Data, method: Method, params: Strict, run: Run, context: UpdateContext
) -> Candidate:
    """Learns `data.batch` on `base` by a method and judges the result. Base and data stay as they are.

    Raises MethodRefused where the method cannot work here or its weights are not finite, Cancelled.
    """
    refuse_to_forget(method, base, data)
    learned = learn(base, data, method, params, run)
    return context.examine(base, learned, data, run)


def learn(base: Checkpoint | None, data: Data, method: Method, params: Strict, run: Run) -> Learned:
    """Learns without a judgement. Raises MethodRefused, Cancelled."""
    method.check(base, data, params)
    if base is None and not len(data.batch):
        raise MethodRefused("No row has a label, and there is no version to start from. Send rows with labels first.")
    update = method.update if data.target.kind == "class" or method.numbers is None else method.numbers
    learned = update(base, data, params, run)
    if (values := data.values(base)) is not None:
        learned = replace(
            learned, checkpoint=with_values(learned.checkpoint, values, (*data.known_batches, *data.batch.batches))
        )
    for part, tensors in learned.checkpoint.parts.items():
        if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
            raise MethodRefused(f"{method.name} left numbers that are not finite in {part}. Lower lr, or use ridge.")
    return learned
