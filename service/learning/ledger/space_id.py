"""Ids of feature spaces: a hash of everything that decides a rounded feature."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from service.contract.inputs import PretrainedBackbone
from service.contract.tables import TableInput, table_facts
from service.learning.backbones.extractor import SharedWeights
from service.learning.network.checkpoint import FROZEN, Tensors, of_kinds
from service.learning.network.network import Network, parts_of


def space_id(network: Network) -> str:
    """Returns the SHA-256 of everything that decides a rounded feature, 64 hexadecimal digits.

    Bytes hashed, in this order: (1) sorted compact JSON, UTF-8, of {"input": shape, "backbone": its layout, "layers":
    its blocks, "lifts": [[kind, width], ...], "shift": s}, and where there are any "inserted" layers, "low_rank"
    branches, "table" (its columns and indicators) and "numbers" (the grid of targets), then a zero byte; (2) for each
    part out of `scale`, `backbone.<n>`, `lift.<n>`, sorted by name, and each of its tensors, sorted by name:
    "part/tensor" UTF-8, a zero byte, the dtype's name ("float32") and a zero byte, the number of dimensions and each
    of them as int64, then the values row by row. All numbers little-endian. Of a pretrained backbone in the place of
    its tensors: "backbone.0", a zero byte and the digest of the shard that holds them.
    """
    layout = network.layout
    facts: dict[str, Any] = {
        "input": layout.input.shape,
        "backbone": layout.backbone.model_dump(mode="json"),
        "layers": [[block.model_dump(mode="json") for block in layer] for layer in layout.layers],
        "lifts": [[lift.kind, lift.width] for lift in layout.lifts],
        "shift": layout.shift,
    }
    inserted = [one for one in layout.inserted if one.of == "backbone"]
    for name, additions in (("inserted", inserted), ("low_rank", layout.low_rank)):
        if additions:
            facts[name] = [one.model_dump(mode="json") for one in additions]
    if isinstance(layout.input, TableInput):
        facts["table"] = table_facts(layout.input)
    if layout.numbers is not None:
        facts["numbers"] = layout.numbers.model_dump(mode="json")
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode() + b"\0")
    for part, tensors in sorted(of_kinds(parts_of(network), FROZEN).items()):
        if part == "backbone.0" and isinstance(layout.backbone, PretrainedBackbone):
            shared = tensors if isinstance(tensors, SharedWeights) else SharedWeights(tensors)
            sha.update(f"{part}\0{shared.digest}".encode())
        else:
            _hash_part(sha, part, tensors)
    return sha.hexdigest()


def _hash_part(sha: hashlib._Hash, part: str, tensors: Tensors) -> None:
    for name, tensor in sorted(tensors.items()):
        values = tensor.numpy()
        sha.update(f"{part}/{name}\0{values.dtype.name}\0".encode())
        sha.update(np.array([values.ndim, *values.shape], "<i8").tobytes())
        sha.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
