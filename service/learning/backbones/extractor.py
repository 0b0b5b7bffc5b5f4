"""An extractor is a pretrained network: rows in, features out, weights that are shared and never written to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, cast
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract.inputs import Backbone, PretrainedBackbone
from service.learning.data.rows import Array
from service.learning.data.serialization import digest, pack_shard, unpack_shard

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

Blocks = list[tuple[str, nn.Module]]


class SharedWeights(Mapping[str, Tensor]):
    """Tensors of a frozen network, which its holders share: they are neither copied nor written to.

    more_bytes: memory of copies that a library keeps in an order of its own.
    """

    def __init__(self, tensors: Mapping[str, Tensor], digest: str | None = None, more_bytes: int = 0) -> None:
        self._tensors, self._more_bytes = dict(tensors), more_bytes
        if digest is not None:
            self.__dict__["digest"] = digest

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @cached_property
    def bytes(self) -> int:
        return sum(t.untyped_storage().nbytes() for t in self._tensors.values()) + self._more_bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the shard that holds them: the name under which they are stored."""
        return digest(pack_shard(self))


_cache: WeakValueDictionary[str, SharedWeights] = WeakValueDictionary()
_cache_lock = Lock()


def shared(name: str, read: Callable[[str], bytes]) -> SharedWeights:
    """The weights of a stored shard, one copy in the process. `read` gets verified bytes by digest."""
    with _cache_lock:
        weights = _cache.get(name)
    if weights is None:
        unpacked = SharedWeights(unpack_shard(read(name)), name)
        with _cache_lock:
            weights = _cache.setdefault(name, unpacked)
    return weights


def tensors_of(backbone: Backbone, part: str, name: str, read: Callable[[str], bytes]) -> Mapping[str, Tensor]:
    """The tensors of a stored part, those of a pretrained backbone shared."""
    if part == "backbone.0" and isinstance(backbone, PretrainedBackbone):
        return shared(name, read)
    return unpack_shard(read(name))


class Extractor(nn.Module):
    """A frozen network, always in eval mode, so that batch-norm statistics and dropout stand still in every method.

    width: number of features · bound: of their size, None: it states none · reach: the largest value that a random map
    of the features needs to expect, spread: their typical size · multiply_adds: of one row.
    """

    width: int
    bound: float | None = None
    reach: float = 8.0
    spread: float = 1.0
    multiply_adds: int

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.weights: SharedWeights | None = None
        self.thawed = False

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Takes these weights without a copy. Raises RuntimeError where they do not fit."""
        self.weights = weights if isinstance(weights, SharedWeights) else SharedWeights(weights)
        self.body.load_state_dict(dict(self._of_body(self.weights)), assign=True)
        self.requires_grad_(False)
        self.eval()

    def _of_body(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return weights

    def thaw(self, modules: list[nn.Module]) -> None:
        """Lets the parameters of these modules train, on copies; batch-norm statistics still stand still."""
        self.thawed = True
        for module in modules:
            for p in module.parameters():
                p.data = p.data.clone()
                p.requires_grad_(True)

    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors of the part `backbone.0`; the shared weights themselves while nothing was thawed."""
        if self.weights is not None and not self.thawed:
            return self.weights
        return {k: t.detach().clone() for k, t in self.body.state_dict().items()}

    def train(self, mode: bool = True) -> Extractor:
        return super().train(False)

    def prepare(self, inputs: Array) -> Tensor:
        """Converts raw rows to a tensor. -> [n, ...]"""
        return torch.from_numpy(np.ascontiguousarray(inputs))

    def companions(self, prepared: Tensor) -> Tensor:
        """The group of each row: rows of one group may share a block. -> [n] int64"""
        return torch.zeros(len(prepared), dtype=torch.int64)

    def rows_at_once(self, companions: int) -> int:
        """Rows of a block: its shape is always the same, so a row's bits owe nothing to its companions."""
        raise NotImplementedError

    def blocks(self) -> Blocks:
        """The stages of the network from input to output, by name, which can be thawed from the end."""
        return stages(self.body, sum(p.numel() for p in self.body.parameters()))


class ImageExtractor(Extractor):
    """Images [n, 1 or 3, h, w] in [-1, 1] -> features. They are resized to side x side and put in the network's scale.

    mean, std: of each channel, where black is 0 and white is 1.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, body: nn.Module, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__(body)
        self.side = side
        # (x + 1) / 2 is in [0, 1]; then (. - mean) / std, in one step
        factor = [0.5 / s for s in std]
        offset = [(0.5 - m) / s for m, s in zip(mean, std, strict=True)]
        self.register_buffer("factor", torch.tensor(factor, device="cpu").reshape(-1, 1, 1), persistent=False)
        self.register_buffer("offset", torch.tensor(offset, device="cpu").reshape(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp(-1, 1)
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if x.shape[-2:] != (self.side, self.side):
            shrinks = max(x.shape[-2:]) > self.side
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False, antialias=shrinks)
        return self.features(x * self.factor + self.offset)

    def features(self, x: Tensor) -> Tensor:
        """Features of images in the network's scale. [n, 3, side, side] -> [n, width]"""
        return cast(Tensor, self.body(x))

    def rows_at_once(self, companions: int) -> int:
        return 16 if self.side <= 128 else 4


def stages(module: nn.Module, parameters: int) -> Blocks:
    """Children that have parameters, in order; lists, and children with over half of all `parameters`, are opened."""
    opened: Blocks = []
    for name, child in module.named_children():
        size = sum(p.numel() for p in child.parameters())
        listed = isinstance(child, nn.ModuleList | nn.Sequential)
        inner = stages(child, parameters) if listed or 2 * size > parameters else []
        if size:
            opened += [(f"{name}.{n}", m) for n, m in inner] if len(inner) > 1 else [(name, child)]
    return opened


def measured(extractor: Extractor, prepared: Tensor) -> tuple[int, int]:
    """Measures (width, multiply-adds) of one row [1, ...]; an extractor without weights (device "meta") will do.

    Counted are products with weights. Those of activations with one another, as of queries and keys, are left out: they
    would add 1 % for MiniLM, 4 % for vit_b_16, 17 % for vit_tiny. Of a network without layers, a program, all are
    counted by its operators.
    """
    work = 0

    def count(layer: nn.Module, _: object, y: Tensor) -> None:
        nonlocal work
        weight = cast(Tensor, layer.weight)
        work += weight.numel() * (y[0, 0].numel() if isinstance(layer, nn.Conv2d) else y[0].numel() // y.shape[-1])

    def count_attention(layer: nn.Module, _: object, outputs: tuple[Tensor, object]) -> None:
        nonlocal work  # torch's own attention reads the weights of its layers and never calls them
        assert isinstance(layer, nn.MultiheadAttention)
        tokens = outputs[0].numel() // layer.embed_dim
        work += tokens * sum(p.numel() for p in layer.parameters() if p.ndim == 2)

    modules = list(extractor.modules())
    hooks = [m.register_forward_hook(count) for m in modules if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks += [m.register_forward_hook(count_attention) for m in modules if isinstance(m, nn.MultiheadAttention)]
    program = None if hooks else _operator_counter()
    try:
        with torch.no_grad(), program or nullcontext():
            y = extractor.features(prepared) if isinstance(extractor, ImageExtractor) else extractor(prepared)
    finally:
        for hook in hooks:
            hook.remove()
    if y.ndim != 2:
        raise ValueError(f"its last layer gives {tuple(y.shape[1:])}, which is no vector of features")
    return int(y.shape[1]), work if program is None else program.get_total_flops() // 2


def _operator_counter() -> FlopCounterMode:
    from torch.utils.flop_counter import FlopCounterMode  # it loads much that nobody else needs

    return FlopCounterMode(display=False)
