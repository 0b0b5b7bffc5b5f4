"""Published files of weights, as tests make them: whole classifiers of torchvision and timm with random weights."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from service.contract.inputs import Architecture, ImageInput, PretrainedBackbone, TextInput
from service.learning.backbones import residual

IMAGE = ImageInput(kind="image", channels=3, height=16, width=16)
TEXT = TextInput(kind="text")
TINY = PretrainedBackbone(name="resnet18", side=16)
TINIEST = PretrainedBackbone(name="small_resnet/16-64x1", side=16)
LITE = Architecture(backbone=PretrainedBackbone(name="efficientnet_lite0"))


def classifier(name: str) -> nn.Module:
    """The network with its classes and auxiliary outputs; weights by a seed, running statistics away from 0 and 1."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name.startswith("timm/"):
            import timm  # it takes seconds, and most processes that run tests make none of its networks

            made: nn.Module = timm.create_model(name.removeprefix("timm/"), pretrained=False)
        elif name.startswith(residual.PREFIX):
            made = residual.make(name, None).body
        else:
            import torchvision

            options: dict[str, Any] = {}
            if name in ("inception_v3", "googlenet"):
                options = {"aux_logits": True, "transform_input": True, "init_weights": False}
            with torch.device("meta" if name.startswith("vgg") else "cpu"):
                made = torchvision.models.get_model(name, weights=None, **options)
            if name.startswith("vgg"):  # of its 120 million dense weights none is used here
                made.classifier = nn.Sequential(nn.Linear(4, 4))
                for p in made.to_empty(device="cpu").parameters():
                    nn.init.normal_(p, std=0.05)
        for layer in made.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
                layer.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return made.eval()


@cache
def weights_of(name: str) -> str:
    """A safetensors file of `classifier(name)`, as an operator would name it."""
    folder = Path(tempfile.mkdtemp(prefix="weights-"))
    file = folder / f"{name.replace('/', '-')}.safetensors"
    save_file({k: t.contiguous() for k, t in classifier(name).state_dict().items()}, file)
    return str(file)


def files_of(*names: str) -> dict[str, str]:
    """What the settings would say."""
    return {name: weights_of(name) for name in names}


def named_weights(folder: Path) -> str:
    """The setting of a service: a file that is there, one that is not, and one in `folder` that may go away."""
    late = folder / "late.safetensors"
    late.write_bytes(Path(weights_of("mobilenet_v3_small")).read_bytes())
    named = {"resnet18": weights_of("resnet18"), "resnet34": folder / "gone.safetensors", "mobilenet_v3_small": late}
    return ", ".join(f"{name}={file}" for name, file in named.items())
