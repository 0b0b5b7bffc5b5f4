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
"""Elements that are written at once: about 0.1 ms."""
BINARY_PIECE = 32 * PIECE
"""Of those that are copied as bytes."""
SCORE_BYTES = 4
CLASS = "class"


class Encoded:
    """The body of an answer: JSON, and behind it tensors as bytes where they are wanted so. `json` and `behind` give it
    in pieces, so that others have their turn while a long one is written.

    Scores as JSON have all digits of the other doors; as bytes they are rounded to float32.
    """

    def __init__(self, answer: Answer, wanted: Sequence[Wanted], request_id: str | None) -> None:
        self.answer, self._wanted = answer, wanted
        self.has_bytes = any(output.binary for output in wanted)
        told = {"model_name": answer.loaded.model, "model_version": str(answer.version)}
        self._told = told if request_id is None else {**told, "id": request_id}

    def whole(self) -> tuple[bytes, int]:
        """All of it at once, of a short answer; and how many bytes are JSON."""
        outputs = []
        for output in self._wanted:
            about = self._about(output)
            if not output.binary:
                about["data"] = msgspec.Raw(b"[%b]" % b",".join(self._data(output.name)))
            outputs.append(about)
        json = msgspec.json.encode({**self._told, "outputs": outputs})
        return b"".join((json, *self.behind())) if self.has_bytes else json, len(json)

    def pieces(self) -> Iterator[bytes]:
        """All of it in pieces."""
        yield from self.json()
        yield from self.behind()

    def json(self) -> Iterator[bytes]:
        """The JSON; of a tensor that is wanted as bytes it says how many they are."""
        before = b'%b,"outputs":[' % msgspec.json.encode(self._told)[:-1]
        for output in self._wanted:
            written = before + msgspec.json.encode(self._about(output))
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

    def behind(self) -> Iterator[bytes]:
        """The bytes of tensors, in the order of the outputs."""
        for name, binary in self._wanted:
            if binary and name == CLASS:
                elements = self._elements
                for best in self._best():
                    yield b"".join([elements[k] for k in best])
            elif binary:
                flat = self.answer.shares.shares.ravel()
                for start in range(0, len(flat), BINARY_PIECE):
                    yield flat[start : start + BINARY_PIECE].astype("<f4").tobytes()

    def _about(self, output: Wanted) -> dict[str, Any]:
        """A tensor but for its data."""
        return self._class(output.binary) if output.name == CLASS else self._scores(output.binary)

    def _data(self, name: str) -> Iterator[bytes]:
        """The elements of a tensor as JSON, with commas between them."""
        return self._names() if name == CLASS else self._numbers()

    def _class(self, binary: bool) -> dict[str, Any]:
        """The best class of each row, by name."""
        best = self.answer.shares.best
        about: dict[str, Any] = {"name": CLASS, "datatype": "BYTES", "shape": [len(best)]}
        if binary:
            lengths = [len(element) for element in self._elements]
            size = sum(lengths[k] for k in best) if isinstance(best, list) else int(np.array(lengths)[best].sum())
            about["parameters"] = {"binary_data_size": size}
        return about

    def _scores(self, binary: bool) -> dict[str, Any]:
        """Probabilities; the parameter `classes` names the columns."""
        shape = list(self.answer.shares.shares.shape)
        parameters: dict[str, Any] = {"classes": self.answer.loaded.predictor.names}
        if binary:
            parameters["binary_data_size"] = prod(shape) * SCORE_BYTES
        return {"name": "scores", "datatype": "FP32", "shape": shape, "parameters": parameters}

    def _names(self) -> Iterator[bytes]:
        names = [name.encode() for name in self.answer.loaded.predictor.quoted]
        for best in self._best():
            yield b",".join([names[k] for k in best])

    def _numbers(self) -> Iterator[bytes]:
        flat = self.answer.shares.shares.ravel()
        for start in range(0, len(flat), PIECE):
            yield msgspec.json.encode(flat[start : start + PIECE].tolist())[1:-1]

    def _best(self) -> Iterator[list[int] | Columns]:
        best = self.answer.shares.best
        for start in range(0, len(best), PIECE):
            yield best[start : start + PIECE]

    @cached_property
    def _elements(self) -> list[bytes]:
        """Of a BYTES tensor, by class: the length of a name, then the name."""
        names = [name.encode() for name in self.answer.loaded.predictor.names]
        return [len(name).to_bytes(LENGTH_BYTES, "little") + name for name in names]
