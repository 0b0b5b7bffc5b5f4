"""An answer as tensors of the Open Inference Protocol: `class` BYTES [n] and `scores` FP32 [n, classes]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import prod
from typing import Any

import msgspec
import numpy as np

from service.intake.oip_request import Wanted
from service.intake.oip_tensors import LENGTH_BYTES
from service.serving.answers import Answer
from service.serving.predictor import Columns

PIECE = 2048
"""Elements that are written as JSON at once: about 0.1 ms."""
BINARY_PIECE = 32 * PIECE
"""Elements that are copied as bytes at once."""
SCORE_BYTES = 4
CLASS = "class"


class Encoded:
    """The body of an answer: JSON, then the tensors that are wanted as bytes. `json` and `binary` yield it in pieces,
    so that other requests have their turn while a long one is written.

    Scores in JSON are float64; scores as bytes are rounded to float32.
    """

    def __init__(self, answer: Answer, wanted: Sequence[Wanted], request_id: str | None) -> None:
        self.answer, self._wanted = answer, wanted
        self.has_bytes = any(output.binary for output in wanted)
        self._head = {"model_name": answer.loaded.model, "model_version": str(answer.version)}
        if request_id is not None:
            self._head["id"] = request_id

    def whole(self) -> tuple[bytes, int]:
        """The whole body of a short answer, and how many bytes of it are JSON."""
        outputs = []
        for output in self._wanted:
            tensor = self._tensor(output)
            if not output.binary:
                tensor["data"] = msgspec.Raw(b"[%b]" % b",".join(self._data(output.name)))
            outputs.append(tensor)
        json = msgspec.json.encode({**self._head, "outputs": outputs})
        return b"".join((json, *self.binary())) if self.has_bytes else json, len(json)

    def pieces(self) -> Iterator[bytes]:
        """Yields the whole body in pieces."""
        yield from self.json()
        yield from self.binary()

    def json(self) -> Iterator[bytes]:
        """Yields the JSON; a tensor that is wanted as bytes has its size there instead of its data."""
        before = b'%b,"outputs":[' % msgspec.json.encode(self._head)[:-1]
        for output in self._wanted:
            written = before + msgspec.json.encode(self._tensor(output))
            if output.binary:
                yield written
            else:
                before = b'%b,"data":[' % written[:-1]
                for piece in self._data(output.name):
                    yield before + piece
                    before = b","
                yield b"]}"
            before = b","
        yield b"]}"

    def binary(self) -> Iterator[bytes]:
        """Yields the bytes of tensors, in the order of the outputs."""
        for name, binary in self._wanted:
            if binary and name == CLASS:
                elements = self._elements
                for best in self._best():
                    yield b"".join([elements[k] for k in best])
            elif binary:
                flat = self.answer.probabilities.values.ravel()
                for start in range(0, len(flat), BINARY_PIECE):
                    yield flat[start : start + BINARY_PIECE].astype("<f4").tobytes()

    def _tensor(self, output: Wanted) -> dict[str, Any]:
        """A tensor's description, without its data."""
        return self._class(output.binary) if output.name == CLASS else self._scores(output.binary)

    def _data(self, name: str) -> Iterator[bytes]:
        """Yields the elements of a tensor as JSON, with commas between them."""
        return self._names() if name == CLASS else self._numbers()

    def _class(self, binary: bool) -> dict[str, Any]:
        """The tensor of each row's most probable class."""
        best = self.answer.probabilities.best
        tensor: dict[str, Any] = {"name": CLASS, "datatype": "BYTES", "shape": [len(best)]}
        if binary:
            lengths = [len(element) for element in self._elements]
            size = sum(lengths[k] for k in best) if isinstance(best, list) else int(np.array(lengths)[best].sum())
            tensor["parameters"] = {"binary_data_size": size}
        return tensor

    def _scores(self, binary: bool) -> dict[str, Any]:
        """The tensor of probabilities; its parameter `classes` names the columns."""
        shape = list(self.answer.probabilities.values.shape)
        parameters: dict[str, Any] = {"classes": self.answer.loaded.predictor.names}
        if binary:
            parameters["binary_data_size"] = prod(shape) * SCORE_BYTES
        return {"name": "scores", "datatype": "FP32", "shape": shape, "parameters": parameters}

    def _names(self) -> Iterator[bytes]:
        names = [name.encode() for name in self.answer.loaded.predictor.quoted]
        for best in self._best():
            yield b",".join([names[k] for k in best])

    def _numbers(self) -> Iterator[bytes]:
        flat = self.answer.probabilities.values.ravel()
        for start in range(0, len(flat), PIECE):
            yield msgspec.json.encode(flat[start : start + PIECE].tolist())[1:-1]

    def _best(self) -> Iterator[list[int] | Columns]:
        best = self.answer.probabilities.best
        for start in range(0, len(best), PIECE):
            yield best[start : start + PIECE]

    @cached_property
    def _elements(self) -> list[bytes]:
        """The elements of a BYTES tensor, one a class: the length of the name, then the name."""
        names = [name.encode() for name in self.answer.loaded.predictor.names]
        return [len(name).to_bytes(LENGTH_BYTES, "little") + name for name in names]
