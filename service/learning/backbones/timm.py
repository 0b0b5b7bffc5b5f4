"""Architectures of timm without the layer of their classes; side, mean and std as their published weights have them."""

from __future__ import annotations

import timm
from timm.data.config import resolve_model_data_config
from torch import nn

from service.learning.backbones.extractor import ImageExtractor

SIDE = 224


def exists(name: str) -> bool:
    """Is it a model of timm? `name` without the prefix."""
    return bool(timm.is_model(name))


def native_side(name: str) -> int:
    """Side of the images that its published weights were learned with."""
    told = timm.get_pretrained_cfg(name)
    return int(told.input_size[-1]) if told is not None else SIDE


def make(name: str, side: int) -> ImageExtractor:
    """The network without weights."""
    body: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
    if name.startswith("vgg"):
        body.pre_logits = nn.Identity()  # as torchvision's: the mean of the last map
    told = resolve_model_data_config(body)  # type: ignore[no-untyped-call]
    return ImageExtractor(body, side, tuple(told["mean"]), tuple(told["std"]))
