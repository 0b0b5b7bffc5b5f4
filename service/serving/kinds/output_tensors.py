"""Tensors of the Open Inference Protocol that answers are written as, in pieces, as JSON or as bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.intake.formats.oip_tensors import LENGTH_BYTES

PIECE = 2048
"""Elements that are written as JSON at once: about 0.1 ms."""
BINARY_PIECE = 32 * PIECE
"""Elements that are copied as bytes at once."""
FLOATS = {"FP32": "<f4", "FP64": "<f8"}


class OutputShape(NamedTuple):
    """What an output looks like; -1: any number."""

    name: str
    datatype: str
    shape: list[int]


class OutputTensor(Protocol):
    """A tensor of an answer."""

    def described(self, binary: bool) -> dict[str, Any]:
        """Name, datatype, shape and parameters, without its data."""

    def json(self) -> Iterator[bytes]:
        """Yields its elements as JSON, with commas between them."""

    def binary(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, eq=False)
class FloatTensor:
    """Numbers of any shape: in JSON with all their digits, as bytes rounded to the datatype."""

    name: str
    datatype: str
    values: NDArray[np.float64]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def described(self, binary: bool) -> dict[str, Any]:
        size = {"binary_data_size": self.values.size * np.dtype(FLOATS[self.datatype]).itemsize} if binary else {}
        described = {"name": self.name, "datatype": self.datatype, "shape": list(self.values.shape)}
        return {**described, "parameters": {**self.parameters, **size}}

    def json(self) -> Iterator[bytes]:
        flat = self.values.ravel()
        for start in range(0, len(flat), PIECE):
            yield msgspec.json.encode(flat[start : start + PIECE].tolist())[1:-1]

    def binary(self) -> Iterator[bytes]:
        flat = self.values.ravel()
        for start in range(0, len(flat), BINARY_PIECE):
            yield flat[start : start + BINARY_PIECE].astype(FLOATS[self.datatype]).tobytes()


@dataclass(frozen=True, eq=False)
class NameTensor:
    """One name a row. `places`: by row, where its name stands in `names`; `quoted`: these as JSON."""

    name: str
    places: list[int] | NDArray[np.integer[Any]]
    names: Sequence[str]
    quoted: Sequence[str]

    def described(self, binary: bool) -> dict[str, Any]:
        tensor: dict[str, Any] = {"name": self.name, "datatype": "BYTES", "shape": [len(self.places)]}
        if binary:
            lengths = [len(element) for element in self._elements]
            places = self.places
            size = sum(lengths[k] for k in places) if isinstance(places, list) else int(np.array(lengths)[places].sum())
            tensor["parameters"] = {"binary_data_size": size}
        return tensor

    def json(self) -> Iterator[bytes]:
        quoted = [name.encode() for name in self.quoted]
        for places in self._pieces():
            yield b",".join([quoted[k] for k in places])

    def binary(self) -> Iterator[bytes]:
        elements = self._elements
        for places in self._pieces():
            yield b"".join([elements[k] for k in places])

    def _pieces(self) -> Iterator[list[int] | NDArray[np.integer[Any]]]:
        for start in range(0, len(self.places), PIECE):
            yield self.places[start : start + PIECE]

    @cached_property
    def _elements(self) -> list[bytes]:
        """Elements of a BYTES tensor: the length of the name, then the name."""
        names = [name.encode() for name in self.names]
        return [len(name).to_bytes(LENGTH_BYTES, "little") + name for name in names]
