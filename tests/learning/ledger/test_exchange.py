"""Sums of rows pass, whatever the rows; what no rows can have is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.learning.ledger.entry import unpack_entry
from service.learning.ledger.exchange import entry_of, fault
from service.learning.ledger.sums import LARGEST_SUM, Sums
from tests.learning.exact_help import entry_of as rows_of
from tests.learning.exact_help import random_entry

ID = "ab" * 32


@given(
    rows=st.integers(1, 40), classes=st.integers(1, 4), seed=st.integers(0, 99), largest=st.sampled_from([1, 9, 32767])
)
@settings(max_examples=40, deadline=None)
def test_sums_of_any_rows_have_no_fault(rows: int, classes: int, seed: int, largest: int) -> None:
    random = np.random.default_rng(seed)
    features = random.integers(-largest, largest, (rows, 7), endpoint=True)
    features[:, 0], features[:, 2] = 0, features[:, 1]
    sums = Sums.of(rows_of(features, [f"class {k}" for k in random.integers(0, classes, rows)]))
    assert fault(sums, 0) is None
    assert unpack_entry(entry_of(sums).pack()).width == sums.width


def test_a_merged_entry_has_the_digest_of_its_rows_and_none_that_judges() -> None:
    rows = random_entry(30)
    entry = entry_of(Sums.of(rows))
    assert entry.all.digest(ID) == Sums.of(rows).digest(ID)
    assert (entry.judge.rows, entry.select.rows, entry.unjudged.rows) == (0, 0, 30)
    assert (len(entry.exam), len(entry.selected)) == (0, 0)


def changed(name: str, change: Callable[[np.ndarray], None]) -> Sums:
    sums = Sums.of(random_entry(30))
    array = getattr(sums, name).copy()
    change(array)
    return replace(sums, **{name: array})


def put(*place: int, value: float = 0.0, add: float = 0.0) -> Callable[[np.ndarray], None]:
    def change(array: np.ndarray) -> None:
        array[place] = array[place] + add if add else value

    return change


def both(i: int, j: int, add: float) -> Callable[[np.ndarray], None]:
    def change(G: np.ndarray) -> None:
        G[i, j] += add
        G[j, i] += add

    return change


def test_what_no_rows_have_is_found() -> None:
    for name, change, tensor in [
        ("G", put(0, 0, add=0.5), "G"),
        ("G", put(0, 0, value=float("nan")), "G"),
        ("G", put(0, 0, value=float("inf")), "G"),
        ("G", put(0, 0, value=2 * LARGEST_SUM), "G"),
        ("Q", put(0, 0, value=float("-inf")), "Q"),
        ("G", put(0, 1, add=1), "G"),
        ("n", put(0, value=0.0), "n"),
        ("n", put(0, value=-3.0), "n"),
        ("n", put(0, add=1), "G"),
        ("Q", put(-1, 0, add=1), "Q"),
        ("Q", put(0, 0, add=1), "G"),
        ("Q", put(0, 0, add=2.0**40), "Q"),
        ("G", put(0, 0, add=2.0**45), "G"),
        ("G", put(0, 0, value=-1.0), "G"),
        ("G", put(0, 0, value=0.0), "G"),
        ("G", put(0, 0, value=10.0), "G"),
        ("G", both(0, 1, add=2.0**36), "G"),
    ]:
        broken = fault(changed(name, change), 0)
        assert broken is not None, name
        assert broken[0] == tensor, name


def test_a_scatter_below_zero_is_found_though_g_alone_is_one_of_rows() -> None:
    """Means so far apart that the rows of a class would spread by less than nothing."""
    sums = Sums.of(rows_of([[1], [-1], [1], [-1]], ["a", "a", "b", "b"]))
    Q = sums.Q.copy()
    Q[0] = [3, -3]
    assert fault(sums, 0) is None
    assert fault(replace(sums, Q=Q), 0) is not None


def test_low_limbs_of_targets_are_half_as_large() -> None:
    sums = Sums.of(rows_of([[5, 30000, 1]], [""]))
    assert fault(sums, 0) is None
    assert fault(sums, 1) == ("Q", "it is larger than any sum of so many rows")
