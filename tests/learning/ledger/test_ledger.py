"""The exact ledger: the same bits for any order, split and interleaving, also after adding and taking out."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import CorruptArtifact, MethodRefused
from service.learning.data.rows import FeatureRows
from service.learning.data.serialization import pack
from service.learning.ledger import sums as sums_module
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums, from_planes, planes
from tests.learning.exact_help import WIDTH, entry_of, random_entry, space

ID = "ab" * 32


def same(a: Sums, b: Sums) -> bool:
    one, two = a.sorted(), b.sorted()
    return one.classes == two.classes and all(
        np.array_equal(getattr(one, name), getattr(two, name)) for name in ("G", "Q", "n")
    )


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_order_and_split_has_the_digest_of_the_one_shot_sums(data: st.DataObject) -> None:
    entry = random_entry(30, seed=data.draw(st.integers(0, 5)))
    order = np.array(data.draw(st.permutations(range(30))))
    cuts = sorted(data.draw(st.lists(st.integers(0, 30), max_size=6)))
    parts = [entry.take(part) for part in np.split(order, cuts)]  # some of them empty, some of one class
    total = Sums.empty(6)
    for part in parts:
        total = total + Sums.of(part)
    assert total.digest(ID) == Sums.of(entry).digest(ID)
    assert same(total, Sums.of(entry))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_added_and_taken_out_is_never_added(data: st.DataObject) -> None:
    kept, wrong = random_entry(20, seed=1), random_entry(data.draw(st.integers(1, 9)), classes=5, seed=2)
    with_both = Sums.of(kept) + Sums.of(wrong)
    assert with_both.digest(ID) != Sums.of(kept).digest(ID)
    left = with_both - Sums.of(wrong)
    assert same(left, Sums.of(kept))
    assert left.digest(ID) == Sums.of(kept).digest(ID)
    assert (left - Sums.of(kept)).digest(ID) == Sums.empty(6).digest(ID)


@pytest.mark.parametrize("absent", [[0, 3], [5], [0, 1, 2, 3, 4, 5]])
def test_columns_that_no_row_has_are_0_in_the_sums(absent: list[int]) -> None:
    entry = random_entry(30)
    inputs = entry.inputs.copy()
    inputs[:, absent] = 0
    sums = Sums.of(entry.with_features(inputs))
    h = np.c_[inputs.astype(np.int64), np.ones(30, np.int64)]
    labels = np.eye(len(sums.classes), dtype=np.int64)[entry.codes(sums.classes)]
    assert np.array_equal(sums.G, h.T @ h)
    assert np.array_equal(sums.Q, h.T @ labels)


def test_sums_are_exact_whatever_the_threads_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = random_entry(200, width=9)
    whole = Sums.of(entry)
    monkeypatch.setattr(sums_module, "CHUNK", 7)
    assert same(Sums.of(entry), whole)
    h = np.c_[entry.inputs.astype(object), np.ones(200, object)]
    assert (whole.G.astype(object) == h.T @ h).all(), "integers without a limit"
    assert whole.rows == 200
    assert whole.width == 9


def test_columns_keep_the_order_of_first_appearance_and_empty_classes_leave() -> None:
    late, early = entry_of([[1], [2]], ["b", "b"]), entry_of([[3]], ["a"])
    both = Sums.of(late) + Sums.of(early)
    assert both.classes == ("b", "a")
    assert both.Q.tolist() == [[3, 3], [2, 1]]
    assert (both - Sums.of(late)).classes == ("a",)
    assert both.aligned(("c", "a", "b")).n.tolist() == [0, 1, 2]
    assert both.aligned(("c", "a", "b")).digest(ID) == both.digest(ID)


def test_the_documented_recipe_gives_the_digest() -> None:
    page = (Path(__file__).parents[3] / "docs/certificate.md").read_text()
    recipe: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], recipe)
    sums = Sums.of(random_entry(30, classes=4))
    assert recipe["certificate"](ID, sums.classes, sums.n, sums.Q, sums.G) == sums.digest(ID)


def test_anybody_can_recompute_the_digest() -> None:
    entry = entry_of([[1, -2], [3, 4], [5, 6]], ["ü", "b", "b"])
    data = ID.encode() + b"\0" + struct.pack("<q", 2)
    data += b"b\0" + "ü".encode() + b"\0"
    data += struct.pack("<2q", 2, 1)
    data += struct.pack("<3q", 8, 10, 2) + struct.pack("<3q", 1, -2, 1)
    data += struct.pack("<6q", 35, 40, 9, 56, 8, 3)
    assert Sums.of(entry).digest(ID) == hashlib.sha256(data).hexdigest()
    assert Sums.of(entry).digest("cd" * 32) != Sums.of(entry).digest(ID)


def test_what_was_never_in_cannot_be_taken_out() -> None:
    sums, other = Sums.of(entry_of([[5], [1]], ["a", "b"])), entry_of([[9]], ["a"])
    for stranger in (other, entry_of([[5]], ["c"]), entry_of([[1], [1]], ["b", "b"])):
        with pytest.raises(CorruptArtifact, match="Rebuild"):
            sums - Sums.of(stranger)


def test_sums_beyond_what_float64_holds_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = entry_of([[2**15 - 1]], ["a"])
    monkeypatch.setattr(sums_module, "LARGEST_SUM", 3.0 * 2**30)
    three = Sums.of(largest) + Sums.of(largest) + Sums.of(largest)
    with pytest.raises(MethodRefused, match="coarser grid"):
        three + Sums.of(largest)
    with pytest.raises(MethodRefused, match="coarser grid"):
        Sums.of(FeatureRows.concat([largest] * 4))


def batches(n: int = 6, rows: int = 25) -> list[FeatureRows]:
    return [random_entry(rows, width=12, seed=k, batch=f"bat_{k}") for k in range(n)]


def content(rows: FeatureRows) -> set[tuple[str, int, str, bytes]]:
    labels = rows.label_names()
    return {
        (rows.batches[b], int(r), labels[k], rows.inputs[k].tobytes())
        for k, (b, r) in enumerate(zip(rows.batch, rows.row, strict=True))
    }


def ledger_of(parts: list[FeatureRows], here: Space | None = None) -> Ledger:
    ledger = Ledger.empty(here or space())
    for part in parts:
        ledger = ledger.with_entry(part)
    return ledger


def equal(a: Ledger, b: Ledger) -> bool:
    return (
        all(same(getattr(a, group), getattr(b, group)) for group in ("judge", "select", "learn", "unjudged", "all"))
        and content(a.exam) == content(b.exam)
        and content(a.selected) == content(b.selected)
        and a.digest == b.digest
    )


def test_each_row_is_summed_where_its_stored_fold_puts_it() -> None:
    [entry] = batches(1)
    ledger = ledger_of([entry])
    assert same(ledger.judge, Sums.of(entry.take(entry.folds < 2)))
    assert same(ledger.select, Sums.of(entry.take(entry.folds == 2)))
    assert same(ledger.learn, Sums.of(entry.take(entry.folds > 2)))
    assert same(ledger.all, Sums.of(entry))
    assert content(ledger.exam) == content(entry.take((entry.folds < 2) & ~entry.lent))
    assert content(ledger.selected) == content(entry.take(entry.folds == 2))


def test_an_empty_ledger_is_one_of_a_space() -> None:
    empty = Ledger.empty(space())
    assert (empty.width, empty.all.rows, len(empty.exam)) == (12, 0, 0)
    assert equal(empty.with_entry(FeatureRows.none(12)), empty)


@given(order=st.permutations(range(6)))
@settings(max_examples=15, deadline=None)
def test_a_ledger_is_the_same_in_any_order(order: list[int]) -> None:
    parts = batches()
    assert equal(ledger_of([parts[k] for k in order]), ledger_of(parts))


def test_a_ledger_names_no_batch_of_which_it_holds_no_row() -> None:
    ledger = Ledger.empty(space())
    for k in range(30):
        rows = random_entry(20, WIDTH, seed=k, batch=f"bat_{k:02d}")
        ledger = ledger.with_entry(rows.take(rows.folds == (0 if k % 10 == 0 else 5)))
    assert set(ledger.exam.batches) <= {"bat_00", "bat_10", "bat_20"}
    assert not ledger.selected.batches
    again = Ledger.unpack(ledger.pack())
    assert again.exam.batches == ledger.exam.batches
    assert again.digest == ledger.digest


def test_a_packed_ledger_comes_back() -> None:
    ledger = ledger_of(batches(2))
    again = Ledger.unpack(ledger.pack())
    assert equal(again, ledger)
    assert (again.space_id, again.shift) == (ledger.space_id, ledger.shift)
    assert np.array_equal(again.all.G, again.all.G.T)
    assert equal(again.with_entry(batches()[5]), ledger.with_entry(batches()[5]))
    with pytest.raises(CorruptArtifact, match="no ledger"):
        Ledger.unpack(pack({}))


def test_features_too_many_for_exact_sums_are_refused_with_the_remedy() -> None:
    with pytest.raises(MethodRefused, match='lift "auto", "relu" or "fourier"'):
        Sums.empty(sums_module.WIDEST_EXACT + 1)


def test_integers_are_kept_in_the_smallest_type_that_holds_them() -> None:
    for values, bytes_each in [([0, 1, -1], 5), ([2**39 - 1, -(2**39)], 5), ([2**40, 5], 6), ([2**53, -(2**53)], 8)]:
        kept = planes(np.array(values, np.float64))
        assert sum(plane.itemsize for plane in kept) == bytes_each, values
        assert from_planes(*kept).tolist() == values, values


def test_a_weighted_ledger_comes_back_as_it_was() -> None:
    ledger = Ledger.empty(space()).with_entry(random_entry(50, WIDTH)).weighted(0.3, None, 0.0)
    again = Ledger.unpack(ledger.pack())
    assert np.array_equal(again.learn.G, ledger.learn.G)
    assert not np.array_equal(again.learn.G, np.rint(again.learn.G))
