"""The usual prediction over a real connection: the same answers by either way, whatever comes in which pieces."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from opentelemetry.sdk.trace import TracerProvider
from starlette.types import Receive, Scope, Send

from service.api.bodies import prediction_bodies
from service.app import _Full
from service.contract.body_limits import BodyLimits
from service.errors import Busy, Unauthorized
from service.learning.data.target_grid import NumberGrid
from service.server import fast_path
from service.server.fast_path import FastPath
from service.server.protocol import HttpProtocol
from service.serving.loaded_versions import Loaded
from service.telemetry import tracing
from service.telemetry.spans import OpenTelemetry
from tests.api.conftest import Api, MakeApi
from tests.making import keep_version, make_number_model, make_version, number_checkpoint

PATH = "/v1/models/digits/predictions"
KEY = {"authorization": "Bearer secret"}
JSON = {**KEY, "content-type": "application/json"}
GOOD = b'{"inputs": [[1, 2, 3]]}'
HEAD = "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\ncontent-type: application/json\r\n"
TAKEN: list[tuple[str, dict[str, str], bytes]] = [
    (PATH, JSON, GOOD),
    (PATH, JSON, b'{"inputs": [[1, 2, 3], [4, 5, 6]], "top": 2, "source": "x"}'),
    (PATH, {**JSON, "x-request-id": "mine", "tsuika-timeout-ms": "5000"}, GOOD),
    (PATH, {**JSON, "connection": "close"}, GOOD),
    ("/v1/models/digits/versions/1/predictions", JSON, GOOD),
    ("/v1/models/digits/versions/live/predictions", JSON, GOOD),
    (f"{PATH}?top=2", {**KEY, "content-type": "application/octet-stream"}, bytes(24)),
]
NOT_TAKEN: list[tuple[str, dict[str, str], bytes]] = [
    (PATH, JSON, b'{"inputs": [[1, 2]]}'),
    (PATH, JSON, b'{"inputs": [[1, 2, NaN]]}'),
    (PATH, JSON, b'{"inputs": [[1, 2, 1e39]]}'),
    (PATH, JSON, b'{"inputs": [[1, 2, 3]], "top": 0}'),
    (PATH, JSON, b"{"),
    (PATH, JSON, b""),
    (f"{PATH}?top=2", JSON, GOOD),
    (f"{PATH}?source=x&foo=1", JSON, GOOD),
    (PATH, JSON, json.dumps({"inputs": [[1, 2, 3]] * 300}).encode()),
    (PATH, JSON, json.dumps({"inputs": [[1, 2, 3]] * 200, "top": 2}).encode()),
    (PATH, {**JSON, "tsuika-timeout-ms": "soon"}, GOOD),
    (PATH, {**JSON, "authorization": "Bearer other"}, GOOD),
    (PATH, {"content-type": "application/json"}, GOOD),
    (PATH, {**KEY, "content-type": "text/csv"}, GOOD),
    (PATH, {**JSON, "content-encoding": "gzip"}, GOOD),
    ("/v1/models/nobody/predictions", JSON, GOOD),
    ("/v1/models/digits/versions/7/predictions", JSON, GOOD),
    ("/v1/models/digits/versions/previous/predictions", JSON, GOOD),
]


class Front:
    """What the port answers with; `calls`: requests that were not answered before they came here."""

    def __init__(self, api: Api) -> None:
        self.door, self.calls = api.door, 0
        self.full = _Full(api.door.context.health)
        self.fast_path: FastPath | None = api.door.fast_path
        self.headers: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        self.headers.append(dict(scope["headers"]))
        await self.door(scope, receive, send)


class Port:
    """A port of its own on the loop of an application."""

    def __init__(self, api: Api) -> None:
        self.api, self.front = api, Front(api)
        self.listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            self.front, loop="none", http=HttpProtocol, ws="none", lifespan="off", log_config=None, proxy_headers=False
        )
        self.server = uvicorn.Server(config)
        self.serving = self.run(self._start())

    def run(self, what: Awaitable[Any]) -> Any:
        async def go() -> Any:
            async with asyncio.timeout(60):
                return await what

        return self.api.runner.run(go())

    async def _start(self) -> asyncio.Task[None]:
        async def serve() -> None:
            self.server.config.load()
            await self.server._serve([self.listener])

        serving = asyncio.get_running_loop().create_task(serve())
        while not self.server.started:
            await asyncio.sleep(0.001)
        return serving

    def until(self, condition: Callable[[], bool]) -> None:
        """Lets the loop turn until a condition holds."""

        async def holds() -> None:
            while not condition():
                await asyncio.sleep(0.001)

        self.run(holds())

    def close(self) -> None:
        self.server.should_exit = True
        self.run(self.serving)

    def post(self, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(timeout=60) as client:
                url = f"http://127.0.0.1:{self.listener.getsockname()[1]}{path}"
                return await client.post(url, headers=headers, content=body)

        response: httpx.Response = self.run(go())
        return response

    def talk(self, conversation: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[Any]]) -> Any:
        """Over one bare connection."""

        async def go() -> Any:
            reader, writer = await asyncio.open_connection(*self.listener.getsockname())
            try:
                return await conversation(reader, writer)
            finally:
                writer.close()

        return self.run(go())


@pytest.fixture
def port(make_api: MakeApi) -> Iterator[Port]:
    api = make_api(key="secret")
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=KEY)
    make_version(api.runtime)
    api.ok("POST", PATH, {"inputs": [[1, 2, 3]]}, headers=KEY)  # it is loaded when it is first asked
    port = Port(api)
    yield port
    port.close()


def constant(response: httpx.Response) -> Any:
    """The parts of an answer that do not differ each time."""
    headers = {k: v for k, v in response.headers.items() if k not in ("date", "x-request-id", "content-length")}
    body = {k: v for k, v in response.json().items() if k != "request_id"}
    return response.status_code, dict(sorted(headers.items())), body


@pytest.mark.parametrize(("requests", "takes"), [(TAKEN, True), (NOT_TAKEN, False)])
def test_the_same_answer_by_either_way(
    port: Port, requests: list[tuple[str, dict[str, str], bytes]], takes: bool
) -> None:
    for path, headers, body in requests:
        port.front.calls, port.front.fast_path = 0, port.api.door.fast_path
        quick = port.post(path, headers, body)
        assert port.front.calls == (0 if takes else 1), (path, headers, body)
        port.front.fast_path = None
        usual = port.post(path, headers, body)
        assert constant(quick) == constant(usual), (path, headers, body)
        assert len(quick.headers["x-request-id"]) == len(usual.headers["x-request-id"])
        assert (quick.status_code == 200) == (takes or b"1, 2, 3], [1" in body)
    port.until(lambda: port.api.door.open_requests == 0)


def test_what_the_fast_path_answers_is_counted(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """As what the application answers, and the time that it took."""
    live, numbered = port.front.door.fast_path.figures
    loaded = port.api.runtime.live.get("digits")
    before = live.statuses[200], numbered.statuses[200], sum(live.counts), live.sum, loaded.answered
    refused = live.statuses[503]
    for path, count in ((PATH, 3), ("/v1/models/digits/versions/1/predictions", 2)):
        for _ in range(count):
            assert port.post(path, JSON, GOOD).status_code == 200
    assert port.front.calls == 0
    assert (live.statuses[200], numbered.statuses[200]) == (before[0] + 3, before[1] + 2)
    assert sum(live.counts) == before[2] + 3
    assert 0 < live.sum - before[3] < 20
    assert loaded.answered == before[4] + 5
    port.front.fast_path = None
    port.post(PATH, JSON, GOOD)
    monkeypatch.setattr(port.api.door.context.batcher, "_queue_seconds", -1.0)
    port.front.fast_path = port.api.door.fast_path
    assert port.post(PATH, JSON, GOOD).status_code == 503
    assert (live.statuses[200], live.statuses[503]) == (before[0] + 4, refused + 1)


def test_a_prediction_within_a_trace_is_the_applications_where_spans_are_made(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    within = {**JSON, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    port.post(PATH, within, GOOD)
    assert port.front.calls == 0
    monkeypatch.setattr(tracing, "_tracer", OpenTelemetry(TracerProvider(shutdown_on_exit=False)))
    port.post(PATH, JSON, GOOD)
    assert port.front.calls == 0
    port.post(PATH, within, GOOD)
    assert port.front.calls == 1


def test_numbers_are_answered_on_the_fast_path_too(port: Port) -> None:
    grid = NumberGrid(names=["MW"], offset=[500.0], step=[0.001])
    make_number_model(port.api.runtime, "load", grid)
    keep_version(port.api.runtime, "load", number_checkpoint(grid))
    path = "/v1/models/load/predictions"
    port.post(path, JSON, GOOD)  # it is loaded when it is first asked
    for headers, body, taken in [
        (JSON, GOOD, True),
        (JSON, b'{"inputs": [[1, 2, 3], [4, 5, 6]], "level": 0.8}', True),
        (JSON, b'{"inputs": [[1, 2, 3]], "level": 0.8, "source": "x"}', True),
        (JSON, json.dumps({"inputs": [[1, 2, 3]] * 250}).encode(), True),
        (JSON, json.dumps({"inputs": [[1, 2, 3]] * 300}).encode(), False),
        (JSON, b'{"inputs": [[1, 2, 3]], "top": 3}', False),
        (JSON, b'{"inputs": [[1, 2, 3]], "level": 0.999}', False),
        (JSON, b'{"inputs": [[1, 2, 1e39]]}', False),
    ]:
        port.front.calls, port.front.fast_path = 0, port.api.door.fast_path
        quick = port.post(path, headers, body)
        assert port.front.calls == (0 if taken else 1), body
        port.front.fast_path = None
        assert constant(quick) == constant(port.post(path, headers, body))
        assert quick.status_code in (200, 422)


def test_the_question_of_a_long_answer_is_read_once(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen = prediction_bodies.read_question, list[int]()

    def counted(data: bytes, loaded: Loaded) -> prediction_bodies.Question:
        seen.append(len(data))
        return read(data, loaded)

    monkeypatch.setattr(prediction_bodies, "read_question", counted)
    for rows in (1, 300):
        answer = port.post(PATH, JSON, json.dumps({"inputs": [[1, 2, 3]] * rows}).encode())
        assert len(answer.json()["predictions"]) == rows
    assert len(seen) == 2
    assert port.front.calls == 1


def test_rows_beyond_what_the_service_takes_are_refused_by_the_application(port: Port) -> None:
    loaded = port.api.runtime.live.find("digits")
    loaded.limits = BodyLimits(max_rows=2)
    for rows, status, calls in ((2, 200, 0), (3, 422, 1)):
        answer = port.post(PATH, JSON, json.dumps({"inputs": [[1, 2, 3]] * rows}).encode())
        assert (answer.status_code, port.front.calls) == (status, calls), answer.text


def test_what_is_refused_for_want_of_time_is_refused_at_once(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    batcher = port.api.door.context.batcher
    for status, headers, room in ((504, {"tsuika-timeout-ms": "0"}, 1.0), (503, {}, -1.0)):
        monkeypatch.setattr(batcher, "_queue_seconds", room)
        port.front.calls, port.front.fast_path = 0, port.api.door.fast_path
        quick = port.post(PATH, {**JSON, **headers}, GOOD)
        assert (quick.status_code, port.front.calls) == (status, 0)
        assert quick.json()["request_id"] == quick.headers["x-request-id"]
        port.front.fast_path = None
        assert constant(quick) == constant(port.post(PATH, {**JSON, **headers}, GOOD))
    port.until(lambda: port.api.door.open_requests == 0)


def test_refusals_are_logged_by_reason_once_a_second(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    async def burst() -> None:
        for error in [Unauthorized("Show a key."), Busy("Too many."), *[Unauthorized("Show a good key.")] * 2]:
            port.api.door.fast_path.log_refusal(error)

    with caplog.at_level("INFO", "tsuika.requests"):
        port.run(burst())
        assert not caplog.records
        port.until(lambda: len(caplog.records) == 2)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["3 requests refused: Show a good key.", "1 request refused: Too many."]


def test_a_request_that_is_over_is_gone_without_the_garbage_collector(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows its version: one that a collector forgot would keep it for ever."""
    seen: list[weakref.ref[Any]] = []

    class Seen(fast_path._Prediction):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            seen.extend((weakref.ref(self), weakref.ref(self._request)))

    monkeypatch.setattr(fast_path, "_Prediction", Seen)
    gc.disable()
    try:
        for body in (GOOD, b'{"inputs": [[1, 2]]}', b"{"):
            port.post(PATH, JSON, body)
        port.until(lambda: not port.server.server_state.connections)
        assert len(seen) == 6
        assert [ref() for ref in seen if ref() is not None] == []
    finally:
        gc.enable()


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, Any]:
    """Head and body of the next answer on a connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head, json.loads(await reader.readexactly(length))


def request(body: bytes = GOOD, path: str = PATH) -> bytes:
    return HEAD.format(path=path).encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def test_a_body_in_pieces_is_waited_for(port: Port) -> None:
    async def in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Any]:
        answers = []
        for at in (-len(GOOD), -5):
            writer.write(request()[:at])
            await asyncio.sleep(0.05)
            writer.write(request()[at:])
            answers.append((await answer(reader))[1]["version"])
        return answers

    assert port.talk(in_pieces) == [1, 1]
    port.until(lambda: port.api.door.open_requests == 0)
    assert port.front.calls == 0


def test_requests_behind_one_another_are_answered_in_order(port: Port) -> None:
    bodies = [GOOD, b'{"inputs": [[1, 2]]}', b'{"inputs": [[1, 2, 3], [4, 5, 6]]}']

    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[int]:
        writer.write(b"".join(request(body) for body in bodies) + request()[: -len(GOOD)])
        rows = [len((await answer(reader))[1].get("predictions", [])) for _ in bodies]
        writer.write(GOOD)
        return [*rows, len((await answer(reader))[1]["predictions"])]

    assert port.talk(at_once) == [1, 0, 2, 1]
    port.until(lambda: port.api.door.open_requests == 0)


def test_each_request_of_a_connection_is_answered_by_its_own_body(port: Port) -> None:
    longer, wrong, far = b'{"inputs": [[1, 2, 3], [4, 5, 6]]}', b'{"inputs": [[1, 2]]}', b'{"inputs": [[1, 2, 1e39]]}'
    bodies = [GOOD, longer, GOOD, wrong, GOOD, longer, far, GOOD, GOOD]

    async def one_by_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[tuple[bytes, bytes, int]]:
        answers = []
        for k, body in enumerate(bodies):
            port.server.server_state.default_headers = [(b"date", b"%d o'clock" % k)]
            writer.write(request(body))
            head, parsed = await answer(reader)
            assert b"date: %d o'clock\r\n" % k in head
            answers.append((head[9:12], parsed.get("request_id", ""), len(parsed.get("predictions", []))))
        return answers

    answers = port.talk(one_by_one)
    assert [rows for _, _, rows in answers] == [1, 2, 1, 0, 1, 2, 0, 1, 1]
    assert [status for status, _, _ in answers] == [{0: b"422"}.get(rows, b"200") for _, _, rows in answers]
    assert [int(headers[b"content-length"]) for headers in port.front.headers] == [len(wrong), len(far)]
    port.until(lambda: port.api.door.open_requests == 0)


def test_a_long_body_behind_the_same_head_is_the_applications(port: Port) -> None:
    long = b'{"inputs": [[1, 2, %b3]]}' % (b" " * prediction_bodies.SMALL_BODY_BYTES)

    async def one_by_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        statuses = []
        for body in (GOOD, long, GOOD):
            writer.write(request(body))
            statuses.append((await answer(reader))[0][9:12])
        return statuses

    assert port.talk(one_by_one) == [b"200"] * 3
    assert port.front.calls == 1


def test_each_request_of_a_connection_is_answered_by_its_own_head(port: Port) -> None:
    framing, chunk = b"transfer-encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    asked = [
        (request(), b"200"),
        (request(), b"200"),
        (request().replace(b"Bearer secret", b"Bearer sacred"), b"401"),
        (request(path="/v1/models/nobody/predictions"), b"404"),
        (request().partition(b"content-length")[0] + framing + chunk, b"200"),
        (request(), b"200"),
        (request().replace(b"length: ", b"length: x"), b"400"),
    ]

    async def one_by_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        statuses = []
        for data, _ in asked:
            writer.write(data)
            statuses.append((await reader.readuntil(b"\r\n\r\n"))[9:12])
            await reader.read(1000)
        return statuses

    assert port.talk(one_by_one) == [status for _, status in asked]


def test_each_request_of_a_connection_is_admitted_for_itself(port: Port) -> None:
    """A key may be revoked while its connection is open, and its rate counts every request."""
    keys, url = "/v1/keys", f"http://127.0.0.1:{port.listener.getsockname()[1]}"
    order = {"name": "till", "scopes": ["predict"]}
    key, slow = (port.api.ok("POST", keys, {**order, **rate}, headers=KEY) for rate in ({}, {"rate": 0.1}))

    async def one_by_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        statuses = []
        for shown in (key, key, None, key, slow, slow):
            if shown is None:
                async with httpx.AsyncClient(timeout=60) as client:
                    await client.delete(f"{url}{keys}/{key['id']}", headers=KEY)
                continue
            writer.write(request().replace(b"secret", shown["secret"].encode()))
            statuses.append((await answer(reader))[0][9:12])
        return statuses

    assert port.talk(one_by_one) == [b"200", b"200", b"401", b"200", b"429"]


def test_the_same_request_twice_at_once_is_answered_twice(port: Port) -> None:
    async def doubled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        statuses = []
        for data in (request(), request() * 2, request(), request()):
            writer.write(data)
            statuses += [(await answer(reader))[0][9:12] for _ in range(len(data) // len(request()))]
        return statuses

    assert port.talk(doubled) == [b"200"] * 5
    port.until(lambda: port.api.door.open_requests == 0)


@pytest.mark.parametrize(
    "offer", ["Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", "Upgrade: websocket\r\nConnection: Upgrade"]
)
def test_another_protocol_is_not_taken_and_the_request_goes_on(port: Port, offer: str) -> None:
    def offering(method: str, path: str, framing: str, body: bytes = b"") -> bytes:
        head = HEAD.replace("POST", method).format(path=path) + f"{offer}\r\n{framing}\r\n"
        return head.encode() + body

    whole = offering("POST", PATH, f"content-length: {len(GOOD)}\r\n", GOOD)
    chunked = offering("POST", PATH, "transfer-encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD))
    bare = offering("GET", "/v1/models", "")
    behind = [whole, request(), chunked, whole, bare, bare, chunked, request()]

    async def all_of_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        writer.write(b"".join(behind))
        statuses = [(await answer(reader))[0][9:12] for _ in behind]
        for k in range(0, len(whole), 7):
            writer.write(whole[k : k + 7])
            await asyncio.sleep(0.001)
        return [*statuses, (await answer(reader))[0][9:12]]

    assert port.talk(all_of_it) == [b"200"] * (len(behind) + 1)


async def rest_of(reader: asyncio.StreamReader) -> list[bytes]:
    """Status of each answer until the connection is closed."""
    statuses = []
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            statuses.append((await answer(reader))[0][9:12])
    return statuses


BROKEN = {
    "no request": b"HELLO there\r\n\r\n",
    "a stray byte": b"}",
    "no length": request().replace(b"length: ", b"length: x"),
    "no chunk": request().partition(b"content-length")[0] + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize(
    "good", [request(), b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n"]
)
def test_what_cannot_be_read_is_refused_behind_the_answers_to_what_could(
    port: Port, broken: str, before: int, good: bytes
) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[bytes]:
        writer.write(good * before + BROKEN[broken] + (b" \r\n\r\n" if broken == "a stray byte" else b""))
        return await rest_of(reader)

    assert port.talk(conversation) == [b"200"] * before + [b"400"]
    port.until(lambda: port.api.door.open_requests == 0)


@pytest.mark.parametrize("leaving", ["abort", "close", "stray", "half"])
def test_one_who_breaks_off_takes_no_answers_from_others(
    port: Port, leaving: str, caplog: pytest.LogCaptureFixture
) -> None:
    large = b'{"inputs": [%b]}' % b",".join([b"[1, 2, 3]"] * 40)

    async def honest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[int]:
        rows = []
        for k in range(40):
            rude = (await asyncio.open_connection(*port.listener.getsockname()))[1]
            rude.write(request(large) * 3 + (b"}" if leaving == "stray" else b""))
            writer.write(request(large if k % 2 else GOOD))
            for _ in range(k % 4):
                await asyncio.sleep(0)
            if leaving == "half":
                rude.write_eof()
            elif leaving != "stray":
                getattr(rude.transport, leaving)()
            rows.append(len((await answer(reader))[1]["predictions"]))
            rude.close()
        return rows

    assert port.talk(honest) == [40 if k % 2 else 1 for k in range(40)]
    port.until(lambda: port.api.door.open_requests == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_is_no_request_is_a_problem_too(port: Port) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, Any]:
        writer.write(b"HELLO there\r\n\r\n")
        refusal = await answer(reader)
        assert await reader.read() == b""
        return refusal

    head, problem = port.talk(nonsense)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json\r\n" in head
    assert b"connection: close\r\n" in head
    assert (problem["status"], problem["type"]) == (400, "/problems/broken-request")
    assert "HTTP/1.1" in problem["detail"]


def test_a_connection_that_is_quiet_for_long_is_closed(port: Port) -> None:
    port.server.config.timeout_keep_alive = 0.1  # type: ignore[assignment]

    async def ask_and_be_quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request())
        await answer(reader)
        return await reader.read()

    assert port.talk(ask_and_be_quiet) == b""


def test_a_sender_that_goes_away_is_not_computed_for(port: Port) -> None:
    batcher = port.api.door.context.batcher

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (request()[:-1], request()):
            other = (await asyncio.open_connection(*port.listener.getsockname()))[1]
            other.write(piece)
            await other.drain()
            while len(port.server.server_state.connections) < 2:  # this one, and the one that hangs up
                await asyncio.sleep(0.001)
            other.transport.abort()
            while len(port.server.server_state.connections) > 1:
                await asyncio.sleep(0.001)

    port.talk(hang_up)
    port.until(lambda: (port.api.door.open_requests, batcher.backlog) == (0, 0))
    assert port.post(PATH, JSON, GOOD).status_code == 200


def test_a_process_that_stops_closes_the_connection(port: Port) -> None:
    assert "connection" not in port.post(PATH, JSON, GOOD).headers

    async def stopped_meanwhile(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(request()[:-1])
        await asyncio.sleep(0.05)
        port.api.door.context.health.stopping = True
        writer.write(request()[-1:])
        head, _ = await answer(reader)
        assert await reader.read() == b""
        return head

    assert b"connection: close\r\n" in port.talk(stopped_meanwhile)
    assert port.post(PATH, JSON, GOOD).headers["connection"] == "close"
    assert port.front.calls == 2
