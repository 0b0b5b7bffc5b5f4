"""Architectures of timm without their class layer; side, mean and std are those of their published weights."""

from __future__ import annotations

from torch import nn

from service.learning.backbones.extractor import ImageExtractor
from service.learning.backbones.family import Family

PREFIX = "timm/"
SIDE = 224


def exists(name: str) -> bool:
    import timm

    return bool(timm.is_model(name.removeprefix(PREFIX)))


def published_side(name: str) -> int:
    """The side of the images that its published weights were learned with."""
    import timm

    published = timm.get_pretrained_cfg(name.removeprefix(PREFIX))
    return int(published.input_size[-1]) if published is not None else SIDE


def make(name: str, side: int | None) -> ImageExtractor:
    import timm
    from timm.data.config import resolve_model_data_config

    architecture = name.removeprefix(PREFIX)
    body: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0)
    if architecture.startswith("vgg"):
        body.pre_logits = nn.Identity()  # as torchvision's: the mean of the last map
    published = resolve_model_data_config(body)  # type: ignore[no-untyped-call]
    return ImageExtractor(body, side or published_side(name), tuple(published["mean"]), tuple(published["std"]))


FAMILY = Family("timm/.*", "image", ("timm",), "vision", exists, make, lambda name, images: published_side(name))
