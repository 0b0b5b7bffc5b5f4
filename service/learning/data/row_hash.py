"""Identity of a row: its canonical bytes, their keyed hash, and the digest of a batch."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from service.learning.data.matrices import Array


def canonical_rows(inputs: Array) -> list[bytes]:
    """Returns the canonical bytes of each row: float32 little-endian with -0 as 0; uint8 for images whose values are
    all bytes; UTF-8 for texts, which are in NFC; float64 for rows of tables, NaN of the bits that numpy gives it."""
    n = len(inputs)
    if not n:
        return []
    if inputs.dtype == object:
        return [text.encode() for text in inputs.tolist()]
    if inputs.dtype == np.uint8:
        flat = np.ascontiguousarray(inputs).reshape(n, -1)
        return [r.tobytes() for r in flat]
    if inputs.dtype == np.float64:
        return [r.tobytes() for r in canonical_targets(np.asarray(inputs, np.float64))]
    floats = np.ascontiguousarray(inputs, "<f4").reshape(n, -1) + np.float32(0)  # -0 + 0 = 0
    if inputs.ndim == 2:
        return [r.tobytes() for r in floats]
    whole = ((floats >= 0) & (floats <= 255) & (floats == np.rint(floats))).all(1)
    return [r.astype(np.uint8).tobytes() if w else r.tobytes() for r, w in zip(floats, whole, strict=True)]


def row_hashes(inputs: Array, secret: bytes) -> NDArray[np.uint64]:
    """Returns the keyed hash of each input: the first 8 bytes of HMAC-SHA256, big-endian. -> [n] uint64"""
    digests = (hmac.digest(secret, row, "sha256")[:8] for row in canonical_rows(inputs))
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def content_digest(inputs: Array, labels: Iterable[str | None], groups: Iterable[str | None] | None = None) -> str:
    """Returns the SHA-256 of a batch: canonical bytes row by row, then each label's UTF-8 and a zero byte (no label:
    that byte alone), then, where `groups` are given, each group in the same way.

    The bytes of a text follow their number (8 bytes, little-endian): rows of other lengths must not look alike.
    """
    sha = _hashed(inputs)
    _add_names(sha, (*labels, *(groups or ())))
    return sha.hexdigest()


def numbers_digest(inputs: Array, targets: NDArray[np.float64], groups: Iterable[str | None] | None) -> str:
    """Returns the SHA-256 of a batch whose targets are numbers [n, k]: the rows as in `content_digest`, a zero byte, k
    as a byte, and the targets row by row as float64, little-endian, with -0 as 0 (not known: NaN, of the bits that
    numpy gives it); then groups, too."""
    sha = _hashed(inputs)
    sha.update(bytes([0, targets.shape[1]]) + canonical_targets(targets).tobytes())
    _add_names(sha, groups or ())
    return sha.hexdigest()


def canonical_targets(targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns targets of which equal ones have equal bits. [n, k]"""
    return np.where(np.isnan(targets), np.nan, targets + 0.0).astype("<f8")


def _hashed(inputs: Array) -> hashlib._Hash:
    """Returns the hash of the rows alone, to go on with."""
    sha = hashlib.sha256()
    texts = inputs.dtype == object
    for row in canonical_rows(inputs):
        if texts:
            sha.update(len(row).to_bytes(8, "little"))
        sha.update(row)
    return sha


def _add_names(sha: hashlib._Hash, names: Iterable[str | None]) -> None:
    for name in names:
        sha.update((name or "").encode() + b"\0")
