"""The child as its parent sees it: results, refusals, ends; cancelled in time, never left behind."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from service.errors import Cancelled, ChildFailed, ChildLost, MethodRefused
from service.runtime import Runtime
from service.tuning.messages import Asks, Progress, Ready, message_of
from service.worker.assignment import BatchFacts
from service.worker.child import answering
from service.worker.parent import child_process
from service.worker.parent.child_process import NoProgress, WarmChild
from tests.worker.sample_updates import assignment, result


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "CHILD", "tests.worker.stand_in")


@pytest.fixture
def child() -> Iterator[WarmChild]:
    child = WarmChild(threads=1, max_updates=2, progress_deadline_seconds=20.0)
    yield child
    child.kill()


def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False


def pid(child: WarmChild) -> int:
    return child._child.process.pid


def quiet(progress: Progress | None) -> bool:
    return False


def test_progress_comes_up_and_the_result_at_the_end(child: WarmChild, runtime: Runtime, tmp_path: Path) -> None:
    reported: list[Progress | None] = []
    made = result(runtime, ["bat_1"])
    (tmp_path / "result.json").write_text(made.model_dump_json())

    def tick(progress: Progress | None) -> bool:
        reported.append(progress)
        return False

    answer = child.run(assignment("answer", result=str(tmp_path / "result.json")), 0.01, tick)
    assert answer == made
    assert Progress("training", 1, 2) in reported


def test_a_child_is_used_again_and_replaced_after_so_many_updates(
    child: WarmChild, runtime: Runtime, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    path.write_text(result(runtime, ["bat_1"]).model_dump_json())
    child.warm()
    first = pid(child)
    child.run(assignment("answer", result=str(path)), 0.01, quiet)
    assert pid(child) == first
    child.run(assignment("answer", result=str(path)), 0.01, quiet)
    assert not alive(first)
    child.run(assignment("answer", result=str(path)), 0.01, quiet)
    assert pid(child) != first


@pytest.mark.parametrize(("name", "error"), [("fail", ChildFailed), ("refuse", MethodRefused)])
def test_an_error_comes_up_as_its_kind_and_the_child_stays(child: WarmChild, name: str, error: type[Exception]) -> None:
    child.warm()
    first = pid(child)
    with pytest.raises(error):
        child.run(assignment(name), 0.01, quiet)
    assert pid(child) == first


def test_a_child_is_told_what_it_asks_for(child: WarmChild) -> None:
    def history() -> BatchFacts:
        return BatchFacts(rows={}, counts={"bat_1": 8, "bat_2": 3}, entries={})

    with pytest.raises(MethodRefused, match="told of 11 rows"):
        child.run(assignment("ask"), 0.01, quiet, history=history)


def test_a_child_that_waits_for_an_answer_can_be_cancelled_and_takes_no_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answering, "listen", lambda source, heard: None)
    sink = io.StringIO()
    parent = answering.Pipes(io.StringIO(), sink)
    parent._heard({"cancel": True})
    with pytest.raises(Cancelled):
        parent.history()
    assert isinstance(message_of(sink.getvalue().encode()), Asks)
    told = [BatchFacts(rows={}, counts={"bat_1": n}, entries={}) for n in (8, 3)]
    parent._heard({"history": told[0].model_dump(mode="json")})
    parent._heard({"assignment": {}})
    parent._heard({"history": told[1].model_dump(mode="json")})
    assert parent.history() == told[1]


def test_a_child_that_dies_is_reported_and_replaced(child: WarmChild) -> None:
    for _ in range(2):
        with pytest.raises(ChildLost):
            child.run(assignment("die"), 0.01, quiet)


def test_a_child_that_stops_reading_in_the_middle_of_an_assignment_is_ended_past_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child_process, "CHILD", "tests.worker.deaf_child")
    child, ticks = WarmChild(threads=1, max_updates=2, progress_deadline_seconds=0.3), 0
    large = assignment("answer").model_copy(update={"rows": {f"bat_{k}": "0" * 64 for k in range(20_000)}})

    def tick(progress: Progress | None) -> bool:
        nonlocal ticks
        ticks += 1
        return False

    with pytest.raises(NoProgress):
        child.run(large, 0.05, tick)
    assert ticks >= 3, "the heart beat meanwhile"
    assert child._child is None


def test_a_child_that_stops_reading_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "CHILD", "tests.worker.deaf_child")
    child = WarmChild(threads=1, max_updates=2, progress_deadline_seconds=20.0)
    large = assignment("answer").model_copy(update={"rows": {f"bat_{k}": "0" * 64 for k in range(20_000)}})
    child.warm()
    first = pid(child)
    with pytest.raises(Cancelled):
        child.run(large, 0.05, lambda progress: True)
    assert not alive(first)


def test_a_child_that_died_while_idle_is_replaced(
    child: WarmChild, runtime: Runtime, tmp_path: Path, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    path = tmp_path / "result.json"
    path.write_text(result(runtime, ["bat_1"]).model_dump_json())
    child.warm()
    os.kill(pid(child), signal.SIGKILL)
    wait_for(lambda: not alive(pid(child)))
    assert child.run(assignment("answer", result=str(path)), 0.01, quiet).learned == ["bat_1"]


@pytest.mark.parametrize("name", ["stand still", "say the same"])
def test_a_child_that_stands_still_is_ended_at_the_deadline(name: str) -> None:
    """Of which each look counts for a tick at most, however late it comes."""
    child = WarmChild(threads=1, max_updates=2, progress_deadline_seconds=0.5)
    with pytest.raises(MethodRefused):
        child.run(assignment("refuse"), 0.01, quiet)  # it has started
    first = pid(child)
    looks = [time.monotonic()]

    def tick(progress: Progress | None) -> bool:
        looks.append(time.monotonic())
        return False

    with pytest.raises(NoProgress):
        child.run(assignment(name), 0.01, tick)
    counted = sum(min(after - before, 0.01) for before, after in pairwise(looks))
    assert 0.4 < counted < 1.1, "the first word of a child may come at any time before the deadline"
    assert not alive(first)


@pytest.mark.parametrize(("name", "grace"), [("go on", 600.0), ("never listen", 0.2)])
def test_a_cancelled_child_is_gone_whether_it_listens_or_not(
    child: WarmChild, monkeypatch: pytest.MonkeyPatch, name: str, grace: float
) -> None:
    monkeypatch.setattr(child_process, "CANCEL_GRACE_SECONDS", grace)
    child.warm()
    first = pid(child)
    with pytest.raises(Cancelled):
        child.run(assignment(name), 0.01, lambda progress: progress is not None)
    assert not alive(first)


@pytest.mark.parametrize(("name", "stays"), [("go on", True), ("never listen", False), ("save on", False)])
def test_a_child_that_makes_room_stays_warm_if_it_stops_by_itself(
    child: WarmChild, monkeypatch: pytest.MonkeyPatch, name: str, stays: bool
) -> None:
    monkeypatch.setattr(child_process, "CANCEL_GRACE_SECONDS", 600.0 if stays else 0.2)

    def tick(progress: Progress | None) -> bool:
        raise child_process.Yielding("An update waits.")

    child.warm()
    first = pid(child)
    with pytest.raises(child_process.Yielding):
        child.run(assignment(name), 0.01, tick)
    assert alive(first) is stays
    with pytest.raises(Cancelled):
        child.run(assignment("go on"), 0.01, lambda progress: progress is not None)


def test_what_the_tick_raises_ends_the_child(child: WarmChild) -> None:
    class LostInterest(Exception):
        pass

    def tick(progress: Progress | None) -> bool:
        raise LostInterest

    child.warm()
    first = pid(child)
    with pytest.raises(LostInterest):
        child.run(assignment("go on"), 0.01, tick)
    assert not alive(first)


def test_a_child_that_says_nothing_is_looked_after_at_once_when_something_has_changed(
    child: WarmChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for the next tick: of a challenger that makes room, of an update that is cancelled."""
    monkeypatch.setattr(child_process, "CANCEL_GRACE_SECONDS", 0.2)
    child.warm()
    waking = threading.Thread(target=child.wake)
    ticks = 0

    def tick(progress: Progress | None) -> bool:
        nonlocal ticks
        ticks += 1
        if ticks == 1:  # that of its being ready
            waking.start()
        return ticks == 2

    with pytest.raises(Cancelled):
        child.run(assignment("stand still"), 600.0, tick)
    waking.join()
    child.wake()  # nothing runs: nothing is left for the next one
    assert child.warm().hear(60.0) == Ready()


def test_a_child_ends_when_its_parent_is_gone(child: WarmChild, wait_for: Callable[[Callable[[], bool]], None]) -> None:
    """The end of its input is the end of its parent, in the middle of an update, too."""
    process = child.warm()
    process.tell(assignment=assignment("never listen").model_dump(mode="json"))
    first = pid(child)
    process._orders.put(None)
    wait_for(lambda: not alive(first))


def test_the_child_has_a_session_of_its_own(child: WarmChild) -> None:
    child.warm()
    assert os.getsid(pid(child)) == pid(child)


def test_the_child_learns_at_idle_priority_away_from_the_core_that_serves(
    monkeypatch: pytest.MonkeyPatch, wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    """The real child: what it does first is to step aside, before torch makes threads."""
    monkeypatch.setattr(child_process, "CHILD", "service.worker.child")
    cores_here = sorted(os.sched_getaffinity(0))
    for cores in (cores_here, cores_here[:1]):
        os.sched_setaffinity(0, cores)  # as taskset does, and as its children inherit it
        child = WarmChild(threads=1, max_updates=2, progress_deadline_seconds=20.0)
        try:
            child.warm()
            group = Path(f"/proc/{pid(child)}/autogroup")  # sessions share a core before processes do
            nice = f"nice {10 if len(cores) == 1 else 0}"
            wait_for(lambda: os.sched_getscheduler(pid(child)) == os.SCHED_IDLE)  # noqa: B023
            wait_for(lambda: sorted(os.sched_getaffinity(pid(child))) == (cores[1:] or cores))  # noqa: B023
            wait_for(lambda: not group.exists() or nice in group.read_text())  # noqa: B023
        finally:
            os.sched_setaffinity(0, cores_here)
            child.kill()


@pytest.mark.parametrize(("priority", "nice"), [("low", 10), ("normal", 0)])
def test_a_setting_gives_the_child_more_of_a_machine_that_is_always_busy(priority: str, nice: int) -> None:
    code = "import os, sys; from service.tuning.priority import step_aside; step_aside(sys.argv[1]); "
    code += "print(os.sched_getscheduler(0), os.nice(0), len(os.sched_getaffinity(0)))"
    printed = subprocess.check_output([sys.executable, "-c", code, priority], text=True).split()
    cores = len(os.sched_getaffinity(0))
    assert printed == [
        str(os.sched_getscheduler(0)),
        str(min(19, os.nice(0) + nice)),
        str(cores if priority == "normal" else max(1, cores - 1)),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends such a process")
@pytest.mark.parametrize(
    "arguments",
    [["service.worker.child", "1", "normal"], ["service.api.reader", "/nowhere", str(2**30), "normal"]],
    ids=["that learns", "that reads"],
)
def test_a_process_that_hangs_ends_with_its_parent_all_the_same(
    arguments: list[str], wait_for: Callable[[Callable[[], bool]], None]
) -> None:
    """It is stopped, so it cannot read that its input has ended; another process holds its input open besides."""
    code = "import subprocess, sys, time; "
    code += "p = subprocess.Popen([sys.executable, '-m', *sys.argv[1:]], stdin=0, stdout=-3); "
    code += "print(p.pid, flush=True); time.sleep(600)"
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        first = int(parent.stdout.readline())
        wait_for(lambda: "libtorch" in maps(first) or "numpy" in maps(first))  # well past its first steps
        os.kill(first, signal.SIGSTOP)
        parent.kill()
        wait_for(lambda: not alive(first))


def maps(pid: int) -> str:
    """Names of the files that a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()
