"""Parts of an update on other processes of the cluster, side by side: `learning.run.Tasks` on Ray."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import ray
import torch

from service import __version__
from service.errors import ClusterAway, DeviceMissing
from service.learning.devices import CPU, described, device_named
from service.learning.run import IN_SEQUENCE, R, T, Tasks, no_check

PATIENCE_SECONDS = 60.0
"""A part that no node has done in that time, nor in twice what one takes here, is done here: nothing waits for a
cluster that is full, or gone."""
LOOK_SECONDS = 0.1
"""Time between two looks, while a part is waited for, at whether the update goes on."""
AHEAD = 2
"""Parts that are asked for at once, for each CPU or GPU of the cluster: the next one is there once one is done."""

log = logging.getLogger("tsuika.ray")


def tasks() -> Tasks:
    """What works on parts of this process's updates: the cluster, if it has CPUs besides those of this process."""
    own, there = ray.get_runtime_context().get_assigned_resources(), ray.cluster_resources()
    cpus, gpus = (int(there.get(kind, 0.0) - own.get(kind, 0.0)) for kind in ("CPU", "GPU"))
    return OnCluster(cpus, gpus) if cpus >= 1 else IN_SEQUENCE


class OnCluster:
    """Ray tasks of one CPU each, and helpers of one GPU each. A part whose process dies is tried again by Ray, three
    times; what a function raises is raised here. cpus, gpus: those of the cluster besides this process's own."""

    def __init__(self, cpus: int, gpus: int = 0) -> None:
        self._at_once, self._gpus = AHEAD * cpus, gpus

    def has(self, device: torch.device) -> bool:
        return device.type == "cpu" or self._gpus > 0

    def each(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        device: torch.device = CPU,
        check: Callable[[], None] = no_check,
    ) -> Iterator[R]:
        """While the first part that is out is not done, this process works on one that nobody has: the last one is left
        to it."""
        rest, waiting = deque(items), deque[tuple[Any, Callable[[], R]]]()
        since, late = time.monotonic(), False  # the first one waits; whether the one before was waited for in vain
        longest = 0.0  # of the parts that were made here
        with self._others(device, len(items)) as others, _cancelled_at_the_end(waiting):
            while rest or waiting:
                for _ in range(min(others.room(), len(rest) - 1)):
                    call = partial(function, rest.popleft())
                    waiting.append((others.ask(call), call))
                patience = 0.0 if late else since + max(PATIENCE_SECONDS, 2 * longest) - time.monotonic()
                if rest and not (waiting and (_is_there(waiting[0][0]) or patience <= 0)):
                    call, began = partial(function, rest.popleft()), time.monotonic()
                    waiting.append((call(), call))
                    longest = max(longest, time.monotonic() - began)
                    continue
                reference, here = waiting[0]
                done = self._done(reference, here, patience, check)
                waiting.popleft()
                since = time.monotonic()
                late = done is not reference if isinstance(reference, ray.ObjectRef) else late
                value = _value(done)
                yield here() if value is None else value

    @contextmanager
    def _others(self, device: torch.device, parts: int) -> Iterator[Others]:
        """Who takes parts besides this process. Helpers have their GPUs until the end."""
        if device.type == "cpu":
            yield Others([_CALL.remote] * self._at_once, device)
            return
        helpers = [_HELPER.remote() for _ in range(min(self._gpus, parts))]
        try:
            yield Others([], device, {helper.kind.remote(str(device)): helper for helper in helpers})
        finally:
            for helper in helpers:
                ray.kill(helper)

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        """As a tree, whose partial sums stay on the nodes: this process gets the last one alone. A task adds up
        neighbours from the front, the fewer the fewer are left, while this process adds up from the end."""
        rest, asked, own = deque(items), list[tuple[Any, Callable[[], R]]](), list[R]()
        others = Others([_CALL.remote] * self._at_once, CPU)
        while rest:
            for _ in range(others.room()):
                size = -(-(len(rest) - 1) // (self._at_once + AHEAD))  # one is left to this process
                if size:
                    call = partial(_added, function, add, [rest.popleft() for _ in range(size)])
                    asked.append((others.ask(call), call))
            value = function(rest.pop())
            own = [add(value, own[0]) if own else value]
        sums = [self._done(*each) for each in asked]
        while len(sums) > 1:
            added = [self._ask(add, a, b) for a, b in zip(sums[::2], sums[1::2], strict=False)]
            sums = [*(self._done(*each) for each in added), *sums[2 * len(added) :]]
        total: R = reduce(add, [*map(_value, sums), *own])
        return total

    def _ask(self, function: Callable[..., R], *arguments: Any) -> tuple[Any, Callable[[], R]]:
        """Has a call made somewhere. -> a reference to its result, and the call, to be made here"""
        reference = _CALL.remote(__version__, function, *arguments)
        return reference, lambda: function(*map(_value, arguments))

    def _done(
        self,
        reference: Any,
        here: Callable[[], R],
        patience: float | None = None,
        check: Callable[[], None] = no_check,
    ) -> Any:
        """The reference once its result is there; that of a result made here, where no node has made it in time."""
        end = time.monotonic() + (PATIENCE_SECONDS if patience is None else patience)
        while not _is_there(reference, min(LOOK_SECONDS, end - time.monotonic())):
            check()
            if time.monotonic() >= end:
                break
        else:
            return reference
        log.warning("no node has done a part of the update in time: it is done here")
        ray.cancel(reference)
        return ray.put(here())


class Others:
    """Processes that take parts. free: who takes one now, once for each · device: what it is to be made on · starting:
    helpers by the reference to what their device is; one with another kind would round otherwise, and is let go."""

    def __init__(self, free: Sequence[Any], device: torch.device, starting: dict[Any, Any] | None = None) -> None:
        self._free, self._asked, self._starting = deque(free), dict[Any, Any](), starting or {}
        self._device = str(device), described(device)

    def room(self) -> int:
        """How many parts may be asked for."""
        for reference in _there(self._starting):
            helper = self._starting.pop(reference)
            try:
                kind = ray.get(reference)
            except ray.exceptions.RayError as error:
                kind = str(error).partition("\n")[0][:300]
            if kind == self._device[1]:
                self._free.extend([partial(helper.part.remote, *self._device)] * AHEAD)
            else:
                log.warning("a GPU of the cluster is not used for this update on %s: %s", self._device[1], kind)
                ray.kill(helper)
        self._free.extend(self._asked.pop(reference) for reference in _there(self._asked))
        return len(self._free)

    def ask(self, call: Callable[[], R]) -> Any:
        """Has one of those that are free make a call. -> a reference to its result"""
        ask = self._free.popleft()
        reference = ask(__version__, call)
        self._asked[reference] = ask
        return reference


@contextmanager
def _cancelled_at_the_end(waiting: Sequence[tuple[Any, Any]]) -> Iterator[None]:
    """Then ends the parts that nobody waits for any more."""
    try:
        yield
    finally:
        for reference, _ in waiting:
            if isinstance(reference, ray.ObjectRef):
                ray.cancel(reference)


def _there(references: dict[Any, Any]) -> list[Any]:
    """Those whose results are there."""
    every = list(references)
    return list(ray.wait(every, num_returns=len(every), timeout=0, fetch_local=False)[0]) if every else []


def _is_there(reference: Any, patience: float = 0.0) -> bool:
    """Whether a result is there, or will be in time."""
    if not isinstance(reference, ray.ObjectRef):
        return True
    return bool(ray.wait([reference], timeout=max(patience, 0.0), fetch_local=False)[0])


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


class _Helper:
    """A process that has a GPU, and makes one part after another: a task's would end with it, CUDA and all."""

    def kind(self, name: str) -> str:
        """The device of that name here, with its kind."""
        try:
            return described(device_named(name))
        except DeviceMissing as missing:
            return missing.detail

    def part(self, name: str, kind: str, version: str, call: Callable[[], R]) -> R | None:
        """None on a GPU of another kind, where Ray may begin it anew after it has died."""
        return _call(version, call) if self.kind(name) == kind else None


_CALL: Any = ray.remote(_call)
_HELPER: Any = ray.remote(num_cpus=1, num_gpus=1, max_restarts=3, max_task_retries=3)(_Helper)
