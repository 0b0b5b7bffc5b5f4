"""Updates on a Ray cluster: the same bits as beside the worker, and a way on for each thing that can be missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from service.contract.enums import UpdateKind
from service.errors import ClusterAway
from service.learning.data.serialization import pack_rows
from service.registry import batches, models, updates
from service.registry.sql.tables import Update, Version
from service.registry.updates import Order
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.tuning.child import Child
from service.tuning.messages import Progress, Refused
from service.worker.parent.child_process import ON_CLUSTER
from service.worker.parent.loop import Worker
from tests.cluster import Node
from tests.running import ROOT, environment, free_port
from tests.updating import make_rows
from tests.worker.parent.test_loop import events, look, order
from tests.worker.sample_updates import assignment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

RuntimeOf = Callable[[str | None], Runtime]
WorkerOf = Callable[[Runtime], Worker]
SECONDS = 180.0
"""A net: what takes a second alone takes a minute on a machine that has much else to do."""


def until(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {seconds:g} s"
        time.sleep(0.05)


def learners(head: Node) -> list[psutil.Process]:
    """Processes of this node that learn, as Ray names them."""
    learning = []
    for process in head.processes():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if "ray::Learner" in " ".join(process.cmdline()):
                learning.append(process)
    return learning


def training(runtime: Runtime, update_id: str) -> bool:
    progress = look(runtime, update_id).progress
    return progress is not None and progress["phase"] == "training"


def version_of(runtime: Runtime, update_id: str) -> Version:
    with runtime.database.reading() as session:
        return session.get_one(Version, session.get_one(Update, update_id).version_id)


@pytest.mark.usefixtures("_variables")
def test_the_preflight_names_each_node_and_one_of_another_version(head: Node, tmp_path: Path) -> None:
    """The first test: a cluster remembers for half a minute the nodes that have left it."""
    said = tsuika_ray(head.address, tmp_path)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "2 CPU; tsuika" in said.stdout
    assert "Updates can learn here." in said.stdout
    older = tmp_path / "older"
    shutil.copytree(ROOT / "service", older / "service", ignore=shutil.ignore_patterns("__pycache__"))
    (older / "service" / "__init__.py").write_text('__version__ = "0.0.9"\n')
    node = Node(1, head.address, PYTHONPATH=str(older))
    try:
        said = tsuika_ray(head.address, tmp_path)
    finally:
        node.leave()
    assert said.returncode == 1
    assert "tsuika is 0.0.9 on node" in said.stdout


def large(runtime: Runtime, rows: int, **method: object) -> str:
    """An update of so many rows, by a closed form unless a method is named."""
    batch_id = f"bat_{rows}"
    inputs = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        made = make_rows(batch_id, inputs, ["b" if x > 0 else "a" for x in inputs[:, 0]], b"secret")
        digest = runtime.store.put(model_area(digits.id), pack_rows(made))
        folds = {name: [rows, 0, rows, 0] for name in "ab"}
        facts = batches.Arrival(batch_id, digest, digest, rows, made.counts(), folds, [], None, True)
        batch = batches.accept(session, digits, facts)[0]
        order = Order(UpdateKind.LEARN, [batch.id], method or {"name": "ridge", "lift": "none"})
        return updates.enqueue(session, digits, order, by="somebody").id


def training_on(runtime: Runtime, rows: int) -> str:
    """An update that is seen in the middle of its epochs, on a fast machine, too."""
    return large(runtime, rows, name="retrain", epochs=1000, batch_size=1)


def learned(worker: Worker, runtime: Runtime, made: list[str]) -> list[tuple[str | None, list[str], object]]:
    """Ledger, shards and what the method says of each of these updates, which have the same seed."""
    with runtime.database.writing() as session:
        for update_id in made:
            session.get_one(Update, update_id).seed = 7
    worker.start()
    try:
        until(lambda: all(look(runtime, update_id).state == "succeeded" for update_id in made), len(made) * SECONDS)
    finally:
        worker.stop(10.0)
    versions = [version_of(runtime, update_id) for update_id in made]
    return [(v.ledger_digest, [s["digest"] for s in v.shards], (v.report or {})["method"]) for v in versions]


def test_updates_on_the_cluster_make_the_same_bits_as_beside_the_worker_a_large_one_with_tasks_on_any_number_of_nodes(
    head: Node, runtime_of: RuntimeOf
) -> None:
    """Tasks have one CPU besides that of the learning process, then two."""

    def spread(runtime: Runtime) -> list[str]:
        return [large(runtime, 1_500, name="ridge", lift="auto"), large(runtime, 33_000)]

    def orders(runtime: Runtime) -> list[str]:
        return [*spread(runtime), order(runtime, "ridge"), order(runtime, "retrain")]

    beside, on_one, on_two = (runtime_of(address) for address in (None, head.address, head.address))
    expected = learned(Worker(beside), beside, orders(beside))
    made = orders(on_one)
    assert learned(Worker(on_one), on_one, made) == expected
    reports = [version_of(on_one, update_id).report or {} for update_id in made[:2]]
    assert len(reports[0]["method"]["lifts_tried"]) == 3
    assert "summing" in reports[1]["cost"]["parts"]
    assert events(on_one, made[0]) == ["queued", "claimed", "succeeded"]
    node = Node(1, head.address)
    try:
        assert learned(Worker(on_two), on_two, spread(on_two)) == expected[:2]
    finally:
        node.leave()


def spread(program: str, head: Node, folder: Path, **variables: str) -> None:
    """Runs a program of `spread` on a cluster."""
    folder.mkdir()
    command = f"from pathlib import Path; from tests.worker.cluster import spread; spread.{program}"
    said = subprocess.run(
        [sys.executable, "-c", f"{command}({head.address!r}, Path({str(folder)!r}))"],
        env={**environment(), "PYTHONPATH": str(ROOT), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.usefixtures("_variables")
def test_a_block_whose_process_is_killed_is_made_by_another_and_the_update_has_the_same_bits(
    head: Node, tmp_path: Path
) -> None:
    spread("with_kills", head, tmp_path / "made")
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"data", "features_of", "sums_of_block"}


@pytest.mark.usefixtures("_variables")
def test_strengths_that_are_tried_at_once_choose_the_same_one_also_where_a_process_is_killed(
    head: Node, tmp_path: Path
) -> None:
    spread("searches", head, tmp_path / "made")
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"data", "tried"}


@pytest.mark.usefixtures("_variables")
def test_parts_of_an_update_that_is_cancelled_end_on_the_cluster(head: Node, tmp_path: Path) -> None:
    spread("cancelled", head, tmp_path / "made")


@pytest.mark.usefixtures("_variables")
def test_parts_that_no_node_has_done_in_time_are_done_by_the_process_that_asks(head: Node, tmp_path: Path) -> None:
    spread("never_done", head, tmp_path / "made")


@pytest.mark.usefixtures("_variables")
def test_a_sum_is_made_by_the_process_that_asks_and_by_others_in_the_order_of_its_parts(
    head: Node, tmp_path: Path
) -> None:
    spread("adds_up", head, tmp_path / "made")


@pytest.mark.usefixtures("_variables")
def test_features_of_an_update_on_a_gpu_are_made_on_others_of_its_kind_too(tmp_path: Path) -> None:
    """GPUs that Ray counts, and that are none: their features are computed on the CPU."""
    (notes := tmp_path / "notes").mkdir()
    one, other = ({"KIND_OF_GPU": kind, "FOLDER_OF_NOTES": str(notes)} for kind in ("one", "other"))
    with ExitStack() as nodes:
        nodes.callback((head := Node(4, gpus=2, **one)).kill)
        nodes.callback(Node(1, head.address, gpus=1, **other).kill)
        spread("on_gpus", head, tmp_path / "made", **one)
    assert list(notes.glob("made * one"))
    assert not list(notes.glob("made * other"))


def test_an_update_that_is_cancelled_ends_on_the_cluster_and_one_whose_process_is_killed_is_learned_by_another(
    head: Node, runtime_of: RuntimeOf, worker_of: WorkerOf
) -> None:
    runtime = runtime_of(head.address)
    worker_of(runtime)
    update_id = training_on(runtime, 24)
    until(lambda: training(runtime, update_id))
    [learner] = learners(head)
    with runtime.database.writing() as session:
        session.get_one(Update, update_id).cancel_requested = True
    until(lambda: look(runtime, update_id).state == "cancelled")
    until(lambda: learner not in learners(head))
    update_id = training_on(runtime, 25)
    until(lambda: training(runtime, update_id))
    [learner] = learners(head)
    learner.kill()
    until(lambda: events(runtime, update_id).count("claimed") == 2)
    until(lambda: look(runtime, update_id).state == "succeeded")
    assert events(runtime, update_id) == ["queued", "claimed", "retried", "claimed", "succeeded"]


def test_without_a_cluster_an_update_waits_and_says_why_and_goes_on_once_there_is_one(
    runtime_of: RuntimeOf, worker_of: WorkerOf
) -> None:
    """The head is killed in the middle of the next one, and comes back."""
    from service.worker.cluster.preflight import preflight  # it imports Ray, which takes time

    address = f"127.0.0.1:{free_port()}"
    runtime = runtime_of(address)
    worker = worker_of(runtime)
    update_id = order(runtime, "ridge")
    until(lambda: look(runtime, update_id).error is not None)
    update = look(runtime, update_id)
    assert update.error["title"] == "The Ray cluster cannot be used now"
    assert address in update.error["detail"]
    assert "ray start" in update.error["detail"]
    assert update.attempts - (update.state == "running") == 0, "waiting is no attempt"
    assert worker.trouble() == update.error["detail"]
    with pytest.raises(ClusterAway, match=address):
        preflight(runtime.settings)
    head = Node(2, port=int(address.rpartition(":")[2]))
    try:
        until(lambda: look(runtime, update_id).state == "succeeded")
        assert worker.trouble() is None
        update_id = training_on(runtime, 24)
        until(lambda: training(runtime, update_id))
        head.kill()
        until(lambda: look(runtime, update_id).state == "queued")
        assert look(runtime, update_id).error is not None
        head = Node(2, port=int(address.rpartition(":")[2]))
        until(lambda: look(runtime, update_id).state == "succeeded")
    finally:
        head.kill()


class Bridge:
    """The process between a worker and the cluster, spoken to as the worker does."""

    def __init__(self, address: str, program: str = ON_CLUSTER, threads: int = 1) -> None:
        self._child = Child(program, str(threads), address, session=True)
        self.phases = list[str]()

    def refusal(self, assignment: dict[str, object]) -> Refused:
        """How it refuses an assignment; `phases`: those of its progress until then."""
        self._child.tell(assignment=assignment)
        while not isinstance(message := self._child.hear(SECONDS), Refused):
            self.phases += [message.phase] if isinstance(message, Progress) else []
        return message

    def end(self) -> None:
        self._child.end()


@pytest.fixture
def bridge(head: Node, _variables: None) -> Iterator[Bridge]:
    bridge = Bridge(head.address)
    yield bridge
    bridge.end()


def test_an_update_for_a_gpu_that_no_node_has_fails_at_once_with_the_remedy_and_one_on_the_cpu_goes_on(
    head: Node, runtime_of: RuntimeOf, worker_of: WorkerOf
) -> None:
    runtime = runtime_of(head.address)
    update_id = order(runtime, "retrain")
    with runtime.database.writing() as session:
        session.get_one(Update, update_id).device = "cuda:1"
    worker_of(runtime)
    until(lambda: look(runtime, update_id).state == "failed")
    error = look(runtime, update_id).error
    assert error["type"] == "/problems/method-refused"
    assert "no node of the Ray cluster has one. Add a node with a GPU, or ask for the device" in error["detail"]
    assert events(runtime, update_id) == ["queued", "claimed", "failed"]
    with runtime.database.writing() as session:
        failed = session.get_one(Update, update_id)
        failed.device = "auto"
        updates.retry(session, failed)
    until(lambda: look(runtime, update_id).state == "succeeded")
    assert version_of(runtime, update_id).trained_on == "cpu"


def test_an_update_whose_files_no_node_sees_waits(bridge: Bridge, tmp_path: Path) -> None:
    made = assignment("ridge").model_dump(mode="json")
    (tmp_path / "store" / "tmp").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    places = {**made["places"], "store": (tmp_path / "store").as_uri(), "cache": str(tmp_path / "cache")}
    weights = {"resnet18": str(tmp_path / "nowhere.safetensors")}
    error = bridge.refusal({**made, "places": places, "weights": weights})
    assert error.slug == "cluster-away"
    assert f"does not see {weights['resnet18']}" in error.detail


@pytest.mark.usefixtures("_variables")
def test_an_update_that_no_node_has_room_for_goes_back_and_says_what_it_takes(head: Node) -> None:
    bridge = Bridge(head.address, "tests.worker.cluster.impatient", threads=5)
    try:
        error = bridge.refusal(assignment("ridge").model_dump(mode="json"))
    finally:
        bridge.end()
    assert error.slug == "cluster-away"
    assert "an update takes 5 CPUs of one node. Free are" in error.detail
    assert "waiting for the cluster" in bridge.phases


def tsuika_ray(address: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs it elsewhere: Ray has the nodes look where it runs for modules, too."""
    command = [sys.executable, "-m", "service.cli", "ray"]
    (folder / "store").mkdir(exist_ok=True)
    settings = {**environment(ray=address, data=folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=settings, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
