"""The door of a real service: nothing that is sent to it stops it, fills it, or leaves anything behind."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.environments import BOTH, empty_place
from tests.acceptance.service import until
from tests.running import ROOT, Server

LIMIT = 2_000_000
MODEL = {"name": "digits", "input": {"kind": "vector", "size": 3}}
JSON = {"Content-Type": "application/json"}
BATCHES = "/v1/models/digits/batches"
CHUNKED = b"POST /v1/models HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CHUNKED += b"transfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", params=BOTH)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service without a worker, with a small limit and an impatient one."""
    folder = tmp_path_factory.mktemp("door")
    patience = {"body_timeout_seconds": 1, "head_timeout_seconds": 2, "child_priority": "idle"}
    limits = {"max_body_bytes": LIMIT, "max_connections": 60, **patience}
    with Server(folder, **empty_place(request), worker=False, **limits) as server:
        with server.client() as client:
            assert client.post("/v1/models", json=MODEL).status_code == 201
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


def stored(client: httpx.Client) -> list[Any]:
    """Batches and classes of the model: none, if all goes well."""
    return [*client.get(BATCHES).json()["items"], *client.get("/v1/models/digits").json()["classes"]]


def test_a_process_that_serves_loads_no_library_of_learning(server: Server) -> None:
    loaded = Path(f"/proc/{server.pid}/maps").read_text()
    assert "/torch/" in loaded
    unwanted = ["scipy", "sklearn", "pandas", "timm", "torchvision", "ray", "onnxruntime", "google/_upb"]
    if "database_url" not in server.settings:  # what PostgreSQL and S3 need is loaded where they are
        unwanted += ["psycopg_binary", "obstore"]
    assert not [name for name in unwanted if f"/{name}/" in loaded]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no policy of its own")
def test_what_works_beside_the_event_loop_does_not_push_it_aside(server: Server, client: httpx.Client) -> None:
    assert client.get("/v1/models").is_success
    threads = [int(task.name) for task in Path(f"/proc/{server.pid}/task").iterdir()]
    patient = {thread for thread in threads if os.sched_getscheduler(thread) == os.SCHED_BATCH}
    assert patient, "the handler asked the database"
    assert server.pid not in patient, "the loop is that of the main thread"


def test_bad_content_is_refused_and_the_connection_stays_usable(client: httpx.Client) -> None:
    for body, status, pointer in [
        ('{"inputs": [[1, NaN, 3]], "labels": ["a"]}', 422, "/inputs/0/1"),
        ('{"inputs": [[1, 2, 3], [1, 2, -Infinity]], "labels": ["a", "a"]}', 422, "/inputs/1/2"),
        ('{"inputs": [[1, 2, 1e999]], "labels": ["a"]}', 422, "/inputs/0/2"),
        ('{"inputs": [[1, 2, 1e39]], "labels": ["a"]}', 422, "/inputs/0/2"),
        ('{"inputs": [[1, 2, 3], [1, 2]], "labels": ["a", "a"]}', 422, "/inputs/1"),
        ('{"inputs": [[1, 2]], "labels": ["a"]}', 422, "/inputs/0"),
        ('{"inputs": [[1, 2, "3"]], "labels": ["a"]}', 422, "/inputs/0/2"),
        ('{"inputs": [1, 2, 3], "labels": ["a"]}', 422, "/inputs"),
        ('{"inputs": [], "labels": []}', 422, "/inputs"),
        ('{"inputs": [[1, 2, 3]], "labels": ["a", "b"]}', 422, "/labels"),
        ('{"inputs": [[1, 2, 3]], "labels": ["\\ud800"]}', 422, "/labels/0"),
        ('{"inputs": [[1, 2, 3]], "labels": [NaN]}', 422, "/labels/0"),
        ('{"inputs": [[1, 2, 3]], "labels": ["a"], "labels": ["b"]}', 422, "/labels"),
        ('{"inputs": [[1, 2, 3]], "labels": ["a"], "path": "/etc/passwd"}', 422, "/path"),
        ('{"inputs": [[1, 2, 3]], "labels": ["a"]', 400, None),
        ('{"inputs": ' + "[" * 50_000, 400, None),
        ("", 400, None),
        ("[]", 422, ""),
    ]:
        for path in (BATCHES, "/v1/models/digits/updates"):
            refused = client.post(path, content=body.encode(), headers=JSON)
            assert refused.status_code == status, refused.text
            assert refused.headers["content-type"] == "application/problem+json"
            assert "connection" not in refused.headers
            problem = json.loads(refused.text, parse_constant=lambda word: pytest.fail(f"it echoes {word}"))
            assert isinstance(problem["detail"], str)
            if pointer is not None:
                assert problem["errors"][0]["pointer"] == pointer
        assert stored(client) == [], body


NAMES = ["..", ".", "%2e%2e", "..%2f..%2fx", "a%2fb", "%5c..%5c", "%2fabs", "a" * 300, "a%00b", "%ff", "A", "é", "-"]


def test_names_never_become_paths(server: Server, client: httpx.Client) -> None:
    outside = {p for p in server.folder.rglob("*") if server.data not in p.parents}
    for name in NAMES:
        made = client.post("/v1/models", json={**MODEL, "name": httpx.URL(f"http://x/{name}").path[1:]})
        assert made.status_code == 422, name
        for path in ("", "/batches", "/versions/1", "/versions/..", "/predictions?input=[1]"):
            with socket.create_connection(("127.0.0.1", server.port)) as raw:  # httpx would tidy the path up
                address = f"/v1/models/{name}{path}".encode("latin-1", "replace")
                raw.sendall(b"GET " + address + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                status = int(raw.recv(65536).split()[1])
            assert 400 <= status < 500
        assert {p for p in server.folder.rglob("*") if server.data not in p.parents} == outside, name


def test_a_page_of_another_origin_writes_nothing(client: httpx.Client) -> None:
    for origin in ("https://evil.example", "null", "http://localhost:9999"):
        for method, path in (
            ("POST", BATCHES),
            ("POST", "/v1/models/digits/rollback"),
            ("DELETE", "/v1/models/digits"),
        ):
            content = b'{"inputs": [[1, 2, 3]], "labels": ["a"]}' if method == "POST" else b""
            refused = client.request(method, path, content=content, headers={**JSON, "Origin": origin})
            assert refused.status_code == 403, (origin, method, path)
    plain = client.post(
        BATCHES, content=b'{"inputs": [[1, 2, 3]], "labels": ["a"]}', headers={"Content-Type": "text/plain"}
    )
    assert plain.status_code == 415, "a form of another page sends no other content types"
    elsewhere = client.get("/v1/models", headers={"Host": "tsuika.evil.example"})
    assert elsewhere.status_code == 403, elsewhere.text
    assert stored(client) == []


def test_a_class_has_one_name_however_it_is_written_and_none_that_cannot_be_seen(client: httpx.Client) -> None:
    client.post("/v1/models", json={**MODEL, "name": "names"})
    path, inputs = "/v1/models/names/batches", [[1, 2, 3]]
    for name in ("", "  ", "x" * 201, "a\x00b", "a\nb", "\u202eabc", "a\u200db", "\x1b[31m"):
        refused = client.post(path, json={"inputs": inputs, "labels": [name], "new_classes": "allow"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/labels/0"), name
    for row, name in enumerate(("caf\u00e9", " cafe\u0301 ", "x" * 200)):
        body = {"inputs": [[row, 2, 3]], "labels": [name], "new_classes": "allow"}
        assert client.post(path, json=body).status_code == 201, name
    assert client.get("/v1/models/names").json()["classes"] == ["caf\u00e9", "x" * 200]
    counted = [batch["label_counts"] for batch in client.get(path).json()["items"]]
    assert counted == [{"x" * 200: 1}, {"caf\u00e9": 1}, {"caf\u00e9": 1}]


def post_raw(server: Server, head: str, chunks: Iterable[bytes], seconds: float = 30.0) -> int:
    """The status that is answered to who sends these chunks, or some of them, and then nothing more."""
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.settimeout(seconds)
        raw.sendall(f"POST {BATCHES} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        answer: list[bytes] = []
        reader = threading.Thread(target=lambda: answer.append(raw.recv(65536)))
        reader.start()
        with contextlib.suppress(ConnectionError):  # it was answered, and closed
            for chunk in chunks:
                if answer:
                    break
                raw.sendall(chunk)
        reader.join()
        return int(answer[0].split()[1])


def spaces(size: int) -> list[bytes]:
    return [b" " * 16_384] * (size // 16_384)


@pytest.mark.parametrize("way", ["declared", "chunked", "lying"])
def test_a_body_over_the_limit_is_cut_before_it_is_read(server: Server, client: httpx.Client, way: str) -> None:
    before = server.memory()
    media = "Content-Type: application/json"
    if way == "declared":
        status = post_raw(server, f"{media}\r\nContent-Length: {100 * LIMIT}", spaces(LIMIT // 2))
    elif way == "chunked":
        pieces = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in spaces(LIMIT + 100_000))
        status = post_raw(server, f"{media}\r\nTransfer-Encoding: chunked", pieces)
    else:
        status = post_raw(server, f"{media}\r\nContent-Length: 10", [b" " * 10, b"x" * 100_000])
    assert status == (413 if way != "lying" else 400)
    assert server.memory() - before < 50 * 2**20
    assert client.get("/v1/models").status_code == 200


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nx: ", b"GET / HTTP/1.1\r\n", CHUNKED, CHUNKED + b"1;"])
def test_a_head_without_end_is_cut(server: Server, client: httpx.Client, start: bytes) -> None:
    """And so are frames of a body; what is sent goes on until it is answered."""
    before = server.memory()
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.settimeout(60)
        raw.sendall(start)
        line = b"x: 1\r\n" if start.endswith(b"\r\n") and start != CHUNKED else b"x" * 6
        line = b"1;e=" + b"x" * 90 + b"\r\nx\r\n" if start == CHUNKED else line
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                raw.sendall(line * (10_000 // len(line)))
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"x-content-type-options: nosniff\r\n" in answer
    assert b"cache-control: no-store\r\n" in answer
    assert server.memory() - before < 10 * 2**20
    assert client.get("/v1/models").status_code == 200


@pytest.mark.long
def test_connections_that_ask_nothing_keep_nobody_out(server: Server) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    for k, connection in enumerate(silent):
        if k % 3:
            with contextlib.suppress(ConnectionError):  # it had to make room
                connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n" if k % 3 == 1 else b"\r\n")
    for path in ("/v1/models", "/healthz", "/readyz"):
        assert httpx.get(server.url + path, timeout=30).status_code == 200
    for connection in silent:  # each is closed in the end
        connection.settimeout(30)
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass
        connection.close()


def post_all(server: Server, size: int, **headers: str) -> http.client.HTTPResponse:
    """The answer to who sends all before it reads, over a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("POST", BATCHES, b" " * size, {**JSON, "Connection": "close", **headers})
        answer = connection.getresponse()
        answer.read()  # to its end, which closes it
        return answer


def test_a_client_that_sends_all_first_reads_the_refusal(server: Server, client: httpx.Client) -> None:
    refused = client.post(BATCHES, content=b" " * (5 * LIMIT), headers=JSON)
    assert refused.status_code == 413
    assert "TSUIKA_MAX_BODY_BYTES" in refused.json()["detail"]
    response = client.post(BATCHES, content=(b" " * 100_000 for _ in range(100)), headers=JSON)
    assert response.status_code == 413
    for size, headers, status in (
        (5 * LIMIT, {}, 413),
        (10 * LIMIT, {"Host": "evil.example"}, 403),
        (10 * LIMIT, {"Content-Type": "text/plain"}, 415),
    ):
        assert post_all(server, size, **headers).status == status


def test_a_body_that_comes_slowly_is_cut(server: Server) -> None:
    began = time.monotonic()
    slowly = (b"x" for _ in iter(lambda: time.sleep(0.1), 1))
    assert post_raw(server, "Content-Type: application/json\r\nContent-Length: 1000", slowly, 60.0) == 408
    assert time.monotonic() - began < 50, "of a hundred seconds that the body would take"


def test_a_page_is_neither_framed_nor_kept(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept": "text/html"}).headers
    once = [page.get_list(name) for name in ("x-content-type-options", "cache-control", "x-frame-options")]
    assert once == [["nosniff"], ["no-store"], ["DENY"]]


def test_a_file_that_a_page_loads_is_kept_by_its_content(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept": "text/html"}).text
    loads = re.findall(r'"(/static/[^"]+)"', page)
    kept = [client.get(path).headers.get_list("cache-control") for path in loads]
    assert kept == [["public, max-age=31536000, immutable"]] * 2
    other = client.get(loads[0].partition("?")[0]).headers
    assert other.get_list("cache-control") == ["no-store"]
    assert client.get(loads[0]).headers.get_list("x-content-type-options") == ["nosniff"]


def test_nothing_stored_is_ever_unpickled() -> None:
    words = ("pickle.load", "torch.load(", "joblib.load", "allow_pickle=True", "import pickle", "import dill")
    for path in (ROOT / "service").rglob("*.py"):
        text = path.read_text()
        if path.name == "efficientnet.py":  # weights of an installed package, by torch's reader that runs no code
            text, readings = re.subn(r"torch\.load\([^\n]+, weights_only=True\)", "", text)
            assert readings == 1
        leaked = [word for word in words if word in text]
        assert not leaked, (path, leaked)


WAITS = """
import pathlib, sys, time

here = pathlib.Path(__file__).parent
while not (here / "go").exists():
    time.sleep(0.01)
sys.path.remove(str(here))
del sys.modules["torch"]
import torch
"""
"""A torch that is loaded once a file is beside it."""


@pytest.fixture(scope="module", params=BOTH)
def starting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that is just being started, in an empty folder, or an empty database and bucket, and loads its
    libraries once a file "go" is in its folder; the test after it is seen starting ends it."""
    place = {} if request.param == "embedded" else empty_place(request)
    folder = tmp_path_factory.mktemp("starting")
    (folder / "torch.py").write_text(WAITS)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        server = Server(folder, wait=False, worker=False, stop_seconds=10, **place)
    yield server
    server.kill()


@pytest.mark.long
def test_the_port_opens_before_the_libraries_are_loaded(starting: Server) -> None:
    with starting.client() as client:

        def answered() -> httpx.Response | None:
            with contextlib.suppress(httpx.ConnectError):
                return client.get("/healthz")
            return None

        alive = until(answered, what="the port")
        large = post_all(starting, 20_000_000)
        ready, early = client.get("/readyz"), client.get("/v1/models")
    assert alive.status_code == 200
    assert (large.status, ready.status_code, early.status_code) == (503, 503, 503)
    assert ready.json()["waiting_for"]
    assert early.headers["retry-after"] == large.headers["retry-after"] == "1"
    (starting.folder / "go").touch()
    starting.until_ready()


def test_term_ends_streams_and_waits_and_breaks_no_answer(starting: Server) -> None:
    (starting.folder / "go").touch()
    starting.until_ready()
    with starting.client() as client:
        client.post("/v1/models", json=MODEL)
        order = {"inputs": [[1, 2, 3]], "labels": ["a"]}
        update = client.post("/v1/models/digits/updates", json=order).json()["id"]
    answers: dict[str, list[int]] = {"stream": [], "wait": [], "load": []}
    broken: list[str] = []
    stop, streams = threading.Event(), threading.Event()

    def stream() -> None:
        with starting.client() as client, client.stream("GET", f"/v1/updates/{update}/events") as events:
            for _ in events.iter_text():
                streams.set()
            answers["stream"].append(events.status_code)

    def wait() -> None:
        with starting.client(timeout=90) as client:
            answers["wait"].append(client.post("/v1/models/digits/updates?wait=60", json=order).status_code)

    def load() -> None:
        with starting.client() as client:
            while not stop.is_set():
                try:
                    answers["load"].append(client.get("/v1/models/digits").status_code)
                except httpx.ConnectError:
                    return  # the port is closed: nothing was promised
                except httpx.TransportError as error:
                    broken.append(repr(error))

    threads = [threading.Thread(target=work) for work in (stream, wait, load, load, load, load)]
    for thread in threads:
        thread.start()
    assert streams.wait(60)
    with starting.client() as client:
        queued = "/v1/models/digits/updates?state=queued"
        until(lambda: len(client.get(queued).json()["items"]) == 2, what="the call that waits")
    silent = socket.create_connection(("127.0.0.1", starting.port))
    head = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 500000"
    silent.sendall(f"POST /v1/models/digits/batches HTTP/1.1\r\n{head}\r\n\r\n{{".encode())
    with silent:
        assert starting.stop(50) == 0, "before the sixty seconds that one call waits, and though one sends no more"
    stop.set()
    for thread in threads:
        thread.join(60)
    assert (answers["stream"], answers["wait"]) == ([200], [202])
    assert broken == []
    assert set(answers["load"]) == {200}
