"""Packs arrays as safetensors bytes, equal arrays as equal bytes, so that a digest names them. Needs numpy alone.

safetensors writes its metadata in the order of a hash table and does not notice a flipped bit: here the metadata is one
entry of sorted JSON, and a reader of stored bytes compares their `digest` with the name they were stored under.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from service.contract.enums import ENTRY
from service.errors import CorruptArtifact
from service.learning.data.rows import Array, FeatureRows, Rows

if TYPE_CHECKING:
    from torch import Tensor

UNLABELLED = "unlabelled"
"""Name of the inputs that have no label."""
KINDS = {
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    "U8": "<u1",
    "BOOL": "?",
}
"""Kinds of numbers by their names in safetensors, as numpy calls them."""
HEADER_LIMIT = 64 * 2**20
"""Largest header that is parsed, in bytes."""


def pack(tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any] | None = None) -> bytes:
    """Packs tensors and `meta`, which JSON can hold; equal arguments give equal bytes."""
    metadata = json.dumps(meta or {}, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return save({name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in tensors.items()}, {ENTRY: metadata})


def unpack(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Inverse of `pack`. Raises CorruptArtifact for bytes that are cut short, padded or of another kind."""
    size = _header_size(data)
    try:
        meta = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][ENTRY])
        return load(data), meta
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable(error) from error


def _header_size(data: bytes) -> int:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > min(HEADER_LIMIT, len(data) - 8):
        raise CorruptArtifact(f"{len(data)} stored bytes are too few for their header: they were cut short or damaged.")
    return size


def _unreadable(error: Exception) -> CorruptArtifact:
    return CorruptArtifact(f"The stored bytes cannot be read as tensors: {error}. Restore them from a copy.")


def digest(data: bytes) -> str:
    """Returns the name of stored bytes: their SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def pack_shard(tensors: Mapping[str, Tensor]) -> bytes:
    return pack({name: t.detach().cpu().contiguous().numpy() for name, t in tensors.items()})


def unpack_shard(data: bytes) -> dict[str, Tensor]:
    """Inverse of `pack_shard`. Raises CorruptArtifact.

    The library copies everything in one call that holds the interpreter: 100 MB stop every prediction for 20 ms. Here
    tensors are copied one by one, and other threads run in between.
    """
    import torch  # here, so that a process that packs rows alone need not load it

    start = 8 + _header_size(data)
    try:
        header = json.loads(data[8:start])
        del header["__metadata__"]
        ends = [start + header[name]["data_offsets"][1] for name in header]
        if max(ends, default=start) != len(data):
            raise ValueError("their end is not where the header says")
        return {name: torch.from_numpy(_view(data, start, tensor).copy()) for name, tensor in header.items()}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise _unreadable(error) from error


def _view(data: bytes, start: int, entry: dict[str, Any]) -> NDArray[Any]:
    """Returns a tensor as a view of the bytes, by its header entry. Raises ValueError, KeyError, TypeError."""
    kind, (begin, end) = np.dtype(KINDS[entry["dtype"]]), entry["data_offsets"]
    count = math.prod(entry["shape"])
    if begin < 0 or count * kind.itemsize != end - begin:
        raise ValueError("a tensor has not the size of its shape")
    return np.frombuffer(data, kind, count, start + begin).reshape(entry["shape"])


def pack_rows(rows: Rows, unlabelled: Array | None = None, **meta: str) -> bytes:
    """Packs a batch, or a ledger entry (rounded features as inputs). `unlabelled`: inputs of the rows without a label,
    stored apart, since nothing that learns from labels may meet them · meta: makes bytes that no other rows have."""
    columns = {
        **_input_columns(rows.inputs),
        "labels": rows.labels.astype(np.int32),
        "folds": rows.folds.astype(np.uint8),
        "lent": rows.lent,
        "hashes": rows.hashes,
        "batch": rows.batch.astype(np.int32),
        "row": rows.row.astype(np.int32),
        "source": rows.source.astype(np.int32),
    }
    if rows.kin.any():  # rows that fell by their bytes have no kin, and are stored without these columns as ever
        columns |= {"kin": rows.kin, "marks": rows.marks, "parted": rows.parted}
    if rows.numeric:
        columns["targets"] = rows.targets
    if unlabelled is not None and len(unlabelled):
        columns |= _input_columns(unlabelled, UNLABELLED)
    return pack(columns, {"names": rows.names, "batches": rows.batches, "sources": rows.sources, **meta})


def unpack_rows(data: bytes) -> Rows:
    """Inverse of `pack_rows`, but for rows without a label. Raises CorruptArtifact."""
    return _rows(*unpack(data))


def unpack_batch(data: bytes) -> tuple[Rows, Array | None]:
    """Inverse of `pack_rows`: labelled rows, and inputs of those without a label, None where there are none. Raises
    CorruptArtifact."""
    columns, meta = unpack(data)
    return _rows(columns, meta), _unlabelled(columns)


def _rows(columns: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Rows:
    try:
        return Rows(
            inputs=_inputs(columns),
            names=tuple(meta["names"]),
            labels=columns["labels"].astype(np.int64),
            folds=columns["folds"].astype(np.int64),
            lent=columns["lent"],
            hashes=columns["hashes"],
            batches=tuple(meta["batches"]),
            batch=columns["batch"].astype(np.int64),
            row=columns["row"].astype(np.int64),
            sources=tuple(meta["sources"]),
            source=columns["source"].astype(np.int64),
            **{name: columns[name] for name in ("kin", "marks", "parted", "targets") if name in columns},
        )
    except (KeyError, ValueError) as error:
        raise CorruptArtifact(f"The stored bytes are no rows: {error}.") from error


def unpack_features(data: bytes) -> FeatureRows:
    """Inverse of `pack_rows` for rows with rounded features. Raises CorruptArtifact."""
    rows = unpack_rows(data)
    return rows.with_features(rows.inputs)


def _unlabelled(columns: Mapping[str, NDArray[Any]]) -> Array | None:
    try:
        return _inputs(columns, UNLABELLED) if any(name.startswith(UNLABELLED) for name in columns) else None
    except (KeyError, ValueError) as error:
        raise CorruptArtifact(f"The stored rows without a label cannot be read: {error}.") from error


def _input_columns(inputs: Array, name: str = "inputs") -> dict[str, NDArray[Any]]:
    """Returns inputs as tensors: numbers as they are, texts as UTF-8 one after the other and where each ends."""
    if inputs.dtype != object:
        return {name: inputs}
    texts = [text.encode() for text in inputs.tolist()]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    return {f"{name}.utf8": np.frombuffer(b"".join(texts), np.uint8), f"{name}.ends": ends}


def _inputs(columns: Mapping[str, NDArray[Any]], name: str = "inputs") -> Array:
    """Inverse of `_input_columns`. Raises KeyError, ValueError."""
    if f"{name}.utf8" not in columns:
        return columns[name]
    data, ends = columns[f"{name}.utf8"].tobytes(), columns[f"{name}.ends"].tolist()
    texts = np.empty(len(ends), object)
    texts[:] = [data[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]
    return texts
