"""Which trusted rows a promoted version answered rightly, kept so that small losses cannot add up unseen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.learning.data.rows import Bools, Ints, Rows
from service.learning.evaluation.answers import Answers
from service.learning.statistics import Paired


@dataclass(frozen=True, eq=False)
class Correctness:
    """Right or wrong of one version on its trusted rows.

    `classes`: the columns it had. batch [n] indexes `batches`, row [n], right [n].
    """

    classes: tuple[str, ...]
    batches: tuple[str, ...]
    batch: NDArray[np.int32]
    row: NDArray[np.int32]
    right: Bools

    @staticmethod
    def of(rows: Rows, right: Bools, classes: Sequence[str]) -> Correctness:
        """rows [n], right [n]"""
        batch, row = rows.batch.astype(np.int32), rows.row.astype(np.int32)
        return Correctness(tuple(classes), rows.batches, batch, row, np.asarray(right, bool))

    def against(self, candidate: Answers, rows: Rows, few: int = 1) -> tuple[Paired, dict[str, Paired]]:
        """Compares that version and the candidate on the rows that both answered, over the columns that version had;
        and on those of each class that has `few` of these rows or more."""
        number = {batch: k for k, batch in enumerate(self.batches)}
        batch = np.array([number.get(b, -1) for b in rows.batches], np.int64)[rows.batch]
        shared = np.flatnonzero(batch >= 0)
        _, of_rows, of_self = np.intersect1d(
            _key(batch[shared], rows.row[shared]),
            _key(self.batch, self.row),
            assume_unique=True,
            return_indices=True,
        )
        both = shared[of_rows]
        answered = candidate.judged[both]
        both = both[answered]
        before, after = self.right[of_self[answered]], candidate.over(self.classes).right(rows)[both]
        labels = rows.labels[both]
        counts = np.bincount(labels, minlength=len(rows.names))
        classes = {rows.names[k]: labels == k for k in np.flatnonzero(counts >= few)}
        return Paired.of(before, after), {c: Paired.of(before[m], after[m]) for c, m in classes.items()}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays, for a safetensors shard; names travel as the bytes of a JSON text."""
        names = json.dumps([self.classes, self.batches], ensure_ascii=False).encode()
        return {
            "batch": self.batch,
            "row": self.row,
            "right": self.right.astype(np.uint8),
            "names": np.frombuffer(names, np.uint8).copy(),
        }

    @staticmethod
    def load(arrays: Mapping[str, ArrayLike]) -> Correctness:
        """Reverses `arrays`; takes torch tensors too."""
        classes, batches = json.loads(np.asarray(arrays["names"]).tobytes())
        return Correctness(
            tuple(classes),
            tuple(batches),
            np.asarray(arrays["batch"], np.int32),
            np.asarray(arrays["row"], np.int32),
            np.asarray(arrays["right"]).astype(bool),
        )


def _key(batch: NDArray[np.integer], row: NDArray[np.integer]) -> Ints:
    return (batch.astype(np.int64) << 32) | row.astype(np.int64)
