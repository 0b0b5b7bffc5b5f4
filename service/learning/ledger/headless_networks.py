"""Networks without a head, of which feature spaces are made before a version has one."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from service.contract.inputs import IdentityBackbone, ImageInput, InputSpec, PretrainedBackbone
from service.learning.backbones import load, resolved
from service.learning.backbones.extractor import Extractor
from service.learning.data.rows import Rows, smallest
from service.learning.data.target_grid import NumberGrid
from service.learning.ledger.feature_space import largest_feature, shift_for
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Layout, Tensors
from service.learning.network.input_scale import CLIP, AnyScale, scaled_shape
from service.learning.network.lifts import UNLIFTED, Lift, LiftKind, NamedLifts, lift_of, make_lift
from service.learning.network.network import Dense, Network, lift_layouts

SAMPLED = 256
"""Rows of a first batch, those with the smallest hash, that set the grid of a pretrained backbone without a bound."""


def identity_network(
    spec: InputSpec, scale: AnyScale, lifts: Sequence[Lift] = (), numbers: NumberGrid | None = None
) -> Network:
    """Builds the network of a model before its first version: the scaled input behind lifts, on its grid.

    numbers: the grid of targets that are numbers."""
    size = prod(scaled_shape(spec))
    bound = max((lift.bound for lift in lifts), default=CLIP)
    layout = Layout(
        input=spec,
        backbone=IdentityBackbone(),
        lifts=lift_layouts(lifts),
        shift=shift_for(bound),
        classes=[],
        numbers=numbers,
    )
    width = sum(lift.width for lift in lifts) or size
    return Network(layout, scale, Dense([], size), lifts, Dense([], width), GrownLinear([])).eval()


def pretrained_network(
    spec: InputSpec,
    scale: AnyScale,
    backbone: PretrainedBackbone,
    weights: Tensors,
    lifts: NamedLifts = UNLIFTED,
    bound: float | Rows | None = None,
) -> Network:
    """Builds a frozen pretrained backbone on its grid, alone or behind lifts.

    bound: of features whose backbone states none: the one that its versions have, or the rows of a first batch that
    show it. The lift "conv" takes the image, beside the features; "relu" and "fourier" take the features. Raises
    MethodRefused for a lift that is impossible here.
    """
    named = resolved(spec, backbone)
    extractor = load(named, weights)
    if extractor.bound is not None:
        bound = extractor.bound
    elif not isinstance(bound, float):
        bound = _first_bound(spec, named, scale, extractor, bound)
    kinds = lifts.kinds if lifts.kinds != UNLIFTED.kinds else ()
    made = [_beside(extractor, spec, kind, lifts.width, bound) for kind in kinds]
    largest = max((lift.bound for lift in made), default=bound)
    layout = Layout(input=spec, backbone=named, lifts=lift_layouts(made), shift=shift_for(largest), classes=[])
    features = sum(lift.width for lift in made) or extractor.width
    return Network(layout, scale, extractor, made, Dense([], features), GrownLinear([])).eval()


def _first_bound(
    spec: InputSpec, backbone: PretrainedBackbone, scale: AnyScale, extractor: Extractor, first: Rows | None
) -> float:
    """Returns the bound of a backbone that states none, by its features of the first batch."""
    layout = Layout(input=spec, backbone=backbone, classes=[])
    alone = Network(layout, scale, extractor, [], Dense([], extractor.width), GrownLinear([])).eval()
    return largest_feature(alone, smallest(first, SAMPLED).inputs if first is not None else np.zeros(0))


def _beside(extractor: Extractor, spec: InputSpec, kind: LiftKind, width: int | None, bound: float) -> Lift:
    if kind == "conv":
        return lift_of(spec, kind, width)
    reach = extractor.reach if extractor.bound is not None else bound
    return make_lift(kind, (extractor.width,), width, reach=reach, spread=extractor.spread)


def give_grid(network: Network, first: Rows) -> None:
    """Gives a grid to a version without one, which was imported or whose features training moved: by the bound of its
    features, where one is stated, else by those of the `first` rows that it learns."""
    if network.layout.shift is None:
        bound = network.backbone.bound if isinstance(network.backbone, Extractor) else None
        bound = CLIP if isinstance(network.layout.backbone, IdentityBackbone) else bound
        shift = shift_for(largest_feature(network, first.inputs) if bound is None else bound)
        network.layout = network.layout.model_copy(update={"shift": shift})


def examining_network(spec: InputSpec, scale: AnyScale) -> Network:
    """Builds the features on which trained networks are examined: the scaled input, of images random convolutions."""
    image = isinstance(spec, ImageInput) and min(spec.height, spec.width) >= 3
    lifts = [lift_of(spec, "conv")] if image else []
    return identity_network(spec, scale, lifts)
