"""Versions that stay loaded: within a budget of bytes, what was asked last stays; a live version and the one before it
stay or go together, so that a rollback of a model that is in use reads nothing."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from service.contract.inputs import InputSpec
from service.serving.predictor import Predictor

OVERHEAD_BYTES = 48 * 1024
"""Of a loaded version besides its weights: modules, layout, names; measured."""

Key = tuple[str, int]


@dataclass(eq=False)
class Loaded:
    """A version that is ready to answer. `fingerprint` tells two versions apart that were to get the same number;
    `architecture`: versions that have it in common take about as long; `version_id`: of its row, once that was found
    to be this version's; `used`: when it was last looked up, on the monotonic clock."""

    model_id: int
    model: str
    number: int
    fingerprint: str
    predictor: Predictor
    architecture: str = ""
    version_id: int | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def input(self) -> InputSpec:
        """What a row of it looks like."""
        return self.predictor.input


class Shelf:
    """Loaded versions by model and number, and which of them answers for its model.

    Looking one up takes no lock. `pinned`: numbers of a model's versions that stay as long as the one that answers.
    """

    def __init__(self, most_bytes: int, pinned: Callable[[str], Collection[int]]) -> None:
        self._most_bytes, self._pinned = most_bytes, pinned
        self._answering: dict[str, Loaded] = {}
        self._kept: dict[Key, Loaded] = {}
        self._lock = threading.Lock()

    def find(self, name: str, number: int | None = None) -> Loaded | None:
        """The version that answers, or version `number`, if it is loaded."""
        found = self._answering.get(name) if number is None else self._kept.get((name, number))
        if found is not None:
            found.used = time.monotonic()
        return found

    def answering(self, name: str) -> int | None:
        """The number of the version that answers; looking does not count as use."""
        found = self._answering.get(name)
        return found.number if found is not None else None

    def table(self) -> dict[str, int]:
        """By model: the number of the version that answers."""
        with self._lock:
            return {name: loaded.number for name, loaded in self._answering.items()}

    def loaded(self) -> list[Loaded]:
        """All of them."""
        with self._lock:
            return list(self._kept.values())

    def like(self, architecture: str) -> Predictor | None:
        """One of that architecture, whatever its model."""
        return next((v.predictor for v in self.loaded() if v.architecture == architecture), None)

    def keep(self, loaded: Loaded, answers: bool = False) -> None:
        """Put it there, to answer from now on if it `answers`; others go where there is no room for all."""
        with self._lock:
            loaded.used = time.monotonic()
            self._kept[loaded.model, loaded.number] = loaded
            if answers:
                self._answering[loaded.model] = loaded
            self._make_room(loaded)

    def drop(self, gone: Callable[[Loaded], bool]) -> None:
        """Forget some."""
        with self._lock:
            for key in [key for key, loaded in self._kept.items() if gone(loaded)]:
                self._forget(key)

    @property
    def bytes(self) -> int:
        """Memory of all of them."""
        with self._lock:
            return _Size(self._kept.values()).bytes

    def _make_room(self, newest: Loaded) -> None:
        """The longest unused go first, but never the newest: a version beyond the budget answers alone."""
        size = _Size(self._kept.values())
        if size.bytes <= self._most_bytes:
            return
        together: dict[Key, list[Loaded]] = {}
        for (name, number), loaded in self._kept.items():
            answers = self._answering.get(name)
            stays = answers is not None and (loaded is answers or number in self._pinned(name))
            together.setdefault((name, answers.number if answers and stays else number), []).append(loaded)
        for versions in sorted(together.values(), key=lambda versions: max(v.used for v in versions)):
            if size.bytes <= self._most_bytes:
                return
            if newest not in versions:
                for loaded in versions:
                    self._forget((loaded.model, loaded.number))
                    size.take(loaded)

    def _forget(self, key: Key) -> None:
        loaded = self._kept.pop(key)
        if self._answering.get(loaded.model) is loaded:
            del self._answering[loaded.model]


class _Size:
    """Memory of versions; weights that several share count once."""

    def __init__(self, versions: Iterable[Loaded]) -> None:
        self.bytes = 0
        self._holders = Counter[str]()
        for loaded in versions:
            self.bytes += loaded.predictor.bytes + OVERHEAD_BYTES
            if (shared := loaded.predictor.shared) is not None:
                self.bytes += 0 if self._holders[shared.digest] else shared.bytes
                self._holders[shared.digest] += 1

    def take(self, loaded: Loaded) -> None:
        """Without this one."""
        self.bytes -= loaded.predictor.bytes + OVERHEAD_BYTES
        if (shared := loaded.predictor.shared) is not None:
            self._holders[shared.digest] -= 1
            self.bytes -= 0 if self._holders[shared.digest] else shared.bytes
