"""The blocks of a backbone that train beside the head: none, the last ones, all of them, or some by name."""

from __future__ import annotations

from torch import nn

from service.contract.inputs import CnnBackbone, IdentityBackbone, MlpBackbone, PretrainedBackbone
from service.errors import MethodRefused
from service.learning.backbones import family, skeleton
from service.learning.backbones.extractor import Blocks, Extractor
from service.learning.method import Setting, TrunkParams, Unfreeze
from service.learning.network.network import Network

SLOWER = 0.1
"""The rate of unfrozen blocks, as a part of the head's."""
NO_BLOCKS = (
    "This version has no backbone whose blocks could train: its head stands on the scaled input or on random lifts. "
    "Leave unfreeze out, learn with ridge, or with retrain on an mlp or cnn."
)
STANDS_STILL = (
    "The backbone is a program of torch.export, which stands still. Leave unfreeze out: the head trains alone."
)
NAMED, ENDS = 24, 6
"""A refusal names at most so many blocks; of more, so many first and last ones."""


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


def unfit(setting: Setting, params: TrunkParams) -> tuple[str, str] | None:
    """The field and a sentence where the live version's layout has no such block to unfreeze; else None."""
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
    if isinstance(backbone, PretrainedBackbone) and not family(backbone.name).trains:
        return "unfreeze", STANDS_STILL
    if isinstance(params.unfreeze, list) and isinstance(backbone, PretrainedBackbone):
        extractor = skeleton(backbone.name, backbone.side)
        unknown = unknown_names(extractor.blocks(), extractor.body, params.unfreeze)
        return None if unknown is None else ("unfreeze", unknown)
    if isinstance(params.unfreeze, list) and isinstance(backbone, MlpBackbone | CnnBackbone):
        sizes = backbone.hidden if isinstance(backbone, MlpBackbone) else backbone.channels
        own: Blocks = [(f"{own_kind(backbone)} {k + 1}", nn.Identity()) for k in range(len(sizes))]
        unknown = unknown_names(own, None, params.unfreeze)
        return None if unknown is None else ("unfreeze", unknown)
    return None
