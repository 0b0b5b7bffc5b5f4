"""A sketch of the rows of a batch, from which it is told later how many of them another batch has, too.

Of each way in which two rows may be one, the k smallest of their keyed hashes: "rows", inputs with label or target ·
"inputs", these alone · "even" and "odd", every other column with label or target, which one column in another unit
leaves half of. The k smallest hashes are a random sample of the distinct rows, the same one wherever they come
(bottom-k sketch: Cohen and Kaplan, Summarizing data using bottom-k sketches, PODC 2007). Of at most k rows it is all.

Halves of a row are hashed by multilinear hashing (Lemire and Kaser, Strongly universal string hashing is fast, 2014,
section 2), since a cryptographic hash of each would cost as much again as that of whole rows. Keys come of the
installation's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import numpy as np

from service.learning.data.grid import keyed_hash
from service.learning.data.matrices import Array, Keys
from service.learning.data.row_hash import canonical_targets
from service.learning.data.rows import Rows

SIZES = {"rows": 256, "inputs": 64, "even": 64, "odd": 64}
"""Hashes that are kept of each kind: at most 2.4 kB of text a batch. A share of nine in ten is known within 2 points
(one standard error) by 256 of them, within 4 by 64."""
FEWEST = 8
"""Rows of the smallest batch that has a sketch: fewer may be in another one by chance, and streams send many such."""
ROUND_WORDS = 2**20
"""Words that are hashed at once."""


def sketch_of(rows: Rows, secret: bytes) -> dict[str, Mapping[str, Any]] | None:
    """None of few rows; else kind -> `distinct` rows, those with a twin (`twins`), `marks`: the smallest hashes,
    their high 32 bits, little-endian, in base64. Rows that have no columns, as images and texts, have no halves."""
    if len(rows) < FEWEST:
        return None
    key = hmac.digest(secret, b"sketch", "sha256")
    outcomes = _outcomes(rows, key)
    hashes = {"rows": _mixed(rows.hashes ^ outcomes), "inputs": rows.hashes}
    if rows.inputs.ndim == 2 and rows.inputs.shape[1] > 1:
        for kind, half in zip(("even", "odd"), _halves(rows.inputs, key), strict=True):
            hashes[kind] = _mixed(half ^ outcomes)
    return {kind: _smallest(of_kind, SIZES[kind]) for kind, of_kind in hashes.items()}


def _smallest(hashes: Keys, size: int) -> Mapping[str, Any]:
    values, counts = np.unique(hashes, return_counts=True)
    marks = (values[:size] >> np.uint64(32)).astype("<u4")
    twins = int(counts[counts > 1].sum())
    return {"distinct": len(values), "twins": twins, "marks": base64.b64encode(marks.tobytes()).decode()}


def _outcomes(rows: Rows, key: bytes) -> Keys:
    """A key of the label or targets of each row. -> [n]"""
    names = np.array([keyed_hash(key, b"label", name.encode()) for name in rows.names], np.uint64)
    words = np.ascontiguousarray(canonical_targets(rows.targets)).view("<u4")
    return names[rows.labels] ^ _multilinear(words, _keys(key, b"targets", words.shape[1])[:, None])[:, 0]


def _halves(inputs: Array, key: bytes) -> Keys:
    """A key of the even, and one of the odd columns of each row. [n, width] -> [2, n]"""
    if inputs.dtype == np.float64:
        plain: Array = canonical_targets(inputs.astype(np.float64))
    else:
        plain = np.asarray(inputs, "<f4") + np.float32(0)  # -0 + 0 = 0
    words = np.ascontiguousarray(plain).view("<u4")
    of_column = words.shape[1] // inputs.shape[1]
    column = np.arange(words.shape[1]) // of_column
    keys = _keys(key, b"columns", words.shape[1])
    return _multilinear(words, np.where(column[:, None] % 2 == np.arange(2), keys[:, None], np.uint64(0))).T


def _multilinear(words: Array, keys: Keys) -> Keys:
    """The sums of words by their keys, modulo 2^64, of which the high half is uniform. [n, w], [w, k] -> [n, k]"""
    many = max(1, ROUND_WORDS // max(words.shape[1], 1))
    parts = [words[k : k + many].astype(np.uint64) @ keys for k in range(0, len(words), many)]
    return np.concatenate([np.zeros((0, keys.shape[1]), np.uint64), *parts])


def _keys(key: bytes, name: bytes, count: int) -> Keys:
    return np.frombuffer(hashlib.shake_256(key + name).digest(8 * count), "<u8").astype(np.uint64)


def _mixed(hashes: Keys) -> Keys:
    """Spreads the high bits over all, so that what is combined by `^` is uniform, too (SplitMix64's last steps)."""
    mixed = (hashes ^ (hashes >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
