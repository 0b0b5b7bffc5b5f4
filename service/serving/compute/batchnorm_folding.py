"""Folds the batch norms of pretrained networks into the convolutions before them, for serving.

A batch norm is a factor and an offset of each filter, which become a part of the filter's weights (in float64, rounded
once). Stored weights and training do not change; features agree to rounding. Versions with the same backbone share one
folded network, and its original weights do not stay in memory.
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
from service.serving.compute.onednn import ABSENT, ROWS, Geometry, Packed, PackedLinear, available
from service.tuning.priority import give_way

Key = tuple[str, str, int | None]
"""Digest of the weights, name and side."""
TOLERANCE = 1e-4

_folds: dict[tuple[str, int | None], tuple[int, tuple[Fold, ...]]] = {}
"""By name and side: the number of features, and the folds."""
_served: WeakValueDictionary[Key, Extractor] = WeakValueDictionary()
_lock = Lock()


@dataclass(frozen=True)
class Fold:
    """A convolution by name, and the batch norm behind it, if any. size: of its input, [n, in, h, w]; None where its
    filters are not packed."""

    convolution: str
    norm: str | None
    size: tuple[int, ...] | None


def served(backbone: PretrainedBackbone, digest: str, read: Callable[[str], bytes]) -> Extractor:
    """The folded network of a stored shard, which all versions with that shard share; it never changes.

    `read` gets verified bytes by digest. Raises MethodRefused, RuntimeError if they are not this network's weights.
    """
    key = (digest, backbone.name, backbone.side)
    with _lock:
        network = _served.get(key)
    if network is None:
        weights = shared(digest, read)
        give_way()
        unfolded = bare(backbone, weights)
        give_way()
        folded = _folded(backbone, unfolded)
        with _lock:
            network = _served.setdefault(key, folded)
    return network


def _folded(backbone: PretrainedBackbone, network: Extractor) -> Extractor:
    """Changes the network in place and returns it: folds norms and packs convolutions, or dense layers of texts."""
    assert network.weights is not None
    if (_fold_all(backbone, network) if isinstance(network, ImageExtractor) else _pack_all(network.body)) == 0:
        return network
    kept = {name: t.detach() for name, t in (*network.body.named_parameters(), *network.body.named_buffers())}
    packed = sum(m.bytes for m in network.modules() if isinstance(m, Packed | PackedLinear))
    network.weights = SharedWeights(kept, network.weights.digest, packed)
    return network


def _fold_all(backbone: PretrainedBackbone, network: ImageExtractor) -> int:
    """Folds all that can be folded; returns how many convolutions changed."""
    key = (backbone.name, backbone.side)
    if key not in _folds:
        _folds[key] = foldable(network)
    network.width, folds = _folds[key]
    for fold in folds:
        _fold(network.body, fold)
    return len(folds)


def _pack_all(body: nn.Module) -> int:
    """Packs the dense layers of a network for texts, which take many tokens at once; returns how many changed."""
    dense = [(name, layer) for name, layer in body.named_modules() if available() and isinstance(layer, nn.Linear)]
    for name, layer in dense:
        body.set_submodule(name, PackedLinear(layer))
    return len(dense)


def foldable(network: ImageExtractor) -> tuple[int, tuple[Fold, ...]]:
    """The number of a network's features, and the folds that do not change its output. The network is not changed."""
    width, candidates = _convolutions(network)
    return width, tuple(fold for fold in (_valid(network.body, candidate) for candidate in candidates) if fold)


def _valid(body: nn.Module, fold: Fold) -> Fold | None:
    """The fold, or the part of it that does not change the output."""
    ways = [fold, replace(fold, norm=None), replace(fold, size=None)]
    return next((way for way in ways if (way.norm or way.size) and _same(body, way)), None)


def _convolutions(network: ImageExtractor) -> tuple[int, list[Fold]]:
    """Runs one pass; returns the number of features, and the convolutions in order, each with its norm.

    A norm belongs to a convolution if it is the only one to use the convolution's output.
    """
    uses, outputs, calls = _Uses(), dict[int, tuple[str, Tensor]](), Counter[str]()
    sizes, norms = dict[str, tuple[int, ...]](), dict[str, tuple[str, int]]()

    def after_convolution(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
            calls[name] += 1
            sizes[name] = (ROWS, *_bordered(layer, inputs[0].shape[1:]))
            outputs[id(y)] = name, y  # held, so that no other tensor gets its id
            uses.count[id(y)] = 0

        return hook

    def before_norm(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] += 1
            if id(inputs[0]) in outputs:
                norms[outputs[id(inputs[0])][0]] = name, id(inputs[0])

        return hook

    hooks = []
    for name, layer in network.body.named_modules():
        if isinstance(layer, nn.Conv2d):
            hooks.append(layer.register_forward_hook(after_convolution(name)))
        elif isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            hooks.append(layer.register_forward_pre_hook(before_norm(name)))
    with torch.no_grad(), uses:
        width = network.features(torch.zeros(1, 3, network.side, network.side)).shape[1]
    for hook in hooks:
        hook.remove()
    folds = []
    for name, size in sizes.items():
        norm, y = norms.get(name, ("", 0))
        only_use = norm and calls[name] == calls[norm] == 1 and uses.count[y] == 1
        folds.append(Fold(name, norm if only_use else None, size))
    return width, folds


def _bordered(convolution: nn.Module, size: Sequence[int]) -> Sequence[int]:
    """The size of an input with the borders that modules within the convolution add."""
    x = torch.empty(1, *size)
    for child in convolution.children():
        x = child(x) if isinstance(child, BORDERS) else x
    return x.shape[1:]


class _Uses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that use a tensor, by its id."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keeps torch from importing its compiler, a second and 75 MB."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in (t for t in tree_leaves((args, kwargs or {})) if isinstance(t, Tensor)):
            self.count[id(tensor)] = self.count.get(id(tensor), 0) + 1
        return func(*args, **(kwargs or {}))


def _same(body: nn.Module, fold: Fold) -> bool:
    """Whether a fold leaves the output as it is, for random weights. Some libraries' convolutions scale their weights
    themselves, or pad depending on the size of a map."""
    convolution = cast(nn.Conv2d, deepcopy(body.get_submodule(fold.convolution)))
    norm = nn.Identity() if fold.norm is None else deepcopy(body.get_submodule(fold.norm))
    both, draw = nn.Sequential(convolution, norm), torch.Generator().manual_seed(0)
    for tensor in (*norm.parameters(), *norm.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5, generator=draw)
    for tensor in convolution.parameters():
        tensor.data.normal_(std=convolution.weight[0].numel() ** -0.5, generator=draw)
    side = max((k - 1) * gap for k, gap in zip(convolution.kernel_size, convolution.dilation, strict=True)) + 3
    maps = [torch.randn(2, convolution.in_channels, n, n, generator=draw) for n in (side, side + 1)]
    with torch.inference_mode():
        expected = [both(x) for x in maps]
        try:
            _fold(both, Fold("0", None if fold.norm is None else "1", fold.size))
            folded = [both(x) for x in maps]
        except ABSENT:
            return False
    return all(
        y.shape == wanted.shape and torch.allclose(y, wanted, rtol=TOLERANCE, atol=TOLERANCE)
        for y, wanted in zip(folded, expected, strict=True)
    )


@torch.no_grad()
def _fold(body: nn.Module, fold: Fold) -> None:
    """Puts a norm's factor and offset into the convolution before it, leaves its other parts, and packs the filters."""
    convolution = cast(nn.Conv2d, body.get_submodule(fold.convolution))
    if fold.norm is not None:
        norm = cast(nn.BatchNorm2d, body.get_submodule(fold.norm))
        convolution.weight, convolution.bias = _with(convolution, norm)
        # timm's norms contain an activation
        rest = [part for part in norm.children() if not isinstance(part, nn.Identity)]
        body.set_submodule(fold.norm, nn.Sequential(*rest) if rest else nn.Identity())
    if fold.size is not None:
        geometry = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        packed = Packed(convolution.weight, convolution.bias, cast(Geometry, geometry), fold.size)
        body.set_submodule(fold.convolution, nn.Sequential(*convolution.children(), packed))


def _with(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[nn.Parameter, nn.Parameter]:
    """The convolution's weight and bias with the norm folded in."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor, offset = torch.rsqrt(norm.running_var.double() + norm.eps), -norm.running_mean.double()
    if convolution.bias is not None:
        offset += convolution.bias.double()
    if norm.affine:
        factor *= norm.weight.double()
    offset *= factor
    if norm.affine:
        offset += norm.bias.double()
    weight = (convolution.weight.double() * factor.reshape(-1, 1, 1, 1)).float()
    weight = weight.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(weight, requires_grad=False), nn.Parameter(offset.float(), requires_grad=False)
