"""Which blocks of a backbone train beside the head: none, the last ones, all of them, or some by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from service.contract.inputs import CnnBackbone, IdentityBackbone, MlpBackbone, PretrainedBackbone
from service.errors import MethodRefused
from service.learning.architectures import Network
from service.learning.backbones import skeleton
from service.learning.backbones.extractor import Blocks, Extractor
from service.learning.sentences import listed

if TYPE_CHECKING:
    from service.learning.method import Setting, TrunkParams, Unfreeze

SLOWER = 0.1
"""The rate of the blocks that a method unfreezes, of the head's."""
NO_BLOCKS = (
    "This version has no backbone whose blocks could train: its head stands on the scaled input or on random lifts. "
    "Leave unfreeze out, learn with ridge, or with retrain on an mlp or cnn."
)
NAMED = 12
"""Names of blocks that a refusal lists at most."""


def opened(network: Network, unfreeze: Unfreeze) -> Blocks:
    """The blocks of its backbone that these words name, from input to output. Raises MethodRefused where one is not."""
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
        return [(name, named[name] if name in named else _within(inside, name)) for name in dict.fromkeys(unfreeze)]
    return blocks if unfreeze == "all" else _last(blocks, int(unfreeze or 0))


def _last(blocks: Blocks, count: int) -> Blocks:
    """The last `count` blocks; a norm behind the last one is no block, so it comes along."""
    whole = [k for k, (_, block) in enumerate(blocks) if any(p.ndim > 1 for p in block.parameters())]
    if not count or not whole:
        return []
    return blocks[whole[-count] if count <= len(whole) else 0 :]


def _within(body: nn.Module | None, name: str) -> nn.Module:
    assert body is not None, "unknown names were refused before"
    return body.get_submodule(name)


def unknown_names(blocks: Blocks, body: nn.Module | None, names: list[str]) -> str | None:
    """A sentence where a name is neither that of a block nor that of a layer with weights in `body`; else None."""
    there = {name for name, _ in blocks}
    if body is not None:
        there |= {name for name, module in body.named_modules() if name and any(True for _ in module.parameters())}
    unknown = [name for name in names if name not in there]
    if not unknown:
        return None
    blocks_there = [name for name, _ in blocks]
    more = f" and {len(blocks_there) - NAMED} more" if len(blocks_there) > NAMED else ""
    return (
        f"This backbone has no layer {listed(unknown[:3], quote=True)} whose weights could train. Its blocks, from "
        f"input to output, are {', '.join(blocks_there[-NAMED:])}{more}; a layer inside of one can be named as well."
    )


def own_kind(backbone: object) -> str:
    """What a block of a backbone that is trained here is called."""
    return "stage" if isinstance(backbone, CnnBackbone) else "layer"


def unfit(setting: Setting, params: TrunkParams) -> tuple[str, str] | None:
    """The field and a sentence where there is no such block to unfreeze, told from the layout of the live version."""
    live, backbone = setting.live, setting.backbone
    if not params.unfreeze:
        return None
    if live is not None and (live.lifts or isinstance(backbone, IdentityBackbone)):
        if live.lifts and isinstance(backbone, PretrainedBackbone):
            on_lifts = (
                "unfreeze moves the backbone, and this version's head stands on random lifts beside its features. "
            )
            return "unfreeze", f"{on_lifts}{setting.without_lift()}"
        return "unfreeze", NO_BLOCKS
    if isinstance(backbone, IdentityBackbone):
        return "unfreeze", NO_BLOCKS
    if isinstance(params.unfreeze, list) and isinstance(backbone, PretrainedBackbone):
        made = skeleton(backbone.name, backbone.side)
        unknown = unknown_names(made.blocks(), made.body, params.unfreeze)
        return None if unknown is None else ("unfreeze", unknown)
    if isinstance(params.unfreeze, list) and isinstance(backbone, MlpBackbone | CnnBackbone):
        sizes = backbone.hidden if isinstance(backbone, MlpBackbone) else backbone.channels
        own: Blocks = [(f"{own_kind(backbone)} {k + 1}", nn.Identity()) for k in range(len(sizes))]
        unknown = unknown_names(own, None, params.unfreeze)
        return None if unknown is None else ("unfreeze", unknown)
    return None
