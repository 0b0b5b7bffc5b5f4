"""The blocks of a backbone that train beside the head: none, the last ones, all of them, or some by name."""

from __future__ import annotations

from service.errors import MethodRefused
from service.learning.backbones.block_names import layers_within, own_kind, unknown_names
from service.learning.backbones.extractor import Blocks, Extractor
from service.learning.method import Unfreeze
from service.learning.network.network import Network

SLOWER = 0.1
"""The rate of unfrozen blocks, as a part of the head's."""


def opened(network: Network, unfreeze: Unfreeze) -> Blocks:
    """The blocks that `unfreeze` names, from input to output. Raises MethodRefused for an unknown name."""
    backbone = network.backbone
    if isinstance(backbone, Extractor):
        blocks = backbone.blocks()
    else:
        layers = network.hidden_layers()
        kind = own_kind(network.layout.backbone)
        blocks = [
            (f"{kind} {k + 1}", layer) for k, layer in enumerate(layers[: len(layers) - len(network.neck.layers)])
        ]
    if isinstance(unfreeze, list):
        inside = backbone.body if isinstance(backbone, Extractor) else None
        if unknown := unknown_names(blocks, inside, unfreeze):
            raise MethodRefused.at("/method/unfreeze", unknown)
        named = dict(blocks)
        within = layers_within(blocks, inside)
        return [(name, named[name] if name in named else within[name]) for name in dict.fromkeys(unfreeze)]
    return blocks if unfreeze == "all" else _last(blocks, int(unfreeze or 0))


def _last(blocks: Blocks, count: int) -> Blocks:
    """The last `count` blocks. A norm behind the last one does not count, and comes along."""
    whole = [k for k, (_, block) in enumerate(blocks) if any(p.ndim > 1 for p in block.parameters())]
    if not count or not whole:
        return []
    return blocks[whole[-count] if count <= len(whole) else 0 :]
