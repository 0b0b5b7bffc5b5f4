"""The memory of replay: balanced, and the same whatever the order in which rows came."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from service.learning.data.memory import herd, quotas, remember
from service.learning.data.rows import Rows
from tests.learning.memory_data import SECRET, Stream
from tests.learning.samples import SPEC, digits
from tests.updating import make_rows


def batch(name: str, start: int, n: int) -> Rows:
    d = digits()
    return make_rows(name, d.X[start : start + n], d.y[start : start + n], SECRET)


def identities(rows: Rows) -> set[tuple[str, int]]:
    return {(rows.batches[b], int(r)) for b, r in zip(rows.batch, rows.row, strict=True)}


def test_any_order_of_arrival_gives_the_same_rows_in_the_same_order() -> None:
    parts = [batch("a", 0, 80), batch("b", 80, 120), batch("c", 200, 60)]
    one, other = remember(Rows.concat(parts), 50), remember(Rows.concat(parts[::-1]), 50)
    assert np.array_equal(one.inputs, other.inputs)
    assert one.label_names() == other.label_names()


def test_a_retraction_leaves_the_memory_of_never_having_seen_the_batch() -> None:
    a, b = batch("a", 0, 80), batch("b", 80, 120)
    both = Rows.concat([a, b])
    without = both.take(both.batch == 0)
    assert identities(remember(without, 40)) == identities(remember(a, 40))


def test_classes_share_alike_and_the_smallest_hashes_stay() -> None:
    rows = batch("a", 0, 400)
    memory = remember(rows, 100)
    assert set(memory.counts().values()) == {10}
    for name in memory.names:
        of_class = rows.hashes[np.array(rows.label_names()) == name]
        kept = memory.hashes[np.array(memory.label_names()) == name]
        assert set(kept) == set(np.sort(of_class)[:10])


def test_a_smaller_memory_is_a_part_of_a_larger_one() -> None:
    rows = batch("a", 0, 300)
    for small, large in ((1, 2), (9, 31), (31, 200), (200, 1000)):
        assert identities(remember(rows, small)) <= identities(remember(rows, large))


def test_no_rows_give_no_memory() -> None:
    assert len(remember(Stream(SPEC).data(digits().X[:1], digits().y[:1]).kept(), 10)) == 0


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 100))
def test_quotas_use_all_the_room_there_is_evenly(available: list[int], size: int) -> None:
    given_out = quotas(available, size)
    assert sum(given_out) == min(size, sum(available))
    assert all(0 <= g <= a for g, a in zip(given_out, available, strict=True))
    hungry = [g for g, a in zip(given_out, available, strict=True) if g < a]
    if hungry:
        assert max(given_out) <= min(hungry) + 1


@pytest.mark.parametrize(("size", "shares"), [(3, [1, 1, 1]), (4, [2, 1, 1]), (20, [9, 2, 9])])
def test_what_a_small_class_leaves_goes_to_the_others(size: int, shares: list[int]) -> None:
    assert quotas([10, 2, 10], size) == shares


def test_herding_is_what_brute_force_chooses() -> None:
    """At each step the row that brings the mean of the chosen nearest to the mean of all."""
    features = torch.randn(30, 5, generator=torch.Generator().manual_seed(3)) + 1
    v = F.normalize(features.double(), dim=1)
    chosen: list[int] = []
    for _ in range(12):
        apart = {i: float((v.mean(0) - v[[*chosen, i]].mean(0)).norm()) for i in range(len(v)) if i not in chosen}
        chosen.append(min(apart, key=lambda i: apart[i]))
    assert herd(features, 12).tolist() == chosen


def test_a_smaller_herd_is_the_beginning_of_a_larger_one() -> None:
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(4))
    most = herd(features, 100).tolist()
    assert sorted(most) == list(range(40))
    for size in (0, 1, 7, 39):
        assert herd(features, size).tolist() == most[:size]


def test_a_herd_stands_for_its_class_better_than_rows_by_chance() -> None:
    features = torch.randn(200, 8, generator=torch.Generator().manual_seed(5)) + 0.5
    v = F.normalize(features, dim=1)
    distance = float((v[herd(features, 10)].mean(0) - v.mean(0)).norm())
    draws = torch.Generator().manual_seed(6)
    chance = [float((v[torch.randperm(200, generator=draws)[:10]].mean(0) - v.mean(0)).norm()) for _ in range(20)]
    assert distance < sum(chance) / 20 / 3
