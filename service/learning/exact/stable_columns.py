"""An exact head that grows by new columns alone: the served columns of old classes keep their bits.

All columns are solved, as ever, and those of the new classes are put into the unit of the old ones that stay: by the
straight line that leads from the scores which the new solution gives the old classes, at their means, to those that
stay. What it costs: old columns never learn that the new rows are not theirs, so they answer a little too high there,
the more so the more often a head grows like this. Measured in accuracy: 2.5 points on digits, five classes and then
five; 11 on mnist10k, five times two. An update without new classes, or a retraction, solves all columns anew.
"""

from __future__ import annotations

import numpy as np
import torch

from service.learning.data.rows import Floats
from service.learning.ledger.feature_space import Space
from service.learning.method import Learned
from service.learning.network.checkpoint import BlockLayout, Checkpoint, Tensors
from service.learning.network.growth import matrix, next_part
from service.learning.network.network import build
from service.learning.network.part_kinds import SOLVED, kind_of
from service.learning.update_data import Data


def can_stay(base: Checkpoint | None, data: Data) -> bool:
    """Returns whether the base's columns can stay beside new ones: one exact head whose rows count alike."""
    exact = base.layout.exact if base is not None else None
    if base is None or exact is None or base.layout.sources or exact.decay != 1 or exact.source_weights:
        return False
    return bool(base.classes) and any(name not in base.classes for name in data.batch.present())


def with_old_columns(base: Checkpoint, made: Learned, data: Data) -> Learned:
    """Returns the version `made`, in the base's feature space, with the base's columns, judge and temperature."""
    now, old, exact = made.checkpoint, len(base.classes), made.checkpoint.layout.exact
    if exact is None or now.classes[:old] != base.classes:
        return made
    network, space = build(base), Space.of(now)
    means = _means(data, space, now.classes)[:old]
    weight, bias = (t.double().numpy() for t in matrix(network.head))
    whole = now.parts["head.0"]
    unit, start = _line(_scores(whole, means)[:, :old], means @ weight.T + bias)
    part = next_part(network, "head")
    judge, before = _moved(now.parts["judge"], old, unit, start), base.parts["judge"]
    parts = {
        **{p: tensors for p, tensors in now.parts.items() if kind_of(p) not in SOLVED},
        **{block.part: base.parts[block.part] for block in base.layout.head},
        part: _moved(whole, old, unit, start),
        "judge": {name: torch.cat([before[name], judge[name]]) for name in judge},
    }
    learned = {p: now.learned.get(p, now.learned["judge"]) for p in parts}
    learned |= {block.part: base.learned.get(block.part, frozenset()) for block in base.layout.head}
    added = BlockLayout(rows=(old, len(now.classes)), columns=(0, space.width), part=part)
    changes = {
        "head": [*base.layout.head, added],
        "temperature": base.layout.temperature,
        "exact": exact.model_copy(update={"kept_columns": old}),
    }
    logits = made.out_of_fold
    if logits is not None:
        features = data.entry(space).values(space.shift)
        served = np.where(np.isnan(logits[:, :old]), np.nan, features @ weight.T + bias)
        logits = np.concatenate([served, unit * logits[:, old:] + start], 1)
    note = (
        "Raw scores (logits) of old classes are the same to the bit: new classes were only added beside them. The next "
        "update without a new class solves all of them together."
    )
    return Learned(
        Checkpoint(now.layout.model_copy(update=changes), parts, learned),
        logits,
        {**made.details, "kept_columns": old, "temperature": base.layout.temperature},
        (*made.notes, note),
        made.multiply_adds,
    )


def _means(data: Data, space: Space, classes: tuple[str, ...]) -> Floats:
    """Returns the means of the classes in feature units. -> [C, M]"""
    sums = data.grown(space).all.aligned(classes)
    return np.asarray(sums.Q[:-1].T / sums.n[:, None] * space.step)


def _scores(head: Tensors, rows: Floats) -> Floats:
    return np.asarray(rows @ head["weight"].double().numpy().T + head["bias"].double().numpy())


def _line(scores: Floats, stay: Floats) -> tuple[float, float]:
    """Fits a line from `scores` to `stay`, least squares: factor, 1 where nothing differs, and constant."""
    spread = scores - scores.mean()
    square = float((spread**2).sum())
    factor = float((spread * (stay - stay.mean())).sum()) / square if square > 0 else 1.0
    return factor, float(stay.mean() - factor * scores.mean())


def _moved(head: Tensors, old: int, unit: float, start: float) -> dict[str, torch.Tensor]:
    """Returns the new columns in the unit of those that stay."""
    return {"weight": head["weight"][old:] * unit, "bias": head["bias"][old:] * unit + start}
