"""Reads, verifies, builds and warms versions, in threads of lower priority than the event loop."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from service.contract.body_limits import BodyLimits
from service.errors import TsuikaError
from service.serving.loaded_versions import Loaded, LoadedVersions
from service.serving.pointers import PointerTable
from service.serving.predictor import load
from service.storage.artifacts import SHARDS, Artifacts
from service.telemetry.metrics import Counter
from service.tuning.priority import step_back

P = ParamSpec("P")
T = TypeVar("T")
LOADS = Counter("tsuika_version_loads_total", "Versions that were read from the store.", ["result"])


class Loader:
    """Loads versions in two threads, so that a version that goes live never waits behind first requests.

    table: says what a model has set at the moment.
    limits: what a body of rows for a version may bring.
    """

    def __init__(self, store: Artifacts, versions: LoadedVersions, table: PointerTable, limits: BodyLimits) -> None:
        self._store, self._versions, self._table, self._limits = store, versions, table, limits
        self._one_at_a_time = threading.Lock()
        self._first_loader, self._swap_loader = (
            ThreadPoolExecutor(1, name, step_back) for name in ("loader", "swapper")
        )

    def for_first_request(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
        """Runs work that loads a version for its first request."""
        return self._first_loader.submit(work, *args, **named)

    def for_swap(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
        """Runs work that loads a version before it goes live."""
        return self._swap_loader.submit(work, *args, **named)

    def load(
        self, model_id: int, name: str, number: int, layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
    ) -> Loaded:
        """Loads a version in this thread, unless it is loaded already. Raises CorruptArtifact."""
        wanted = fingerprint(layout, shards)
        loaded = self._versions.find(name, number)
        if loaded is not None and loaded.fingerprint == wanted:
            return loaded
        architecture = _architecture(layout)
        with self._one_at_a_time:
            live = self._versions.find(name)
            like = live.predictor if live is not None else self._versions.like(architecture)
            try:
                predictor = load(layout, shards, lambda digest: self._store.get(SHARDS, digest), like)
            except TsuikaError:
                LOADS.add("failed")
                raise
        LOADS.add("loaded")
        predictor.family = model_id
        level, leave_out = partial(self._table.level, name), partial(self._table.leave_out, name)
        return Loaded(model_id, name, number, wanted, predictor, architecture, level, self._limits, leave_out)

    def close(self) -> None:
        """Ends the threads, each after the version that it is loading."""
        for thread in (self._first_loader, self._swap_loader):
            thread.shutdown(cancel_futures=True)


def fingerprint(layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]) -> str:
    """The hash of a version's layout and shards."""
    text = json.dumps([layout, [(s["part"], s["digest"]) for s in shards]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _architecture(layout: Mapping[str, Any]) -> str:
    """A name for the layers of a version: versions with the same name take about as long."""
    layers = {
        name: layout.get(name) for name in ("input", "backbone", "layers", "inserted", "low_rank", "lifts", "neck")
    }
    columns = len(layout["classes"]), len((layout.get("numbers") or {}).get("names", ()))
    return json.dumps([layers, *columns], sort_keys=True)
