"""The module that trains: the trunk where it moves, or some of its blocks, neck and head."""

from __future__ import annotations

from torch import Tensor, nn

from service.contract.inputs import Backbone, PretrainedBackbone
from service.errors import MethodRefused
from service.learning.backbones import resolved
from service.learning.backbones.block_names import layers_within, own_kind, unknown_names
from service.learning.backbones.extractor import Blocks, Extractor
from service.learning.ledger.feature_space import feature_width
from service.learning.ledger.headless_networks import give_grid, identity_network, pretrained_network
from service.learning.method_params import Unfreeze
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.input_scale import AnyScale
from service.learning.network.network import Dense, Network, build
from service.learning.training.frame import Frame
from service.learning.update_data import Data

SLOWER = 0.1
"""The rate of unfrozen blocks, as a part of the head's."""


class Body(nn.Module):
    """Scaled inputs or framed features [n, ...] -> logits [n, C], each column times its `unit`.

    `frame`: of the features that a pretrained trunk gives where it moves.
    """

    def __init__(self, network: Network, moves: bool, frame: Frame | None = None, unit: Tensor | None = None) -> None:
        super().__init__()
        self.trunk = network.backbone if moves else nn.Flatten()
        self.low_rank = network.low_rank if moves else nn.ModuleList()
        self.neck, self.head = network.neck, network.head
        self.frame, self.unit = frame, unit

    def features(self, x: Tensor) -> Tensor:
        """The features that the head sees. -> [n, M]"""
        h = self.trunk(x).flatten(1)
        y: Tensor = self.neck(h if self.frame is None else self.frame.place(h))
        return y

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.features(x))
        return y if self.unit is None else y * self.unit.to(y.device)


class BeforeHead(nn.Module):
    """All of a body but its head. [n, ...] -> [n, M]"""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body.features(x)


def frozen_trunk(base: Checkpoint | None, data: Data, scale: AnyScale, backbone: Backbone) -> Network:
    """The frozen network below a new head, on its grid, without neck and head: the base's where it has the same
    pretrained backbone, else the backbone itself."""
    if not isinstance(backbone, PretrainedBackbone):
        return identity_network(data.input, scale)
    other = base is None or base.layout.backbone != resolved(data.input, backbone)
    if base is None or other or base.layout.trained or base.layout.low_rank:
        return pretrained_network(data.input, scale, backbone, data.pretrained(), bound=data.batch)
    network = build(base)
    give_grid(network, data.batch)
    network.neck, network.head = Dense([], feature_width(network)), GrownLinear([])
    return network


def unfrozen_blocks(network: Network, unfreeze: Unfreeze) -> Blocks:
    """The blocks that `unfreeze` names, from input to output. Raises MethodRefused for an unknown name."""
    backbone = network.backbone
    if isinstance(backbone, Extractor):
        blocks = backbone.blocks()
    else:
        layers = network.hidden_layers()
        kind = own_kind(network.layout.backbone)
        of_backbone = layers[: len(layers) - len(network.neck.layers)]
        blocks = [(f"{kind} {k + 1}", layer) for k, layer in enumerate(of_backbone)]
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
