"""Updates whose parts are made on a cluster: programs that tests run, each in a process of its own, as Ray ends those
that have lost their cluster."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import ray
import torch

from service.errors import Cancelled
from service.learning import devices
from service.learning.devices import CPU
from service.learning.methods.constrain import strength_trials
from service.learning.run import IN_SEQUENCE, R, T, no_check
from service.worker.child.data import model_store, row_blocks
from service.worker.child.data.row_blocks import Block
from service.worker.cluster import tasks
from service.worker.cluster.connection import Attempt
from service.worker.cluster.tasks import OnCluster
from tests.devices import beside
from tests.worker.child.data.test_row_blocks import BATCHES, RIDGE, bits, learn, stored
from tests.worker.child.data.test_strength_trials import METHODS, facts_of, retract, searching

Call = Callable[[T], R]
KIND, NOTES = "KIND_OF_GPU", "FOLDER_OF_NOTES"
"""Variables of a node: what kind of GPU it is said to have, and where its processes note what they do."""
SECONDS = 300.0


class Wrapped(OnCluster):
    """Has every part made by way of `around`, which is given the function and the item."""

    def __init__(self, around: Callable[[Any, Any], Any], cpus: int, gpus: int = 0) -> None:
        super().__init__(cpus, gpus)
        self._around = around

    def each(
        self, function: Call[T, R], items: Sequence[T], device: torch.device = CPU, check: Callable[[], None] = no_check
    ) -> Iterator[R]:
        return super().each(partial(self._around, function), items, device, check)

    def total(self, function: Call[T, R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        return super().total(partial(self._around, function), items, add)


def killed_once(folder: Path, caller: int, function: Call[T, R], item: T) -> R:
    """Makes a part; who is the first to have made one of this function elsewhere dies as a killed process does."""
    made = function(item)
    if os.getpid() != caller:
        with suppress(FileExistsError):
            (folder / getattr(function, "func", function).__name__).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
    return made


def with_kills(address: str, folder: Path) -> None:
    """An update of 33,000 rows; of its blocks of features, and of those of sums, a process that makes one is killed."""
    tasks.PATIENCE_SECONDS = SECONDS
    Attempt(address, 1).wait()
    facts = stored(folder / "data", numbers=False, count=11_000)
    on_cluster = Wrapped(partial(killed_once, folder, os.getpid()), 2)
    made = [bits(learn(facts, each, BATCHES, RIDGE, None)) for each in (IN_SEQUENCE, on_cluster)]
    assert made[0] == made[1]
    assert made[0]["ledger_digest"] is not None


def searches(address: str, folder: Path) -> None:
    """Searches of a strength, of all methods that have one, and a retraction that replays; a process that makes a trial
    is killed."""
    tasks.PATIENCE_SECONDS, strength_trials.LEAST_SECONDS = SECONDS, -1.0
    Attempt(address, 1).wait()
    on_cluster = Wrapped(partial(killed_once, folder, os.getpid()), 2)
    facts = facts_of(folder / "data")
    for name in METHODS:
        base = learn(facts, IN_SEQUENCE, BATCHES[:2], {"name": name, "epochs": 2}, None)
        made = [bits(learn(facts, each, BATCHES[2:], searching(name), base)) for each in (IN_SEQUENCE, on_cluster)]
        assert made[0] == made[1]
        assert len(made[0]["report"]["method"]["points"]) >= 2
    first = learn(facts, IN_SEQUENCE, BATCHES[:1], searching("l2_sp"), None)
    base = learn(facts, IN_SEQUENCE, BATCHES[1:], searching("l2_sp"), first)
    made = [bits(retract(facts, each, base, first, [BATCHES[2:]])) for each in (IN_SEQUENCE, on_cluster)]
    assert made[0] == made[1]


def cancelled(address: str, _: Path) -> None:
    """Parts that no other process ever has done, until somebody asks to stop: then they end there, too."""
    Attempt(address, 1).wait()
    cluster = OnCluster(2)

    def check() -> None:
        if free() == 0:
            raise Cancelled("stop")

    def free() -> float:
        return float(ray.available_resources().get("CPU", 0))

    whole = ray.cluster_resources()["CPU"]
    _wait_for(lambda: free() == whole, SECONDS)
    try:
        list(cluster.each(partial(doubled_here, os.getpid()), range(4), check=check))
        raise AssertionError("nobody stopped it")
    except Cancelled:
        _wait_for(lambda: free() == whole, SECONDS / 2)
    assert free() == whole


def doubled_here(caller: int, number: int) -> int:
    """Twice the number; elsewhere it is never done."""
    if os.getpid() != caller:
        time.sleep(SECONDS)
    return 2 * number


def never_done(address: str, _: Path) -> None:
    """Parts that no other process ever has done."""
    tasks.PATIENCE_SECONDS = 1.0
    Attempt(address, 1).wait()
    doubled, cluster = partial(doubled_here, os.getpid()), OnCluster(2)
    assert list(cluster.each(doubled, range(20))) == [2 * number for number in range(20)]
    assert cluster.total(doubled, range(20), add) == 380


def where(number: int) -> list[tuple[int, int]]:
    """The number, and the process that had it."""
    return [(number, os.getpid())]


def adds_up(address: str, _: Path) -> None:
    """A sum of which this process and others make parts, in the order of the items."""
    Attempt(address, 1).wait()
    for count in (1, 2, 20):
        made = OnCluster(2).total(where, range(count), add)
        assert [number for number, _ in made] == list(range(count))
        assert made[-1][1] == os.getpid()
        assert count == 1 or made[0][1] != os.getpid()


def has_gpus() -> None:
    """Lets this process have a GPU of its node's kind: the tests' device beside the CPU. Notes who looks at it."""

    def described(device: torch.device) -> str:
        (Path(os.environ[NOTES]) / f"looked at {os.environ[KIND]} {len(ray.get_gpu_ids())}").touch()
        return f"{device} ({os.environ[KIND]})"

    vars(devices)["devices"] = lambda: ["beside:0", "cpu"]
    for module in (devices, model_store, tasks):
        vars(module)["described"] = described


def _wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def noted(caller: int, function: Call[Block, R], block: Block) -> R:
    """Makes a block, and notes on which kind of GPU. The caller begins its own once GPUs of both kinds have been looked
    at, and takes a while for each for as long as no other GPU has made one."""
    folder = Path(os.environ[NOTES])
    if os.getpid() == caller:
        _wait_for(lambda: len(list(folder.glob("looked at *"))) == 3, SECONDS)
        _wait_for(lambda: any(folder.glob("made *")), 10.0)
        return function(block)
    made = function(block)
    if ray.get_gpu_ids():
        (folder / f"made {block.digest} {block.first} {os.environ[KIND]}").touch()
    return made


def on_gpus(address: str, folder: Path) -> None:
    """An update on a GPU; two others of its kind are free, and one of another kind."""
    has_gpus()
    tasks.PATIENCE_SECONDS, row_blocks.BLOCK_ROWS, vars(model_store)["SPREAD_ROWS"] = SECONDS, 7, 1
    hook = {"worker_process_setup_hook": f"{__name__}.has_gpus"}
    ray.init(address=address, configure_logging=False, log_to_driver=False, runtime_env=hook)
    facts = {**stored(folder / "data", numbers=False), "device": "beside:0"}
    lifted = {"name": "ridge", "lift": "relu", "width": 16}
    on_cluster = Wrapped(partial(noted, os.getpid()), 2, gpus=3)
    with beside():
        made = [bits(learn(facts, each, BATCHES, lifted, None)) for each in (IN_SEQUENCE, on_cluster)]
    assert made[0] == made[1]
    assert {entry.device for entry in made[0]["entries"]} == {"beside:0 (one)"}
    assert not list(Path(os.environ[NOTES]).glob("made * other"))
    ray.shutdown()
