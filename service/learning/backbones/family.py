"""A family of backbones is one record, made in the file of its library and listed in `FAMILIES`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from service.contract.inputs import ImageInput
from service.learning.backbones.extractor import Extractor


@dataclass(frozen=True)
class Package:
    """A Python package with the weights of one backbone. read(): its tensors · install: a command, if no extra."""

    backbone: str
    module: str
    read: Callable[[], Mapping[str, Tensor]]
    install: str | None = None


@dataclass(frozen=True)
class Family:
    """Backbones that one library makes. The library is imported when one of the functions is called.

    names: pattern of the backbones' names; the first family whose pattern fits makes a backbone · code: packages that
    run it · extra: installs them · exists(name): whether there is such an architecture · make(name, side): the network
    without weights, side None: that of its weights · native_side(name, images): the side to which such images are
    resized unless the model names one · read_file(path): tensors of a file that does not hold the network's state as it
    is · example: name of a file of weights · trains: whether
    anything of it can ·
    learn(weights): remembers an architecture that stands beside its weights, -> its digest; called(name): the name
    of its file in the settings; pinned(name, digest): the name by which a version knows it; check_rows(extractor): runs
    one that anybody may have written, and refuses what is no function of a row alone.
    """

    names: str
    kind: Literal["image", "text"]
    code: tuple[str, ...]
    extra: str
    exists: Callable[[str], bool]
    make: Callable[[str, int | None], Extractor]
    native_side: Callable[[str, ImageInput], int] | None = None
    read_file: Callable[[Path], Mapping[str, Tensor]] | None = None
    package: Package | None = None
    example: str = "weights.safetensors"
    trains: bool = True
    learn: Callable[[Mapping[str, Tensor]], str] | None = None
    called: Callable[[str], str] = lambda name: name
    pinned: Callable[[str, str], str] = lambda name, digest: name
    check_rows: Callable[[Extractor], None] | None = None

    def has(self, name: str) -> bool:
        return re.fullmatch(self.names, name, re.DOTALL) is not None
