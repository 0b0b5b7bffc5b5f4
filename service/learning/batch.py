"""Rows of labelled data, and the keyed hash that puts each row on one side of the folds for good.

fold = HMAC-SHA256(installation secret, canonical bytes of the input, label left out), first 8 bytes big-endian, mod 10.
Folds 0-1 judge, 2 selects (strengths, temperature, early stop), 3-9 learn. The same row always falls on the same side,
in every model and batch, so a client cannot aim. Rows are numpy: the door hashes them before torch is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.learning.identity import row_hashes

FOLDS = 10
SELECT_FOLD = 2
EXAM_ROWS = 200
"""Trusted rows kept a class and source."""
LEARNING_ROWS = 3
"""A class with fewer learning rows lends some of its judging rows."""

Array = NDArray[np.generic]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rows:
    """n labelled rows, from one batch or many; `inputs` are raw inputs, or features where a function says so.

    inputs [n, ...], of texts `str` in NFC with dtype object · labels [n] indexes `names` · folds [n] 0..9 · lent [n] ·
    hashes [n] uint64 · batch [n] indexes `batches` · row [n] number of the row within its batch · source [n] indexes
    `sources` ("" = none was given).
    """

    inputs: Array
    names: tuple[str, ...]
    labels: Ints
    folds: Ints
    lent: Bools
    hashes: NDArray[np.uint64]
    batches: tuple[str, ...]
    batch: Ints
    row: Ints
    sources: tuple[str, ...]
    source: Ints

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def judging(self) -> Bools:
        """Rows that may be trusted rows: folds 0-1, not lent."""
        return np.asarray((self.folds < SELECT_FOLD) & ~self.lent)

    @property
    def selecting(self) -> Bools:
        """Rows that choose strengths and early stops of gradient methods: fold 2, not lent."""
        return np.asarray((self.folds == SELECT_FOLD) & ~self.lent)

    @property
    def learning(self) -> Bools:
        """Rows that gradient methods learn from: folds 3-9 and lent rows."""
        return np.asarray((self.folds > SELECT_FOLD) | self.lent)

    def take(self, which: Bools | Ints) -> Rows:
        """The rows of a mask or of an index array, in that order."""
        return replace(
            self,
            inputs=self.inputs[which],
            labels=self.labels[which],
            folds=self.folds[which],
            lent=self.lent[which],
            hashes=self.hashes[which],
            batch=self.batch[which],
            row=self.row[which],
            source=self.source[which],
        )

    def with_inputs(self, inputs: Array) -> Rows:
        """The same rows in another space: features in place of raw inputs."""
        assert len(inputs) == len(self)
        return replace(self, inputs=inputs)

    def codes(self, classes: Sequence[str]) -> Ints:
        """Column of each row's label in `classes`, -1 where it has none. -> [n]"""
        return _lookup(self.names, classes)[self.labels]

    def label_names(self) -> list[str]:
        return [self.names[k] for k in self.labels]

    def present(self) -> tuple[str, ...]:
        """Classes that have at least one row, in order of first appearance."""
        return tuple(dict.fromkeys(self.label_names()))

    def counts(self) -> dict[str, int]:
        """Rows a class, classes without rows left out."""
        n = np.bincount(self.labels, minlength=len(self.names))
        return {name: int(k) for name, k in zip(self.names, n, strict=True) if k}

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """All rows, in the order of the parts. At least one part."""
        names = tuple(dict.fromkeys(n for p in parts for n in p.names))
        batches = tuple(dict.fromkeys(b for p in parts for b in p.batches))
        sources = tuple(dict.fromkeys(s for p in parts for s in p.sources))
        return Rows(
            inputs=np.concatenate([p.inputs for p in parts]),
            names=names,
            labels=np.concatenate([_lookup(p.names, names)[p.labels] for p in parts]),
            folds=np.concatenate([p.folds for p in parts]),
            lent=np.concatenate([p.lent for p in parts]),
            hashes=np.concatenate([p.hashes for p in parts]),
            batches=batches,
            batch=np.concatenate([_lookup(p.batches, batches)[p.batch] for p in parts]),
            row=np.concatenate([p.row for p in parts]),
            sources=sources,
            source=np.concatenate([_lookup(p.sources, sources)[p.source] for p in parts]),
        )

    @staticmethod
    def empty(shape: tuple[int, ...], dtype: np.dtype[np.generic] | type = np.float32) -> Rows:
        """No rows of that shape."""
        none = np.zeros(0, np.int64)
        return Rows(
            np.zeros((0, *shape), dtype),
            (),
            none,
            none,
            np.zeros(0, bool),
            np.zeros(0, np.uint64),
            (),
            none,
            none,
            (),
            none,
        )


def _lookup(names: Sequence[str], into: Sequence[str]) -> Ints:
    at = {name: k for k, name in enumerate(into)}
    return np.array([at.get(n, -1) for n in names], np.int64)


def make_rows(
    batch: str,
    inputs: Array,
    labels: Sequence[str],
    secret: bytes,
    source: str | None = None,
    learning_rows: Mapping[str, int] | None = None,
    numbers: Ints | None = None,
) -> Rows:
    """A batch as it is stored: hashes, folds, lent rows. `learning_rows`: those of earlier batches, by class.
    `numbers`: those of the rows within the batch, where some of its rows have no label."""
    hashes = row_hashes(inputs, secret)
    names = tuple(dict.fromkeys(labels))
    codes = np.array([names.index(n) for n in labels], np.int64) if len(names) < 50 else _codes(labels, names)
    folds = (hashes % np.uint64(FOLDS)).astype(np.int64)
    n = len(codes)
    return Rows(
        inputs,
        names,
        codes,
        folds,
        lend(names, codes, folds, hashes, learning_rows or {}),
        hashes,
        (batch,),
        np.zeros(n, np.int64),
        np.arange(n) if numbers is None else numbers,
        (source or "",),
        np.zeros(n, np.int64),
    )


def _codes(labels: Sequence[str], names: Sequence[str]) -> Ints:
    at = {name: k for k, name in enumerate(names)}
    return np.array([at[n] for n in labels], np.int64)


def lend(
    names: Sequence[str],
    labels: Ints,
    folds: Ints,
    hashes: NDArray[np.uint64],
    learning_rows: Mapping[str, int],
) -> Bools:
    """Which rows are lent to learning: smallest hash first, until the class has three learning rows. -> [n] bool"""
    lent = np.zeros(len(labels), bool)
    for k, name in enumerate(names):
        mine = np.flatnonzero(labels == k)
        short = LEARNING_ROWS - learning_rows.get(name, 0) - int((folds[mine] > SELECT_FOLD).sum())
        if short > 0:
            spare = mine[folds[mine] <= SELECT_FOLD]
            lent[spare[np.argsort(hashes[spare], kind="stable")][:short]] = True
    return lent


def bounded(rows: Rows, per_class: int = EXAM_ROWS) -> Rows:
    """At most `per_class` rows a class and source, those with the smallest hash: bounded, order-free, removable."""
    if not len(rows):
        return rows
    group = rows.labels * max(len(rows.sources), 1) + rows.source
    order = hash_order(rows)
    order = order[np.argsort(group[order], kind="stable")]
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return rows.take(order[place < per_class])


def hash_order(rows: Rows) -> Ints:
    """Places of the rows by keyed hash, smallest first; ties by batch id and row: the same in any order of arrival."""
    by_id = np.array(sorted(range(len(rows.batches)), key=rows.batches.__getitem__), np.int64)
    rank = np.empty(len(by_id), np.int64)
    rank[by_id] = np.arange(len(by_id))
    return np.lexsort((rows.row, rank[rows.batch], rows.hashes))


def distinct(rows: Rows) -> Ints:
    """The first of each row and label, in the order of the rows."""
    order = np.lexsort((rows.labels, rows.hashes))
    hashes, labels = rows.hashes[order], rows.labels[order]
    fresh = np.r_[True, (hashes[1:] != hashes[:-1]) | (labels[1:] != labels[:-1])] if len(order) else order > 0
    return np.sort(order[fresh])


def alone(rows: Rows) -> Bools:
    """Rows whose class has all its rows in one group of folds (k // 2): kept back, no head knows the class. -> [n]"""
    group = rows.folds // 2
    first, last = np.full(len(rows.names), FOLDS), np.full(len(rows.names), -1)
    np.minimum.at(first, rows.labels, group)
    np.maximum.at(last, rows.labels, group)
    return np.asarray((first == last)[rows.labels])
