"""Which batches had a hand in a part: told from the bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from service.learning.backbones.extractor import SharedWeights
from service.learning.network.checkpoint import Checkpoint, Tensors


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
