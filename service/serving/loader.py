"""Versions become ready in threads that step back for the event loop: read, verified, built and warmed."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from service.serving.loaded_versions import Loaded, Shelf
from service.serving.predictor import load
from service.storage.artifacts import SHARDS, Artifacts
from service.tuning.priority import step_back

P = ParamSpec("P")
T = TypeVar("T")


class Loading:
    """Of a process. What goes live does not wait behind all that is asked for the first time."""

    def __init__(self, store: Artifacts, shelf: Shelf) -> None:
        self._store, self._shelf = store, shelf
        self._one_at_a_time = threading.Lock()
        self._loader, self._swapper = (ThreadPoolExecutor(1, name, step_back) for name in ("loader", "swapper"))

    def for_first_asked(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
        """Work that loads what is asked for the first time."""
        return self._loader.submit(work, *args, **named)

    def for_swap(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> Future[T]:
        """Work that loads what goes live."""
        return self._swapper.submit(work, *args, **named)

    def load(
        self, model_id: int, name: str, number: int, layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
    ) -> Loaded:
        """A version, in this thread, where it is not loaded yet. Raises CorruptArtifact."""
        mark = fingerprint(layout, shards)
        known = self._shelf.find(name, number)
        if known is not None and known.fingerprint == mark:
            return known
        kind = _architecture(layout)
        with self._one_at_a_time:
            live = self._shelf.find(name)
            like = live.predictor if live is not None else self._shelf.like(kind)
            predictor = load(layout, shards, lambda digest: self._store.get(SHARDS, digest), like)
        predictor.family = model_id
        return Loaded(model_id, name, number, mark, predictor, kind)

    def close(self) -> None:
        """Load no more."""
        for thread in (self._loader, self._swapper):
            thread.shutdown(wait=False, cancel_futures=True)


def fingerprint(layout: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]) -> str:
    """Names a version by what it is made of."""
    told = json.dumps([layout, [(s["part"], s["digest"]) for s in shards]], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _architecture(layout: Mapping[str, Any]) -> str:
    """Names the layers of a version. Two of one name take about as long, whatever they were taught."""
    told = {name: layout.get(name) for name in ("input", "backbone", "layers", "inserted", "low_rank", "lifts", "neck")}
    return json.dumps([told, len(layout["classes"])], sort_keys=True)
