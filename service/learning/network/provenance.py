"""Which batches had a hand in a part: told from the bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from service.contract.inputs import PretrainedBackbone
from service.learning.backbones.extractor import SharedWeights
from service.learning.network.checkpoint import Checkpoint, Tensors, of_kinds
from service.learning.network.network import TRAINED_HERE, Network, parts_of


def unchanged(base: Checkpoint | None, part: str, tensors: Tensors) -> bool:
    """Has this part the names and the bits of the base's?"""
    before = base.parts.get(part) if base else None
    return before is tensors or (
        before is not None
        and before.keys() == tensors.keys()
        and all(torch.equal(before[k], tensors[k]) for k in before)
    )


def learned_by_part(
    base: Checkpoint | None, parts: Mapping[str, Tensors], batches: Iterable[str], declared: bool
) -> dict[str, frozenset[str]]:
    """An unchanged part saw what the base's saw, a declared scale and pretrained weights nothing; any other saw all
    history and `batches`."""
    before = base.learned if base else {}
    everything = frozenset(batches).union(*before.values())
    learned = {
        p: before.get(p, frozenset())
        if unchanged(base, p, ts)
        else frozenset()
        if isinstance(ts, SharedWeights)
        else everything
        for p, ts in parts.items()
    }
    return learned | ({"scale": frozenset()} if declared else {})


ORIGIN = "state.origin."
"""Parts that keep the weights of the first training: what `anchor: base` pulls to."""


def origin_of(network: Network) -> dict[str, Tensors]:
    """The weights of a network under the names that keep them for good; pretrained ones stay where they are."""
    return {
        ORIGIN + part: tensors
        for part, tensors in of_kinds(parts_of(network), ("backbone", "neck", "head")).items()
        if not isinstance(tensors, SharedWeights)
    }


def trunk_trains(base: Checkpoint, thaw: bool = False) -> bool:
    """A backbone whose weights were learned here, or to `thaw` a pretrained one, and no lift that fixes the feature
    space behind it."""
    kinds = (*TRAINED_HERE, PretrainedBackbone) if thaw else TRAINED_HERE
    return isinstance(base.layout.backbone, kinds) and not base.layout.lifts
