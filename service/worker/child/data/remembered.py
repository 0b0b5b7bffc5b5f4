"""What is a function of a set of batches, by name: held in the memory of a process, and kept in the cache."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from service.learning.data.rows import Rows
from service.learning.data.serialization import pack_rows, unpack_rows
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.storage.artifacts import exam_area
from service.storage.cache import Cache

Thing = Rows | SummedEntry | Sums
T = TypeVar("T", bound=Thing)
Kept = TypeVar("Kept", Rows, Ledger)

REMEMBERED_BYTES = 128 * 2**20
"""Ledgers and exams that a process keeps in memory."""
REMEMBERED_LEAST = 13
"""Kept however large: an update asks for exam and ledger of its base, its entry, exam and ledger of what it makes;
where batches age also for the weighted ledgers of both, for the sums by which four decays are tested, and for those of
the last batch."""


class Memory:
    """The latest ledgers and exams of a process, by name, each with the rows of it that the cache lacks; what falls out
    is read from the cache again.

    bits: by digest, which trusted rows versions answered right, as they are stored; the latest last.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[Thing, int]] = OrderedDict()
        self.bits: dict[str, bytes] = {}

    def recall(self, name: str, make: Callable[[], T]) -> T:
        """The thing of that name, made where it is not held."""
        if name not in self._held:
            self.hold(name, make())
        self._held.move_to_end(name)
        return cast(T, self._held[name][0])

    def held(self, name: str, kind: type[T]) -> T | None:
        """The thing of that name, None where it is not held."""
        if name not in self._held:
            return None
        self._held.move_to_end(name)
        thing, _ = self._held[name]
        return thing if isinstance(thing, kind) else None

    def unsaved(self, name: str) -> int:
        """Rows of the thing of that name that the cache lacks; 0 where it is not held."""
        return self._held[name][1] if name in self._held else 0

    def drop(self, name: str) -> None:
        self._held.pop(name, None)

    def hold(self, name: str, thing: Thing, unsaved: int = 0) -> None:
        """Keeps a thing, and drops those that were used least recently."""
        self._held[name] = thing, unsaved
        self._held.move_to_end(name)
        while (
            len(self._held) > REMEMBERED_LEAST and sum(_bytes(of) for of, _ in self._held.values()) > REMEMBERED_BYTES
        ):
            self._held.popitem(last=False)


def _bytes(thing: Thing) -> int:
    """Bytes of a thing in memory; a ledger counts with the two sums that it works out when they are used."""
    if isinstance(thing, Rows):
        return thing.inputs.nbytes
    if isinstance(thing, Sums):
        return thing.G.nbytes
    return 5 * thing.learn.G.nbytes + thing.exam.inputs.nbytes + thing.selected.inputs.nbytes


@dataclass(frozen=True)
class Listing:
    """Sorted batches as names are made of them: there may be many, and an update asks for many names.

    text: each behind a line feed · ends: n -> bytes of the first n, of all and of up to some fewer
    """

    text: memoryview
    ends: Mapping[int, int]

    @classmethod
    def of(cls, batches: Sequence[str], fewer: int = 0) -> Listing:
        text = "\n".join(["", *batches]).encode()
        ends = {len(batches): len(text)}
        for n in range(len(batches), max(len(batches) - fewer, 0), -1):
            ends[n - 1] = ends[n] - len(batches[n - 1].encode()) - 1
        return cls(memoryview(text), ends)

    def first(self, n: int) -> Listing:
        """Of the first n batches, an `n` of its ends."""
        return Listing(self.text[: self.ends[n]], {k: end for k, end in self.ends.items() if k <= n})


class Remembered:
    """What memory and cache have of the batches of one model. area: of the model, in the store"""

    def __init__(self, area: str, memory: Memory, cache: Cache) -> None:
        self.area, self.memory, self.cache = area, memory, cache

    def name(self, *words: str, learned: Iterable[str]) -> str:
        """The name of something that is a function of a set of batches."""
        [name] = self.names(*words, of=Listing.of(sorted(learned))).values()
        return name

    def names(self, *words: str, of: Listing) -> dict[int, str]:
        """n -> the name of something that is a function of the first n of sorted batches, for all n that the listing
        knows. Costs little more than one name."""
        hashed, at = hashlib.sha256("\n".join([self.area, *words]).encode()), 0
        names = {}
        for n in sorted(of.ends):
            hashed.update(of.text[at : of.ends[n]])
            names[n], at = hashed.hexdigest(), of.ends[n]
        return names

    def latest(self, names: Mapping[int, str], kind: type[Kept]) -> tuple[Kept | None, int]:
        """The thing of the most first batches that memory or cache has, and their number. names: n -> that of the thing
        of the first n"""
        for n in sorted(names, reverse=True):
            if (held := self.memory.held(names[n], kind)) is not None:
                return held, n
            if (cached := self.cache.get(self._area(kind), names[n])) is not None:
                return cast(Kept, Ledger.unpack(cached) if kind is Ledger else unpack_rows(cached)), n
        return None, 0

    def keep(self, name: str, thing: Rows | Ledger) -> None:
        """Writes a thing into the cache."""
        packed = thing.pack() if isinstance(thing, Ledger) else pack_rows(thing)
        self.cache.put(self._area(type(thing)), name, packed)

    def _area(self, kind: type[Rows | Ledger]) -> str:
        return self.area if kind is Ledger else exam_area(self.area)
