"""Two services and two workers on one PostgreSQL and one store: news, faults, and the database gone for a while."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.acceptance.service import ENDLESS, QUICK, TRAINING, Caller, WorkProcess, blobs, held, slow, until
from tests.alike import alike
from tests.postgres import PostgresServer
from tests.running import Server

pytestmark = pytest.mark.postgres

LEASE = 5.0


class Cluster:
    """Services `here` and `there`, with a worker each; every process has a data folder of its own."""

    def __init__(self, folder: Path, postgres: PostgresServer) -> None:
        shared = {
            **QUICK,
            "lease_seconds": LEASE,
            "database_url": postgres.fresh(),
            "store_url": (folder / "store").as_uri(),
            "worker": False,
        }
        self.here, self.there = (Server(folder / name, **shared) for name in ("here", "there"))
        self.workers = [WorkProcess(self.here, "work"), WorkProcess(self.there, "work")]

    def stop(self) -> None:
        for worker in self.workers:
            worker.end()
        for service in (self.here, self.there):
            service.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), postgres)
    yield cluster
    cluster.stop()


@pytest.fixture
def here(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Caller]:
    with Caller(cluster.here, request.node.name.replace("_", "-")) as caller:
        yield caller.create()


@pytest.fixture
def there(cluster: Cluster, here: Caller) -> Iterator[Caller]:
    with Caller(cluster.there, here.name) as caller:
        yield caller


def test_what_one_service_makes_live_answers_in_the_other(here: Caller, there: Caller) -> None:
    inputs, _ = blobs(1, rows=4)
    here.learn(1)
    until(lambda: there.predict(inputs)["version"] == 1, what="the news")
    there.learn(2)
    until(lambda: here.predict(inputs)["version"] == 2, what="the news")
    assert alike(here.predict(inputs), there.predict(inputs))
    there.roll_back()
    until(lambda: here.predict(inputs)["version"] == 1, what="the news")


def test_two_workers_learn_every_update_once(cluster: Cluster, here: Caller, there: Caller) -> None:
    names = [f"{here.name}-{k}" for k in range(3)]
    callers = [Caller(service, name).create() for service, name in zip((here.server,) * 3, names, strict=True)]
    orders = []
    with held(worker.process.pid for worker in cluster.workers):  # so neither learns all before the other looks
        for k in range(10):
            for caller in callers:
                inputs, labels = blobs(k, rows=8)
                body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
                service = (here, there)[k % 2]
                orders.append(service.ok("POST", f"{caller.path}/updates", body)["id"])
        until(lambda: all(any(map(worker.owns, orders)) for worker in cluster.workers), what="a claim of each")
    done = [here.end(order) for order in orders]
    assert Counter(update["state"] for update in done) == {"succeeded": len(orders)}
    assert {update["attempts"] for update in done} == {1}
    for caller in callers:
        assert caller.versions() == list(range(1, 11))
        learned = caller.version(10)["batches"]
        assert len(learned) == len(set(learned)) == 10
        caller.http.close()


def test_a_worker_that_is_killed_loses_its_update_to_the_other(cluster: Cluster, here: Caller) -> None:
    batch = here.batch(1)
    network = Caller(here.server, f"{here.name}-net").create(architecture={"backbone": {"name": "mlp", "hidden": [16]}})
    update = network.order([network.batch(1)], method=TRAINING)["id"]
    network.training(update)
    owner = next(worker for worker in cluster.workers if worker.owns(update))
    owner.end()
    until(lambda: network.update(update)["attempts"] == 2, LEASE + 20.0, "the second claim")
    assert network.end(update)["state"] == "succeeded"
    network.http.close()
    cluster.workers[cluster.workers.index(owner)] = WorkProcess(owner.server, "work")
    assert here.order([batch], wait=30)["state"] == "succeeded"


def test_a_worker_whose_clock_is_an_hour_ahead_steals_no_lease_and_loses_none(cluster: Cluster, here: Caller) -> None:
    wrong = WorkProcess(cluster.there, "ahead", ahead=3600.0)
    fields = {"architecture": {"backbone": {"name": "mlp", "hidden": [16]}}}
    networks = [Caller(here.server, f"{here.name}-{k}").create(**fields) for k in range(3)]
    batches = [network.batch(k) for k, network in enumerate(networks)]
    until(lambda: " begins" in wrong.said(), what="its start")
    orders = [network.order([batch], method=slow(1000))["id"] for network, batch in zip(networks, batches, strict=True)]
    until(lambda: any(wrong.owns(order) for order in orders), what="a claim of its own")
    done = [network.end(order) for network, order in zip(networks, orders, strict=True)]
    wrong.end()
    assert [(update["state"], update["attempts"]) for update in done] == [("succeeded", 1)] * 3
    moments = ("created_at", "started_at", "finished_at")
    times = [[datetime.fromisoformat(update[name]) for name in moments] for update in done]
    assert all(created <= started <= finished for created, started, finished in times)
    assert all(finished - created < timedelta(hours=1) for created, _, finished in times)
    for network in networks:
        network.http.close()


class Drained(threading.Thread):
    """Calls over connections that stay open, and goes to the other service once one says that it closes, or takes no
    more. `lost`: requests that got no answer, or a bad one; `sent`: batches that were acknowledged."""

    def __init__(self, cluster: Cluster, model: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.clients = [service.client() for service in (cluster.here, cluster.there)]
        self.model, self.over, self.lost, self.answered = model, over, list[str](), 0
        self.sent: list[str] = []

    def run(self) -> None:
        turn = number = 0
        while not self.over.is_set():
            number += 1
            inputs, labels = blobs(number, rows=4)
            batch = {"inputs": inputs, "labels": labels, "source": f"{self.ident} {number}"}
            path, body = ("batches", batch) if number % 10 == 0 else ("predictions", {"inputs": inputs})
            try:
                answer = self.clients[turn].post(f"/v1/models/{self.model}/{path}", json=body)
            except httpx.ConnectError:
                turn = 1 - turn  # nobody listens: it was not sent
                continue
            except httpx.TransportError as error:
                self.lost.append(repr(error))
                continue
            if not answer.is_success:
                self.lost.append(answer.text)
            elif path == "batches":
                self.sent.append(answer.json()["id"])
            self.answered += 1
            if answer.headers.get("connection") == "close":
                turn = 1 - turn
        for client in self.clients:
            client.close()


def test_services_that_are_restarted_one_by_one_lose_no_request(cluster: Cluster, here: Caller) -> None:
    here.learn(0, classes="abcd")
    over = threading.Event()
    clients = [Drained(cluster, here.name, over) for _ in range(4)]
    for client in clients:
        client.start()
    for service in (cluster.here, cluster.there):
        before = [client.answered for client in clients]
        until(lambda before=before: all(c.answered > n + 20 for c, n in zip(clients, before, strict=True)), what="load")
        assert service.stop() == 0
        service.restart()
    before = [client.answered for client in clients]
    until(lambda: all(c.answered > n + 20 for c, n in zip(clients, before, strict=True)), what="load")
    over.set()
    for client in clients:
        client.join(60.0)
    assert [client.lost for client in clients] == [[]] * 4
    sent = [batch for client in clients for batch in client.sent]
    assert sent
    assert {here.state(batch) for batch in sent} == {"pending"}


def test_while_the_database_is_away_predictions_go_on_and_the_update_is_learned_all_the_same(
    cluster: Cluster, here: Caller, postgres: PostgresServer
) -> None:
    here.learn(1)
    network = Caller(here.server, f"{here.name}-net").create(architecture={"backbone": {"name": "mlp", "hidden": [16]}})
    network.learn(1, method=slow(2))
    update = network.order([network.batch(2)], method=slow(1000))["id"]
    network.training(update)
    inputs, labels = blobs(3, rows=4)
    here.predict(inputs)
    refusals: list[str] = []
    over = threading.Event()

    def ask() -> None:
        with cluster.here.client() as client:
            while not over.is_set():
                answer = client.post(f"{here.path}/predictions", json={"inputs": inputs})
                refusals.extend([answer.text] * (answer.status_code != 200))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        with postgres.away():
            gone_at = time.monotonic()
            refused = here.http.post(f"{here.path}/batches", json={"inputs": inputs, "labels": labels})
            assert (refused.status_code, refused.headers["retry-after"].isdigit()) == (503, True), refused.text
            until(lambda: here.ok("GET", "/readyz")["status"] == "degraded", what="the notice")
            assert here.http.get(here.path).status_code == 503
            while time.monotonic() < gone_at + 10.0:
                time.sleep(0.1)
        until(lambda: here.ok("GET", "/readyz")["status"] == "ready", what="the return")
    finally:
        over.set()
        asking.join()
    assert refusals == []
    assert here.ok("POST", f"{here.path}/batches", {"inputs": inputs, "labels": labels})["state"] == "pending"
    assert network.end(update)["state"] == "succeeded"
    network.http.close()


def test_a_service_and_a_worker_end_in_order_while_the_database_answers_nothing(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    # a database of its own: workers of the cluster above still look into theirs, and have none of these rows
    service = Server(tmp_path, **{**QUICK, "stop_seconds": 3.0, "database_url": postgres.empty()})
    with Caller(service, "net") as caller:
        caller.create(architecture={"backbone": {"name": "mlp", "hidden": [16]}}).learn(1, method=slow(2))
        batch = caller.batch(2)
        with held([service.pid]):  # it trains once the worker beside it is there
            update = caller.order([batch], method=ENDLESS)["id"]
            until(lambda: caller.update(update)["state"] == "running", what="the claim")
            beside = WorkProcess(service, "work", data=tmp_path / "beside")  # it has no rows, and nothing is due
            until(lambda: " begins" in beside.said(), what="the worker")
        caller.training(update)
        with postgres.silent():
            service.process.terminate()
            beside.process.terminate()
            assert [process.wait(60) for process in (service.process, beside.process)] == [0, 0], service.said()
    assert "taken up once its lease has ended" in service.said() + beside.said()
