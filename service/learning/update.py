"""Has a method learn the batch of an update, and sees whether the result is sound, but not whether it is good."""

from __future__ import annotations

from dataclasses import replace

import torch

from service.errors import MethodRefused
from service.learning.method import Learned, Method
from service.learning.method_params import MethodParams
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.update_data import Data


def learn(base: Checkpoint | None, data: Data, method: Method, params: MethodParams, run: Run) -> Learned:
    """Learns without a judgement. Raises MethodRefused, Cancelled."""
    method.check(base, data, params)
    if base is None and not len(data.batch):
        raise MethodRefused("No row has a label, and there is no version to start from. Send rows with labels first.")
    learned = method.update_of(data.target)(base, data, params, run)
    if (values := data.values(base)) is not None:
        known = *data.known_batches, *data.batch.batches
        learned = replace(learned, checkpoint=learned.checkpoint.with_values(values, known))
    for part, tensors in learned.checkpoint.parts.items():
        if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
            raise MethodRefused(f"{method.name} left numbers that are not finite in {part}. Lower lr, or use ridge.")
    return learned
