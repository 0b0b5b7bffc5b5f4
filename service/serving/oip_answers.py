"""An answer as tensors of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from service.intake.formats.oip_request import Wanted
from service.serving.answers import Answer


class Encoded:
    """The body of an answer: JSON, then the tensors that are wanted as bytes. `json` and `binary` yield it in pieces,
    so that other requests have their turn while a long one is written.
    """

    def __init__(self, answer: Answer, wanted: Sequence[Wanted], request_id: str | None) -> None:
        self.answer = answer
        self._tensors = [(answer.tensor(output.name), output.binary) for output in wanted]
        self.has_bytes = any(output.binary for output in wanted)
        self._head: dict[str, Any] = {"model_name": answer.loaded.model, "model_version": str(answer.version)}
        if request_id is not None:
            self._head["id"] = request_id
        if notes := answer.notes:
            self._head["parameters"] = {"notes": " ".join(notes)}  # a parameter is no list

    def whole(self) -> tuple[bytes, int]:
        """The whole body of a short answer, and how many bytes of it are JSON."""
        outputs = []
        for tensor, binary in self._tensors:
            output = tensor.described(binary)
            if not binary:
                output["data"] = msgspec.Raw(b"[%b]" % b",".join(tensor.json()))
            outputs.append(output)
        json = msgspec.json.encode({**self._head, "outputs": outputs})
        return b"".join((json, *self.binary())) if self.has_bytes else json, len(json)

    def pieces(self) -> Iterator[bytes]:
        """Yields the whole body in pieces."""
        yield from self.json()
        yield from self.binary()

    def json(self) -> Iterator[bytes]:
        """Yields the JSON; a tensor that is wanted as bytes has its size there instead of its data."""
        before = b'%b,"outputs":[' % msgspec.json.encode(self._head)[:-1]
        for tensor, binary in self._tensors:
            written = before + msgspec.json.encode(tensor.described(binary))
            if binary:
                yield written
            else:
                before = b'%b,"data":[' % written[:-1]
                for piece in tensor.json():
                    yield before + piece
                    before = b","
                yield b"]}"
            before = b","
        yield b"]}"

    def binary(self) -> Iterator[bytes]:
        """Yields the bytes of tensors, in the order of the outputs."""
        for tensor, binary in self._tensors:
            if binary:
                yield from tensor.binary()
