"""Two services and a worker that share nothing but PostgreSQL and a store in S3, also while the store is away."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from service.registry.sql.engines import open_database
from service.registry.sql.tables import Batch, Version
from service.storage.artifacts import SHARDS
from service.storage.opening import open_store
from service.upkeep.named_files import named
from tests import traces
from tests.acceptance import invariants
from tests.acceptance.service import QUICK, Caller, WorkProcess, blobs, slow, until
from tests.alike import alike
from tests.postgres import PostgresServer
from tests.proxy import Line, Proxy
from tests.running import Server
from tests.s3 import S3Server

pytestmark = [pytest.mark.postgres, pytest.mark.s3]

NETWORK = {"backbone": {"name": "mlp", "hidden": [16]}}
WRONG = {Line.SILENT: 6.0, Line.REFUSING: 7.0, Line.CRAWLING: 7.0}
"""What becomes of the store once the update is trained, and is to be stored: for how many seconds each."""
TRIES = 150
"""More requests than services and worker together make in so long where they wait between two tries."""


class Replicas:
    """Services `here` and `there`; the worker has a data folder of its own, too."""

    def __init__(self, folder: Path, postgres: PostgresServer, s3: S3Server) -> None:
        self.proxy = Proxy(("127.0.0.1", int(s3.url.rpartition(":")[2])))
        shared = {**QUICK, "lease_seconds": 5.0, "database_url": postgres.fresh(), "worker": False}
        shared["store_url"] = self.url = s3.bucket()
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{self.proxy.port}")
            self.here, self.there = (Server(folder / name, **shared) for name in ("here", "there"))
            self.worker = WorkProcess(self.here, "work", data=folder / "work")
        self.data = [folder / "here" / "data", folder / "there" / "data", folder / "work"]

    def stored(self) -> set[tuple[str, str]]:
        """Area and digest of every object."""
        return {(area, digest) for area, digest, _ in open_store(self.url).names()}

    def named(self) -> set[tuple[str, str | None]]:
        """What rows of the database name."""
        with closing(open_database(self.here.database_url)) as database, database.reading() as session:
            return named(session)

    def made_of(self, batch: str) -> set[str]:
        """Digests of its rows, and of the shards of versions that learned it and of no other."""
        with closing(open_database(self.here.database_url)) as database, database.reading() as session:
            rows = session.get_one(Batch, batch).stored_digest
            shards = [
                (batch in v.learned, str(s["digest"])) for v in session.scalars(select(Version)) for s in v.shards
            ]
            return ({str(rows)} | {s for learned, s in shards if learned}) - {s for learned, s in shards if not learned}

    def stop(self) -> None:
        self.worker.end()
        for service in (self.here, self.there):
            service.stop()
        self.proxy.close()


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, s3: S3Server) -> Iterator[Replicas]:
    replicas = Replicas(tmp_path_factory.mktemp("replicas"), postgres, s3)
    yield replicas
    replicas.stop()


def test_what_is_learned_is_promoted_rolled_back_and_erased_everywhere(replicas: Replicas) -> None:
    inputs, _ = blobs(9, rows=4)
    with Caller(replicas.here, "digits") as here, Caller(replicas.there, "digits") as there:
        here.create(architecture=NETWORK, method=slow(5))
        large = dict(zip(("inputs", "labels"), blobs(1), strict=True)) | {"new_classes": "allow"}
        padded = {**large, "source": "s" * 40}
        body = here.http.build_request("POST", f"{here.path}/batches", json=padded).content + b" " * 400_000
        sent = here.http.post(f"{here.path}/batches", content=body, headers={"content-type": "application/json"})
        assert sent.status_code == 201, sent.text  # by the process that reads large bodies
        first = sent.json()["id"]
        assert here.end(here.order([first], wait=60)["id"])["state"] == "succeeded"
        until(lambda: there.predict(inputs)["version"] == 1)
        [second] = there.learn(2)["batches"]
        until(lambda: here.predict(inputs)["version"] == 2)
        assert alike(here.predict(inputs), there.predict(inputs))
        there.roll_back()
        until(lambda: here.predict(inputs)["version"] == there.predict(inputs)["version"] == 1)
        gone = replicas.made_of(second)
        assert gone <= {digest for _, digest in replicas.stored()}
        assert any((data / "cache" / SHARDS / digest).exists() for data in replicas.data for digest in gone)
        here.end(there.retract([second], erase=True)["id"])
        until(lambda: here.state(second) == "erased", what="the erasure")
        assert replicas.stored() <= replicas.named()
        assert gone.isdisjoint(digest for _, digest in replicas.stored())
        kept = [data / "cache" / SHARDS / digest for data in replicas.data for digest in gone]
        until(lambda: not any(path.exists() for path in kept), what="the end of the copies")
        for data in replicas.data:
            assert not traces.left(data, traces.of_rows(*blobs(2)))
        assert here.predict(inputs)["version"] == there.predict(inputs)["version"]


def test_while_the_store_is_away_predictions_go_on_and_the_update_is_learned_all_the_same(replicas: Replicas) -> None:
    inputs, labels = blobs(3, rows=4)
    proxy = replicas.proxy
    statuses: Counter[int] = Counter()
    over = threading.Event()
    with Caller(replicas.here, "away") as here, Caller(replicas.there, "away") as there:
        here.create(architecture=NETWORK).learn(1, method=slow(2))
        until(lambda: here.predict(inputs)["version"] == there.predict(inputs)["version"] == 1)
        update = here.order([here.batch(2)], method=slow(1000))["id"]
        here.training(update)

        def ask() -> None:
            while not over.is_set():
                for service in (replicas.here, replicas.there):
                    with service.client() as client:
                        statuses[client.post(f"{here.path}/predictions", json={"inputs": inputs}).status_code] += 1

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        proxy.line = Line.SILENT
        body = {"inputs": inputs, "labels": labels}
        refused = here.http.post(f"{here.path}/batches", json=body)
        assert (refused.status_code, refused.headers["retry-after"].isdigit()) == (503, True), refused.text
        until(lambda: here.ok("GET", "/readyz")["status"] == "degraded", what="the notice")
        assert "object store" in here.ok("GET", "/readyz")["storage"]
        until(lambda: here.update(update)["progress"]["phase"] != "training", what="the end of training")
        for line, seconds in WRONG.items():
            proxy.line, before, waits_until = line, proxy.connections, time.monotonic() + seconds
            while time.monotonic() < waits_until:
                assert here.versions() == [1], "a version is there that is not stored"
                time.sleep(0.2)
            assert proxy.connections - before < TRIES
        proxy.line = Line.GOOD
        until(lambda: here.ok("GET", "/readyz")["status"] == "ready", what="the return")
        ended = here.end(update)
        assert (ended["state"], ended["attempts"]) == ("succeeded", 1), ended
        until(lambda: here.predict(inputs)["version"] == there.predict(inputs)["version"] == 2)
        over.set()
        asking.join()
        assert set(statuses) == {200}
        assert here.ok("POST", f"{here.path}/batches", body)["state"] == "pending"
        named, stored = replicas.named(), replicas.stored()
        assert {digest for area, digest in named if digest} <= {digest for _, digest in stored}


def test_a_store_without_room_refuses_and_fails_what_is_new_and_all_goes_on_once_it_has_some(
    replicas: Replicas,
) -> None:
    inputs, labels = blobs(3, rows=4)
    with Caller(replicas.here, "full") as here, Caller(replicas.there, "full") as there:
        here.create(architecture=NETWORK).learn(1, method=slow(2))
        until(lambda: here.predict(inputs)["version"] == there.predict(inputs)["version"] == 1)
        batch = here.batch(2)
        replicas.proxy.line = Line.FULL
        refused = here.http.post(f"{here.path}/batches", json={"inputs": inputs, "labels": labels})
        assert (refused.status_code, refused.json()["type"]) == (507, "/problems/disk-full"), refused.text
        update = there.order([batch], method=slow(2))["id"]
        until(lambda: (there.update(update)["error"] or {}).get("title") == "No space left", what="the notice")
        assert here.predict(inputs)["version"] == there.predict(inputs)["version"] == 1
        assert here.versions() == [1]
        replicas.proxy.line = Line.GOOD
        if there.end(update)["state"] == "failed":
            there.ok("POST", f"/v1/updates/{update}/retry")
        assert there.end(update)["state"] == "succeeded"
        until(lambda: here.predict(inputs)["version"] == there.predict(inputs)["version"] == 2)
        assert here.ok("POST", f"{here.path}/batches", {"inputs": inputs, "labels": labels})["state"] == "pending"
    invariants.hold_in(replicas.here.database_url, replicas.url, [batch])
