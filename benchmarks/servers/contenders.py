"""Who is measured: how each server is started, and how it is asked."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.servers.network import CLASSES

KEY = "a-key-for-benchmarks"
MODEL = "network"
JSON, RAW = "application/json", "application/octet-stream"
HEADER_LENGTH = "Inference-Header-Content-Length"
Row = Sequence[Any]
"""One row as nested lists; tests of bad input put something else than numbers there, or fewer of them."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Contender:
    """A server and one door of it.

    packages: what pip puts into its own environment; without any it runs in this one · command: behind the
    interpreter, `{port}` is filled in · written: one row -> body and further headers; raises TypeError, struct.error
    or ValueError where the form cannot say such a row · best: its answer -> number of the class.
    """

    name: str
    command: str
    path: str
    written: Callable[[Row], tuple[bytes, dict[str, str]]]
    best: Callable[[bytes], int]
    media: str = JSON
    packages: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.command == OURS

    def asks(self, row: Row) -> Asked:
        body, more = self.written(row)
        return Asked(self.path, body, {"Content-Type": self.media, **self.headers, **more})


def _json(make: Callable[[Row], Any]) -> Callable[[Row], tuple[bytes, dict[str, str]]]:
    return lambda row: (json.dumps(make(row)).encode(), {})


def _shape(row: Any) -> list[int]:
    return [len(row), *_shape(row[0])] if isinstance(row, Sequence) else []


def flat(row: Any) -> list[Any]:
    """The numbers of a row, in order."""
    return [x for part in row for x in flat(part)] if isinstance(row, Sequence) else [row]


def _floats(row: Row) -> bytes:
    numbers = flat(row)
    return struct.pack(f"<{len(numbers)}f", *numbers)


def _tensor(row: Row, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [1, *_shape(row)], "datatype": "FP32", **more}]}


def _binary(row: Row) -> tuple[bytes, dict[str, str]]:
    data = _floats(row)
    head = json.dumps(_tensor(row, parameters={"binary_data_size": len(data)})).encode()
    return head + data, {HEADER_LENGTH: str(len(head))}


def _npy(row: Row) -> tuple[bytes, dict[str, str]]:
    file = io.BytesIO()
    np.save(file, np.frombuffer(_floats(row), np.float32).reshape(1, *_shape(row)))
    return file.getvalue(), {}


def _highest(scores: Any) -> int:
    values = np.asarray(scores, float).ravel()
    if len(values) != CLASSES:
        raise ValueError(f"{len(values)} scores")
    return int(values.argmax())


OURS = "-m service.cli serve --port {port}"
_PREDICTIONS, _INFER = f"/v1/models/{MODEL}/predictions", f"/v2/models/{MODEL}/infer"
_AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
TORCH = "torch>=2.6"


def _ours(name: str, path: str, written: Callable[[Row], tuple[bytes, dict[str, str]]], media: str) -> Contender:
    def best(answer: bytes) -> int:
        content = json.loads(answer)
        return int(content["outputs"][0]["data"][0] if path == _INFER else content["predictions"][0]["class"])

    return Contender(name, OURS, path, written, best, media, headers=_AUTHORIZED)


def _peer(name: str, path: str, make: Callable[[Row], Any], scores: Callable[[Any], Any], *packages: str) -> Contender:
    serves = "-m bentoml serve benchmarks.servers.bentoml:Network --host 127.0.0.1 --port {port}"
    command = serves if name == "bentoml" else f"-m benchmarks.servers.{name}"
    return Contender(
        name, command, path, _json(make), lambda content: _highest(scores(json.loads(content))), packages=packages
    )


def _x(row: Row) -> Any:
    return {"x": row}


def _scores(content: Any) -> Any:
    return content["scores"]


PEERS = (
    _peer(
        "mlserver",
        _INFER,
        lambda row: _tensor(row, data=flat(row)),
        lambda content: content["outputs"][0]["data"],
        *(TORCH, "mlserver", "numpy"),
    ),
    _peer("litserve", "/predict", _x, _scores, TORCH, "litserve", "numpy"),
    _peer("bentoml", "/predict", lambda row: {"x": [row]}, lambda content: content, TORCH, "bentoml", "numpy"),
    _peer(
        "mlflow",
        "/invocations",
        lambda row: {"inputs": [row]},
        lambda content: content["predictions"],
        *(TORCH, "mlflow", "numpy", "uvloop", "httptools"),
    ),
)
FLOOR = _peer("floor", "/", _x, _scores)
DOORS = (
    _ours("ours", _PREDICTIONS, _json(lambda row: {"inputs": [row]}), JSON),
    _ours("ours-f32", _PREDICTIONS, lambda row: (_floats(row), {}), RAW),
    _ours("ours-npy", _PREDICTIONS, _npy, "application/x-npy"),
    _ours("ours-v2", _INFER, _json(lambda row: _tensor(row, data=flat(row))), JSON),
    _ours("ours-v2-binary", _INFER, _binary, RAW),
)
CONTENDERS = {c.name: c for c in (*PEERS, FLOOR, *DOORS)}
BASE, OTHERS = "mlserver", ("litserve", "bentoml", "mlflow")
"""The peer that ratios refer to, and those of which the best is another."""
