"""Where the seconds of an update went, and bytes that are written beside the work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.contract.enums import Outcome
from service.errors import DiskFull
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.storage.local import LocalArtifacts
from service.tuning.messages import Message, Progress
from service.worker.child import phase_times
from service.worker.child.answering import Parent
from service.worker.child.phase_times import PhaseTimes
from service.worker.child.write_behind import WriteBehind
from tests.worker.sample_updates import report, result

AREA = model_area(1)


def test_each_phase_has_its_seconds_and_one_within_another_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0, 21.0, 28.0])
    monkeypatch.setattr(phase_times.time, "perf_counter", lambda: next(clock))
    reported: list[tuple[str, int, int]] = []
    phases = PhaseTimes(lambda *progress: reported.append(progress))
    steps = [("choosing", 0, 2), ("features", 0, 5), ("features", 5, 5), ("choosing", 2, 2), ("storing", 0, 1)]
    for step in steps:
        phases.progress(*step)
    assert reported == steps
    # reading until 1, choosing until 3, features until 6, choosing until 10, reading until 15, storing until 21
    assert phases.seconds() == {"reading": 6.0, "choosing": 6.0, "features": 3.0, "storing": 6.0}


def test_the_next_report_has_the_losses_of_the_last_epoch_once() -> None:
    reports: list[Message] = []
    parent = Parent(reports.append)
    parent.progress("training", 0, 3)
    parent.losses(1, 0.5, 0.75)
    parent.losses(2, 0.25, float("inf"))
    parent.progress("training", 3, 3)
    parent.progress("judging", 0, 1)
    assert reports == [Progress("training", 0, 3), Progress("training", 3, 3, 2, 0.25), Progress("judging", 0, 1)]


def test_a_result_tells_the_parts_of_its_way_in_order(runtime: Runtime) -> None:
    made = result(runtime, ["bat_1"])
    cost = made.timed({"solving": 0.5}, seconds=0.75).timed({"queue": 0.25, "solving": 0.5}).report.cost
    assert (list(cost.parts.items()), cost.seconds) == ([("queue", 0.25), ("solving", 0.5)], 0.75)
    assert made.report.cost == report(Outcome.PASS).cost


def test_bytes_that_are_being_written_can_be_read_and_settle_waits_for_all(tmp_path: Path) -> None:
    go = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        slow = LocalArtifacts(tmp_path, crash=lambda point: go.wait(60.0) and None)
        store = WriteBehind(slow, threads)
        digests = [store.put(AREA, data) for data in (b"a", b"b", b"a")]
        assert digests[0] == digests[2]
        assert not slow.has(AREA, digests[0])
        go.set()
        assert store.get(AREA, digests[1]) == b"b"
        store.settle()
        assert sorted(name for _, name, _ in store.names()) == sorted({*digests})


def test_a_write_that_fails_fails_the_update(tmp_path: Path) -> None:
    class Full(LocalArtifacts):
        def put(self, area: str, data: bytes) -> str:
            raise DiskFull("No space left for stored bytes; nothing was stored.")

    with ThreadPoolExecutor(1) as threads:
        store = WriteBehind(Full(tmp_path), threads)
        store.put(AREA, b"a")
        with pytest.raises(DiskFull):
            store.settle()
