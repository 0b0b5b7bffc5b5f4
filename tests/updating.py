"""What a worker does in parts: the rows of a batch, and a batch that is learned and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.learning.absent_rows import refuse_to_forget
from service.learning.data.rows import Array, Known, Rows, rows_of
from service.learning.evaluation.context import Candidate, UpdateContext
from service.learning.method import Method
from service.learning.method_params import MethodParams
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.update import learn
from service.learning.update_data import Data


def make_rows(
    batch: str,
    inputs: Array,
    labels: Sequence[str],
    secret: bytes,
    source: str | None = None,
    learning_rows: Mapping[str, int] | None = None,
) -> Rows:
    """Rows that fall by their bytes. learning_rows: of earlier batches, by class"""
    return rows_of(batch, inputs, labels, secret, Known(source, learning_rows or {}))


def run_update(
    base: Checkpoint | None, data: Data, method: Method, params: MethodParams, run: Run, context: UpdateContext
) -> Candidate:
    """Learns `data.batch` on `base` and judges the result. Base and data stay as they are."""
    refuse_to_forget(method, base, data)
    return context.examine(base, learn(base, data, method, params, run), data, run)
