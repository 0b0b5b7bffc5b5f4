"""Where a lineage's training began: the weights of its first version, and whether a trunk trains at all."""

from __future__ import annotations

from service.contract.inputs import PretrainedBackbone
from service.learning.backbones.extractor import SharedWeights
from service.learning.network.checkpoint import Checkpoint, Tensors
from service.learning.network.network import TRAINED_HERE, Network, parts_of

ORIGIN = "state.origin."
"""Parts that keep the weights of the first training: what `anchor: base` pulls to."""


def origin_of(network: Network) -> dict[str, Tensors]:
    """The weights of a network under the names that keep them for good; pretrained ones stay where they are."""
    return {
        ORIGIN + p: ts
        for p, ts in parts_of(network).items()
        if p.split(".")[0] in ("backbone", "neck", "head") and not isinstance(ts, SharedWeights)
    }


def trunk_trains(base: Checkpoint, thaw: bool = False) -> bool:
    """A backbone whose weights were learned here, or to `thaw` a pretrained one, and no lift that fixes the feature
    space behind it."""
    kinds = (*TRAINED_HERE, PretrainedBackbone) if thaw else TRAINED_HERE
    return isinstance(base.layout.backbone, kinds) and not base.layout.lifts
