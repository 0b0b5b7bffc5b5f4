"""Chooses decay, strength and lift of a head for numbers by the last batches, before they were learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from service.learning.exact.decay import DECAYS, DecayChoice
from service.learning.exact.frozen_features import FrozenFeatures, features_of_base, kept_by, relifted
from service.learning.exact.lift_choice import lift_names, without_rows
from service.learning.exact.params import ExactParams
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.lifts import WIDE_ROWS
from service.learning.number_heads.last_errors import STEP, LastErrors, SettingsChoice, last_errors
from service.learning.number_heads.number_lift_choice import candidates_for
from service.learning.number_heads.strength import StrengthErrors
from service.learning.update_data import Data

LIFT_BATCHES = 16
"""Tested batches from which they decide on the lift, and the last ones that they are compared on. By eight, four of ten
streams left a lift that they wanted later (mean error +4 to +15 %); by 16, none lost more than 1.3 %."""

SURPRISES = 1.5
"""Until then, while learned rows are no more than `WIDE_ROWS` (all are learned anew by each lift), a batch with so many
times the error of those before (geometric mean) has other lifts tried on it ..."""
FAR_BETTER = 0.75
"""... and one with so little of that error takes over. A year of an airport's weather, a month a batch, was off by
1.10, 1.07 and 0.61 (three airports) without this, and by 0.52, 0.45 and 0.40 with it: April lay beyond January to
March."""


@dataclass(frozen=True, eq=False)
class StreamChoice:
    """What a head is solved with. alphas: None where rows that are kept back alone choose the strength · errors: by
    lift, the mean of |error| on the batches that they were compared on, in units."""

    frozen: FrozenFeatures
    decay: DecayChoice
    alphas: StrengthErrors | None = None
    errors: dict[str, float] | None = None


def stream_choice(
    base: Checkpoint | None, data: Data, frozen: FrozenFeatures, params: ExactParams, alphas: Sequence[float]
) -> StreamChoice:
    """Chooses decay and strength by the errors of the last batches, from the second batch on; the lift from the 17th,
    or by one batch that lies beyond what those before were good for.

    A decay of 1 that was asked for weighs all batches alike: then nothing is chosen by their order. frozen: features
    that rows kept back have chosen, or that are named.
    """
    given = params.given_decay if params.decay is not None or params.half_life is not None else None
    if given is not None and given.decay == 1:
        return StreamChoice(frozen, given)
    decays = DECAYS if given is None else (given.decay,)
    weights = [BatchWeights(decay, params.source_weights) for decay in decays]
    chooser = _Chooser(base, data, weights, alphas)
    chosen = chooser.choose(frozen, lifts=params.lifts is None and len(data.batch) > 0)
    return chosen or StreamChoice(frozen, given or DecayChoice(1.0))


@dataclass(frozen=True, eq=False)
class _Chooser:
    """Chooses by errors that are computed once a space. known: by its id."""

    base: Checkpoint | None
    data: Data
    weights: Sequence[BatchWeights]
    alphas: Sequence[float]
    known: dict[str, tuple[LastErrors, LastErrors | None] | None] = field(default_factory=dict)

    def choose(self, frozen: FrozenFeatures, lifts: bool) -> StreamChoice | None:
        """Chooses by what was tested; None before anything was."""
        tested = self._tested(frozen)
        if tested is None:
            return None
        errors = dict[str, float]()
        plain = frozen.layout.backbone.name == "identity"
        if lifts and plain and tested[0].errors.shape[1] >= LIFT_BATCHES:
            frozen, errors = self._lifted(frozen)
            tested = self._tested(frozen) or tested
        elif lifts and plain and self.data.kept_rows == self.data.known_rows <= WIDE_ROWS:
            frozen, errors = self._beyond(frozen)
            tested = self._tested(frozen) or tested
        choice = tested[0].choice()
        return StreamChoice(frozen, choice.decay, StrengthErrors(choice.alphas, len(choice.errors)), errors or None)

    def _lifted(self, frozen: FrozenFeatures) -> tuple[FrozenFeatures, dict[str, float]]:
        """Chooses the lift: others than the base's must surely do better; the scaled vector alone, where it surely
        does, replaces lifts beside it. -> the features, and what was compared"""
        base, errors = self.base, dict[str, float]()
        if base is not None and base.layout.exact is not None and base.layout.lifts != frozen.layout.lifts:
            stays = kept_by(features_of_base(base, self.data), self.data, frozen)
            then, now = self._choice(stays), self._choice(frozen)
            errors |= _named(stays, then) | _named(frozen, now)
            frozen = frozen if now.surely_beats(then, LIFT_BATCHES) else stays
        tested = self._tested(frozen)
        if tested is None or tested[1] is None or self.data.kept_rows < self.data.known_rows:
            return frozen, errors
        beside, alone = tested[0].choice(), tested[1].choice()
        if not alone.surely_beats(beside, LIFT_BATCHES):
            return frozen, errors
        bare = relifted(base, self.data, frozen, without_rows(self.data.input))
        return bare, errors | _named(frozen, beside) | _named(bare, alone)

    def _beyond(self, frozen: FrozenFeatures) -> tuple[FrozenFeatures, dict[str, float]]:
        """Tries other lifts where this batch is answered far worse than those before, as where its rows lie beyond all
        that were learned. -> the features, and what was compared"""
        *before, last = np.maximum(self._choice(frozen).errors, STEP).tolist()
        if not before or last < SURPRISES * np.exp(np.log(before).mean()):
            return frozen, {}
        candidates = candidates_for(self.data.input, self.data.known_rows + len(self.data.batch))
        tried = [relifted(self.base, self.data, frozen, lifts) for lifts in candidates]
        errors = [float(self._choice(other).errors[-1]) for other in tried]
        named = {_name(other): round(error, 6) for other, error in zip(tried, errors, strict=True)}
        best = int(np.argmin(errors))
        return (tried[best] if errors[best] <= FAR_BETTER * last else frozen), named

    def _choice(self, frozen: FrozenFeatures) -> SettingsChoice:
        tested = self._tested(frozen)
        assert tested is not None, "the same batches are tested in every space"
        return tested[0].choice()

    def _tested(self, frozen: FrozenFeatures) -> tuple[LastErrors, LastErrors | None] | None:
        if frozen.space.id not in self.known:
            self.known[frozen.space.id] = last_errors(self.data, frozen.space, self.weights, self.alphas)
        return self.known[frozen.space.id]


def _named(frozen: FrozenFeatures, choice: SettingsChoice) -> dict[str, float]:
    return {_name(frozen): round(float(choice.errors[-LIFT_BATCHES:].mean()), 6)}


def _name(frozen: FrozenFeatures) -> str:
    return lift_names(frozen.layout.lifts) or "none"
