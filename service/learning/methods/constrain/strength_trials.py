"""Trials of strengths: one after another here, or all of a search at once where other processes are free.

Another process reads and prepares by itself what it trains, and gives the very scores of a trial here. So a search that
looks its points up chooses what one chooses that makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import prod
from typing import Any, Generic, TypeVar

import torch

from service.errors import CorruptArtifact, DeviceFull, Diverged
from service.learning.devices import deterministic
from service.learning.method_params import TrunkParams
from service.learning.methods.constrain.importance import Held
from service.learning.methods.constrain.strength_search import Point
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import forward_cost
from service.learning.run import Run
from service.learning.training.kept_back import KeptBack, new_share
from service.learning.training.learner import Learner
from service.learning.training.losses import Pull
from service.learning.update_data import Data

LEAST_SECONDS = 5.0
"""Time of a trial from which on all strengths are tried at once: a process that is not there yet takes 3.3 s of a core
to load its libraries, and a second one saves one trial of three or two of four."""
STEP_SECONDS = 1e-3
"""Of a step of training beside its products: 220 steps of 64 rows through 64 units took 0.37 s, their answers to the
rows kept back included."""
PRODUCTS_A_SECOND = 1e10
"""Of a core: 8 to 28 billion in backbones, one thread."""
READ_A_SECOND = 1e8
"""Numbers of rows that a core reads from a folder: 150 million float32, 340 million of images."""


@dataclass(frozen=True, eq=False)
class Pulled:
    """A learner that was trained under a pull."""

    learner: Learner
    pull: Pull

    def report(self, points: Sequence[Point] = ()) -> dict[str, Any]:
        """The strength, how far the weights went, what that cost, and which other strengths were tried."""
        report: dict[str, Any] = {
            "strength": self.pull.strength,
            "distance": float(self.pull.distance().detach()),
            "penalty": float(self.pull.loss().detach()),
        }
        return report | ({"points": [point.report() for point in points]} if points else {})


T = TypeVar("T", bound=Pulled)


@dataclass(frozen=True, eq=False)
class Prepared(Generic[T]):
    """What a search trains. start: a learner that has not trained · train: trains its update at a strength · held: what
    holds its weights, None: all alike."""

    start: Learner
    train: Callable[[float, Any, Run], T]
    held: Held | None = None

    @cached_property
    def _kept_back(self) -> KeptBack:
        return KeptBack.of(self.start)

    def at(self, strength: float, params: TrunkParams, run: Run) -> T:
        """Trains at this strength, which a save of the training names: so it goes on in a training at the same one
        alone, whatever trainings an earlier attempt made in other processes."""
        return self.train(strength, params.model_copy(update={"strength": strength}), run)

    def point(self, strength: float, params: TrunkParams, run: Run) -> tuple[Point, int]:
        """What rows kept back say of this strength, and the multiply-adds of its training."""
        learner = self.at(strength, params, run).learner
        return Point(strength, self._kept_back.scores(learner), new_share(self.start)), learner.multiply_adds


Prepare = Callable[[Checkpoint, Data, Any, Run], Prepared[T]]
"""A function of a module, which another process finds by its name."""


def tried(
    prepare: Prepare[T],
    read: Callable[[], tuple[Checkpoint, Data]],
    params: TrunkParams,
    run: Run,
    strength: float,
) -> tuple[Point | None, int]:
    """The point of a strength, and the multiply-adds that it cost. None where it cannot be made: a search that asks for
    it makes it, and one that does not is not disturbed."""
    try:
        with deterministic(run.device):
            prepared = prepare(*read(), params, run)
            point, work = prepared.point(strength, params, run)
    except (CorruptArtifact, DeviceFull, Diverged):  # an erasure swept what it reads, or this strength does not train
        return None, 0
    return point, work + prepared.start.multiply_adds


def tried_at_once(
    prepare: Prepare[T], start: Learner, params: TrunkParams, strengths: Sequence[float]
) -> tuple[dict[float, Point], int]:
    """Tries all strengths at once where that is worth it. -> points by strength, {} where it is not; the multiply-adds
    of all. params: of a trial"""
    run = start.run
    found, cost = dict[float, Point | None](), 0
    if start.base is None or not _worth_it(start, params):
        return {}, 0

    def progress(_: str, done: int, total: int) -> None:
        run.progress("searching", len(found) * total + done, len(strengths) * total)

    with start.data.elsewhere(start.base) as read:
        if read is not None:
            watched = replace(run.silent, progress=progress, trainings=None)
            trial = partial(tried, prepare, read, params, watched)
            points = run.tasks.each(trial, strengths, run.device, run.check)
            for strength, (point, work) in zip(strengths, points, strict=True):
                run.check()
                found[strength], cost = point, cost + work
                progress("", 0, 1)
    return {strength: point for strength, point in found.items() if point is not None}, cost


def _worth_it(start: Learner, params: TrunkParams) -> bool:
    """Whether there are other processes that compute the same bits, and a trial takes clearly longer than to prepare it
    there. Of images they read the history, too."""
    run, data, rows = start.run, start.data, start.batch.rows
    on_cpu = run.device.type == "cpu"
    if not run.tasks.has(run.device) or (on_cpu and torch.get_num_threads() > 1):
        return False
    products = 3 * forward_cost(start.body) * rows if on_cpu else 0  # next to nothing on a GPU
    epoch = rows / params.batch_size * STEP_SECONDS + products / PRODUCTS_A_SECOND
    read = len(data.batch) + (data.kept_rows if start.training_rows.images else 0)
    return params.epochs * epoch >= LEAST_SECONDS + read * prod(data.input.shape) / READ_A_SECOND
