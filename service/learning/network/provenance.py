"""Which batches had a hand in a part, by its bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from service.contract.inputs import PretrainedBackbone
from service.learning.backbones.extractor import SharedWeights
from service.learning.network.checkpoint import Checkpoint, Tensors, of_kinds
from service.learning.network.network import TRAINED_HERE, Network, parts_of


def unchanged(base: Checkpoint | None, part: str, tensors: Tensors) -> bool:
    """Whether this part has the names and the bits of the base's."""
    before = base.parts.get(part) if base else None
    return before is tensors or (
        before is not None
        and before.keys() == tensors.keys()
        and all(torch.equal(before[k], tensors[k]) for k in before)
    )


def learned_by_part(
    base: Checkpoint | None, parts: Mapping[str, Tensors], batches: Iterable[str], declared: bool
) -> dict[str, frozenset[str]]:
    """Batches by part: an unchanged part learned what the base's did, a declared scale and pretrained weights none, any
    other part all of the history and `batches`."""
    before = base.learned if base else {}
    everything = frozenset(batches).union(*before.values())
    learned: dict[str, frozenset[str]] = {}
    for part, tensors in parts.items():
        if unchanged(base, part, tensors):
            learned[part] = before.get(part, frozenset())
        else:
            learned[part] = frozenset() if isinstance(tensors, SharedWeights) else everything
    return learned | ({"scale": frozenset()} if declared else {})


ORIGIN = "state.origin."
"""Prefix of the parts that keep the weights of the first training, to which `anchor: base` pulls."""


def origin_of(network: Network) -> dict[str, Tensors]:
    """The weights of a network as parts that keep them for good; shared pretrained weights are left out."""
    return {
        ORIGIN + part: tensors
        for part, tensors in of_kinds(parts_of(network), ("backbone", "neck", "head")).items()
        if not isinstance(tensors, SharedWeights)
    }


def trunk_trains(base: Checkpoint, thaw: bool) -> bool:
    """Whether the backbone can train: it learned its weights here, or is a pretrained one to `thaw`, and no lift fixes
    the feature space behind it."""
    kinds = (*TRAINED_HERE, PretrainedBackbone) if thaw else TRAINED_HERE
    return isinstance(base.layout.backbone, kinds) and not base.layout.lifts
