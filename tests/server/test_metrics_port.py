"""The port of metrics of a worker: who may ask, and what."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

import httpx
import pytest

from service.errors import ImpossibleSettings
from service.server import metrics_port
from service.server.metrics_port import answering
from service.telemetry.metrics import MEDIA
from service.worker.parent.figures import UPDATES
from tests.api.conftest import MakeApi

KEY = {"Authorization": "Bearer secret"}


def ask(port: int, path: str = "/metrics", **options: Any) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30, **options)


def test_who_holds_a_key_reads_what_a_worker_counts(make_api: MakeApi) -> None:
    api = make_api(key="secret", metrics_port=0)
    UPDATES.add("digits", "ridge", "promoted")
    UPDATES.add("letters", "ridge", "promoted")
    order = {"name": "prometheus", "scopes": ["predict"], "models": ["digits"]}
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=KEY)
    some = {"Authorization": f"Bearer {api.ok('POST', '/v1/keys', order, headers=KEY)['secret']}"}
    with answering(api.runtime) as port:
        refused = ask(port)
        assert (refused.status_code, refused.headers["content-type"]) == (401, "application/problem+json")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert ask(port, "/v1/models", headers=KEY).status_code == 404
        answer = ask(port, headers=KEY)
        assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA)
        usual = [answer.headers.get(name) for name in ("x-content-type-options", "cache-control", "server")]
        assert usual == ["nosniff", "no-store", None]
        assert 'model="letters"' in answer.text
        assert "process_cpu_seconds_total" in answer.text
        theirs = [line for line in ask(port, headers=some).text.splitlines() if not line.startswith("#")]
        assert theirs
        assert all('model="digits"' in line for line in theirs)
    with pytest.raises(httpx.ConnectError):
        ask(port, headers=KEY)


def test_the_head_alone_is_answered_too_and_any_other_method_is_a_problem(make_api: MakeApi) -> None:
    with answering(make_api(metrics_port=0).runtime) as port:
        head = httpx.head(f"http://127.0.0.1:{port}/metrics", timeout=60)
        assert (head.status_code, head.headers["content-type"], head.content) == (200, MEDIA, b"")
        assert int(head.headers["content-length"]) > 1000
        refused = httpx.post(f"http://127.0.0.1:{port}/metrics", timeout=60)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["title"] == "No such call"
        with socket.create_connection(("127.0.0.1", port), 60) as raw:
            raw.sendall(b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n")
            answer = raw.recv(65536)
            assert b" 431 " in answer
            assert b"html" not in answer.lower()


def test_a_port_that_is_taken_and_a_door_without_a_key_are_refused(make_api: MakeApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ImpossibleSettings, match=str(port)), answering(make_api(metrics_port=port).runtime):
            pass
    runtime = make_api(host="0.0.0.0", metrics_port=0).runtime
    with pytest.raises(ImpossibleSettings, match="tsuika keys create"), answering(runtime):
        pass


def test_who_sends_a_byte_now_and_then_keeps_nobody_else_waiting(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_port, "PATIENCE_SECONDS", 0.2)
    cut_off, answered = metrics_port._cut_off, threading.Event()

    def once(connection: socket.socket) -> None:
        monkeypatch.setattr(metrics_port, "PATIENCE_SECONDS", 60.0)  # the next one has a busy machine's time
        cut_off(connection)

    monkeypatch.setattr(metrics_port, "_cut_off", once)
    with answering(make_api(metrics_port=0).runtime) as port, socket.create_connection(("127.0.0.1", port), 60) as slow:

        def dawdle() -> None:
            with suppress(OSError):
                while not answered.wait(0.05):
                    slow.sendall(b"x")

        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        dawdling = threading.Thread(target=dawdle)
        dawdling.start()
        try:
            assert ask(port).status_code == 200
        finally:
            answered.set()
            dawdling.join()


def test_an_address_of_the_sixth_version_is_listened_on(make_api: MakeApi) -> None:
    with answering(make_api(host="::1", metrics_port=0).runtime) as port:
        assert httpx.get(f"http://[::1]:{port}/metrics", timeout=60).status_code == 200
