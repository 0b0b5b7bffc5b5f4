"""Pretrained networks as they are served: batch norms are folded into the convolutions before them.

A batch norm behind a convolution is a factor and an offset of each filter; they become a part of the filter's weights
(in float64, rounded once). What is stored and trained stays as it is, and features agree to rounding, not to the bit.
Versions that have a backbone in common share the folded network, and nobody holds the other weights for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, cast
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from service.contract.inputs import PretrainedBackbone
from service.learning.backbones import bare
from service.learning.backbones.extractor import Extractor, ImageExtractor, SharedWeights, shared
from service.learning.network.low_rank import BORDERS
from service.serving.compute.onednn import ABSENT, ROWS, Packed, PackedLinear, Told, here
from service.tuning.priority import give_way

Key = tuple[str, str, int | None]
TOLERANCE = 1e-4

_known: dict[tuple[str, int | None], tuple[int, tuple[Fold, ...]]] = {}
"""By name and side: features, and what there is to fold."""
_served: WeakValueDictionary[Key, Extractor] = WeakValueDictionary()
_serving = Lock()


@dataclass(frozen=True)
class Fold:
    """A convolution by name, and the batch norm behind it, if there is one. size: of what it takes, [n, in, h, w];
    null where its filters stay as they lie."""

    convolution: str
    norm: str | None
    size: tuple[int, ...] | None


def served(backbone: PretrainedBackbone, digest: str, read: Callable[[str], bytes]) -> Extractor:
    """The folded network of a stored shard, one a process for all versions that have it; it is never changed.

    `read` gets verified bytes by digest. Raises MethodRefused, RuntimeError where they are not this network's weights.
    """
    key = (digest, backbone.name, backbone.side)
    with _serving:
        held = _served.get(key)
    if held is None:
        weights = shared(digest, read)
        give_way()
        network = bare(backbone, weights)
        give_way()
        made = _folded(backbone, network)
        with _serving:
            held = _served.setdefault(key, made)
    return held


def _folded(backbone: PretrainedBackbone, network: Extractor) -> Extractor:
    """The same network, which is changed: convolutions hold the norms behind them and are `Packed`, or, of texts, dense
    layers are."""
    assert network.weights is not None
    if (_fold_all(backbone, network) if isinstance(network, ImageExtractor) else _pack_all(network.body)) == 0:
        return network
    kept = {name: t.detach() for name, t in (*network.body.named_parameters(), *network.body.named_buffers())}
    packed = sum(m.bytes for m in network.modules() if isinstance(m, Packed | PackedLinear))
    network.weights = SharedWeights(kept, network.weights.digest, packed)
    return network


def _fold_all(backbone: PretrainedBackbone, network: ImageExtractor) -> int:
    """-> how much was changed"""
    key = (backbone.name, backbone.side)
    if (found := _known.get(key)) is None:
        found = _known[key] = foldable(network)
    network.width, folds = found
    for fold in folds:
        _fold(network.body, fold)
    return len(folds)


def _pack_all(body: nn.Module) -> int:
    """Of texts, whose dense layers take many tokens at once. -> how many were changed"""
    dense = [(name, layer) for name, layer in body.named_modules() if here() and isinstance(layer, nn.Linear)]
    for name, layer in dense:
        body.set_submodule(name, PackedLinear(layer))
    return len(dense)


def foldable(network: ImageExtractor) -> tuple[int, tuple[Fold, ...]]:
    """Features of a network, and what can be folded and packed in it and gives the same then; it stays as it is."""
    width, there = _convolutions(network)
    return width, tuple(fold for told in there if (fold := _tried(network.body, told)) is not None)


def _tried(body: nn.Module, told: Fold) -> Fold | None:
    """As much of it as works."""
    ways = [told, replace(told, norm=None), replace(told, size=None)]
    return next((way for way in ways if (way.norm or way.size) and _same(body, way)), None)


def _convolutions(network: ImageExtractor) -> tuple[int, list[Fold]]:
    """Of one pass, which tells who takes what; a norm is behind a convolution if it takes what that gives and nobody
    else does. -> features, and the convolutions in order"""
    uses, given, calls = _Uses(), dict[int, tuple[str, Tensor]](), Counter[str]()
    sizes, norms = dict[str, tuple[int, ...]](), dict[str, tuple[str, int]]()

    def gave(name: str) -> Callable[..., None]:
        def keep(layer: nn.Module, taken: tuple[Tensor, ...], y: Tensor) -> None:
            calls[name] += 1
            sizes[name] = (ROWS, *_bordered(layer, taken[0].shape[1:]))
            given[id(y)] = name, y  # held, so that its id stays its own
            uses.count[id(y)] = 0

        return keep

    def takes(name: str) -> Callable[..., None]:
        def note(_: nn.Module, taken: tuple[Tensor, ...]) -> None:
            calls[name] += 1
            if id(taken[0]) in given:
                norms[given[id(taken[0])][0]] = name, id(taken[0])

        return note

    hooks = []
    for name, layer in network.body.named_modules():
        if isinstance(layer, nn.Conv2d):
            hooks.append(layer.register_forward_hook(gave(name)))
        elif isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            hooks.append(layer.register_forward_pre_hook(takes(name)))
    with torch.no_grad(), uses:
        width = network.features(torch.zeros(1, 3, network.side, network.side)).shape[1]
    for hook in hooks:
        hook.remove()
    found = []
    for name, size in sizes.items():
        norm, y = norms.get(name, ("", 0))
        alone = norm and calls[name] == calls[norm] == 1 and uses.count[y] == 1
        found.append(Fold(name, norm if alone else None, size))
    return width, found


def _bordered(convolution: nn.Module, size: Sequence[int]) -> Sequence[int]:
    """Of an input with the borders that modules within the convolution give it."""
    x = torch.empty(1, *size)
    for child in convolution.children():
        x = child(x) if isinstance(child, BORDERS) else x
    return x.shape[1:]


class _Uses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that take a tensor, by its id."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else torch imports its compiler: a second and 75 MB."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in (t for t in tree_leaves((args, kwargs or {})) if isinstance(t, Tensor)):
            self.count[id(tensor)] = self.count.get(id(tensor), 0) + 1
        return func(*args, **(kwargs or {}))


def _same(body: nn.Module, fold: Fold) -> bool:
    """Does it give the same for random weights? Some libraries' convolutions scale their weights themselves, or pad as
    the size of a map asks for."""
    one = cast(nn.Conv2d, deepcopy(body.get_submodule(fold.convolution)))
    norm = nn.Identity() if fold.norm is None else deepcopy(body.get_submodule(fold.norm))
    both, draw = nn.Sequential(one, norm), torch.Generator().manual_seed(0)
    for tensor in (*norm.parameters(), *norm.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5, generator=draw)
    for tensor in one.parameters():
        tensor.data.normal_(std=one.weight[0].numel() ** -0.5, generator=draw)
    side = max((k - 1) * apart for k, apart in zip(one.kernel_size, one.dilation, strict=True)) + 3
    maps = [torch.randn(2, one.in_channels, longer, longer, generator=draw) for longer in (side, side + 1)]
    with torch.inference_mode():
        expected = [both(x) for x in maps]
        try:
            _fold(both, Fold("0", None if fold.norm is None else "1", fold.size))
            found = [both(x) for x in maps]
        except ABSENT:
            return False
    return all(
        y.shape == wanted.shape and torch.allclose(y, wanted, rtol=TOLERANCE, atol=TOLERANCE)
        for y, wanted in zip(found, expected, strict=True)
    )


@torch.no_grad()
def _fold(body: nn.Module, fold: Fold) -> None:
    """Put factor and offset of a norm into the weights before it, and in its place what it does besides."""
    one = cast(nn.Conv2d, body.get_submodule(fold.convolution))
    if fold.norm is not None:
        norm = cast(nn.BatchNorm2d, body.get_submodule(fold.norm))
        one.weight, one.bias = _with(one, norm)
        # timm's norms go on to an activation
        rest = [part for part in norm.children() if not isinstance(part, nn.Identity)]
        body.set_submodule(fold.norm, nn.Sequential(*rest) if rest else nn.Identity())
    if fold.size is not None:
        told = cast(Told, (one.padding, one.stride, one.dilation, one.groups))
        packed = Packed(one.weight, one.bias, told, fold.size)
        body.set_submodule(fold.convolution, nn.Sequential(*one.children(), packed))


def _with(one: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight and bias of a convolution that does what the norm behind it did."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor, offset = torch.rsqrt(norm.running_var.double() + norm.eps), -norm.running_mean.double()
    if one.bias is not None:
        offset += one.bias.double()
    if norm.affine:
        factor *= norm.weight.double()
    offset *= factor
    if norm.affine:
        offset += norm.bias.double()
    weight = (one.weight.double() * factor.reshape(-1, 1, 1, 1)).float().contiguous(memory_format=torch.channels_last)
    return nn.Parameter(weight, requires_grad=False), nn.Parameter(offset.float(), requires_grad=False)
