"""Integer sums of rounded features, which add up and subtract without losing a bit.

Rounded features are 16-bit integers. Their products, and sums of those, stay below 2^53, where float64 holds every
integer exactly: so G, Q and n have the same bits for any order, split, machine or number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from service.contract.inputs import WIDEST_EXACT
from service.errors import CorruptArtifact, MethodRefused
from service.learning.data.rows import Array, FeatureRows, Floats, Ints

LARGEST_SUM = 2.0**53
"""Largest sum: float64 holds every integer up to here."""
CHUNK = 8192
"""Rows that are multiplied at once."""
WIDE = 16
"""Rows a class below which rows are added up class by class: a product with one-hot labels costs as much for each class
as for each row."""


@dataclass(frozen=True, eq=False)
class Sums:
    """(G, Q, n) of rows h = [rounded features; 1], integers held in float64. Never changed in place.

    classes: those that have rows, in order of first appearance · G = sum h h' [M+1, M+1], the bias last · Q [M+1, C],
    column k = sum of the rows of class k · n [C] rows a class. Once weighted (`scaled`) they are reals.
    """

    classes: tuple[str, ...]
    G: Floats
    Q: Floats
    n: Floats

    @property
    def width(self) -> int:
        """M: the number of features, without the bias."""
        return len(self.G) - 1

    @property
    def rows(self) -> int:
        return int(self.n.sum())

    @property
    def mass(self) -> float:
        """The weight of all rows: their number, where each counts once."""
        return float(self.n.sum())

    def first(self, columns: int) -> Sums:
        if columns == self.width:
            return self
        kept = np.r_[:columns, self.width]
        return Sums(self.classes, self.G[np.ix_(kept, kept)], self.Q[kept], self.n)

    @classmethod
    def empty(cls, width: int) -> Sums:
        """Returns the sums of no rows. Raises MethodRefused where the features are too many for exact sums."""
        if width > WIDEST_EXACT:
            raise MethodRefused(
                f"{width:,} features are too many for exact sums; {WIDEST_EXACT:,} is the limit. Inputs as wide "
                'as this are learned by auto, or by ridge with the lift "auto", "relu" or "fourier", which makes fewer '
                "of them."
            )
        return cls((), np.zeros((width + 1, width + 1)), np.zeros((width + 1, 0)), np.zeros(0))

    @classmethod
    def of(cls, entry: FeatureRows) -> Sums:
        """Sums up rows. Raises MethodRefused beyond 2^53."""
        classes = entry.present()
        width, codes = entry.inputs.shape[1], entry.codes(classes)
        if not len(entry):
            return cls.empty(width)
        G, Q = _products(entry.inputs[:CHUNK], codes[:CHUNK], len(classes))
        for start in range(CHUNK, len(entry), CHUNK):
            chunk = slice(start, start + CHUNK)
            more = _products(entry.inputs[chunk], codes[chunk], len(classes))
            G += more[0]
            Q += more[1]
        return _within_limit(cls(classes, G, Q, np.bincount(codes, minlength=len(classes)).astype(np.float64)))

    def __add__(self, other: Sums) -> Sums:
        """Adds two sums. Raises MethodRefused beyond 2^53."""
        a, b = self._beside(other)
        return _within_limit(Sums(a.classes, a.G + b.G, a.Q + b.Q, a.n + b.n))

    def with_rows(self, entry: FeatureRows) -> Sums:
        """Adds rows, in place onto their own sums, which saves a matrix."""
        if not len(entry):
            return self
        a, b = self._beside(Sums.of(entry))
        G = b.G
        G += a.G
        return _within_limit(Sums(a.classes, G, a.Q + b.Q, a.n + b.n))

    def __sub__(self, other: Sums) -> Sums:
        """Subtracts sums that were added; a class left without rows leaves. Raises CorruptArtifact for any others."""
        a, b = self._beside(other)
        G, Q, n = a.G - b.G, a.Q - b.Q, a.n - b.n
        kept = n > 0
        if (n < 0).any() or (G.diagonal() < 0).any() or Q[:, ~kept].any():
            raise CorruptArtifact(
                "The ledger does not hold the rows to be taken out. Rebuild its sums from the entries."
            )
        return Sums(tuple(c for c, k in zip(a.classes, kept, strict=True) if k), G, Q[:, kept], n[kept])

    def scaled(self, weight: float) -> Sums:
        """Counts every row `weight` times: sums of reals for weights other than 0 and 1."""
        return self if weight == 1 else Sums(self.classes, weight * self.G, weight * self.Q, weight * self.n)

    def aged(self, decay: float, own: Sums | None, weight: float) -> Sums:
        """Takes one step of Horner's rule: these sums count `decay` times, `own` that come after them `weight` times.
        Raises MethodRefused beyond 2^53."""
        before = self.scaled(decay)
        if own is None:
            return before
        a, b = before._beside(own.scaled(weight))
        G = np.add(a.G, b.G, out=a.G if decay != 1 else None)  # what was scaled is of this step alone
        return _within_limit(Sums(a.classes, G, a.Q + b.Q, a.n + b.n))

    def weighted_with(self, other: Sums, weight: float) -> Sums:
        """Adds sums whose rows count `weight` times: for a head, never for the ledger."""
        a, b = self._beside(other)
        return Sums(a.classes, a.G + weight * b.G, a.Q + weight * b.Q, a.n + weight * b.n)

    def _beside(self, other: Sums) -> tuple[Sums, Sums]:
        """Both sums with a column for each class that one of them has."""
        classes = tuple(dict.fromkeys((*self.classes, *other.classes)))
        return self.aligned(classes), other.aligned(classes)

    def aligned(self, classes: Sequence[str]) -> Sums:
        """Returns these sums with a column for each of `classes`, which names all of theirs; zeros without rows."""
        if tuple(classes) == self.classes:
            return self
        place = {name: k for k, name in enumerate(classes)}
        at = [place[name] for name in self.classes]
        Q, n = np.zeros((len(self.Q), len(classes))), np.zeros(len(classes))
        Q[:, at], n[at] = self.Q, self.n
        return Sums(tuple(classes), self.G, Q, n)

    def sorted(self) -> Sums:
        """Sorts columns by the UTF-8 bytes of their names, without empty ones: one order for any order of arrival."""
        kept = sorted((k for k in range(len(self.classes)) if self.n[k]), key=lambda k: self.classes[k].encode())
        names = tuple(self.classes[k] for k in kept)
        return Sums(names, self.G, np.ascontiguousarray(self.Q[:, kept]), self.n[kept])

    def digest(self, space_id: str) -> str:
        """Returns the certificate of these sums: SHA-256, 64 hexadecimal digits, of these bytes one after another.

        1. the feature-space id, its 64 hexadecimal digits as ASCII, then a zero byte
        2. M, the number of features without the bias: int64
        3. the names of the classes that have rows, sorted by their UTF-8 bytes, each as UTF-8 and a zero byte
        4. n, the rows of each class, in that order: int64 each
        5. Q: for each class in that order the M + 1 sums of its rows, the bias's (= n) last: int64 each
        6. G: its upper triangle with the diagonal, row by row: row 0 from column 0 (M + 1 numbers), row 1 from column 1
           (M numbers), ..., row M (the bias's) with one number, the rows altogether: int64 each

        int64 is little-endian, two's complement. A rounded feature is clip(rint(feature x 2^shift), -32767, 32767).
        """
        ordered = self.sorted()
        sha = hashlib.sha256(space_id.encode() + b"\0" + _int64(self.width))
        for name in ordered.classes:
            sha.update(name.encode() + b"\0")
        sha.update(_int64(ordered.n))
        sha.update(_int64(ordered.Q.T))
        sha.update(_int64(triangle(ordered.G)))
        return sha.hexdigest()


def _products(inputs: Array, codes: Ints, classes: int) -> tuple[Floats, Floats]:
    """Returns h'h and h'y of rounded features [n, M] and columns [n]; at least one row. Columns that are 0 in all of
    these rows, as most shared indicators of a table are, are not multiplied."""
    some = np.flatnonzero(inputs.any(0))
    h = np.ones((len(inputs), len(some) + 1))
    h[:, :-1] = inputs if len(some) == inputs.shape[1] else inputs.take(some, 1)
    G, Q = h.T @ h, _by_class(h, codes, classes)
    if len(some) == inputs.shape[1]:
        return G, Q
    size, present = inputs.shape[1] + 1, np.append(some, inputs.shape[1])
    whole, by_class = np.zeros((size, size)), np.zeros((size, classes))
    whole[np.ix_(present, present)], by_class[present] = G, Q
    return whole, by_class


def _by_class(h: Floats, codes: Ints, classes: int) -> Floats:
    """Sums up the rows of each class, exactly, as they are integers. h [n, M+1], codes [n] -> [M+1, classes]"""
    if classes * WIDE <= len(h):
        return h.T @ np.eye(classes)[codes]
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    Q = np.zeros((h.shape[1], classes))
    Q[:, present] = np.add.reduceat(h[order], starts, axis=0).T
    return Q


def triangle(G: Floats) -> Floats:
    """Returns the upper triangle with the diagonal, row by row."""
    return np.concatenate([row[k:] for k, row in enumerate(G)])


def square(upper: Floats, size: int) -> Floats:
    """Inverse of `triangle`."""
    G = np.zeros((size, size))
    ends = np.r_[0, np.cumsum(np.arange(size, 0, -1))]
    for k, (start, stop) in enumerate(pairwise(ends)):
        G[k, k:] = upper[start:stop]
    return G + np.triu(G, 1).T


def planes(values: Floats) -> list[Array]:
    """Splits integers into their low 32 bits and, in the smallest type, the bits above: five bytes each below 2^39,
    where float64 takes eight. Returns reals, of weighted sums, as they are."""
    whole = values.astype(np.int64)
    if not np.array_equal(whole, values):
        return [values]
    high = whole >> 32
    least, most = int(high.min(initial=0)), int(high.max(initial=0))
    fits = next(kind for kind in (np.int8, np.int16, np.int32) if max(most, -1 - least) <= np.iinfo(kind).max)
    return [whole.astype(np.uint32), high.astype(fits)]


def from_planes(low: Array, high: Array | None) -> Floats:
    """Inverse of `planes`; `high` is None for reals."""
    values = low.astype(np.float64)
    if high is not None:
        values += high.astype(np.float64) * 2.0**32
    return values


def fit(*parts: Sums) -> bool:
    """Whether these sums, added up, pass 2^53 nowhere."""
    return bool(np.sum([sums.G.diagonal() for sums in parts], 0).max() <= LARGEST_SUM)


def _within_limit(sums: Sums) -> Sums:
    if not fit(sums):
        raise MethodRefused(
            f"{sums.rows} rows pass 2^53, the largest sum that the ledger holds exactly. A coarser grid holds more: "
            "start a new model whose input declares its scale, or learn these rows by a method that keeps no ledger."
        )
    return sums


def _int64(values: Array | int | float) -> bytes:
    return np.ascontiguousarray(values, "<i8").tobytes()
