"""Decoded rows become the stored bytes of a batch, and the facts that the registry keeps of them.

Runs in a handler for small bodies and in the reading process for large ones: the same functions, so the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from service.learning.batch import SELECT_FOLD, Rows, make_rows
from service.learning.identity import content_digest
from service.learning.serialization import pack_rows
from service.storage.artifacts import Artifacts


class Making(BaseModel):
    """What rows need to become a batch, besides themselves and their labels. `held`: learning rows of each class so
    far."""

    batch: str
    area: str
    secret: str
    source: str | None
    held: dict[str, int]


class Made(BaseModel):
    """Stored rows: the digest of their bytes, how many have a label, rows a class, its folds, and which are lent."""

    stored_digest: str
    rows: int
    label_counts: dict[str, int]
    folds: dict[str, list[int]]
    lent: list[int]


def identity_of(inputs: NDArray[Any]) -> str:
    """Names rows by what they hold, however they were written: what an Idempotency-Key compares."""
    if inputs.dtype == object:
        sha = hashlib.sha256(b"texts")
        for text in inputs.tolist():
            data = text.encode()
            sha.update(len(data).to_bytes(8, "little") + data)
        return sha.hexdigest()
    return hashlib.sha256(repr(inputs.shape).encode() + np.ascontiguousarray(inputs).tobytes()).hexdigest()


def digest_of(inputs: NDArray[Any], labels: Sequence[str | None]) -> str:
    """The digest of the content of a batch."""
    return content_digest(inputs, labels)


def make(inputs: NDArray[Any], labels: Sequence[str | None], making: Making, store: Artifacts) -> Made:
    """Fold the rows that have a label, and put all of them into the store."""
    labelled = np.array([label is not None for label in labels], bool)
    numbers = np.flatnonzero(labelled)
    named = [label for label in labels if label is not None]
    secret = bytes.fromhex(making.secret)
    rows = make_rows(making.batch, inputs[numbers], named, secret, making.source, making.held, numbers)
    return Made(
        stored_digest=store.put(making.area, pack_rows(rows, inputs[~labelled])),
        rows=len(rows),
        label_counts=rows.counts(),
        folds=_folds(rows),
        lent=rows.row[rows.lent].tolist(),
    )


def _folds(rows: Rows) -> Mapping[str, list[int]]:
    """class -> rows that judge, that select, that learn, and that are lent to learning."""
    kinds = [rows.judging, rows.selecting, rows.folds > SELECT_FOLD, rows.lent]
    counts = np.array([np.bincount(rows.labels[kind], minlength=len(rows.names)) for kind in kinds])
    return {name: counts[:, k].tolist() for k, name in enumerate(rows.names)}
