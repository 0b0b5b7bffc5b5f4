"""Large bodies are read by a process of their own: the same verdicts, the same bytes, and a death costs one request."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from service.api import reader, spool
from service.api.reader import Reader
from service.api.spool import Spooled
from service.contract.inputs import ImageInput
from service.errors import Busy, TooLarge
from service.settings import Settings
from tests.api.conftest import Api, MakeApi
from tests.api.test_images import LISTS, picture
from tests.making import make_version

FACES = ImageInput(kind="image", channels=3, height=4, width=5)
LONG = "[" + ", ".join(["[1, 2, 3]"] * 40) + "]"
LABELS = json.dumps(["a", "b"] * 20)
SENTENCES = json.dumps(["cafe\u0301 at nine?", "a\nb"])
BODIES: list[tuple[str, str, str]] = [
    (kind, path, body)
    for kind, path, bodies in [
        (
            "digits",
            "predictions",
            [
                f'{{"inputs": {LONG}, "top": 2}}',
                f'{{"inputs": {LONG}, "source": "x"}}',
                '{"inputs": [[0.5, -1e30, 3]]}',
                '{"inputs": [[1, 2, 3], [1, 2]]}',
                '{"inputs": [[1, 2, 3], [1, null, 3]]}',
                '{"inputs": [[1, 2, NaN]]}',
                '{"inputs": [[1, 1e39, 2]]}',
                '{"inputs": [1, 2, 3]}',
                '{"inputs": []}',
                '{"inputs": "rows"}',
                f'{{"inputs": {LONG}, "top": 0}}',
                f'{{"inputs": {LONG}, "tops": 1}}',
                f'{{"inputs": {LONG}, "top": 1, "top": 2}}',
                f'{{"inputs": [[1]], "top": 0, "x": {LONG}}}',
                f'{{"inputs": {LONG}',
                "[[1, 2, 3]]",
                '{"top": 1}',
                '{"inputs": [["\\ud800", 1, 2]]}',
            ],
        ),
        (
            "digits",
            "batches",
            [
                f'{{"inputs": {LONG}, "labels": {LABELS}}}',
                f'{{"labels": {LABELS}, "inputs": {LONG}, "source": "shop"}}',
                '{"inputs": [[1, 2, 3], [-0.0, 0, 0]], "labels": ["a", null]}',
                '{"inputs": [[1, 2, 3]], "labels": ["z"]}',
                '{"inputs": [[1, 2, 3]], "labels": [5.5]}',
                '{"inputs": [[1, 2, 3]], "labels": ["a", "b"]}',
                '{"inputs": [[1, 2]], "labels": ["a"]}',
                f'{{"inputs": [[1, 2]], "labels": ["a"], "new_classes": "maybe", "x": {LONG}}}',
                f'{{"inputs": {LONG}}}',
            ],
        ),
        ("digits", "updates", ['{"batches": "pending", "inputs": [[1, 2, 3]]}', '{"batches": []}', '{"seed": -1}']),
        (
            "faces",
            "predictions",
            [
                json.dumps({"inputs": [LISTS, picture("PNG")], "top": 2}),
                '{"inputs": [{"png": "aGk="}]}',
                '{"inputs": [[[1]]]}',
            ],
        ),
        ("faces", "batches", [json.dumps({"inputs": [picture("PNG"), LISTS], "labels": ["a", "b"]})]),
        (
            "intents",
            "batches",
            [f'{{"inputs": {SENTENCES}, "labels": ["a", "b"]}}', '{"inputs": [""], "labels": ["a"]}'],
        ),
        ("nobody", "batches", ["{"]),
    ]
    for body in bodies
]


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    api = make_api()
    inputs = {"digits": {"kind": "vector", "size": 3}, "faces": FACES.model_dump(), "intents": {"kind": "text"}}
    for name, spec in inputs.items():
        api.ok("POST", "/v1/models", {"name": name, "input": spec, "classes": ["a", "b"]})
    make_version(api.runtime)
    make_version(api.runtime, "faces", spec=FACES)
    return api


def told(response: httpx.Response) -> Any:
    """An answer but for what differs each time."""
    return response.status_code, {k: v for k, v in response.json().items() if k not in ("request_id", "received_at")}


def until(true: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at the most."""
    end = time.monotonic() + 10.0
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def send(api: Api, model: str, path: str, body: str) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return api("POST", f"/v1/models/{model}/{path}", content=body.encode("utf-8", "surrogatepass"), headers=headers)


def test_the_reading_process_says_what_a_handler_says(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also: a batch that was stored by one way is there already by the other, so its bytes count as the same."""
    for model, path, body in BODIES:
        monkeypatch.setattr("service.api.bodies.LARGE_BYTES", 256 * 1024)
        here = send(api, model, path, body)
        monkeypatch.setattr("service.api.bodies.LARGE_BYTES", 0)
        aside = send(api, model, path, body)
        if here.status_code == 201:
            assert aside.status_code == 200, body
            assert aside.json() == here.json(), body
        else:
            assert told(aside) == told(here), body


def test_rows_that_were_read_aside_are_stored_as_others_are(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f'{{"inputs": {LONG}, "labels": {LABELS}, "again": true}}'
    here = send(api, "digits", "batches", body).json()
    key = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    monkeypatch.setattr("service.api.bodies.LARGE_BYTES", 0)
    aside = api("POST", "/v1/models/digits/batches", content=body, headers=key).json()
    assert {k: here[k] for k in ("rows", "digest", "label_counts")} == {
        k: aside[k] for k in ("rows", "digest", "label_counts")
    }
    assert aside["id"] != here["id"]
    monkeypatch.setattr("service.api.bodies.LARGE_BYTES", 256 * 1024)  # the key knows the rows, however they were read
    again = api("POST", "/v1/models/digits/batches", content=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (201, aside["id"])


def test_a_large_body_leaves_no_file(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = json.dumps({"inputs": [[1, 2, 3]] * 40_000})
    answer = send(api, "digits", "predictions", large)
    assert len(large) > spool.LARGE_BYTES
    assert len(answer.json()["predictions"]) == 40_000
    assert api.door.context.reader._process is not None
    until(lambda: not list((tmp_path / "spool").iterdir()))


@pytest.fixture
def aside(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(Settings(data=tmp_path))
    yield made
    made.close()


def spooled(aside: Reader, body: bytes = b'{"inputs": [[1, 2, 3]]}') -> Spooled:
    with aside.spool() as found:
        found.write(body)
    return found


def ask(aside: Reader, body: Spooled) -> int:
    rows: int = aside.run(body, "read", spec={"kind": "vector", "size": 3}, model="digits")["rows"]
    return rows


def pid(aside: Reader) -> int:
    assert aside._process is not None
    return aside._process.pid


def unread(aside: Reader) -> int:
    """Bytes that wait in the pipe to the reading process."""
    assert aside._process is not None
    assert aside._process.stdin is not None
    count = bytearray(4)
    fcntl.ioctl(aside._process.stdin, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


def stop(pid: int) -> None:
    """Stop a process; it has stopped on return: the signal alone may come after what it was meant to forestall."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def test_the_process_steps_aside_for_the_one_that_serves(aside: Reader) -> None:
    """Its priority counts within a session, so it has none of its own; Ctrl-C does not reach it all the same."""
    assert ask(aside, spooled(aside)) == 1
    assert os.sched_getscheduler(pid(aside)) == os.SCHED_IDLE
    assert os.getsid(pid(aside)) == os.getsid(0)
    assert os.getpgid(pid(aside)) == pid(aside)


def test_a_death_in_the_middle_costs_one_request(aside: Reader) -> None:
    body = spooled(aside)
    assert ask(aside, body) == 1
    first = pid(aside)
    stop(first)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(ask, aside, body)
        until(lambda: unread(aside) > 0)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(Busy, match="Send it again"):
            waiting.result()
    assert ask(aside, body) == 1
    assert pid(aside) != first


def test_one_that_takes_too_long_is_ended_and_no_more_may_wait_than_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "WAITING", 2)
    aside = Reader(Settings(data=tmp_path))
    try:
        body = spooled(aside)
        assert ask(aside, body) == 1
        stop(pid(aside))
        monkeypatch.setattr(reader, "TASK_SECONDS", 0.3)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(ask, aside, body)
            time.sleep(0.1)
            monkeypatch.setattr(reader, "TASK_SECONDS", 30.0)
            behind = aside._submit(body, "read", {"spec": {"kind": "vector", "size": 3}, "model": "digits"})
            with pytest.raises(Busy, match="may wait"):
                ask(aside, body)
            with pytest.raises(Busy, match="took more than"):
                waiting.result()
        assert behind.result()["rows"] == 1
    finally:
        aside.close()


def test_a_body_that_needs_too_much_memory_is_refused_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "FIXED_BYTES", 200 * 2**20)
    monkeypatch.setattr(reader, "BYTES_A_BYTE", 0)
    small = Reader(Settings(data=tmp_path))
    try:
        with pytest.raises(TooLarge, match="in several batches"):
            ask(small, spooled(small, b'{"inputs": [[' + b"0," * 4_000_000 + b"0]]}"))
        assert ask(small, spooled(small)) == 1
    finally:
        small.close()


def test_the_process_ends_with_its_parent(aside: Reader) -> None:
    assert ask(aside, spooled(aside)) == 1
    process = aside._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10.0) == 0
