"""A ledger entry without its rows adds and takes away exactly what the rows did, and holds none that learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from service.errors import CorruptArtifact
from service.learning.data.rows import SELECT_FOLD, FeatureRows
from service.learning.data.serialization import pack_rows
from service.learning.ledger.entry import SummedEntry, sums_of, unpack_entry
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from tests.learning.exact_help import WIDTH, random_entry, space

SPACE = space()


def entry(n: int, seed: int, batch: str = "bat_0") -> FeatureRows:
    return random_entry(n, width=WIDTH, seed=seed, batch=batch)


def same(a: Sums, b: Sums) -> bool:
    return a.digest(SPACE.id) == b.digest(SPACE.id)


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_a_ledger_is_the_same_with_rows_and_with_their_sums(n: int) -> None:
    first, second = entry(n, 1, "bat_1"), entry(40, 2, "bat_2")
    rows = Ledger.empty(SPACE).with_entry(first).with_entry(second)
    sums = Ledger.empty(SPACE).with_entry(SummedEntry.unpack(SummedEntry.of(first).pack())).with_entry(second)
    for group in ("judge", "select", "learn"):
        assert same(getattr(rows, group), getattr(sums, group))
    assert pack_rows(rows.exam) == pack_rows(sums.exam)
    assert pack_rows(rows.selected) == pack_rows(sums.selected)
    assert rows.pack() == sums.pack()
    assert same(sums.all - Sums.of(first), Sums.of(second)), "it can be taken out again"
    assert same(sums_of(SummedEntry.of(first)), Sums.of(first))


def test_weighted_sums_are_the_same_with_rows_and_with_their_sums() -> None:
    first = entry(60, 1)
    known = Ledger.empty(SPACE).with_entry(entry(40, 2, "bat_2"))
    assert known.weighted(0.7, first, 0.3).pack() == known.weighted(0.7, SummedEntry.of(first), 0.3).pack()


def test_of_the_rows_only_those_that_judge_and_select_are_left() -> None:
    rows = entry(200, 3)
    packed = SummedEntry.of(rows).pack()
    left = SummedEntry.unpack(packed)
    assert (left.exam.folds < SELECT_FOLD).all()
    assert (left.selected.folds == SELECT_FOLD).all()
    there = {r.tobytes() for part in (left.exam, left.selected) for r in part.inputs}
    learning = rows.inputs[rows.folds > SELECT_FOLD]
    assert not any(r.tobytes() in there for r in learning)
    named = SummedEntry.of(rows, exam=left.exam.row[:3].tolist(), selected=[])
    assert (len(named.exam), len(named.selected)) == (3, 0)
    assert same(named.all, Sums.of(rows))


def test_a_stored_entry_is_read_as_what_it_is() -> None:
    rows = entry(20, 4)
    again = unpack_entry(pack_rows(rows))
    assert isinstance(again, FeatureRows)
    assert pack_rows(again) == pack_rows(rows)
    assert isinstance(unpack_entry(SummedEntry.of(rows).pack()), SummedEntry)


def test_a_group_without_rows_takes_no_bytes() -> None:
    one = entry(1, 5)
    assert len(SummedEntry.of(one).pack()) < len(SummedEntry.of(entry(60, 5)).pack()) / 2
    empty = one.take(np.zeros(0, np.int64))
    assert sums_of(SummedEntry.unpack(SummedEntry.of(empty).pack())).rows == 0


@pytest.mark.parametrize("damage", [lambda b: b[:40], lambda b: b[:20] + b"\0" + b[21:], lambda b: b[:4]])
def test_damaged_sums_are_told_as_such(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CorruptArtifact):
        unpack_entry(damage(SummedEntry.of(entry(30, 6)).pack()))
