"""Near-duplicates among rows, by their marks: rows that share one in any column."""

from __future__ import annotations

import numpy as np

from service.learning.data.matrices import Bools, Ints, Keys, Marks


def in_several(keys: Keys | Marks, values: Ints) -> Bools:
    """Finds rows that share a key other than 0 with a row of another value. -> [n]"""
    if not len(keys):
        return np.zeros(0, bool)
    _, place = np.unique(keys, return_inverse=True)
    low, high = np.full(place.max() + 1, values.max()), np.full(place.max() + 1, values.min())
    np.minimum.at(low, place, values)
    np.maximum.at(high, place, values)
    return np.asarray((low != high)[place] & (keys != 0))


def parted(marks: Marks, folds: Ints) -> Bools:
    """Finds rows with a near-duplicate in another fold: a head may have learned one and be judged on it. -> [n]"""
    rows = np.zeros(len(folds), bool)
    for column in marks.T:
        rows |= in_several(column, folds)
    return rows


def near(marks: Marks, kin: Keys, which: Bools) -> Bools:
    """Finds rows that share a mark or a group with one of `which`, those included. -> [n]"""
    rows = which.copy()
    for column in marks.T:
        rows |= np.isin(column, column[which & (column != 0)])
    return rows | np.isin(kin, kin[which & (kin % np.uint64(2) == 1)])


def shared(marks: Marks, others: Marks) -> Bools:
    """Finds rows that share a mark with any of the other rows. [n, m], [k, m] -> [n]"""
    rows = np.zeros(len(marks), bool)
    for column, other in zip(marks.T, others.T, strict=False):
        rows |= np.isin(column, other[other != 0])
    return rows


def repeated(marks: Marks, labels: Ints, hashes: Keys) -> Bools:
    """Finds near-duplicates of a row of the same label with a smaller hash. -> [n]"""
    rows = np.zeros(len(labels), bool)
    for column in marks.T:
        order = np.lexsort((hashes, labels, column))
        same = (column[order][1:] == column[order][:-1]) & (labels[order][1:] == labels[order][:-1])
        rows[order[1:][same & (column[order][1:] != 0)]] = True
    return rows
