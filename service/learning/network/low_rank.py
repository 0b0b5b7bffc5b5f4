"""Low-rank branches beside the layers of a backbone: y = W0 x + sum over updates of (alpha / r) B A x.

B starts at zero, so a new branch changes nothing; what was learned before is never written to (Hu et al.: LoRA, 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.network.blocks import Block, Bottleneck, GrownLinear
from service.learning.network.convolutions import KERNEL, Stage

Target = nn.Linear | nn.Conv2d | GrownLinear
BORDERS = (nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)


class LowRank(nn.Module):
    """One update's branch beside one layer. at: the layer's name in its backbone · scale: alpha / r.

    down: A [r, in], or filters [r, in, kh, kw] like the layer's · up: B [out, r], or [out, r, 1, 1] · offset: [r], the
    bias, which does not train: 0 unless A was trained on centred inputs, whose mean it takes off.
    """

    offset: Tensor

    def __init__(self, at: str, weights: Bottleneck, scale: float, part: str, key: str) -> None:
        super().__init__()
        self.at, self.scale, self.part, self.key = at, scale, part, key
        self.down, self.up = nn.Parameter(weights.down), nn.Parameter(weights.up)
        self.register_buffer("offset", weights.bias)
        self.layers: tuple[nn.Module, ...] = ()
        self.uses = 1

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one row; beside a layer of a pretrained network, of one pixel or token of it."""
        return (self.down.numel() + self.up.numel()) * self.uses

    def tensors(self) -> dict[str, Tensor]:
        return Bottleneck(self.down, self.offset, self.up).tensors(self.key)

    def add_to(self, layer: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """Adds the branch to the layer's output y. Units that the layer has gained since stay as they are."""
        x, outputs = inputs[0], len(self.up)
        if isinstance(layer, nn.Linear):
            return y + self._dense(x)
        columns = self.down.shape[1]
        x = x if x.shape[1] == columns else x[:, :columns].contiguous()
        if isinstance(layer, nn.Conv2d):
            inner = F.conv2d(_padded(layer, x, y), self.down, None, layer.stride, layer.padding, layer.dilation)
            return y + self.scale * F.conv2d(inner, self.up)
        if self.down.ndim == 2:
            more = self._dense(x)
        else:
            more = self.scale * F.conv2d(F.conv2d(x, self.down, padding=KERNEL // 2), self.up)
        return y + more if y.shape[1] == outputs else torch.cat([y[:, :outputs] + more, y[:, outputs:]], 1)

    def _dense(self, x: Tensor) -> Tensor:
        return self.scale * F.linear(F.linear(x, self.down, self.offset), self.up)

    @property
    def product(self) -> Tensor:
        """(alpha / r) B A, in the layer's own shape."""
        return self.scale * torch.einsum("or,r...->o...", self.up.detach().flatten(1), self.down.detach())


def _padded(layer: nn.Conv2d, x: Tensor, y: Tensor) -> Tensor:
    """Pads the input of a convolution as the layer did beyond its own `padding` when it computed y.

    Some pad by a module of their own (EfficientNet-Lite), some by hand as TensorFlow's "same" does (timm's
    Conv2dSame): as much as the size of y asks for, an odd pixel at the end.
    """
    for child in layer.children():
        x = child(x) if isinstance(child, BORDERS) else x
    assert isinstance(layer.padding, tuple)
    high, wide = (
        max((size - 1) * stride + (kernel - 1) * dilation + 1 - side - 2 * padding, 0)
        for size, stride, kernel, dilation, side, padding in zip(
            y.shape[-2:], layer.stride, layer.kernel_size, layer.dilation, x.shape[-2:], layer.padding, strict=True
        )
    )
    return F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2)) if high or wide else x


def attach(backbone: nn.Module, branch: LowRank) -> LowRank:
    layer = backbone.get_submodule(branch.at)
    layer.register_forward_hook(branch.add_to)
    branch.layers = (layer,)
    if isinstance(layer, GrownLinear):
        branch.uses = layer.uses
    return branch


def targets(backbone: nn.Module) -> Iterator[tuple[str, Target]]:
    """Yields the layers that can have a branch, by name: dense ones and convolutions without groups.

    Layers inside torch's own attention are left out: it reads their weights and never calls them.
    """
    hidden = tuple(f"{name}." for name, m in backbone.named_modules() if isinstance(m, nn.MultiheadAttention))
    for name, module in backbone.named_modules():
        if name.startswith(hidden):
            continue
        plain = isinstance(module, nn.Conv2d) and module.groups == 1 and isinstance(module.padding, tuple)
        if isinstance(module, nn.Linear | GrownLinear) or plain:
            yield name, module


def new_branch(at: str, layer: Target, rank: int, alpha: float, part: str, generator: torch.Generator) -> LowRank:
    """Draws a branch beside a layer: A ~ U(-b, b) with b = 1 / sqrt(inputs) (Kaiming's, a = sqrt 5), B = 0."""
    kernel: tuple[int, ...]
    if isinstance(layer, GrownLinear):
        kernel = (KERNEL, KERNEL) if isinstance(layer, Stage) else ()
        inputs, outputs = layer.in_features, sum(len(b.weight) for b in layer if b.bias is not None)
    else:
        kernel, (outputs, inputs) = tuple(layer.weight.shape[2:]), layer.weight.shape[:2]
    down = torch.rand(rank, inputs, *kernel, generator=generator) * 2 - 1
    down = down / down[0].numel() ** 0.5
    up = torch.zeros(outputs, rank, *(1 for _ in kernel))
    return LowRank(at, Bottleneck(down, torch.zeros(rank), up), alpha / rank, part, f"{at}.")


@torch.no_grad()
def fold(backbone: nn.Module, branches: nn.ModuleList) -> None:
    """Adds all branches to the weights of their layers, in place, and removes them; see `grown_beside` first."""
    for branch in (cast(LowRank, branch) for branch in branches):
        layer = backbone.get_submodule(branch.at)
        owner = cast(nn.Linear | nn.Conv2d | Block, next(iter(layer)) if isinstance(layer, GrownLinear) else layer)
        owner.weight.add_(branch.product)
        if bool(branch.offset.any()):
            assert owner.bias is not None
            owner.bias.add_(branch.scale * branch.up @ branch.offset)
        branch.layers[0]._forward_hooks.clear()
    del branches[:]


def grown_beside(backbone: nn.Module, branches: nn.ModuleList) -> str | None:
    """The name of a layer that has grown by blocks, so that no one matrix could take its branch; else None."""
    for branch in (cast(LowRank, branch) for branch in branches):
        layer = backbone.get_submodule(branch.at)
        if isinstance(layer, GrownLinear) and len(layer.blocks) > 1:
            return branch.at
    return None
