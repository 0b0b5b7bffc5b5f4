"""Loaded versions, evicted by least recent use when they pass a budget of bytes.

A live version and the one before it are evicted together, so that a rollback of a model in use reads nothing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from service.contract.body_limits import HIGHEST, BodyLimits
from service.contract.inputs import InputSpec
from service.contract.targets.number_target import NumberTarget
from service.intake.kinds.tables import ValueNames
from service.serving.kinds.kind import PredictOptions
from service.serving.predictor import Predictor

OVERHEAD_BYTES = 48 * 1024
"""Memory of a loaded version besides its weights (modules, layout, names), as measured."""

USUAL_LEVEL: float = NumberTarget.model_fields["level"].default

Key = tuple[str, int]


@dataclass(eq=False)
class Loaded:
    """A version that is ready to answer.

    fingerprint: differs between two versions that were prepared for the same number.
    architecture: versions with the same one take about as long.
    level: gives the level of intervals that its model has at the moment.
    limits: what a body of rows for it may bring.
    leave_out: gives the columns of CSV files that its model does not look at, at the moment.
    version_id: the id of its row in the database, once that row is known to be this version's.
    used: when it was last looked up, on the monotonic clock.
    answered: requests that it has answered.
    """

    model_id: int
    model: str
    number: int
    fingerprint: str
    predictor: Predictor
    architecture: str = ""
    level: Callable[[], float] = lambda: USUAL_LEVEL
    limits: BodyLimits = HIGHEST
    leave_out: Callable[[], Sequence[str]] = tuple
    version_id: int | None = None
    used: float = field(default_factory=time.monotonic)
    answered: int = 0

    @property
    def input(self) -> InputSpec:
        """What its rows look like."""
        return self.predictor.input

    @cached_property
    def most_rows(self) -> int:
        """Rows that a body for it may have."""
        return self.limits.most_rows(self.input)

    def settled(self, options: PredictOptions, names: ValueNames | None = None) -> PredictOptions:
        """The options with what they leave open as its model has it. `names`: values of open categories in the rows.
        Raises InvalidContent for an option that its kind of target does not have."""
        predictor = self.predictor
        settled = predictor.kind.settled(options, self.model, self.level)
        if not names or not predictor.kind.unlearned_lacks:
            return settled
        learned = all(known.issuperset(names.get(place, ())) for place, known in predictor.known.items())
        return settled if learned else settled._replace(unlearned=True)


class LoadedVersions:
    """Loaded versions by model and number, and which of them answers for its model. Looking one up takes no lock.

    pinned: numbers of a model's versions that stay as long as the one that answers.
    """

    def __init__(self, most_bytes: int, pinned: Callable[[str], Collection[int]]) -> None:
        self._most_bytes, self._pinned = most_bytes, pinned
        self._answering: dict[str, Loaded] = {}
        self._loaded: dict[Key, Loaded] = {}
        self._lock = threading.Lock()

    def find(self, name: str, number: int | None = None) -> Loaded | None:
        """The version that answers, or version `number`, if it is loaded."""
        loaded = self._answering.get(name) if number is None else self._loaded.get((name, number))
        if loaded is not None:
            loaded.used = time.monotonic()
        return loaded

    def answering(self, name: str) -> int | None:
        """The number of the version that answers; this does not count as use."""
        loaded = self._answering.get(name)
        return loaded.number if loaded is not None else None

    def table(self) -> dict[str, int]:
        """The number of the version that answers, by model."""
        with self._lock:
            return {name: loaded.number for name, loaded in self._answering.items()}

    def loaded(self) -> list[Loaded]:
        with self._lock:
            return list(self._loaded.values())

    def like(self, architecture: str) -> Predictor | None:
        """The predictor of any loaded version with that architecture."""
        return next((v.predictor for v in self.loaded() if v.architecture == architecture), None)

    def keep(self, loaded: Loaded, answers: bool = False) -> None:
        """Adds a version, which answers for its model from now on if `answers`; evicts others beyond the budget."""
        with self._lock:
            loaded.used = time.monotonic()
            self._loaded[loaded.model, loaded.number] = loaded
            if answers:
                self._answering[loaded.model] = loaded
            self._make_room(loaded)

    def drop(self, gone: Callable[[Loaded], bool]) -> None:
        """Removes the versions for which `gone` is true."""
        with self._lock:
            for key in [key for key, loaded in self._loaded.items() if gone(loaded)]:
                self._forget(key)

    @property
    def bytes(self) -> int:
        with self._lock:
            return _Size(self._loaded.values()).bytes

    def _make_room(self, newest: Loaded) -> None:
        """Evicts the least recently used first, but never the newest: a version beyond the budget answers alone."""
        size = _Size(self._loaded.values())
        if size.bytes <= self._most_bytes:
            return
        groups: dict[Key, list[Loaded]] = {}
        for (name, number), loaded in self._loaded.items():
            live = self._answering.get(name)
            with_live = live is not None and (loaded is live or number in self._pinned(name))
            groups.setdefault((name, live.number if live and with_live else number), []).append(loaded)
        for versions in sorted(groups.values(), key=lambda versions: max(v.used for v in versions)):
            if size.bytes <= self._most_bytes:
                return
            if newest not in versions:
                for loaded in versions:
                    self._forget((loaded.model, loaded.number))
                    size.remove(loaded)

    def _forget(self, key: Key) -> None:
        loaded = self._loaded.pop(key)
        if self._answering.get(loaded.model) is loaded:
            del self._answering[loaded.model]


class _Size:
    """The memory of versions; weights that several share count once."""

    def __init__(self, versions: Iterable[Loaded]) -> None:
        self.bytes = 0
        self._holders = Counter[str]()
        for loaded in versions:
            self.bytes += loaded.predictor.bytes + OVERHEAD_BYTES
            if (shared := loaded.predictor.shared) is not None:
                self.bytes += 0 if self._holders[shared.digest] else shared.bytes
                self._holders[shared.digest] += 1

    def remove(self, loaded: Loaded) -> None:
        self.bytes -= loaded.predictor.bytes + OVERHEAD_BYTES
        if (shared := loaded.predictor.shared) is not None:
            self._holders[shared.digest] -= 1
            self.bytes -= 0 if self._holders[shared.digest] else shared.bytes
