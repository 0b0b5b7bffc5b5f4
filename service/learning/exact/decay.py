"""Chooses how fast a stream forgets: by the decay that would have answered the last batches best, each unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.learning.data.rows import FeatureRows
from service.learning.exact.solve import Head
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums
from service.learning.update_data import Data

DECAYS = (1.0, 0.9, 0.7, 0.5)
"""Decays that are tried, the exact one first."""
LAST_BATCHES = 20
"""Batches that are answered before they are learned."""
LEAST_BATCHES = 3
"""Answered batches below which nothing is chosen."""


@dataclass(frozen=True)
class DecayChoice:
    """The decay that was chosen, and the mean accuracy (of numbers: error) of each one tried; no scores: too few
    batches.

    gain: of the best one over 1, the mean over the batches and its standard error; None where 1 is the best.
    """

    decay: float
    scores: dict[float, float] = field(default_factory=dict)
    gain: tuple[float, float] | None = None

    def report(self) -> dict[str, object]:
        if not self.scores:
            return {}
        tried = {f"{decay:g}": round(score, 4) for decay, score in self.scores.items()}
        won = self.gain and {"mean": round(self.gain[0], 5), "standard_error": round(self.gain[1], 5)}
        return {"decays_tried": tried, "decay_gain": won}


def choose_decay(
    data: Data, space: Space, sources: Mapping[str, float], key: str, solve: Callable[[Sums], Head]
) -> DecayChoice:
    """Tests, then trains, over the last batches in the order of their ids: every row is answered before it is learned.

    Chooses 1 unless another is better by more than one standard error of the difference, batch by batch: 1 is exact and
    does not depend on the order. A function of the rows alone. `key` names the solver in remembered scores.
    """

    def score(before: Sums, entry: FeatureRows) -> list[float]:
        head = solve(before)
        answers = head.logits(entry.values(space.shift)).argmax(1)
        return [float((answers == entry.codes(head.classes)).mean())]

    weights = [BatchWeights(decay, sources) for decay in DECAYS]
    scores = data.tested(space, weights, LAST_BATCHES, key, score)
    shares = ([batch[0] if batch else 0.0 for batch in of_decay] for of_decay in scores)
    return surely_better(dict(zip(DECAYS, shares, strict=True)))


def surely_better(shares: Mapping[float, Sequence[float]], worth: float = 0.0) -> DecayChoice:
    """Chooses by the scores of each decay, batch by batch, more is better: the best one where its gain over 1 is more
    than a standard error, and than `worth`; else 1."""
    if len(shares[1.0]) < LEAST_BATCHES:
        return DecayChoice(1.0)
    scores = {decay: float(np.mean(values)) for decay, values in shares.items()}
    best = max(scores, key=lambda decay: (scores[decay], decay))
    gain = np.subtract(shares[best], shares[1.0])
    won = float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))
    return DecayChoice(best if won[0] > max(won[1], worth) else 1.0, scores, won if best != 1 else None)
