"""What the layout of a file from elsewhere claims, before a network is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from service.errors import InvalidContent
from service.learning.network.checkpoint import BlockLayout, Layout, Tensors

SOURCE = "head.source."
"""Parts that are heads of sources, by the place of each in the layout."""
LARGEST_LAYER = 2**28
"""Numbers of a dense layer, were it full."""


def check_numbers(layout: Layout) -> None:
    """Numbers of a layout that nothing else bounds. Raises InvalidContent."""
    if not (isfinite(layout.temperature) and 1e-3 <= layout.temperature <= 1e3):
        raise InvalidContent.at("/layout/temperature", "The temperature of a version lies between 0.001 and 1,000.")
    if layout.shift is not None and not -64 <= layout.shift <= 64:
        raise InvalidContent.at("/layout/shift", "The grid of the features lies between 2^-64 and 2^64.")
    if len(layout.classes) != len(layout.imported):
        raise InvalidContent.at(
            "/classes", f"There are {len(layout.classes)} columns and {len(layout.imported)} classes."
        )


def check_blocks(layout: Layout, parts: Mapping[str, Tensors]) -> None:
    """Every block has its tensors, of the size that it claims, and no layer is huge. Raises InvalidContent."""
    for k, layer in enumerate([*layout.layers, *layout.neck, layout.head]):
        for block in layer:
            weight = parts.get(block.part, {}).get(f"{block.key}weight")
            if weight is None or weight.shape[:2] != _size(block):
                raise InvalidContent.at(
                    "/layout", f'Block "{block.part}/{block.key}weight" is not in the file as claimed.'
                )
        if (layer is layout.head or not layout.inserted) and not _tiles(layer):
            raise InvalidContent.at("/layout", f"The blocks of layer {k + 1} leave out some of its outputs.")
        rows, columns = max((b.rows[1] for b in layer), default=0), max((b.columns[1] for b in layer), default=0)
        if rows * columns > LARGEST_LAYER:
            raise InvalidContent.at("/layout", f"Layer {k + 1} has {rows:,} x {columns:,} numbers, which is too much.")


def check_sources(layout: Layout, parts: Mapping[str, Tensors]) -> dict[str, Tensors]:
    """The heads of their own that sources have, each of the size of the shared one. Raises InvalidContent."""
    found = {f"{SOURCE}{k}": parts.get(f"{SOURCE}{k}", {}) for k in range(len(layout.sources))}
    columns = max((block.columns[1] for block in layout.head), default=0)
    wanted = {"weight": (len(layout.classes), columns), "bias": (len(layout.classes),)}
    for part, tensors in found.items():
        if {name: tuple(t.shape) for name, t in tensors.items()} != wanted:
            raise InvalidContent.at("/layout", f'A source has the head "{part}", which is not in the file as claimed.')
    return found


def _tiles(layer: Sequence[BlockLayout]) -> bool:
    """Whether the outputs of its blocks, in their order, are all outputs of the layer."""
    spans = list(dict.fromkeys(block.rows for block in layer))
    return [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])] if spans else True


def _size(block: BlockLayout) -> tuple[int, int]:
    return block.rows[1] - block.rows[0], block.columns[1] - block.columns[0]
