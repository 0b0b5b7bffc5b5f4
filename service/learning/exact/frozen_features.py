"""Chooses the frozen features of an exact head, and says which batches had a part in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.contract.inputs import IdentityBackbone, ImageInput, InputSpec, PretrainedBackbone, TextInput
from service.errors import MethodRefused
from service.learning.data.rows import Rows
from service.learning.data.target_grid import NumberGrid
from service.learning.exact.lift_choice import LiftTrial
from service.learning.ledger.feature_space import Space
from service.learning.ledger.headless_networks import give_grid, identity_network, pretrained_network
from service.learning.network.checkpoint import BlockLayout, Checkpoint, Layout, LiftLayout, Tensors, of_kinds
from service.learning.network.input_scale import AnyScale, load_scale, scale_for
from service.learning.network.lifts import UNLIFTED, WIDE, WIDE_ROWS, Lift, LiftKind, NamedLifts, lift_of
from service.learning.network.network import build, parts_of
from service.learning.network.part_kinds import FROZEN, kind_of
from service.learning.run import Run
from service.learning.update_data import Data
from service.learning.wording import listed

SMALLEST_IMAGE = 16
"""Side in pixels from which on random convolutions are tried beside a pretrained backbone."""
NO_LIFT = 'This version has a trained backbone, whose features need no lift: use "auto" or "none".'


@dataclass(frozen=True, eq=False)
class FrozenFeatures:
    """A space, its parts and the batches that each was made of; for `lift_rows`, `lift_named` and `lift_ahead` see
    `ExactHead`."""

    space: Space
    parts: dict[str, Tensors]
    learned: dict[str, frozenset[str]]
    lift_rows: int
    lift_named: bool
    lift_ahead: bool = False
    details: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout:
        return self.space.network.layout

    def version(self, data: Data, heads: Mapping[str, Tensors], *, outputs: int, **facts: Any) -> Checkpoint:
        """The version that learned all of base and update, with these heads on the features. outputs: of each head ·
        facts: what else its layout says"""
        head = [BlockLayout(rows=(0, outputs), columns=(0, self.space.features), part="head.0")] if outputs else []
        layout = self.layout.model_copy(update={"neck": [], "head": head, **facts})
        return Checkpoint(layout, {**self.parts, **heads}, {**self.learned, **dict.fromkeys(heads, data.everything)})


@dataclass(frozen=True, eq=False)
class LiftReason:
    """How lifts came to be: by name, or by the rows of these `batches`, on which each candidate had its score."""

    named: bool = False
    batches: frozenset[str] = frozenset()
    scores: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Rows, scores: dict[str, float]) -> LiftReason:
        """Returns the reason that a comparison gave on these rows; no scores: they were too few to decide."""
        return cls(False, frozenset(rows.batches), scores) if scores else cls()


def frozen_features_for(
    base: Checkpoint | None, data: Data, lifts: NamedLifts | None, trial: LiftTrial, run: Run, fading: bool = False
) -> FrozenFeatures:
    """Chooses the features under the head of this update.

    lifts: None: auto · trial: compares lifts where none is named · fading: old batches count less, so the latest rows
    choose, and those are never enough for wider lifts.

    A trained backbone gives its frozen features. A pretrained one gives those, with the named lifts beside them, or
    where that does better with convolutions of images or random ReLU features of texts, which then stay. Otherwise the
    scaled input is lifted: by the named lifts; or by those of the base; or, in a first version and whenever rows have
    doubled since or allow for wider ones, by those that do best on selecting rows. Lifts that were far ahead stay once
    without being tried.
    Raises MethodRefused for a named lift on a trained backbone, or one that the input cannot take.
    """
    backbone = base.layout.backbone if base is not None else data.architecture.backbone
    number = data.known_rows + len(data.batch)
    if isinstance(backbone, PretrainedBackbone) and not (base is not None and moved(base.layout)):
        return _pretrained(base, data, backbone, lifts, trial, run)
    if base is not None and not isinstance(backbone, IdentityBackbone):
        if lifts is not None and lifts.kinds != UNLIFTED.kinds:
            raise MethodRefused.at("/method/lift", NO_LIFT)
        return replace(features_of_base(base, data), lift_rows=number, lift_named=True, lift_ahead=False)
    if lifts is not None:
        made = [lift_of(data.input, kind, lifts.width) for kind in lifts.kinds]
        return _lifted(base, data, made, trial.numbers, LiftReason(named=True))
    if base is not None and (_lifts_still_fit(base, data, fading) or data.kept_rows < data.known_rows):
        return features_of_base(base, data)  # of rows that were deleted only the sums in this space are left
    if base is not None and not fading:
        frozen = features_of_base(base, data)
        if (score := trial.stays(base.layout, lambda: data.grown(frozen.space), number)) is not None:
            learned = _decided_anew(frozen.learned, data.everything)
            return replace(frozen, learned=learned, lift_rows=number, lift_ahead=False, details={"lifts_tried": score})
    rows = Rows.concat([data.kept(), data.batch]) if data.known_rows else data.batch
    if fading:
        rows = rows.take(np.arange(max(len(rows) - WIDE_ROWS, 0), len(rows)))
    unlifted = Space.of(identity_network(data.input, _scale(base, data)[0], numbers=trial.numbers))
    choice = trial.choose(unlifted, rows, data, run)
    frozen = _lifted(base, data, choice.lifts, trial.numbers, LiftReason.of(rows, choice.scores))
    return replace(frozen, lift_ahead=choice.ahead)


def _lifts_still_fit(base: Checkpoint, data: Data, fading: bool) -> bool:
    """Returns whether the lifts of the base stay: named, or chosen from over half as many rows and as wide as now."""
    exact = base.layout.exact
    if exact is None:
        return bool(base.layout.lifts)
    rows = data.known_rows + len(data.batch)
    if fading:
        rows = min(rows, WIDE_ROWS)
    outgrown = rows >= 2 * exact.lift_rows or exact.lift_rows <= WIDE_ROWS < rows
    return exact.lift_named or not len(data.batch) or not outgrown


def _scale(base: Checkpoint | None, data: Data) -> tuple[AnyScale, frozenset[str]]:
    if base is not None:
        return load_scale(base.layout.input, base.parts["scale"]), base.learned.get("scale", frozenset())
    scale, declared = scale_for(data.input, data.batch.inputs, data.target.measured)
    return scale, frozenset() if declared else frozenset(data.batch.batches)


def _lifted(
    base: Checkpoint | None, data: Data, lifts: list[Lift], numbers: NumberGrid | None, decision: LiftReason
) -> FrozenFeatures:
    """Returns the scaled input behind these lifts; "none" alone is no lift."""
    used = [] if [lift.kind for lift in lifts] == ["none"] else lifts
    space = Space.of(identity_network(data.input, _scale(base, data)[0], used, numbers))
    frozen = _in_space(base, data, space, decision)
    if base is not None or data.architecture.backbone.name == "identity":
        return frozen
    note = (
        f"No {data.architecture.backbone.name} was trained: a first version by a closed form stands on the scaled "
        "input. retrain trains the backbone, on a model that keeps rows."
    )
    return replace(frozen, notes=(*frozen.notes, note))


def _pretrained(
    base: Checkpoint | None,
    data: Data,
    backbone: PretrainedBackbone,
    lifts: NamedLifts | None,
    trial: LiftTrial,
    run: Run,
) -> FrozenFeatures:
    """Returns the features of a pretrained backbone, beside them named lifts, or one that helps."""
    if base is not None and lifts is None:
        stands = base.layout.exact is None or base.layout.lifts or _lifts_still_fit(base, data, False)
        if stands or data.kept_rows < data.known_rows:
            return features_of_base(base, data)
    known = 2.0 ** (15 - base.layout.shift) if base is not None and base.layout.shift is not None else None
    weights = base.parts["backbone.0"] if base is not None else data.pretrained()

    def space(lifts: NamedLifts) -> Space:
        scale, bound = _scale(base, data)[0], data.batch if known is None else known
        network = pretrained_network(data.input, scale, backbone, weights, lifts, bound)
        network.layout = network.layout.model_copy(update={"numbers": trial.numbers})
        return Space.of(network)

    chosen, decision = space(lifts or UNLIFTED), LiftReason(named=lifts is not None)
    beside = _worth_trying(data.input, data.known_rows + len(data.batch))
    if lifts is None and beside is not None:
        both = space(NamedLifts(("none", beside), WIDE if beside == "relu" else None))
        rows = Rows.concat([data.kept(), data.batch]) if data.known_rows else data.batch
        helps, scores = trial.beside(both, chosen.features, rows, run)
        chosen, decision = both if helps else chosen, LiftReason.of(rows, scores)
    frozen = _in_space(base, data, chosen, decision)
    return replace(frozen, details={"backbone": backbone.name, **frozen.details})


def _worth_trying(spec: InputSpec, rows: int) -> LiftKind | None:
    """Returns the lift to try beside a pretrained backbone's features. For texts random ReLU features: once rows are
    many the linear head is the limit (RanPAC); with few rows they cost more than they give."""
    if isinstance(spec, ImageInput) and min(spec.shape[1:]) >= SMALLEST_IMAGE:
        return "conv"
    return "relu" if isinstance(spec, TextInput) and rows >= WIDE else None


def _in_space(base: Checkpoint | None, data: Data, space: Space, decision: LiftReason) -> FrozenFeatures:
    """Returns the features of this space, by the base's parts where it has them."""
    rows, fitted = data.known_rows + len(data.batch), _scale(base, data)[1]
    decided, details = decision.batches, {"lifts_tried": decision.scores} if decision.scores else {}
    if base is not None and base.layout.shift is not None and Space.of(base).id == space.id:
        learned = _decided_anew(_learned(base), decided)
        return FrozenFeatures(space, base.frozen(), learned, rows, decision.named, details=details)
    if base is not None and data.kept_rows < data.known_rows:
        raise MethodRefused.at("/method/lift", space_stays(base.layout, data.known_rows - data.kept_rows))
    parts = of_kinds(parts_of(space.network), FROZEN)
    before = base.learned if base is not None else {}
    learned = {}
    for part in parts:
        if part == "scale":
            learned[part] = fitted
        elif kind_of(part) == "lift":
            learned[part] = decided
        else:
            learned[part] = before.get(part, frozenset())
    lifts = space.network.layout.lifts
    notes = (_changed(base.layout.lifts, lifts),) if base is not None and base.layout.lifts != lifts else ()
    return FrozenFeatures(space, parts, learned, rows, decision.named, details=details, notes=notes)


def _changed(before: Sequence[LiftLayout], now: Sequence[LiftLayout]) -> str:
    was, named = (listed([lift.kind for lift in lifts] or ["none"], quote=True) for lifts in (before, now))
    if was == named:
        named += " of another width"
    return (
        f"How rows are prepared for the head was chosen anew: lift {named}, before {was}. That did best on rows that "
        "the heads compared had not learned. All rows were learned again with it, so scores of old rows may differ a "
        "little: there is nothing to do."
    )


def _decided_anew(learned: dict[str, frozenset[str]], decided: frozenset[str]) -> dict[str, frozenset[str]]:
    """Returns the batches behind each part, where the lifts stay though they were tried again on `decided`."""
    return {part: decided if decided and kind_of(part) == "lift" else by for part, by in learned.items()}


def space_stays(layout: Layout, lost: int) -> str:
    """Says why no other lift is possible once so many learned rows were deleted."""
    lifts = " and ".join(lift.kind for lift in layout.lifts) or "none"
    return (
        f"The feature space cannot change: {lost:,} learned rows were deleted, and what is known of them is known in "
        f'this one. Use "auto", or the lift that it has ({lifts}) in its width.'
    )


def relifted(base: Checkpoint | None, data: Data, frozen: FrozenFeatures, lifts: list[Lift]) -> FrozenFeatures:
    """Returns the scaled input behind these lifts in place of its own, decided by all batches."""
    made = _lifted(base, data, lifts, frozen.layout.numbers, LiftReason(batches=data.everything))
    return replace(made, details={**frozen.details, **made.details})


def kept_by(stays: FrozenFeatures, data: Data, tried: FrozenFeatures) -> FrozenFeatures:
    """Returns features that stay though others were tried beside them, by all batches."""
    learned = _decided_anew(stays.learned, data.everything)
    return replace(stays, learned=learned, lift_rows=tried.lift_rows, lift_ahead=False, details=tried.details)


def moved(layout: Layout) -> bool:
    """Returns whether a backbone that came with weights was trained here."""
    return layout.trained or bool(layout.low_rank)


def features_of_base(base: Checkpoint, data: Data) -> FrozenFeatures:
    """Returns the features of the base, whatever might do better by now."""
    exact = base.layout.exact
    rows = exact.lift_rows if exact else data.known_rows + len(data.batch)
    named, ahead = (exact.lift_named, exact.lift_ahead and len(data.batch) > 0) if exact else (False, False)
    return FrozenFeatures(_space_of(base, data), base.frozen(), _learned(base), rows, named, ahead)


def _space_of(base: Checkpoint, data: Data) -> Space:
    """The space of the base; one that has no grid gets it by this batch."""
    if base.layout.shift is not None:
        return Space.of(base)
    network = build(base)
    give_grid(network, data.batch)
    return Space.of(network)


def _learned(base: Checkpoint) -> dict[str, frozenset[str]]:
    return {part: base.learned.get(part, frozenset()) for part in base.frozen()}
