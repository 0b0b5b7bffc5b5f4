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

from service.api.reader.annotations import Annotations
from service.contract.strict import Unlimited
from service.learning.data.batch_sketch import sketch_of
from service.learning.data.rows import SELECT_FOLD, Known, Rows, rows_of
from service.learning.data.serialization import pack_rows
from service.learning.data.sides import Folding, settle
from service.registry.rows.arrival import Arrival
from service.storage.artifacts import Artifacts


class Making(BaseModel):
    """What rows need to become a batch, besides themselves and their annotations. `held`: learning rows of each class
    so far · `folding`: how the model's rows are folded, None: by their bytes."""

    batch: str
    area: str
    secret: str
    digest: str
    source: str | None
    again: bool
    held: dict[str, int]
    folding: Folding | None = None


MAKING: Unlimited[Making] = Unlimited(Making)
"""Reads what crossed between processes: what it says of the model was stored."""


def identity_of(inputs: NDArray[Any]) -> str:
    """Names rows by what they hold, however they were written: what an Idempotency-Key compares."""
    if inputs.dtype == object:
        sha = hashlib.sha256(b"texts")
        for text in inputs.tolist():
            data = text.encode()
            sha.update(len(data).to_bytes(8, "little") + data)
        return sha.hexdigest()
    return hashlib.sha256(repr(inputs.shape).encode() + np.ascontiguousarray(inputs).tobytes()).hexdigest()


def settled(inputs: NDArray[Any], annotations: Annotations, folding: Folding, secret: bytes) -> Folding:
    """How the rows of the model are folded from now on, decided by those of these rows that have a label or target."""
    return settle(folding, inputs[annotations.labelled], annotations.names(), secret)


def make(inputs: NDArray[Any], annotations: Annotations, making: Making, store: Artifacts) -> Arrival:
    """Folds the rows that have a label or target, and puts all of them into the store. Raises DiskFull."""
    labelled = annotations.labelled
    numbers = np.flatnonzero(labelled)
    groups = [annotations.groups[int(k)] for k in numbers] if annotations.groups else None
    known = Known(making.source, making.held, numbers, groups, making.folding, annotations.targets[numbers])
    secret = bytes.fromhex(making.secret)
    rows = rows_of(making.batch, inputs[numbers], annotations.names(), secret, known)
    packed = pack_rows(rows, inputs[~labelled])
    return Arrival(
        id=making.batch,
        digest=making.digest,
        stored_digest=store.put(making.area, packed),
        bytes=len(packed),
        rows=len(rows),
        unlabelled=len(inputs) - len(rows),
        target_summary=annotations.target_summary(),
        label_counts=label_counts(rows),
        folds=folds_of(rows),
        lent=rows.row[rows.lent].tolist(),
        source=making.source,
        again=making.again,
        values=annotations.values.counts(),
        sketch=sketch_of(rows, secret),
    )


def label_counts(rows: Rows) -> dict[str, int]:
    """class -> its rows; none of the nameless one of numbers."""
    return {name: count for name, count in rows.counts().items() if name}


def folds_of(rows: Rows) -> Mapping[str, list[int]]:
    """class -> rows that judge, that select, that learn, and that are lent to learning."""
    kinds = [rows.judging, rows.selecting, rows.folds > SELECT_FOLD, rows.lent]
    counts = np.array([np.bincount(rows.labels[kind], minlength=len(rows.names)) for kind in kinds])
    return {name: counts[:, k].tolist() for k, name in enumerate(rows.names)}
