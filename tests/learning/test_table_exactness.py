"""Sums of tables are exact: one digest and one head for any order and split, also of values that appear late."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from service.contract.inputs import Architecture
from service.contract.tables import value_code
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_shard, unpack_shard
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.methods import resolve
from service.learning.network.checkpoint import VALUES, Checkpoint
from service.learning.run import Run
from service.learning.update import learn
from tests.answering import values_of
from tests.learning.memory_data import MemoryData
from tests.learning.table_streams import CITIES, CITY, LATE, SHOP, class_rows, shop, target_rows

KINDS = {"classes": (ClassTarget(), class_rows), "numbers": (NumberTarget(kind="number"), target_rows)}
ORDERS, FIRST = 20, 60
ASKED = {"name": "ridge", "lift": ["none", "relu"], "width": 12, "decay": 1, "alpha": 0.1, "per_source": False}


class SummedOnce(MemoryData):
    """Adds up a ledger once, as the worker does."""

    def ledger(self, space: Space) -> Ledger:
        return _once(self, "ledger", lambda: super(SummedOnce, self).ledger(space))

    def grown(self, space: Space) -> Ledger:
        return _once(self, "grown", lambda: self.ledger(space).with_entry(self.entry(space)))


def _once(data: MemoryData, name: str, make: Callable[[], Ledger]) -> Ledger:
    made: dict[str, Ledger] = data.__dict__.setdefault("made", {})
    if name not in made:
        made[name] = make()
    return made[name]


def solved(kind: str, base: Checkpoint | None, known: list[Rows], batch: Rows) -> tuple[Checkpoint, str]:
    """What ridge makes of a batch, or of what is known where it is empty; the digest of all of it."""
    target: Target = KINDS[kind][0]
    data = SummedOnce(SHOP, Architecture(), known, batch, target=target)
    version = learn(base, data, *resolve(ASKED), Run()).checkpoint
    return version, data.grown(Space.of(version)).digest


@cache
def table() -> NDArray[np.float64]:
    """A first batch, which fixes scales and knots, then 140 rows with a city that it lacks."""
    return np.concatenate([shop(FIRST), shop(140, seed=1, cities=(*CITIES, LATE))])


@cache
def start(kind: str) -> tuple[Checkpoint, Rows]:
    batch = KINDS[kind][1]("bat_first", table()[:FIRST])
    return solved(kind, None, [], batch)[0], batch


def bits(version: Checkpoint) -> dict[str, bytes]:
    """Scale, lifts, heads and values."""
    return {part: pack_shard(tensors) for part, tensors in version.parts.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_orders_and_splits_have_one_digest_and_one_head(kind: str) -> None:
    base, first = start(kind)
    rest = table()[FIRST:]
    assert value_code(LATE) in rest[:, CITY]
    seen = set()
    for seed in range(ORDERS):
        random = np.random.default_rng(seed)
        cuts = np.sort(random.integers(0, len(rest), random.integers(0, 4)))
        parts = [part for part in np.split(random.permutation(len(rest)), cuts) if len(part)]
        batches = [KINDS[kind][1](f"bat_{k:02d}", rest[part]) for k, part in enumerate(parts)]
        version, digest = solved(kind, base, [first, *batches], Rows.empty(SHOP.shape))
        seen.add((digest, *sorted(bits(version).items())))
    assert len(seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_taking_a_batch_back_is_never_having_seen_it(kind: str) -> None:
    """Its city, too: nothing of it is left, neither in the sums nor among the values."""
    base, first = start(kind)
    make = KINDS[kind][1]
    honest = make("bat_1", shop(60, seed=2))
    spoilt = make("bat_2", shop(50, seed=3, cities=(LATE,)))
    never, digest = solved(kind, base, [first], honest)
    with_all, _ = solved(kind, never, [first, honest], spoilt)
    assert value_code(LATE) in with_all.learned_values().codes[CITY]
    again, left = solved(kind, with_all, [first, honest], Rows.empty(SHOP.shape))
    assert (bits(again), left) == (bits(never), digest)
    assert again.learned[VALUES] == {"bat_first", "bat_1"}


@pytest.mark.parametrize("kind", KINDS)
def test_when_everything_was_taken_back_no_value_is_known(kind: str) -> None:
    base, _ = start(kind)
    blank, _ = solved(kind, base, [], Rows.empty(SHOP.shape))
    assert blank.outputs == ()
    assert [*blank.learned_values().codes] == [*SHOP.growing], "every growing column has its codes, none of them here"
    assert all(not len(codes) for codes in blank.learned_values().codes.values())
    assert pack_shard(unpack_shard(pack_shard(blank.parts[VALUES]))) == pack_shard(blank.parts[VALUES])


def test_values_by_name_are_those_of_rows() -> None:
    rows = shop(80)
    counts = {"city": {city: int((rows[:, CITY] == value_code(city)).sum()) for city in CITIES}}
    by_name, by_row = LearnedValues.of(SHOP, [counts]), values_of(SHOP, rows)
    assert {place: codes.tolist() for place, codes in by_name.codes.items()} == {
        place: codes.tolist() for place, codes in by_row.codes.items()
    }
