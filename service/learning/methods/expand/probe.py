"""A probe: a scratch copy of the network learns the new rows, and the drift of its units tells where they change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from service.learning.method_params import GradientParams
from service.learning.methods.expand.growable_layers import GrowableLayer, drift, growable
from service.learning.network.blocks import GrownLinear
from service.learning.training.fit import DRAWS, Hooks, Phase
from service.learning.training.learner import Learner
from service.learning.training.losses import Pull
from service.learning.training.training_set import Labelled

MOST_UNITS = 32
"""Units added to a layer at most, and units of an inserted layer."""
CROWDED = 0.5
"""Share of a layer that must be flagged for one to be inserted behind it; once a layer, since its width doubles."""
EPOCHS = 3
PULL = 1e-3
"""Strength of the probe's pull to the old weights."""
WORTH = 0.01
"""Mean score on the batch (accuracy, or the part of the base's error on numbers) that moving old units must win before
any unit counts as flagged."""
USUAL_DRIFTS = 2.0
"""A unit is flagged beyond this many times the median drift of training as long on what was known already."""
MOST_ROWS = 2000
"""Rows of each of the probe's trainings at most: they tell where weights move, not what the new rows are."""
FALLBACK = 0.1
"""Share of a layer that is flagged where nothing stands in for what was known."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A trained scratch copy. layers: its growable ones · units: of each · drifts: [outputs] of each, see `drift` ·
    sigmas: their limits · accuracy: mean score on the batch, without: the same where old units stood still.
    """

    layers: Sequence[GrownLinear]
    units: Sequence[int]
    drifts: Sequence[Tensor]
    sigmas: Sequence[float]
    accuracy: float
    without: float
    multiply_adds: int

    @property
    def worth(self) -> bool:
        """Whether moving old units wins enough."""
        return self.accuracy - self.without >= WORTH

    def flagged(self) -> list[Tensor]:
        """Units beyond the limit of each layer, the most drifted first; none where it is not worth it."""
        flagged = []
        for drifts, sigma in zip(self.drifts, self.sigmas, strict=True):
            most_first = drifts.argsort(descending=True, stable=True)
            limit = sigma if self.worth else torch.inf
            flagged.append(most_first[drifts[most_first] > limit])
        return flagged

    def chosen(self, layers: Sequence[GrowableLayer], through: bool) -> list[Tensor]:
        """The most drifted of the flagged units, at most 32 a layer, filters in fours. `through`: each layer above gets
        as many, flagged or not, since protected units reach the new columns only through units that see them."""
        chosen: list[Tensor] = []
        for layer, flagged, drifts, own in zip(layers, self.flagged(), self.drifts, self.units, strict=True):
            least = min(len(chosen[-1]), MOST_UNITS) if chosen and through else 0
            units = max(min(len(flagged), MOST_UNITS), least)
            units = min(-(-units // layer.group) * layer.group, own)
            chosen.append(drifts.argsort(descending=True, stable=True)[:units])
        return chosen

    def insertions(self, layers: Sequence[GrowableLayer]) -> list[int]:
        """Units of the layer to insert behind each layer, 0: none."""
        return [
            MOST_UNITS if len(flagged) > CROWDED * units and not growing.layer.insertions else 0
            for flagged, units, growing in zip(self.flagged(), self.units, layers, strict=True)
        ]

    def report(self) -> dict[str, Sequence[Any]]:
        """Numbers a layer: its units, how far they went, the limit, and how many are beyond it."""
        own = [d[d >= 0] for d in self.drifts]
        return {
            "units": self.units,
            "drift": [float(d.median()) for d in own],
            "largest": [float(d.max()) for d in own],
            "sigma": self.sigmas,
            "flagged": [len(f) for f in self.flagged()],
        }


def probe(start: Callable[[], Learner], rows: Labelled, old: Labelled, params: GradientParams, grow: bool) -> Probe:
    """Trains three copies for three epochs: one on `rows`, pulled to the old weights; one of which only the new columns
    train, if `grow`; and one on `old`, which tells how far units move where nothing is new."""
    brief = params.model_copy(update={"epochs": EPOCHS})
    before, moved, plain, unchanged = start(), start(), start(), start()
    rows, old = (part.sample(MOST_ROWS, before.run.generator(DRAWS)) for part in (rows, old))
    pairs = zip(moved.body.parameters(), before.body.parameters(), strict=True)
    added = {id(p) for p in moved.added.parameters()} if moved.added else set()
    pull = Pull([(p, star.detach()) for p, star in pairs if id(p) not in added], PULL)
    moved.fit(brief, rows, hooks=Hooks(after_step=pull.step), phase=Phase("probing"))
    if grow and plain.added is not None:
        plain.train_only([plain.added])
        plain.fit(brief, rows, phase=Phase("comparing"))
    if old.rows:
        again = torch.randint(old.rows, (rows.rows,), generator=unchanged.run.generator(DRAWS))
        unchanged.fit(brief, old.take(again), phase=Phase("comparing"))
    layers = [[layer for _, _, layer, _ in growable(learner.network)] for learner in (before, moved, unchanged)]
    drifts, usual = ([drift(a, b) for a, b in zip(layers[0], after, strict=True)] for after in layers[1:])
    score, without = _scores(before, moved, plain)
    return Probe(
        layers[1],
        [int((d >= 0).sum()) for d in drifts],
        drifts,
        [
            USUAL_DRIFTS * float(u[u >= 0].median()) if old.rows else float(d[d >= 0].quantile(1 - FALLBACK))
            for d, u in zip(drifts, usual, strict=True)
        ],
        score,
        without,
        sum(learner.multiply_adds for learner in (moved, plain, unchanged)),
    )


def _scores(before: Learner, *learners: Learner) -> list[float]:
    """Mean scores on the batch's selecting rows, or without any on its learning rows."""
    rows = before.selecting if before.selecting.rows else before.batch
    if not rows.rows:
        return [0.0 for _ in learners]
    usual = before.aim.usual(rows.y, lambda: before.answers(rows))
    answers = (learner.answers(rows) for learner in learners)
    return [float(before.aim.scores(outputs, rows.y, usual).double().mean()) for outputs in answers]
