"""The port of metrics of a worker: who may ask, and what."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from service.errors import ImpossibleSettings
from service.server.metrics_port import answering
from service.telemetry.metrics import MEDIA
from service.worker.parent.loop import UPDATES
from tests.api.conftest import MakeApi

KEY = {"Authorization": "Bearer secret"}


def ask(port: int, path: str = "/metrics", **options: Any) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, **options)


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
        assert ask(port, "/v1/models", headers=KEY).status_code == 404
        answer = ask(port, headers=KEY)
        assert (answer.status_code, answer.headers["content-type"]) == (200, MEDIA)
        assert 'model="letters"' in answer.text
        assert "process_cpu_seconds_total" in answer.text
        theirs = [line for line in ask(port, headers=some).text.splitlines() if not line.startswith("#")]
        assert theirs
        assert all('model="digits"' in line for line in theirs)
    with pytest.raises(httpx.ConnectError):
        ask(port, headers=KEY)


def test_a_port_that_is_taken_and_a_door_without_a_key_are_refused(make_api: MakeApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ImpossibleSettings, match=str(port)), answering(make_api(metrics_port=port).runtime):
            pass
    runtime = make_api(host="0.0.0.0", metrics_port=0).runtime
    with pytest.raises(ImpossibleSettings, match="tsuika keys create"), answering(runtime):
        pass
