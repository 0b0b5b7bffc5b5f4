"""What is live while others learn, promote and roll back; updates that cannot succeed; the same call many times."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing
from itertools import groupby
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from service.registry import batches, models
from service.registry.sql.engines import open_database
from service.storage.artifacts import model_area
from service.storage.local import LocalArtifacts
from service.storage.opening import open_store
from tests.acceptance.conftest import NewModel
from tests.acceptance.environments import Environment
from tests.acceptance.service import ENDLESS, Caller, blobs, history, kinds, slow, until
from tests.alike import alike
from tests.running import Server

ROWS, _ = blobs(99, rows=3)
EACH = 3
"""Answers, one after another, that each client has of a version before the next move."""


@pytest.fixture
def service(environment: Environment) -> Server:
    return environment.services[0]


def test_a_triton_client_gets_of_each_service_the_numbers_that_others_get(
    environment: Environment, new_model: NewModel
) -> None:
    caller = new_model()
    caller.learn(0)
    predictions = caller.predict(ROWS)["predictions"]
    shares = [{share["class"]: share["score"] for share in row["top"]} for row in predictions]
    due = np.array([[row[name] for name in sorted(row)] for row in shares], np.float32)
    rows = triton.InferInput("input", list(np.shape(ROWS)), "FP32")
    rows.set_data_from_numpy(np.array(ROWS, np.float32))
    for service in environment.services:
        with triton.InferenceServerClient(service.url.removeprefix("http://")) as client:
            until(lambda client=client: client.is_model_ready(caller.name), what="a look at what is live")
            assert client.infer(caller.name, [rows]).as_numpy("scores") == pytest.approx(due, abs=1e-6)


class Client(threading.Thread):
    """Predicts again and again until told; keeps every answer."""

    def __init__(self, server: Server, model: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.caller, self.stop = Caller(server, model), stop
        self.answers: list[httpx.Response] = []

    def run(self) -> None:
        with self.caller as caller:
            while not self.stop.is_set():
                self.answers.append(caller.http.post(f"{caller.path}/predictions", json={"inputs": ROWS, "top": 10}))

    def last_versions(self) -> list[str | None]:
        """Of its last EACH answers."""
        return [answer.headers.get("Tsuika-Version") for answer in self.answers[-EACH:]]


def test_who_asks_thrice_and_hangs_up_takes_no_answer_from_others(service: Server, new_model: NewModel) -> None:
    caller = new_model()
    caller.learn(0)
    stop, faults = threading.Event(), list[str]()

    def question(rows: int) -> bytes:
        body = json.dumps({"inputs": [ROWS[k % len(ROWS)] for k in range(rows)]}).encode()
        head = f"POST {caller.path}/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def ask(rows: int) -> None:
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as sock, sock.makefile("rb") as answers:
            while not stop.is_set():
                sock.sendall(question(rows))
                try:
                    lengths = [line for line in iter(answers.readline, b"\r\n") if line.startswith(b"content-length: ")]
                    predictions = json.loads(answers.read(int(lengths[0].split()[1])))["predictions"]
                except TimeoutError:
                    faults.append("no answer")
                    return
                if len(predictions) != rows:
                    faults.append(f"{len(predictions)} answers to {rows} rows")

    asking = [threading.Thread(target=ask, args=(rows,)) for rows in (40, 3) * 6]
    for thread in asking:
        thread.start()
    for k in range(150):
        with socket.create_connection(("127.0.0.1", service.port)) as rude:
            rude.sendall(question(40) * 3 if k % 2 else question(40) * 2 + b"}")
            time.sleep(0.004 * (1 - k % 2))
        time.sleep(0.004)
    stop.set()
    for thread in asking:
        thread.join(60)
    assert faults == []
    assert "Traceback" not in service.log.read_text()


def test_no_prediction_fails_or_mixes_versions_while_they_are_promoted_and_rolled_back(
    environment: Environment, new_model: NewModel
) -> None:
    caller = new_model()
    caller.learn(0)
    caller.ok("PATCH", caller.path, {"promotion": "manual"})
    for k in range(1, 6):
        caller.learn(k)
        caller.ok("POST", f"{caller.path}/deployments", {"version": k + 1, "reason": "to have it"})
    caller.roll_back(to=1)
    expected = {n: caller.predict(ROWS, n)["predictions"] for n in range(1, 7)}
    assert len({str(answer) for answer in expected.values()}) == 6

    for service in environment.services:
        with Caller(service, caller.name) as there:
            until(lambda there=there: there.predict(ROWS)["version"] == 1, what="the news")
    stop = threading.Event()
    services = environment.services * 8
    clients = [Client(server, caller.name, stop) for server in services[:8]]
    for client in clients:
        client.start()

    walk = [1]

    def seen() -> bool:
        return all(client.last_versions() == [str(walk[-1])] * EACH for client in clients)

    for target in (2, 3, 4, 5, 6, None, None):
        until(seen, what=f"predictions of version {walk[-1]} by every client")
        if target is not None:
            moved = caller.ok("POST", f"{caller.path}/deployments", {"version": target, "if_live": walk[-1]})
            walk.append(moved["version"])
        else:
            walk.append(caller.roll_back(if_live=walk[-1])["live_version"])
        assert caller.predict(ROWS)["version"] == walk[-1], "it was answered before it had taken effect"
    until(seen, what="predictions of the last version by every client")
    stop.set()
    for client in clients:
        client.join(60.0)
    assert walk == [1, 2, 3, 4, 5, 6, 5, 4]
    for client in clients:
        assert {answer.status_code for answer in client.answers} == {200}
        bodies = [answer.json() for answer in client.answers]
        for answer, body in zip(client.answers, bodies, strict=True):
            assert answer.headers["Tsuika-Version"] == str(body["version"])
            assert alike(body["predictions"], expected[body["version"]])
        steps = [number for number, _ in groupby(body["version"] for body in bodies)]
        assert steps == walk, "a version was passed over, or came back without a rollback"
    environment.hold()


@pytest.mark.long
def test_after_a_rollback_nothing_that_was_under_way_undoes_it(environment: Environment, new_model: NewModel) -> None:
    caller = new_model(architecture={"backbone": {"name": "mlp", "hidden": [8]}})
    caller.learn(0)
    caller.learn(1)
    assert caller.live() == 2
    sent = [caller.batch(k) for k in range(2, 6)]
    with environment.held():
        running = caller.order(sent[:1], method=slow(5))["id"]
        queued = [caller.order([b])["id"] for b in sent[1:]]
        until(lambda: caller.update(running)["state"] == "running", what="the claim")
        rolled_back = caller.roll_back(if_live=2)
    assert (rolled_back["live_version"], rolled_back["previous_version"], rolled_back["promotion"]) == (1, 2, "manual")

    assert caller.end(running)["verdict"] == "superseded"
    for update_id in queued:
        done = caller.end(update_id)
        assert (done["state"], done["verdict"], done["base_version"]) == ("succeeded", "held", 1)
    assert caller.live() == 1
    assert {caller.state(b) for b in sent} == {"pending"}

    caller.ok("PATCH", caller.path, {"promotion": "auto"})
    done = caller.end(caller.order("pending")["id"])
    assert done["verdict"] == "promoted", done
    assert set(sent) < set(caller.version(done["version"])["batches"])
    assert {caller.state(b) for b in sent} == {"learned"}
    assert caller.http.post(f"{caller.path}/updates", json={"batches": "pending"}).status_code == 409
    environment.hold(sent)


def rows_of(environment: Environment, caller: Caller, batch_id: str) -> tuple[str, str]:
    """Area and digest of the rows of a batch."""
    with closing(open_database(environment.database_url)) as database, database.reading() as session:
        model = models.get(session, caller.name)
        digest, area = batches.get(session, model, batch_id).stored_digest, model_area(model.id)
    assert digest is not None
    return area, digest


def overwrite(environment: Environment, area: str, digest: str, data: bytes) -> None:
    """Puts other bytes in the place of stored ones."""
    store = open_store(environment.store_url)
    store.delete(area, digest)
    if isinstance(store, LocalArtifacts):
        path = environment.services[0].data / "store" / area / digest[:2] / digest[2:]
        path.write_bytes(data)
        path.chmod(0o600)
    else:
        store._write(f"{area}/{digest}", data, create=True)  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", [pytest.param("deleted", marks=pytest.mark.long), "a flipped bit"])
def test_an_update_that_cannot_succeed_ends_with_its_reason_and_the_next_one_runs(
    environment: Environment, new_model: NewModel, damage: str
) -> None:
    caller = new_model()
    poisoned = caller.batch(0)
    store, name = open_store(environment.store_url), rows_of(environment, caller, poisoned)
    whole = store.get(*name)
    store.delete(*name)
    if damage != "deleted":
        overwrite(environment, *name, whole[:-1] + bytes([whole[-1] ^ 1]))
    poison = caller.order([poisoned])["id"]
    behind = caller.order([caller.batch(1)])["id"]
    assert caller.end(behind)["verdict"] == "promoted"
    done = caller.end(poison)
    assert (done["state"], done["attempts"], done["version"]) == ("failed", 3, None)
    assert ("missing" if damage == "deleted" else "damaged") in done["error"]["detail"]
    events = history(caller.server, poison)
    assert [e.kind for e in events] == ["queued", "claimed", "retried", "claimed", "retried", "claimed", "failed"]
    claims = [e.at for e in events if e.kind == "claimed"]
    failures = [e.at for e in events if e.kind == "retried"]
    assert claims[1] - failures[0] >= 0.2
    assert claims[2] - failures[1] >= 0.4

    overwrite(environment, *name, whole)  # from a copy
    assert caller.http.post(f"/v1/updates/{poison}/retry").status_code == 202
    assert caller.end(poison)["verdict"] == "promoted"
    environment.hold([poisoned])


def test_one_idempotency_key_from_twenty_threads_is_one_update(environment: Environment, new_model: NewModel) -> None:
    caller = new_model()
    inputs, labels = blobs(0)
    body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
    headers = {"Idempotency-Key": f"{caller.name} once"}
    start = threading.Barrier(20)
    answers: list[httpx.Response] = []

    def post(server: Server) -> None:
        with Caller(server, caller.name) as again:
            start.wait()
            answers.append(again.http.post(f"{again.path}/updates", json=body, headers=headers))

    threads = [threading.Thread(target=post, args=[server]) for server in (environment.services * 20)[:20]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert [a.status_code for a in answers] == [202] * 20
    assert len({a.json()["id"] for a in answers}) == 1
    assert sum("Idempotency-Replayed" in a.headers for a in answers) == 19
    other = caller.http.post(f"{caller.path}/updates", json={**body, "seed": 1}, headers=headers)
    assert other.status_code == 409
    done = caller.end(answers[0].json()["id"])
    assert done["verdict"] == "promoted"
    listed: dict[str, Any] = caller.ok("GET", f"{caller.path}/updates")
    assert len(listed["items"]) == 1
    assert caller.versions() == [1]
    environment.hold(done["batches"])


@pytest.mark.long
def test_an_archived_model_stops_what_it_was_learning(environment: Environment, new_model: NewModel) -> None:
    caller = new_model()
    running = caller.order([caller.batch(0)], method=ENDLESS)["id"]
    queued = caller.order([caller.batch(1)])["id"]
    caller.training(running)
    assert caller.http.delete(caller.path).status_code == 204
    until(lambda: kinds(caller.server, running)[-1] == "cancelled", what="the end")
    assert kinds(caller.server, queued)[-1] == "cancelled"
    assert caller.http.get(caller.path).status_code == 404
    environment.hold()
