"""Rows to compare a program with the service on: as the version expects them, and some that it does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from service.contract.inputs import TextInput
from service.contract.tables import BooleanColumn, CategoryColumn, DateColumn, NumberColumn, TableInput
from service.intake.kinds.rows import read_rows
from service.learning.data.rows import Array
from service.learning.network.checkpoint import Checkpoint

ROWS = 32
MOST_NUMBERS = 2**23
"""Most numbers of all rows, if two are not more: what the service takes in one request, as bytes, is twice that."""
WIDE = 3.0
"""Standard deviations that numbers lie apart: some beyond what was learned."""
TEXT = "a bill card delivery flight is late lost my new order paid refund the ticket today when where"
BLANK = 0.1
"""Share of the cells of a table that are empty."""


def sample_rows(checkpoint: Checkpoint, due: int | None = None) -> tuple[Any, Array]:
    """Rows as the client takes them, and the same rows as arrays. due: a column of a table that no row lacks"""
    rng, spec = np.random.default_rng(0), checkpoint.layout.input
    scale = checkpoint.parts["scale"]
    rows: list[Any]
    if isinstance(spec, TextInput):
        rows = [" ".join(rng.choice(TEXT.split(), rng.integers(1, 20))) for _ in range(ROWS)]
    elif isinstance(spec, TableInput):
        mean, std = scale["mean"].numpy(), scale["std"].numpy()
        rows = [_table_row(spec, mean, std, rng) for _ in range(ROWS)]
        if due is not None:
            base = spec.columns[due].name
            for row in rows:  # the service refuses a row without what its answer is added to
                row[base] = 0.0 if row[base] is None else row[base]
    else:
        shape = (min(ROWS, max(2, MOST_NUMBERS // math.prod(spec.shape))), *spec.shape)
        drawn = rng.normal(size=shape) * WIDE if spec.kind == "vector" else rng.uniform(-1, 1, shape)
        raw = (drawn * scale["std"].numpy() + scale["mean"].numpy()).astype(np.float32)
        return raw, raw
    return rows, read_rows(rows, spec, "the model")


def _table_row(spec: TableInput, mean: Array, std: Array, rng: np.random.Generator) -> dict[str, Any]:
    row: dict[str, Any] = {}
    number = 0
    for column in spec.columns:
        value: Any
        if isinstance(column, NumberColumn):
            value = float(mean[number] + std[number] * WIDE * rng.normal())
            number += 1
        elif isinstance(column, BooleanColumn):
            value = bool(rng.integers(2))
        elif isinstance(column, DateColumn):
            value = f"20{rng.integers(10, 30)}-{rng.integers(1, 13):02}-{rng.integers(1, 29):02}"
        else:
            assert isinstance(column, CategoryColumn)
            value = column.values[int(rng.integers(len(column.values)))] if column.values else "never learned"
        row[column.name] = None if rng.random() < BLANK else value
    return row
