"""Many models in one process: loaded when they are first asked for, once, within a budget; the rest costs nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.contract.inputs import VectorInput
from service.registry import deployments, models, versions
from service.runtime import Runtime
from service.serving.loaded_versions import OVERHEAD_BYTES, Loaded, LoadedVersions
from service.serving.pace import Pace
from tests.making import make_model, make_version

TINY = OVERHEAD_BYTES + 50
"""Bytes that a loaded version of three numbers and two classes counts, about."""


class Reads:
    """Counts what is read from the store; `broken`: nothing can be."""

    def __init__(self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.broken, self._get = 0, False, runtime.store.get
        monkeypatch.setattr(runtime.store, "get", self._read)

    def _read(self, area: str, digest: str) -> bytes:
        assert not self.broken, "the store was read"
        self.count += 1
        return self._get(area, digest)


@pytest.fixture
def reads(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(runtime, monkeypatch)


def many(runtime: Runtime, count: int) -> list[str]:
    names = [f"m{k}" for k in range(count)]
    for name in names:
        make_model(runtime, name)
        make_version(runtime, name)
    return names


def budget(runtime: Runtime, most_bytes: int) -> LoadedVersions:
    runtime.live._versions._most_bytes = most_bytes
    return runtime.live._versions


def go_live(runtime: Runtime, name: str, number: int) -> Loaded:
    """Promote a version as a process does that loads it before its swap."""
    with runtime.database.writing() as session:
        model = models.get(session, name)
        version = versions.get(session, model, number)
        if model.live_version_id != version.id:
            deployments.promote(session, model, version, "", "anonymous")
    loaded = runtime.live.prepare(version.model_id, name, number, version.layout, version.shards)
    runtime.live.swap(loaded)
    return loaded


def test_ten_who_ask_first_load_a_version_once(runtime: Runtime, reads: Reads) -> None:
    make_model(runtime)
    make_version(runtime)

    async def ask() -> list[Loaded]:
        asked = [asyncio.ensure_future(runtime.live.fetch("digits")) for _ in range(10)]
        await asyncio.sleep(0)
        asked.pop().cancel()  # one that goes away takes nothing from the others
        return await asyncio.gather(*asked)

    loaded = asyncio.run(ask())
    assert len(set(map(id, loaded))) == 1
    once = reads.count
    make_model(runtime, "other")
    make_version(runtime, "other")
    runtime.live.get("other")
    assert reads.count == 2 * once


def test_more_models_than_fit_answer_all_and_those_asked_last_stay(runtime: Runtime, reads: Reads) -> None:
    names = many(runtime, 30)
    kept = budget(runtime, 5 * TINY)
    for name in names:
        assert runtime.live.get(name).model == name
        assert kept.bytes <= 5 * TINY
    assert [name for name in names if runtime.live.find(name) is not None] == names[-5:]
    runtime.live.find(names[-5])
    runtime.live.get(names[0])
    assert runtime.live.find(names[-5]) is not None
    assert runtime.live.find(names[-4]) is None


def test_a_version_beyond_the_budget_is_served_alone(runtime: Runtime) -> None:
    first, second = many(runtime, 2)
    budget(runtime, 0)
    assert runtime.live.get(first).number == runtime.live.get(second).number == 1
    assert runtime.live.find(first) is None
    assert runtime.live.find(second) is not None


def test_looks_load_nothing_that_nobody_asked_for(
    runtime: Runtime, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = many(runtime, 3)
    reads.broken = True
    runtime.live.refresh()
    assert [runtime.live.serving_version(name) for name in names] == [1, 1, 1]
    make_version(runtime, names[0], seed=1)
    runtime.live.refresh()
    assert runtime.live.serving_version(names[0]) == 2
    assert runtime.live.troubles() == {}
    for ask in ("reading", "looking"):
        monkeypatch.setattr(runtime.database, ask, lambda: pytest.fail("nobody committed anything"))
    runtime.live.refresh()


def test_a_rollback_of_a_model_in_use_reads_nothing(runtime: Runtime, reads: Reads) -> None:
    names = many(runtime, 3)
    kept = budget(runtime, 3 * TINY)
    make_version(runtime, names[0], seed=1, promote=False)
    first = runtime.live.get(names[0])
    go_live(runtime, names[0], 2)
    runtime.live.get(names[1])
    runtime.live.find(names[0])
    runtime.live.get(names[2])
    assert runtime.live.find(names[1]) is None, "the previous version stays, the longest unused model goes"
    assert kept.bytes <= 3 * TINY
    reads.broken = True
    with runtime.database.writing() as session:
        deployments.roll_back(session, models.get(session, names[0]), "", None, "anonymous")
    with runtime.database.reading() as session:
        version = versions.get(session, models.get(session, names[0]), 1)
    runtime.live.swap(runtime.live.prepare(version.model_id, names[0], 1, version.layout, version.shards))
    assert runtime.live.find(names[0]) is first


def test_a_live_version_and_the_one_before_go_together(runtime: Runtime) -> None:
    names = many(runtime, 3)
    budget(runtime, 3 * TINY)
    make_version(runtime, names[0], seed=1, promote=False)
    runtime.live.get(names[0])
    go_live(runtime, names[0], 2)
    runtime.live.get(names[1])
    runtime.live.get(names[2])
    assert runtime.live.find(names[0]) is runtime.live.find(names[0], 1) is None
    assert runtime.live.find(names[1]) is not None


def test_a_version_that_is_dropped_is_gone_without_the_garbage_collector(runtime: Runtime) -> None:
    """Frozen objects are not collected: a version that held itself would stay for ever."""
    first, second = many(runtime, 2)
    budget(runtime, 0)
    gc.disable()
    try:
        predictor = weakref.ref(runtime.live.get(first).predictor)
        steps = weakref.ref(predictor()._forward)  # type: ignore[union-attr]
        runtime.live.get(second)
        assert predictor() is steps() is None
    finally:
        gc.enable()


@pytest.mark.long
def test_memory_is_flat_over_many_swaps(runtime: Runtime) -> None:
    """A version of 2 MB; each swap loads one that is not in memory."""
    spec = VectorInput(kind="vector", size=500)
    make_model(runtime, spec=spec)
    for seed in range(3):
        make_version(runtime, classes=[str(k) for k in range(1000)], seed=seed, spec=spec, promote=False)
    budget(runtime, 0)

    def swaps(count: int) -> None:
        for k in range(count):
            assert runtime.live.find("digits", k % 3 + 1) is None or k < 2
            go_live(runtime, "digits", k % 3 + 1)
            assert runtime.live.serving_version("digits") == k % 3 + 1

    swaps(12)
    before = resident()
    swaps(120)
    assert resident() - before < 40 * 2**20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_what_is_shared_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = LoadedVersions(10**9, lambda name: ())
    backbone = Weights("a", 1000)
    for k, shared in enumerate([backbone, backbone, Weights("b", 500), None]):
        kept.keep(Loaded(k, f"m{k}", 1, "", Sized(10, shared)), answers=True)  # type: ignore[arg-type]
    assert kept.bytes == 4 * (OVERHEAD_BYTES + 10) + 1500
    kept.drop(lambda loaded: loaded.model == "m0")
    assert kept.bytes == 3 * (OVERHEAD_BYTES + 10) + 1500
    kept._most_bytes = 2 * (OVERHEAD_BYTES + 10) + 600
    kept.keep(Loaded(9, "m9", 1, "", Sized(10, None)))  # type: ignore[arg-type]
    assert [loaded.model for loaded in kept.loaded()] == ["m3", "m9"]


class Weights:
    def __init__(self, digest: str, size: int) -> None:
        self.digest, self.bytes = digest, size


class Sized:
    def __init__(self, size: int, shared: Any) -> None:
        self.bytes, self.shared = size, shared


def test_models_of_one_architecture_are_measured_once_and_loaded_behind_the_event_loop(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Pace.measured
    calls: list[int] = []

    def noted(answer: Callable[[int], object], most: int) -> Pace:
        calls.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return measured(answer, most)

    monkeypatch.setattr(Pace, "measured", noted)
    names = many(runtime, 3)
    make_model(runtime, "wider", VectorInput(kind="vector", size=5))
    make_version(runtime, "wider", spec=VectorInput(kind="vector", size=5))
    first, *others = [runtime.live.get(name).predictor.pace for name in names]
    assert all(pace is first for pace in others)
    assert runtime.live.get("wider").predictor.pace is not first
    assert len(calls) == 2
    if sys.platform == "linux":
        assert min(calls) > os.getpriority(os.PRIO_PROCESS, 0)
