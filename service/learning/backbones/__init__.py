"""Pretrained backbones: which there are, what each needs, how one is made. Each library is imported in its file alone.

A family is one record, in the file of its library. Two come as packages (`efficientnet_lite0`, `minilm`). Of
torchvision, timm and `residual` those are usable whose weights the operator named or an imported version brings along;
a request never names a file.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from service.learning.backbones import efficientnet, minilm, residual, timm, torchvision
from service.learning.backbones.extractor import Extractor, SharedWeights, measured
from service.learning.backbones.family import Family

SETTING = "TSUIKA_WEIGHTS"


FAMILIES = (efficientnet.FAMILY, minilm.FAMILY, residual.FAMILY, timm.FAMILY, torchvision.FAMILY)
"""The one list of families. A family is one file here and one entry in this list; the last takes all other names."""


def family(name: str) -> Family:
    """The family that a backbone of that name is of, if there is one."""
    return next(family for family in FAMILIES if family.has(name))


def missing_code(name: str) -> str | None:
    """What its code lacks here, and what to do; null: nothing."""
    source = family(name)
    missing = [package for package in source.code if find_spec(package) is None]
    if not missing:
        return None
    return (
        f'The backbone "{name[:100]}" needs {" and ".join(missing)}, which this service does not have. Install the '
        f"extra: pip install 'tsuika[{source.extra}]'."
    )


def exists(name: str) -> bool:
    """Is there an architecture of that name? Imports its library."""
    return family(name).exists(name)


def resolved(spec: InputSpec, backbone: PretrainedBackbone) -> PretrainedBackbone:
    """With the side that it will have on such images: what is stored with a version."""
    if backbone.side is not None or not isinstance(spec, ImageInput):
        return backbone
    return backbone.model_copy(update={"side": native_side(backbone.name, spec)})


def native_side(name: str, images: ImageInput) -> int:
    """Side that such images are resized to unless the model names one."""
    side = family(name).native_side
    assert side is not None
    return side(name, images)


def starting_weights(backbone: Backbone, files: Mapping[str, str]) -> SharedWeights:
    """The weights that a first version starts from: of the file that the operator named, else of the package.

    Raises MethodRefused where they are not here any more.
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


def pretrained(backbone: PretrainedBackbone, files: Mapping[str, str]) -> SharedWeights:
    """As `starting_weights`. Raises ImportError, OSError, SafetensorError, ValueError where they cannot be read."""
    path = files.get(backbone.name)
    stamp = (Path(path).stat().st_mtime_ns, Path(path).stat().st_size) if path is not None else None
    return _pretrained(backbone.name, path, stamp)


@lru_cache(maxsize=2)
def _pretrained(name: str, path: str | None, stamp: tuple[int, int] | None) -> SharedWeights:
    source = family(name)
    if path is None:
        if source.package is None:
            raise ValueError(f"no file of weights is named for {name}")
        return SharedWeights(_floats(source.package.read()))
    if source.read_file is not None:
        return SharedWeights(_floats(source.read_file(Path(path))))
    read, weights = load_file(path), dict[str, Tensor]()
    for key, tensor in skeleton(name, None).body.state_dict().items():
        if key not in read and key.endswith("num_batches_tracked"):
            read[key] = torch.zeros((), dtype=tensor.dtype)
        if key not in read or read[key].shape != tensor.shape:
            raise ValueError(f"it has no tensor {key} of shape {tuple(tensor.shape)}")
        weights[key] = read[key]
    return SharedWeights(_floats(weights))


def _floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Half precision as float32: the head is exact about float32 features."""
    return {k: t.float().contiguous() if t.is_floating_point() else t.contiguous() for k, t in tensors.items()}


def load(backbone: PretrainedBackbone, weights: Mapping[str, Tensor]) -> Extractor:
    """The frozen network with these weights, which it shares. Raises MethodRefused where the code of its library is not
    here, RuntimeError where the weights do not fit."""
    made = bare(backbone, weights)
    made.width, made.multiply_adds = facts(backbone)
    return made


def bare(backbone: PretrainedBackbone, weights: Mapping[str, Tensor]) -> Extractor:
    """The same without its facts, which ask for a part of torch that takes a second and 75 MB to import."""
    if lacking := missing_code(backbone.name):
        raise MethodRefused(lacking)
    made = deepcopy(skeleton(backbone.name, backbone.side))
    made.load(weights)
    if any(t.is_meta for t in (*made.parameters(), *made.buffers())):
        # a table that the library computes and does not store
        with torch.random.fork_rng():
            made = _bare(backbone.name, backbone.side, "cpu")
        made.load(weights)
    return made


@lru_cache(maxsize=64)
def facts(backbone: PretrainedBackbone) -> tuple[int, int]:
    """(features, multiply-adds of one row; of a text of 32 tokens). Raises where it cannot work on such a side."""
    made = skeleton(backbone.name, backbone.side)
    side = backbone.side or 224
    row = torch.empty(1, 3, side, side, device="meta")
    if family(backbone.name).kind == "text":
        row = torch.zeros(1, 32, dtype=torch.int64, device="meta")
    width, work = measured(made, row)
    if width > WIDEST_EXACT:
        raise ValueError(f"it has {width:,} features; exact sums take {WIDEST_EXACT:,}")
    return width, work


@lru_cache(maxsize=16)
def skeleton(name: str, side: int | None) -> Extractor:
    """A network without weights that is never changed, only copied: making one anew can take half a second."""
    return _bare(name, side).eval()


def bounded(backbone: PretrainedBackbone) -> bool:
    """Does it state a bound of its features, so that its grid owes nothing to any batch?"""
    return skeleton(backbone.name, backbone.side).bound is not None


def _bare(name: str, side: int | None, device: str = "meta") -> Extractor:
    """The network without weights; on "meta" it takes neither memory nor random numbers."""
    with torch.device(device):
        return family(name).make(name, side)


def reason(error: Exception) -> str:
    """An error in a line, without the path of a file: that is the operator's own business."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or "the file cannot be read"
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
