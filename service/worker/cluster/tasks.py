"""Parts of an update as tasks of the cluster, side by side: `learning.run.Tasks` on Ray."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import islice
from typing import Any

import ray

from service import __version__
from service.errors import ClusterAway
from service.learning.run import IN_SEQUENCE, R, T, Tasks

PATIENCE_SECONDS = 60.0
"""A part that no node has done in that time is done here: nothing waits for a cluster that is full, or gone."""
AHEAD = 2
"""Parts that are asked for at once, for each CPU of the cluster: results that nobody has taken yet use memory."""

log = logging.getLogger("tsuika.ray")


def tasks() -> Tasks:
    """What works on parts of this process's updates: the cluster, if it has CPUs besides those of this process."""
    own = ray.get_runtime_context().get_assigned_resources().get("CPU", 0.0)
    others = int(ray.cluster_resources().get("CPU", 0.0) - own)
    return OnCluster(others) if others >= 1 else IN_SEQUENCE


class OnCluster:
    """Ray tasks of one CPU each. One whose process dies is tried again by Ray, three times; what a function raises is
    raised here."""

    def __init__(self, cpus: int) -> None:
        self._at_once = AHEAD * cpus

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        waiting: deque[tuple[Any, Callable[[], R]]] = deque()
        rest = iter(items)
        while True:
            waiting += [self._ask(function, item) for item in islice(rest, self._at_once - len(waiting))]
            if not waiting:
                return
            yield _value(self._done(*waiting.popleft()))

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        """As a tree, whose partial sums stay on the nodes: this process gets the last one alone. Of neighbours a task
        adds up as many as leave each CPU some."""
        size = -(-len(items) // self._at_once)
        parts = [items[k : k + size] for k in range(0, len(items), size)]
        sums = [self._done(*asked) for asked in [self._ask(_added, function, add, part) for part in parts]]
        while len(sums) > 1:
            added = [self._ask(add, a, b) for a, b in zip(sums[::2], sums[1::2], strict=False)]
            sums = [*(self._done(*asked) for asked in added), *sums[2 * len(added) :]]
        value: R = _value(sums[0])
        return value

    def _ask(self, function: Callable[..., R], *arguments: Any) -> tuple[Any, Callable[[], R]]:
        """Has a call made somewhere. -> a reference to its result, and the call, to be made here"""
        reference = _CALL.remote(__version__, function, *arguments)
        return reference, lambda: function(*map(_value, arguments))

    def _done(self, reference: Any, here: Callable[[], R]) -> Any:
        """The reference once its result is there; that of a result made here, where no node has made it in time."""
        if ray.wait([reference], timeout=PATIENCE_SECONDS, fetch_local=False)[0]:
            return reference
        log.warning("no node has done a part of the update in %g s: it is done here", PATIENCE_SECONDS)
        ray.cancel(reference)
        return ray.put(here())


def _added(function: Callable[[T], R], add: Callable[[R, R], R], items: Sequence[T]) -> R:
    return reduce(add, map(function, items))


def _value(reference: Any) -> Any:
    """The value of a result, or of what is none. Raises what the function raised."""
    if not isinstance(reference, ray.ObjectRef):
        return reference
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None


def _call(version: str, function: Callable[..., R], *arguments: Any) -> R:
    """A call, in a process of the cluster. Raises ClusterAway where it has another version of Tsuika."""
    if version != __version__:
        raise ClusterAway(f"A node of the Ray cluster has Tsuika {__version__}, not {version}: install one version.")
    return function(*arguments)


_CALL: Any = ray.remote(_call)
