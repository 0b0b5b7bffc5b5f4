"""An answer as tensors of the Open Inference Protocol: `class` BYTES [n] and `scores` FP32 [n, classes]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from service.intake.inference import Wanted
from service.intake.tensors import LENGTH_BYTES
from service.serving.answers import Answer


def encode(answer: Answer, wanted: Sequence[Wanted], request_id: str | None) -> tuple[bytes, int | None]:
    """The body, and how many bytes of it are JSON where tensors follow as bytes; null where none do.

    Scores as JSON have all digits of the other doors; as bytes they are rounded to float32.
    """
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for name, binary in wanted:
        output, data = _classes(answer, binary) if name == "class" else _scores(answer, binary)
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


def _classes(answer: Answer, binary: bool) -> tuple[dict[str, Any], bytes | list[str]]:
    """The best class of each row, by name."""
    names, best = answer.loaded.predictor.names, answer.shares.best
    output = {"name": "class", "datatype": "BYTES", "shape": [len(best)], "parameters": {}}
    if not binary:
        return output, [names[k] for k in best]
    elements = [name.encode() for name in names]
    return output, b"".join(len(elements[k]).to_bytes(LENGTH_BYTES, "little") + elements[k] for k in best)


def _scores(answer: Answer, binary: bool) -> tuple[dict[str, Any], bytes | list[float]]:
    """Probabilities; the parameter `classes` names the columns."""
    shares = answer.shares.shares
    parameters = {"classes": answer.loaded.predictor.names}
    output = {"name": "scores", "datatype": "FP32", "shape": list(shares.shape), "parameters": parameters}
    return output, shares.astype("<f4").tobytes() if binary else shares.ravel().tolist()
