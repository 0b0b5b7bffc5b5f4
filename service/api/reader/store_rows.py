"""Decoded rows become the stored bytes of a batch, and the facts that the registry keeps of them.

Runs in a handler for small bodies and in the reading process for large ones: the same functions, so the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from service.learning.data.row_hash import content_digest
from service.learning.data.rows import SELECT_FOLD, Known, Rows, rows_of
from service.learning.data.serialization import pack_rows
from service.learning.data.sides import Folding, settle
from service.storage.artifacts import Artifacts


class Named(BaseModel):
    """What a body says of its rows: the label of each, None where nobody knows, and the group, where it names any."""

    labels: list[str | None]
    groups: list[str | None] | None = None

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Rows that have a label. -> [n]"""
        return np.array([label is not None for label in self.labels], bool)


class Making(BaseModel):
    """What rows need to become a batch, besides themselves and what they are named. `held`: learning rows of each class
    so far · `folding`: how the model's rows fall, None: by their bytes."""

    batch: str
    area: str
    secret: str
    source: str | None
    held: dict[str, int]
    folding: Folding | None = None


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


def digest_of(inputs: NDArray[Any], named: Named) -> str:
    """The digest of the content of a batch."""
    return content_digest(inputs, named.labels, named.groups)


def settled(inputs: NDArray[Any], named: Named, folding: Folding, secret: bytes) -> Folding:
    """How the rows of the model fall from now on, by those of these rows that have a label."""
    return settle(folding, inputs[named.labelled], [label for label in named.labels if label is not None], secret)


def make(inputs: NDArray[Any], named: Named, making: Making, store: Artifacts) -> Made:
    """Fold the rows that have a label, and put all of them into the store."""
    labelled = named.labelled
    numbers = np.flatnonzero(labelled)
    labels = [label for label in named.labels if label is not None]
    groups = [named.groups[k] for k in numbers] if named.groups else None
    known = Known(making.source, making.held, numbers, groups, making.folding)
    rows = rows_of(making.batch, inputs[numbers], labels, bytes.fromhex(making.secret), known)
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
