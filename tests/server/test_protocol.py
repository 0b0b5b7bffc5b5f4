"""Connections by themselves: what comes in which pieces, what is too much, and who keeps still for too long."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate, pairwise
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.api.health import Health
from service.api.limits.bodies import check_content_type
from service.api.limits.connections import HEAD_BYTES, SPARE, Bounds
from service.app import _Full
from service.errors import UnsupportedMedia
from service.server.exchange import Request
from service.server.incoming import Incoming
from service.server.protocol import MOST_WAITING, PIECE_BYTES, HttpProtocol

BOUNDS = Bounds(head_seconds=10, body_seconds=60, most=20)
JSON = (b"content-type", b"application/json")
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Pipe(asyncio.Transport):
    """The other end of a connection: what was written to it, and what became of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.unsent = bytearray(), 0
        self.closed = self.aborted = self.ended = self.paused = False
        self.lost: Callable[[None], None] = lambda _: None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        if not self.closed and not self.unsent:
            asyncio.get_running_loop().call_soon(self.lost, None)
        self.closed = True

    def abort(self) -> None:
        if not self.aborted:
            asyncio.get_running_loop().call_soon(self.lost, None)
        self.closed = self.aborted = True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """It hands out data as the tests cut it."""

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Echo:
    """An application that answers with what it was asked; so does its fast path, but for bodies that begin with "!",
    which are refused at once, and with "?", which are the application's."""

    def __init__(self) -> None:
        self.full = _Full(Health())
        self.fast_path: Echo | None = self
        self.began = 0

    def takes(self, request: Request) -> bool:
        body = bytes(request.body)
        if request.scope["path"] != "/quick" or body.startswith(b"?"):
            return False
        if body.startswith(b"!"):
            request.connection.reply(request, _answer(503, body))
        else:
            answer = _echo(request.scope, body)
            asyncio.get_running_loop().call_soon(lambda: request.gone or request.connection.reply(request, answer))
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.began += 1
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        while scope["path"] == "/wait":
            if (await receive())["type"] == "http.disconnect":
                return
        _, _, data = _echo(scope, body).partition(b"\r\n\r\n")
        length = (b"content-length", b"%d" % len(data))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": data})


def _answer(status: int, data: bytes) -> bytes:
    return b"HTTP/1.1 %d \r\ncontent-length: %d\r\n\r\n%b" % (status, len(data), data)


def _echo(scope: Scope, body: bytes) -> bytes:
    headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    query = scope["query_string"].decode()
    asked = [scope["method"], scope["path"], query, headers, body.decode("latin-1")]
    return _answer(200, json.dumps(asked).encode())


class Line:
    """One connection to such an application."""

    def __init__(self, server: Server) -> None:
        self.pipe = Pipe()
        self.protocol = HttpProtocol(server.config, server.state, {}, server.loop, BOUNDS)
        self.pipe.lost = self.protocol.connection_lost
        self.protocol.connection_made(self.pipe)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.pipe.closed:
                self.protocol.data_received(piece)

    @property
    def answers(self) -> list[tuple[int, bytes]]:
        """Status and body of each."""
        answers, rest = [], bytes(self.pipe.written)
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            length = int(re.findall(rb"content-length: (\d+)", head)[0])
            answers.append((int(head[9:12]), rest[:length]))
            rest = rest[length:]
        return answers

    @property
    def statuses(self) -> list[int]:
        return [status for status, _ in self.answers]


class Server:
    """Connections on a loop of their own."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner(loop_factory=Loop)
        self.loop = cast(Loop, self.runner.get_loop())
        self.app, self.state = Echo(), ServerState()
        self.config = uvicorn.Config(
            self.app, interface="asgi3", loop="none", ws="none", lifespan="off", log_config=None, timeout_keep_alive=75
        )
        self.config.load()
        self.config.loaded_app = cast(Any, self.app)

    def talk(self, conversation: Callable[[Line], Awaitable[None] | None]) -> Line:
        """Over one connection, until nothing more happens."""

        async def go() -> Line:
            line = Line(self)
            if (waiting := conversation(line)) is not None:
                await waiting
            await self.still()
            return line

        return self.runner.run(go())

    async def still(self, seconds: float = 0.0) -> None:
        """So much later; all that happens at once has happened."""
        self.loop.ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)
        while self.loop._ready:  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    def close(self) -> None:
        async def leave() -> None:
            for protocol in list(self.state.connections):
                protocol.connection_lost(None)
            await self.still()

        self.runner.run(leave())
        self.runner.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def post(body: bytes = b"{}", path: str = "/quick", *more: bytes) -> bytes:
    lines = b"".join(b"%b\r\n" % line for line in more)
    return b"POST %b HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n%b" % (path.encode(), lines, len(body), body)


def chunks(*bodies: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(body), extension, body) for body in bodies)
    return b"POST /slow HTTP/1.1\r\nhost: x\r\n" + CHUNKED + framed + b"0\r\n" + trailers + b"\r\n"


BODIES = st.sampled_from([b"", b"!", b"?", b"1111"]).flatmap(
    lambda first: st.one_of(st.binary(max_size=40), st.just(post(b"xyz"))).map(lambda rest: first + rest)
)
REQUESTS = st.one_of(
    st.builds(post, BODIES, st.sampled_from(["/quick", "/slow", "/quick?a=%20b", "/a%2fb"])),
    st.builds(chunks, st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20)),
    st.builds(
        lambda path, upgrade: b"GET %b HTTP/1.1\r\nhost: x\r\n%b\r\n" % (path, upgrade),
        st.sampled_from([b"/quick", b"/slow?x", b"http://x/y?z#f"]),
        st.sampled_from([b"", b"upgrade: h2c\r\nconnection: upgrade\r\n"]),
    ),
)
ENDS = st.sampled_from([b"", b"", b"\r\n", b"\r\n\r\n\r\n"])


@settings(max_examples=150, deadline=None)
@given(
    asked=st.lists(st.tuples(REQUESTS, ENDS), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
    pauses=st.integers(0, 2**25 - 1),
    apart=st.booleans(),
    nonsense=st.booleans(),
)
def test_requests_are_answered_alike_in_whatever_pieces_they_come(
    server: Server, asked: list[tuple[bytes, bytes]], cuts: list[int], pauses: int, apart: bool, nonsense: bool
) -> None:
    """apart: there is a cut behind each request, and the ends of lines that follow it."""
    alone = [server.talk(lambda line, one=one: line.send(one)).answers for one, _ in asked]  # type: ignore[misc]
    assert all(len(answers) == 1 for answers in alone)
    data = b"".join(one + end for one, end in asked) + (b"}{\r\n\r\n" if nonsense else b"")
    ends = list(accumulate(len(one) + len(end) for one, end in asked)) if apart else []
    edges = [0, *sorted([cut % (len(data) + 1) for cut in cuts[: 3 if apart else 12]] + ends), len(data)]

    async def in_pieces(line: Line) -> None:
        for k, (start, stop) in enumerate(pairwise(edges)):
            line.send(data[start:stop])
            if pauses >> k & 1:
                await server.still()

    answers = server.talk(in_pieces).answers
    assert answers[: len(asked)] == [one for [one] in alone]
    assert [status for status, _ in answers[len(asked) :]] == ([400] if nonsense else [])


def test_a_request_may_be_cut_at_every_byte(server: Server) -> None:
    data = post(b"!1") + b"\r\n" + post(b"22") + chunks(b"abc", b"de") + post(b"?3") + b"\r\n\r\n" + post(b"4444")
    whole = server.talk(lambda line: line.send(data)).answers
    assert [status for status, _ in whole] == [503, 200, 200, 200, 200]
    for cut in range(1, len(data)):
        assert server.talk(lambda line, cut=cut: line.send(data[:cut], data[cut:])).answers == whole  # type: ignore[misc]
    assert server.talk(lambda line: line.send(*(data[k : k + 1] for k in range(len(data))))).answers == whole


def test_ends_of_lines_behind_a_body_are_of_no_request(server: Server) -> None:
    async def one_by_one(line: Line) -> None:
        for body in (b"1111", b"1122", b"1133"):
            line.send(post(body) + b"\r\n")
            await server.still()

    assert [json.loads(body)[-1] for _, body in server.talk(one_by_one).answers] == ["1111", "1122", "1133"]


def test_a_head_that_comes_again_is_not_parsed_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [b"x" * (k % 7) * 30 for k in range(2, 40)]
    parsed: list[bytes] = []
    parse = Incoming.parse
    monkeypatch.setattr(Incoming, "parse", lambda incoming, piece: parsed.append(piece) or parse(incoming, piece))

    async def one_by_one(line: Line) -> None:
        for body in (*bodies, b"?", b"x", post(b"x")):
            line.send(post(body))
            await server.still()
        line.send(post(b"x", "/slow"), post(b"x"))
        await server.still()

    answers = [json.loads(body) for _, body in server.talk(one_by_one).answers]
    assert [asked[4].encode() for asked in answers] == [*bodies, b"?", b"x", post(b"x"), b"x", b"x"]
    assert [dict(asked[3])["content-length"] for asked in answers] == [str(len(asked[4])) for asked in answers]
    assert [asked[1] for asked in answers[-2:]] == ["/slow", "/quick"]
    behind_the_applications = [post(b"x"), post(b"x", "/slow"), post(b"x")]  # it may change a scope that it has had
    assert parsed == [post(bodies[0]), *behind_the_applications]


def test_only_what_is_one_request_and_no_more_is_known_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[Any] = []
    is_known = HttpProtocol._is_known
    monkeypatch.setattr(
        HttpProtocol, "_is_known", lambda protocol, *seen: known.append(seen) or is_known(protocol, *seen)
    )
    for data in (
        post(b"{}") + b"\r\n",
        b"\r\n\r\n" + post(b"{}"),
        post(b"{}") * 2,
        post(b"{}", "/quick", b"connection: close"),
        post(b"{}", "/slow"),
        chunks(b"{}"),
    ):

        async def again(line: Line, data: bytes = data) -> None:
            line.send(data)
            await server.still()
            line.send(post(b"?"))

        server.talk(again)
    assert known == []
    for end in (b"\n\n", b"\n\r\n"):  # the end of a head is never another one
        assert server.talk(lambda line, end=end: line.send(b"POST /quick HTTP/1.1\r\nhost: x" + end)).statuses == [400]  # type: ignore[misc]


def test_a_client_of_the_old_protocol_is_not_told_to_go_on(server: Server) -> None:
    for version, goes_on in ((b"1.1", True), (b"1.0", False)):
        head = b"POST /x HTTP/%b\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n" % version
        line = server.talk(lambda line, head=head: line.send(head))  # type: ignore[misc]
        assert line.pipe.written.startswith(b"HTTP/1.1 100") is goes_on


def test_the_name_of_a_transfer_coding_has_no_case() -> None:
    asked = {"method": "POST", "path": "/v1/models"}
    for coding in [b"chunked", b"Chunked", b"CHUNKED", b"chunked "]:
        check_content_type({**asked, "headers": [(b"transfer-encoding", coding), JSON]})
        with pytest.raises(UnsupportedMedia):
            check_content_type({**asked, "headers": [(b"transfer-encoding", b"gzip, " + coding), JSON]})


def test_hundreds_of_refused_requests_at_once_are_all_answered(server: Server) -> None:
    bodies = [b"!%d" % k for k in range(400)]
    line = server.talk(lambda line: line.send(b"".join(map(post, bodies)) + post()))
    assert line.answers[:400] == [(503, body) for body in bodies]
    assert line.statuses[400:] == [200]


def test_what_is_sent_ahead_of_the_answers_is_read_piece_by_piece(server: Server) -> None:
    """Whoever sends requests and reads nothing is not read, either."""
    one = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"

    async def ahead(line: Line) -> None:
        line.send(one * 10_000)
        assert len(line.protocol._waiting) < MOST_WAITING + PIECE_BYTES // len(one) + 1
        assert line.pipe.paused
        line.protocol.flow.resume_reading()  # as one does who waits for a body
        assert line.pipe.paused

    line = server.talk(ahead)
    assert line.statuses == [200] * 10_000
    assert not line.pipe.paused


def test_trailers_are_no_headers(server: Server) -> None:
    line = server.talk(lambda line: line.send(chunks(b"abc", trailers=b"x-secret: 1\r\nhost: evil.example\r\n")))
    assert json.loads(line.answers[0][1])[3] == [["host", "x"], ["transfer-encoding", "chunked"]]


GET = b"GET /healthz HTTP/%b\r\n%b\r\n"


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        (b"1.1", b"host: x\r\n", 200),
        (b"1.1", b"Host: [::1]:8000\r\n", 200),
        (b"1.1", b"host:\r\n", 200),
        (b"1.1", b"", 400),
        (b"1.0", b"", 200),
        (b"1.0", b"host: x\r\n", 200),
        (b"1.1", b"host: x\r\nhost: x\r\n", 400),
        (b"1.1", b"host: x\r\nHOST: evil.example\r\n", 400),
        (b"1.0", b"host: x\r\nhost: y\r\n", 400),
        (b"1.1", b"host: x, y\r\n", 400),
        (b"1.1", b"host: user@x\r\n", 400),
        (b"1.1", b"host: [::1]evil.example\r\n", 400),
    ],
)
def test_a_request_names_one_host(server: Server, version: bytes, hosts: bytes, status: int) -> None:
    line = server.talk(lambda line: line.send(post(b"11") + GET % (version, hosts)))
    assert line.statuses == [200, status], "what came before it is answered"
    assert line.pipe.ended == (status == 400)


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"1.2", b"3.0"])
def test_another_version_of_http_is_refused_as_that(server: Server, version: bytes) -> None:
    line = server.talk(lambda line: line.send(GET % (version, b"host: x\r\n")))
    [(status, body)] = line.answers
    assert (status, json.loads(body)["type"]) == (505, "/problems/other-version")
    assert line.pipe.ended


def test_who_begins_with_http_2_is_told_so_and_who_speaks_none_is_not_understood(server: Server) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    assert server.talk(lambda line: line.send(preface)).statuses == [505]
    for first in (b"GET / HTTP/x\r\n", b"GET / HTTP/1.10\r\n", b"GET / FTP/1.1\r\n"):
        assert server.talk(lambda line, first=first: line.send(first + b"host: x\r\n\r\n")).statuses == [400]  # type: ignore[misc]


@pytest.mark.parametrize("size", [1000, 70_000, 250_000])
def test_the_limit_of_trailers_is_exact(server: Server, size: int) -> None:
    """Whatever pieces they come in, and whether they are one or many."""
    for value, times, status in ((62_000, 1, 200), (65_600, 1, 431), (96, 640, 200), (96, 660, 431)):
        data = chunks(b"abc", trailers=(b"t: %b\r\n" % (b"v" * value)) * times)
        pieces = [data[k : k + size] for k in range(0, len(data), size)]
        assert server.talk(lambda line, pieces=pieces: line.send(*pieces)).statuses == [status]  # type: ignore[misc]


LONG = {
    "address": lambda n: (b"GET /%b" % (b"a" * n), b" HTTP/1.1\r\nhost: x\r\n\r\n"),
    "query": lambda n: (b"GET /?%b" % (b"a&" * (n // 2)), b" HTTP/1.1\r\nhost: x\r\n\r\n"),
    "value": lambda n: (b"GET / HTTP/1.1\r\nhost: x\r\nx: %b" % (b"v" * n), b"\r\n\r\n"),
    "name": lambda n: (b"GET / HTTP/1.1\r\nhost: x\r\n%b" % (b"n" * n), b": 1\r\n\r\n"),
    "headers": lambda n: (b"GET / HTTP/1.1\r\nhost: x\r\n%b" % (b"a: 1\r\n" * (n // 6)), b"\r\n"),
    "blanks": lambda n: (b"GET / HTTP/1.1\r\nhost: x\r\nx:%bv" % (b" " * n), b"\r\n\r\n"),
    "extension": lambda n: (
        b"POST / HTTP/1.1\r\nhost: x\r\n" + CHUNKED + b"3;%b" % (b"e" * n),
        b"\r\nabc\r\n0\r\n\r\n",
    ),
    "extensions": lambda n: (
        b"POST / HTTP/1.1\r\nhost: x\r\n" + CHUNKED + (b"1;%b\r\nx\r\n" % (b"e" * 94)) * (n // 80),
        b"0\r\n\r\n",
    ),
    "trailer": lambda n: (
        b"POST / HTTP/1.1\r\nhost: x\r\n" + CHUNKED + b"1\r\nx\r\n0\r\nt: %b" % (b"v" * n),
        b"\r\n\r\n",
    ),
    "trailers": lambda n: (
        b"POST / HTTP/1.1\r\nhost: x\r\n" + CHUNKED + b"0\r\n%b" % (b"t: 1\r\n" * (n // 6)),
        b"\r\n",
    ),
}


@pytest.mark.parametrize("part", LONG)
@pytest.mark.parametrize("size", [1000, 250_000])
def test_a_long_head_is_refused(server: Server, part: str, size: int) -> None:
    """In pieces of any size; and what is no longer than it may be is answered."""

    def sent(length: int, endless: bool) -> list[int]:
        start, end = LONG[part](length)
        data = start if endless else start + end
        return server.talk(lambda line: line.send(*(data[k : k + size] for k in range(0, len(data), size)))).statuses

    assert sent(60_000, endless=False) == [200]
    assert sent(100_000, endless=False) == [431]
    assert sent(100_000, endless=True) == [431]


def test_the_limit_of_a_head_that_is_whole_is_exact(server: Server) -> None:
    for length, status in ((HEAD_BYTES - 1 - 9 - 5, 200), (HEAD_BYTES - 1 - 9 - 4, 431)):
        data = b"GET / HTTP/1.1\r\nhost: x\r\nx: %b\r\n\r\n" % (b"v" * length)
        assert server.talk(lambda line: line.send(data)).statuses == [status]  # noqa: B023


def test_a_head_without_end_is_not_kept(server: Server) -> None:
    def endless(line: Line) -> None:
        line.send(b"GET / HTTP/1.1\r\nx: ", *[b"v" * 65_000] * 200)
        assert line.pipe.ended
        assert not line.protocol._unread

    line = server.talk(endless)
    [(status, body)] = line.answers
    problem = json.loads(body)
    assert (status, problem["status"], problem["type"]) == (431, 431, "/problems/head-too-large")
    assert problem["detail"].endswith("65,536 bytes. Send less; rows belong into the body.")


def test_many_small_chunks_are_a_body_like_any_other(server: Server) -> None:
    body = [b"x"] * 30_000
    line = server.talk(lambda line: line.send(chunks(*body)))
    assert json.loads(line.answers[0][1])[-1] == "x" * 30_000


async def later(server: Server, *seconds: float) -> None:
    for some in seconds:
        await server.still(some)


@pytest.mark.parametrize(
    ("sent", "seconds", "statuses"),
    [
        (b"", 10, []),
        (b"\r\n\r\n", 10, []),
        (b"POST /quick HT", 10, [408]),
        (post() + b"GET /x", 10, [200, 408]),
        (post()[:-1], 60, [408]),
        (post(b"!") + post()[:-1], 60, [503, 408]),
        (post(), 75, [200]),
        (post() + b"\r\n", 75, [200]),
    ],
)
def test_who_keeps_still_for_too_long_is_told_and_cut(
    server: Server, sent: bytes, seconds: float, statuses: list[int]
) -> None:
    async def keep_still(line: Line) -> None:
        line.send(sent)
        await later(server, 0.0, seconds - 0.5)
        assert not line.pipe.closed
        assert not line.pipe.ended
        await later(server, 1.0)
        assert line.pipe.ended == (statuses[-1:] == [408])
        await later(server, 3.0)

    line = server.talk(keep_still)
    assert (line.statuses, line.pipe.closed) == (statuses, True)


def test_a_byte_now_and_then_gains_no_time(server: Server) -> None:
    async def drip(line: Line) -> None:
        for byte in b"POST /quick HTTP/1.1\r\nhost: x\r\n":
            line.send(bytes([byte]))
            await later(server, 1.0)

    async def drip_ends(line: Line) -> None:
        line.send(post())
        for _ in range(90):
            await later(server, 1.0)
            line.send(b"\r\n")

    [(status, body)] = server.talk(drip).answers
    assert (status, json.loads(body)["detail"].partition(". ")[2]) == (408, "Send it at once.")
    assert server.talk(drip_ends).pipe.closed


def test_one_who_asks_now_and_then_keeps_the_connection(server: Server) -> None:
    async def now_and_then(line: Line) -> None:
        for _ in range(5):
            line.send(post())
            await later(server, 70.0)

    line = server.talk(now_and_then)
    assert (line.statuses, line.pipe.closed) == ([200] * 5, False)


def test_whose_answer_takes_long_is_waited_for(server: Server) -> None:
    async def long(line: Line) -> None:
        line.send(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
        for _ in range(5):
            await later(server, 50.0)
            line.send(b"x" * 20_000)

    line = server.talk(long)
    assert (line.statuses, line.pipe.closed) == ([200], False)


def test_one_who_reads_no_answer_is_cut(server: Server) -> None:
    async def deaf(line: Line) -> None:
        line.send(post())
        await later(server, 0.0)
        line.pipe.unsent = 500
        await later(server, 76.0)
        assert not line.pipe.closed, "it may just have begun to read"
        line.pipe.unsent = 400
        await later(server, 31.0)
        assert not line.pipe.closed
        await later(server, 31.0)

    assert server.talk(deaf).pipe.aborted


def test_one_timer_serves_a_connection(server: Server) -> None:
    async def often(line: Line) -> None:
        timers = len(server.loop._scheduled)  # type: ignore[attr-defined]
        for _ in range(50):
            line.send(post())
            await server.still()
        assert len(server.loop._scheduled) <= timers + 1  # type: ignore[attr-defined]

    server.talk(often)


@pytest.fixture
def crowd() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_those_who_ask_nothing_make_room(crowd: Server) -> None:
    async def gather(usual: Line) -> None:
        usual.send(post())
        await later(crowd, 0.0)
        silent = [Line(crowd) for _ in range(3 * BOUNDS.most)]
        for k, line in enumerate(silent):
            line.send(
                (b"", b"POST /qui", post()[:-1], b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")[
                    k % 4
                ]
            )
        silent += [Line(crowd) for _ in range(BOUNDS.most)]
        assert sum(line.pipe.aborted for line in silent) > 2 * BOUNDS.most
        silent[-1].send(post())
        await later(crowd, 0.0)
        assert silent[-1].statuses == [200], "the newest one stays"
        assert usual.pipe.aborted

    crowd.talk(gather)


def test_where_all_ask_a_new_one_may_ask_for_health_alone(crowd: Server) -> None:
    async def gather(first: Line) -> None:
        lines = [first, *(Line(crowd) for _ in range(BOUNDS.most - 1))]
        for line in lines:
            line.send(post(b"{}", "/wait"))
        beyond = [Line(crowd) for _ in range(SPARE + 5)]
        beyond[0].send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        beyond[1].send(post())
        await later(crowd, 0.0)
        assert (beyond[0].statuses, beyond[1].statuses) == ([200], [503])
        assert b"retry-after: " in beyond[1].pipe.written
        assert beyond[1].pipe.closed
        assert [line.pipe.aborted for line in beyond] == [False] * SPARE + [True] * 5
        for line in lines:
            assert not line.pipe.closed
            line.protocol.connection_lost(None)

    crowd.talk(gather)
