"""The names of a backbone's blocks and layers, by which a request says what trains."""

from __future__ import annotations

from torch import nn

from service.contract.inputs import CnnBackbone
from service.learning.backbones.extractor import Blocks

NAMED, ENDS = 24, 6
"""A refusal names at most so many blocks; of more, so many first and last ones."""


def layers_within(blocks: Blocks, body: nn.Module | None) -> dict[str, nn.Module]:
    """Layers with weights by name: as `body` names them, and behind the name of their block ("block 3._bn0"). Of a
    backbone that is trained here (None) blocks alone have names."""
    if body is None:
        return {}
    places = [("", body), *((f"{name}.", block) for name, block in blocks)]
    return {
        f"{before}{name}": layer
        for before, place in places
        for name, layer in place.named_modules()
        if name and any(True for _ in layer.parameters())
    }


def unknown_names(blocks: Blocks, body: nn.Module | None, names: list[str]) -> str | None:
    """A sentence where a name is neither a block nor a layer with weights in one; else None."""
    named = [name for name, _ in blocks]
    known = {*named, *layers_within(blocks, body)}
    unknown = [name for name in names if name not in known]
    if not unknown:
        return None
    quoted = [f'"{name}"' for name in unknown[:3]]
    shown = named if len(named) <= NAMED else [*named[:ENDS], "…", *named[-ENDS:]]
    inside = "" if body is None else "; a layer inside of one can be named as well, behind its name and a dot"
    return (
        f"This backbone has no layer {' or '.join(quoted)} whose weights could train. Its blocks, from input to "
        f"output, are {', '.join(shown)}{inside}."
    )


def own_kind(backbone: object) -> str:
    """The word for a block of a backbone that is trained here."""
    return "stage" if isinstance(backbone, CnnBackbone) else "layer"
