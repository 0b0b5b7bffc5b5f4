"""Many at once, in both environments: small updates of several models by two workers, and callers who send slowly."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.contract.enums import UpdateState
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Update
from tests.acceptance.environments import BOTH, Environment, opened
from tests.acceptance.service import Caller, blobs, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]

MODELS, EACH = 4, 100
SECONDS = 60.0
"""How long the updates may take on two cores of their own; the test waits longer, since who runs it shares them."""
SLOW, BODY_SECONDS = 200, 8.0
"""Callers who send a byte a second, and how long a body may take."""


@pytest.fixture(params=BOTH)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    settings = {"lease_seconds": 30.0, "body_timeout_seconds": BODY_SECONDS}  # no stall of the machine ends a lease
    environment = opened(request, tmp_path, workers=2, **settings)
    yield environment
    environment.stop()


def test_two_workers_learn_four_hundred_small_updates_once_each(environment: Environment) -> None:
    names = [f"m{k}" for k in range(MODELS)]
    for name in names:
        with Caller(environment.services[0], name) as caller:
            caller.create()
    began = time.monotonic()

    def send(name: str) -> list[str]:
        """The updates of a model, ordered of all services in turn; -> their batches"""
        callers = [Caller(service, name) for service in environment.services]
        batches = []
        for k in range(EACH):
            inputs, labels = blobs(k, rows=8)
            body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
            caller = callers[k % len(callers)]
            batches += caller.ok("POST", f"{caller.path}/updates", body)["batches"]
        for caller in callers:
            caller.http.close()
        return batches

    with ThreadPoolExecutor(MODELS) as pool:
        sent = [batch for batches in pool.map(send, names) for batch in batches]
    with closing(open_database(environment.database_url)) as database:

        def states() -> Counter[str]:
            with database.looking() as reader:
                rows = reader.execute(select(Update.state, func.count()).group_by(Update.state))
                return Counter(dict(rows.all()))

        until(lambda: states()[UpdateState.SUCCEEDED] == MODELS * EACH, 600.0, "the end of all of them", pause=0.2)
        took = time.monotonic() - began
        print(f"{environment.name}: {MODELS * EACH} updates in {took:.1f} s (aim: {SECONDS:g} s)")
        with database.reading() as session:
            assert set(session.scalars(select(Update.attempts))) == {1}
            assert len(set(session.scalars(select(Update.worker)))) == 2, "one of the workers has learned nothing"
    for name in names:
        with Caller(environment.services[-1], name) as caller:
            assert caller.versions() == list(range(1, EACH + 1))
    environment.hold(sent)


def test_callers_who_send_a_byte_a_second_are_cut_off_and_keep_nobody_waiting(environment: Environment) -> None:
    service = environment.services[0]
    head = b"POST /v1/models/digits/batches HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with Caller(service, "digits") as caller, ExitStack() as stack:
        caller.create().learn(0)
        inputs, _ = blobs(1, rows=3)
        caller.predict(inputs)
        took, began, sent = list[float](), time.monotonic(), 0
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port), 30.0)) for _ in range(SLOW)]
        for connection in slow:
            connection.sendall(head + b"content-length: 1000\r\n\r\n")
        while (age := time.monotonic() - began) < BODY_SECONDS - 1.0:
            if age >= sent:
                sent += 1
                for connection in slow:
                    connection.sendall(b" ")
            asked = time.monotonic()
            caller.predict(inputs)
            took.append(time.monotonic() - asked)
        assert sorted(took)[int(0.99 * len(took))] < BODY_SECONDS / 4
        answers = [connection.recv(4096).split()[1] for connection in slow]
        assert time.monotonic() - began < BODY_SECONDS + 10.0
        assert answers == [b"408"] * SLOW
