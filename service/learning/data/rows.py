"""Rows of labelled data, each on one side of the folds for good.

fold = HMAC-SHA256(installation secret, what the row shares with its near-duplicates, or its group), first 8 bytes
big-endian, mod 10; see `sides`. Folds 0-1 judge, 2 selects (strengths, temperature, early stop), 3-9 learn. The label
is left out, and no client knows the secret, so none can aim. Rows are numpy: a batch is hashed where torch is not
loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.learning.data.matrices import Array as Array
from service.learning.data.matrices import Bools as Bools
from service.learning.data.matrices import Floats as Floats
from service.learning.data.matrices import Ints as Ints
from service.learning.data.matrices import Keys, Marks
from service.learning.data.near_duplicates import near, parted, repeated
from service.learning.data.row_hash import row_hashes
from service.learning.data.sides import Folding, sides

FOLDS = 10
SELECT_FOLD = 2
EXAM_ROWS = 200
"""Trusted rows that are kept of a class."""
NUMBER_EXAM_ROWS = 2000
"""Trusted rows that are kept of a source, where targets are numbers."""
NAMELESS = ("",)
"""`names` of rows whose targets are numbers: all are of one nameless class."""
KIN_ROWS = 5
"""Trusted rows that are kept of one group or neighbourhood of a class."""
LEARNING_ROWS = 3
"""A class with fewer learning rows lends some of its judging rows."""


PLAIN = ("inputs", "folds", "lent", "hashes", "row", "kin", "parted")
"""Columns of rows that index nothing, and are as wide in all rows."""
COLUMNS = (*PLAIN, "labels", "batch", "source", "marks", "targets")


@dataclass(frozen=True, eq=False)
class Rows:
    """n labelled rows of raw inputs, from one batch or many.

    inputs [n, ...], of texts `str` in NFC with dtype object · labels [n] indexes `names` · folds [n] 0..9 · lent [n] ·
    hashes [n] uint64 · batch [n] indexes `batches` · row [n] number of the row within its batch · source [n] indexes
    `sources` ("": not named) · kin [n], marks [n, m]: see `Sides`; zeros for rows that fell by their bytes ·
    parted [n]: rows that do not judge, since a near-duplicate in their batch is in another fold or lent · targets
    [n, k]: numbers to predict, as they were sent; k is 0 where rows have classes.
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
    kin: Keys = field(default_factory=lambda: np.zeros(0, np.uint64))
    marks: Marks = field(default_factory=lambda: np.zeros((0, 0), np.uint32))
    parted: Bools = field(default_factory=lambda: np.zeros(0, bool))
    targets: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        n = len(self.labels)
        for column in ("kin", "marks", "parted", "targets"):
            values = getattr(self, column)
            if len(values) != n:
                object.__setattr__(self, column, np.zeros((n, *values.shape[1:]), values.dtype))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def numeric(self) -> bool:
        """Whether the targets are numbers. Without rows it is not known, and False."""
        return bool(self.targets.shape[1])

    @property
    def bound(self) -> int:
        """Trusted rows that are kept of a class, or of a source where targets are numbers."""
        return NUMBER_EXAM_ROWS if self.numeric else EXAM_ROWS

    @property
    def judging(self) -> Bools:
        """Rows that may be trusted: folds 0-1, not lent, without a near-duplicate in another fold or lent. -> [n]"""
        return np.asarray((self.folds < SELECT_FOLD) & ~self.lent & ~self.parted)

    @property
    def selecting(self) -> Bools:
        """Rows that choose strengths and early stops of gradient methods: fold 2, with the same exceptions. -> [n]"""
        return np.asarray((self.folds == SELECT_FOLD) & ~self.lent & ~self.parted)

    @property
    def learning(self) -> Bools:
        """Rows that gradient methods learn from: folds 3-9 and lent rows. -> [n]"""
        return np.asarray((self.folds > SELECT_FOLD) | self.lent)

    def take(self, which: Bools | Ints | slice) -> Self:
        """Returns the rows of a mask, an index array or a slice, in that order."""
        return replace(self, **{column: getattr(self, column)[which] for column in COLUMNS})

    def with_features(self, features: Array) -> FeatureRows:
        """Returns the rows in a feature space. features [n, M] int16"""
        assert len(features) == len(self)
        return FeatureRows(**(vars(self) | {"inputs": features}))

    def in_batches(self, batches: Collection[str]) -> Bools:
        """Finds the rows of these batches. -> [n]"""
        named = frozenset(batches)
        return np.array([batch in named for batch in self.batches], bool)[self.batch]

    def of_present_batches(self) -> Self:
        """Returns the rows without the names of batches that have none."""
        present, codes = np.unique(self.batch, return_inverse=True)
        return replace(self, batches=tuple(self.batches[k] for k in present), batch=codes.astype(np.int64))

    def bare(self) -> FeatureRows:
        return self.with_features(np.zeros((len(self), 0), np.int16))

    def codes(self, classes: Sequence[str]) -> Ints:
        """Returns the column of each row's label in `classes`, -1 where it has none. -> [n]"""
        return lookup(self.names, classes)[self.labels]

    def label_names(self) -> list[str]:
        return [self.names[k] for k in self.labels]

    def present(self) -> tuple[str, ...]:
        """Returns the classes that have rows, in order of first appearance."""
        return tuple(dict.fromkeys(self.label_names()))

    def counts(self) -> dict[str, int]:
        """Returns the number of rows of each class that has any."""
        n = np.bincount(self.labels, minlength=len(self.names))
        return {name: int(k) for name, k in zip(self.names, n, strict=True) if k}

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Self:
        """Returns all rows in the order of the parts, of which there is at least one."""
        names, labels = _coded([(p.names, p.labels) for p in parts])
        batches, batch = _coded([(p.batches, p.batch) for p in parts])
        sources, source = _coded([(p.sources, p.source) for p in parts])
        return cls(
            names=names,
            labels=labels,
            batches=batches,
            batch=batch,
            sources=sources,
            source=source,
            marks=_side_by_side([p.marks for p in parts]),
            targets=_side_by_side([p.targets for p in parts]),
            **{column: np.concatenate([getattr(p, column) for p in parts]) for column in PLAIN},
        )

    @classmethod
    def empty(cls, shape: tuple[int, ...], dtype: np.dtype[np.generic] | type = np.float32) -> Self:
        inputs, none, lent, hashes = (
            np.zeros((0, *shape), dtype),
            np.zeros(0, np.int64),
            np.zeros(0, bool),
            np.zeros(0, np.uint64),
        )
        return cls(inputs, (), none, none, lent, hashes, (), none, none, (), none)


@dataclass(frozen=True, eq=False)
class FeatureRows(Rows):
    """Rows in a feature space: `inputs` are features rounded to its grid, int16 [n, M]."""

    @classmethod
    def none(cls, width: int) -> FeatureRows:
        return cls.empty((width,), np.int16)

    def values(self, shift: int) -> Floats:
        """Returns the features as numbers: the grid has steps of 2^-shift. -> [n, M]"""
        return np.asarray(self.inputs.astype(np.float64) * 2.0**-shift)


AnyRows = TypeVar("AnyRows", bound=Rows)


Columns = TypeVar("Columns", Marks, Floats)


def _side_by_side(parts: Sequence[Columns]) -> Columns:
    """Returns marks or targets of all parts, padded to the columns of the widest."""
    width = max(part.shape[1] for part in parts)
    padded = [p if p.shape[1] == width else np.pad(p, ((0, 0), (0, width - p.shape[1]))) for p in parts]
    return np.concatenate(padded)


def _coded(parts: Sequence[tuple[Sequence[str], Ints]]) -> tuple[tuple[str, ...], Ints]:
    """Names of all parts, each once, in the order in which they come, and the codes of all rows in them. parts: names,
    and the codes of rows in these"""
    at: dict[str, int] = {}
    codes = [np.array([at.setdefault(n, len(at)) for n in names], np.int64)[own] for names, own in parts]
    return tuple(at), np.concatenate(codes)


def lookup(names: Sequence[str], into: Sequence[str]) -> Ints:
    """Finds the place of each name in `into`, -1 where it is not. -> [names]"""
    at = {name: k for k, name in enumerate(into)}
    return np.array([at.get(n, -1) for n in names], np.int64)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a batch beside inputs and labels.

    learning_rows: of earlier batches, by class · numbers: of the rows within the batch, where some of its rows have no
    label · groups: one name a row, None: in no group · folding: of the model, None: rows fall by their bytes ·
    targets: numbers to predict [n, k], where the labels are nameless.
    """

    source: str | None = None
    learning_rows: Mapping[str, int] = field(default_factory=dict)
    numbers: Ints | None = None
    groups: Sequence[str | None] | None = None
    folding: Folding | None = None
    targets: Floats | None = None


def rows_of(batch: str, inputs: Array, labels: Sequence[str], secret: bytes, known: Known) -> Rows:
    """Makes the rows of a batch as they are stored, with hashes, folds and lent rows."""
    hashes = row_hashes(inputs, secret)
    names = tuple(dict.fromkeys(labels))
    codes = lookup(labels, names)
    n = len(codes)
    if known.folding is None:
        folds = (hashes % np.uint64(FOLDS)).astype(np.int64)
        kin, marks = np.zeros(n, np.uint64), np.zeros((n, 0), np.uint32)
    else:
        fallen = sides(known.folding, inputs, known.groups, hashes, secret)
        folds, kin, marks = fallen.folds, fallen.kin, fallen.marks
    lent = lend(names, codes, folds, hashes, known.learning_rows)
    return Rows(
        inputs,
        names,
        codes,
        folds,
        lent,
        hashes,
        (batch,),
        np.zeros(n, np.int64),
        np.arange(n) if known.numbers is None else known.numbers,
        (known.source or "",),
        np.zeros(n, np.int64),
        kin,
        marks,
        parted(marks, folds) | (near(marks, kin, lent) & ~lent),
        np.zeros((n, 0)) if known.targets is None else known.targets,
    )


def lend(
    names: Sequence[str], labels: Ints, folds: Ints, hashes: NDArray[np.uint64], learning_rows: Mapping[str, int]
) -> Bools:
    """Chooses the rows lent to learning: smallest hash first, until the class has three learning rows. -> [n]"""
    lent = np.zeros(len(labels), bool)
    for k, name in enumerate(names):
        of_class = np.flatnonzero(labels == k)
        short = LEARNING_ROWS - learning_rows.get(name, 0) - int((folds[of_class] > SELECT_FOLD).sum())
        if short > 0:
            spare = of_class[folds[of_class] <= SELECT_FOLD]
            lent[spare[np.argsort(hashes[spare], kind="stable")][:short]] = True
    return lent


def bounded(rows: AnyRows, by_source: bool = False) -> AnyRows:
    """Returns the rows of `places_in_bounds`, in that order."""
    return rows.take(places_in_bounds(rows, by_source))


def places_in_bounds(rows: Rows, by_source: bool = False) -> Ints:
    """Chooses at most `rows.bound` rows a class, at most five of one group or neighbourhood, smallest hashes first.

    `by_source`: so many of each source, as always of rows of which no kin is known or whose targets are numbers. The
    choice does not depend on the order of arrival, and rows bounded in parts and again together are rows bounded at
    once: a row is kept out by smaller ones of its neighbourhood or class, and those stay or are kept out by smaller
    ones of the same.
    """
    if not len(rows):
        return np.zeros(0, np.int64)
    known = rows.kin.any()
    group = rows.labels
    if by_source or not known or rows.numeric:
        group = rows.labels * max(len(rows.sources), 1) + rows.source
    order = hash_order(rows)
    if known:
        order = order[(_place(rows.kin, group, order) < KIN_ROWS) | (rows.kin[order] == 0)]
    order = order[np.argsort(group[order], kind="stable")]
    return order[_place(group, group, order) < rows.bound]


def _place(keys: Ints | Keys, group: Ints, order: Ints) -> Ints:
    """Counts for each row in that order the rows before it of the same key and group. -> [len(order)]"""
    keys, group = keys[order], group[order]
    sort = np.lexsort((keys, group))
    starts = np.flatnonzero(np.r_[True, (np.diff(group[sort]) != 0) | (keys[sort][1:] != keys[sort][:-1])])
    place = np.empty(len(order), np.int64)
    place[sort] = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return place


def smallest(rows: AnyRows, most: int) -> AnyRows:
    """Returns at most so many rows, those of the smallest hashes, in one order for any order of arrival."""
    return rows.take(hash_order(rows)[:most])


def hash_order(rows: Rows) -> Ints:
    """Sorts rows by keyed hash; ties by batch id and row, so the order of arrival does not matter. -> places"""
    by_id = np.array(sorted(range(len(rows.batches)), key=rows.batches.__getitem__), np.int64)
    rank = np.empty(len(by_id), np.int64)
    rank[by_id] = np.arange(len(by_id))
    return np.lexsort((rows.row, rank[rows.batch], rows.hashes))


def distinct(rows: Rows) -> Ints:
    """Chooses one of each row and label, near-duplicates as one, in the order of the rows; where targets are numbers,
    one of each row and target, since near-duplicates may differ in theirs. -> places"""
    if rows.numeric:
        order = np.lexsort((*rows.targets.T, rows.hashes))
        same = (rows.hashes[order][1:] == rows.hashes[order][:-1]) & (np.diff(rows.targets[order], axis=0) == 0).all(1)
        return np.sort(order[np.r_[True, ~same][: len(order)]])
    order = np.lexsort((rows.labels, rows.hashes))
    hashes, labels = rows.hashes[order], rows.labels[order]
    fresh = np.r_[True, (hashes[1:] != hashes[:-1]) | (labels[1:] != labels[:-1])] if len(order) else order > 0
    first = np.sort(order[fresh])
    return first[~repeated(rows.marks[first], rows.labels[first], rows.hashes[first])]


def alone(rows: Rows) -> Bools:
    """Finds rows whose class lies in one group of folds (k // 2): a head without the group does not know it. -> [n]"""
    group = rows.folds // 2
    first, last = np.full(len(rows.names), FOLDS), np.full(len(rows.names), -1)
    np.minimum.at(first, rows.labels, group)
    np.maximum.at(last, rows.labels, group)
    return np.asarray((first == last)[rows.labels])
