"""Residual networks for small images, in plain torch: `small_resnet/16-32-64x3` has stages of 16, 32 and 64 filters
with three blocks each, which is ResNet-20.

He et al., "Deep residual learning for image recognition", 2015, section 4.2: a convolution 3x3 at full size, then
stages of blocks of two, each stage behind the first at half the size; where a block changes the size or the filters,
its shortcut is a convolution 1x1 (option B). The feature is the mean of the last map. Tensors have torchvision's names.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from service.learning.backbones.extractor import Blocks, ImageExtractor
from service.learning.backbones.family import Family

PREFIX = "small_resnet/"
NAME = re.compile(r"([1-9]\d{0,2}(?:-[1-9]\d{0,2}){0,3})x([1-9]\d?)")
"""Filters of one to four stages, and blocks a stage."""
MEAN, STD = (0.0,) * 3, (1.0,) * 3
"""Pixels in [0, 1] are taken as they are."""
SIDE, LEAST_SIDE = 32, 16
"""The side without a named one; by default images keep their own, which is at least 16."""


class Block(nn.Module):
    """Two convolutions 3x3 with batch norms, and the shortcut. [n, in, h, w] -> [n, out, h / step, w / step]"""

    def __init__(self, channels: int, filters: int, step: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, step, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = nn.Sequential()
        if step > 1 or channels != filters:
            self.downsample.append(nn.Conv2d(channels, filters, 1, step, bias=False))
            self.downsample.append(nn.BatchNorm2d(filters))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu_()))
        y += self.downsample(x)
        return torch.relu_(y)


class SmallResNet(nn.Module):
    """Images [n, 3, h, w] -> means of the last map [n, filters of the last stage]."""

    def __init__(self, filters: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, filters[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters[0])
        channels, self.stages = filters[0], [f"layer{k + 1}" for k in range(len(filters))]
        for name, wide in zip(self.stages, filters, strict=True):
            stage = nn.Sequential()
            for k in range(blocks):
                stage.append(Block(channels, wide, 2 if k == 0 and name != "layer1" else 1))
                channels = wide
            self.add_module(name, stage)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu_()
        for name in self.stages:
            x = getattr(self, name)(x)
        return x.mean((2, 3))


class Residual(ImageExtractor):
    """The mean of the last feature map of a small ResNet."""

    def blocks(self) -> Blocks:
        stem = nn.ModuleList([self.body.get_submodule(name) for name in ("conv1", "bn1")])
        return [("stem", stem), *((n, m) for n, m in self.body.named_modules() if isinstance(m, Block))]


def exists(name: str) -> bool:
    return NAME.fullmatch(name.removeprefix(PREFIX)) is not None


def make(name: str, side: int | None) -> Residual:
    """Makes the network without weights. Raises ValueError where the name describes none."""
    shape = NAME.fullmatch(name.removeprefix(PREFIX))
    if shape is None:
        raise ValueError(f'a small ResNet is named like "{PREFIX}16-32-64x3": filters of its stages, blocks a stage')
    filters = tuple(int(number) for number in shape[1].split("-"))
    return Residual(SmallResNet(filters, int(shape[2])), side or SIDE, MEAN, STD)


FAMILY = Family(
    f"{PREFIX}.*",
    "image",
    (),
    "vision",
    exists,
    make,
    lambda name, images: max(images.height, images.width, LEAST_SIDE),
)
