"""An answer as tensors of the Open Inference Protocol: `class` BYTES [n] and `scores` FP32 [n, classes]."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from service.intake.inference import Wanted
from service.intake.tensors import LENGTH_BYTES
from service.serving.answers import Answer

PIECE = 2048
"""Elements that are written at once: about 0.1 ms."""

Data = bytes | msgspec.Raw
"""Of a tensor: its bytes, or JSON."""


def encode(
    answer: Answer, wanted: Sequence[Wanted], request_id: str | None
) -> Generator[None, None, tuple[bytes, int | None]]:
    """The body, and how many bytes of it are JSON where tensors follow as bytes; null where none do. It yields between
    pieces, so that others have their turn while a long one is written.

    Scores as JSON have all digits of the other doors; as bytes they are rounded to float32.
    """
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, binary in wanted:
        output, data = yield from (_classes if name == "class" else _scores)(answer, binary)
        if isinstance(data, bytes):
            output["parameters"]["binary_data_size"] = len(data)
            behind.append(data)
        else:
            output["data"] = data
        outputs.append({k: v for k, v in output.items() if v != {}})
    told: dict[str, Any] = {"model_name": answer.loaded.model, "model_version": str(answer.version)}
    if request_id is not None:
        told["id"] = request_id
    json = msgspec.json.encode({**told, "outputs": outputs})
    return b"".join((json, *behind)), len(json) if behind else None


def _classes(answer: Answer, binary: bool) -> Generator[None, None, tuple[dict[str, Any], Data]]:
    """The best class of each row, by name."""
    best, named = answer.shares.best, answer.loaded.predictor
    output = {"name": "class", "datatype": "BYTES", "shape": [len(best)], "parameters": {}}
    texts = [name.encode() for name in (named.names if binary else named.quoted)]
    elements = [len(text).to_bytes(LENGTH_BYTES, "little") + text for text in texts] if binary else texts
    pieces, between = list[bytes](), b"" if binary else b","
    for start in range(0, len(best), PIECE):
        if start:
            yield
        pieces.append(between.join([elements[k] for k in best[start : start + PIECE]]))
    return output, b"".join(pieces) if binary else msgspec.Raw(b"[%b]" % b",".join(pieces))


def _scores(answer: Answer, binary: bool) -> Generator[None, None, tuple[dict[str, Any], Data]]:
    """Probabilities; the parameter `classes` names the columns."""
    shares = answer.shares.shares
    parameters = {"classes": answer.loaded.predictor.names}
    output = {"name": "scores", "datatype": "FP32", "shape": list(shares.shape), "parameters": parameters}
    if binary:
        return output, shares.astype("<f4").tobytes()
    flat, pieces = shares.ravel(), list[bytes]()
    for start in range(0, len(flat), PIECE):
        if start:
            yield
        pieces.append(msgspec.json.encode(flat[start : start + PIECE].tolist())[1:-1])
    return output, msgspec.Raw(b"[%b]" % b",".join(pieces))
