"""Architectures of torchvision without the layer of the ImageNet classes.

The features are the inputs of that layer. Two families of networks need more than that:
VGG: the mean of the last map (512), not the 4,096 units of its dense layers: those were shaped for the classes of
ImageNet, take 9/10 of its weights, and make an exact head 500 times as dear.
Inception and GoogLeNet: published weights expect inputs in [-1, 1], which `transform_input` makes of images in the
scale of the other networks; auxiliary outputs exist for training only and are left out.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from service.learning.backbones.extractor import ImageExtractor
from service.learning.backbones.family import Family

INCEPTIONS = ("inception_v3", "googlenet")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224


def exists(name: str) -> bool:
    import torchvision

    return name in torchvision.models.list_models(module=torchvision.models)


def make(name: str, side: int | None) -> ImageExtractor:
    """Makes the network without weights. Raises ValueError for any other network: those that find or segment load the
    weights of their backbone from the internet."""
    import torchvision

    if not exists(name):
        raise ValueError(f"torchvision has no such network of classes: {name}")
    options: dict[str, Any] = {}
    if name in INCEPTIONS:
        options = {"aux_logits": False, "transform_input": True, "init_weights": False}
    body = torchvision.models.get_model(name, weights=None, **options)
    if name.startswith("vgg"):
        body.avgpool, body.classifier = nn.AdaptiveAvgPool2d(1), nn.Identity()
    else:
        _behead(body)
    published = _published(name)
    return ImageExtractor(body, side or published["side"], published["mean"], published["std"])


def _behead(body: nn.Module) -> None:
    """Replaces the last dense layer with the identity. Raises ValueError where there is none."""
    dense = [name for name, layer in body.named_modules() if isinstance(layer, nn.Linear)]
    if not dense:
        raise ValueError("its classes are no dense layer, before which features could be taken")
    parent, _, name = dense[-1].rpartition(".")
    setattr(body.get_submodule(parent), name, nn.Identity())


def _published(name: str) -> dict[str, Any]:
    import torchvision

    try:
        transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        return {"side": transforms.crop_size[0], "mean": tuple(transforms.mean), "std": tuple(transforms.std)}
    except (ValueError, AttributeError):
        return {"side": SIDE, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}


FAMILY = Family(".*", "image", ("torchvision",), "vision", exists, make, lambda name, images: _published(name)["side"])
"""The family that takes every name."""
