"""A family of backbones: one record, made in the file of its library and listed in `FAMILIES`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from service.contract.inputs import ImageInput
from service.learning.backbones.extractor import Extractor

ReadsFile = Callable[[Path], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Package:
    """A Python package that holds the weights of one backbone. read: its tensors · install: how, if not by an extra."""

    backbone: str
    module: str
    read: Callable[[], Mapping[str, Tensor]]
    install: str | None = None


@dataclass(frozen=True)
class Family:
    """Backbones that one library makes. Nothing of the library is imported before one of the functions is called.

    names: pattern of the backbones' names; of the families in the list the first whose pattern fits makes a backbone ·
    code: packages that run it · extra: which installs them · exists(name): is there such an architecture? ·
    make(name, side): the network without weights; None: the side that its weights were learned with ·
    native_side(name, images): what such images are resized to unless the model names a side · read_file: tensors of a
    file that are not the network's state as it stands.
    """

    names: str
    kind: Literal["image", "text"]
    code: tuple[str, ...]
    extra: str
    exists: Callable[[str], bool]
    make: Callable[[str, int | None], Extractor]
    native_side: Callable[[str, ImageInput], int] | None = None
    read_file: ReadsFile | None = None
    package: Package | None = None

    def has(self, name: str) -> bool:
        """Is a backbone of that name, should there be one, of this family?"""
        return re.fullmatch(self.names, name, re.DOTALL) is not None
