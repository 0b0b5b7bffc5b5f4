"""Long answers: bounded, refused with the remedy beyond it, and made no faster than their reader takes them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from service.api.limits import connections, long_answers
from service.api.limits.long_answers import LongAnswers
from service.api.limits.request_checks import AFTERWARDS
from service.errors import Busy
from service.serving.kinds.classes import ClassKind, Probabilities
from service.serving.kinds.kind import PredictOptions
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_model, make_version
from tests.server.test_fast_path import KEY, Port

PATH = "/v1/models/digits/predictions"
INFER = "/v2/models/digits/infer"
RAW = {"content-type": "application/octet-stream"}
NAMES = [f"{k:03}" + "n" * 197 for k in range(300)]


@pytest.fixture
def answering(api: Api) -> Api:
    """An application with 300 classes of long names."""
    make_version(api.runtime, classes=NAMES)
    return api


def rows(n: int) -> bytes:
    return np.random.default_rng(0).normal(size=(n, 3)).astype("<f4").tobytes()


def question(n: int, **more: Any) -> dict[str, Any]:
    data = np.frombuffer(rows(n), "<f4").tolist()
    return {"inputs": [{"name": "input", "shape": [n, 3], "datatype": "FP32", "data": data}], **more}


def test_an_answer_lists_so_many_scores_and_no_more(answering: Api) -> None:
    most = long_answers.MOST_SCORES
    for path in (PATH, "/v1/models/digits/versions/1/predictions"):
        refused = answering("POST", f"{path}?top=1000", content=rows(most // 300 + 1), headers=RAW)
        assert refused.status_code == 422
        assert pointers(refused) == ["/top"]
        assert f"at most {most:,}. Ask for fewer (top), or send the rows in several requests." in refused.text
        as_json = {"inputs": np.frombuffer(rows(most // 250 + 1), "<f4").reshape(-1, 3).tolist(), "top": 250}
        assert answering("POST", path, as_json).status_code == 422
    assert answering("POST", f"{PATH}?top=1000", content=rows(most // 300), headers=RAW).status_code == 200


def test_the_best_class_of_each_row_is_always_answered(answering: Api) -> None:
    response = answering("POST", PATH, content=rows(long_answers.MOST_SCORES // 300 + 1), headers=RAW)
    assert len(response.json()["predictions"]) == long_answers.MOST_SCORES // 300 + 1


def test_an_inference_lists_so_many_scores_too(answering: Api) -> None:
    many = long_answers.MOST_SCORES // 300 + 1
    refused = answering("POST", INFER, question(many))
    assert refused.status_code == 422
    assert "Ask for class alone" in refused.json()["error"]
    answer = answering.ok("POST", INFER, question(many, outputs=[{"name": "class"}]))
    assert len(answer["outputs"][0]["data"]) == many
    as_bytes = answering("POST", INFER, question(many, parameters={"binary_data_output": True}))
    assert as_bytes.status_code == 200
    length = int(as_bytes.headers["inference-header-content-length"])
    classes, scores = json.loads(as_bytes.content[:length])["outputs"]
    assert scores["parameters"]["binary_data_size"] == many * 300 * 4
    assert len(as_bytes.content) == length + classes["parameters"]["binary_data_size"] + many * 300 * 4
    bare = {**RAW, "inference-header-content-length": "0"}
    beyond = answering("POST", INFER, content=rows(long_answers.MOST_BINARY_SCORES // 300 + 1), headers=bare)
    assert beyond.status_code == 422


def test_a_long_answer_says_what_a_short_one_says(answering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks answers in pieces and whole, made from all scores or from the listed ones alone."""
    answers = {}
    for many in (1, 10**9):
        monkeypatch.setattr("service.serving.batcher.MANY", many)
        for whole in (1, 10**9):
            monkeypatch.setattr(long_answers, "WHOLE_BYTES", whole)
            for top in (1, 2, 299, 300, 1000):
                response = answering("POST", f"{PATH}?top={top}", content=rows(40), headers=RAW)
                assert answers.setdefault(top, response.content) == response.content
            for outputs in ([{"name": "class"}], [{"name": "scores"}, {"name": "class"}]):
                for binary in (True, False):
                    wanted = {"outputs": outputs, "parameters": {"binary_data_output": binary}, "id": "7"}
                    response = answering("POST", INFER, question(40, **wanted))
                    name = f"{len(outputs)} {binary}"
                    assert answers.setdefault(name, response.content) == response.content


def test_the_framework_writes_long_answers_too(answering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = answering("POST", f"{PATH}?top=300", content=rows(300), headers=RAW)
    monkeypatch.setattr("service.server.dispatch.predictions.target", lambda scope: None)
    through = answering("POST", f"{PATH}?top=300", content=rows(300), headers=RAW)
    assert through.content == direct.content
    assert answering.door.context.answers._scores == 0


def test_so_many_scores_of_all_answers_are_made_at_once_and_no_more() -> None:
    answers, most = LongAnswers(1000), 1000
    over: list[Callable[[], None]] = []
    answers.admit({AFTERWARDS: over}, 2 * most)  # alone
    with pytest.raises(Busy):
        answers.admit({AFTERWARDS: []}, 1)
    [end] = over
    end()
    answers.admit({AFTERWARDS: []}, most // 2)
    answers.admit({AFTERWARDS: []}, most // 2)
    with pytest.raises(Busy):
        answers.admit({AFTERWARDS: []}, 1)


def test_between_two_pieces_of_whichever_answers_everybody_has_a_turn() -> None:
    answers, made = LongAnswers(1000), list[int]()

    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            made.append(turns)
            yield b"piece"

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def write() -> bytes:
        return b"".join([piece async for piece in answers.by_turns(pieces())])

    async def go() -> list[bytes]:
        ticking = asyncio.create_task(tick())
        written = await asyncio.gather(*(write() for _ in range(5)))
        ticking.cancel()
        return written

    turns = 0
    assert asyncio.run(go()) == [b"piece" * 20] * 5
    assert len(made) == len(set(made)) == 100


@pytest.fixture
def port(make_api: MakeApi) -> Iterator[Port]:
    """A port with real connections, and a model with long names of classes."""
    api = make_api(key="secret")
    make_model(api.runtime)
    make_version(api.runtime, classes=NAMES)
    api.ok("POST", PATH, {"inputs": [[1, 2, 3]]}, headers=KEY)
    port = Port(api)
    yield port
    port.close()


class Slow:
    """A caller that asks for 24 MB, or by a GET where there is no body, and reads when it likes."""

    def __init__(
        self, port: Port, protocol: str = "1.1", path: str = f"{PATH}?top=300", body: bytes | None = rows(300)
    ) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(port.listener.getsockname())
        self.socket.setblocking(False)
        method = "GET" if body is None else "POST"
        head = f"{method} {path} HTTP/{protocol}\r\nhost: x\r\nauthorization: Bearer secret\r\nconnection: close\r\n"
        kind = f"content-type: application/octet-stream\r\ncontent-length: {len(body)}\r\n" if body else ""
        self.socket.sendall(f"{head}{kind}\r\n".encode() + (body or b""))

    async def reads(self) -> bytes:
        """Reads until the other side closes."""
        read, loop = list[bytes](), asyncio.get_running_loop()
        with self.socket:
            try:
                while piece := await loop.sock_recv(self.socket, 1 << 20):
                    read.append(piece)
            except ConnectionResetError:
                pass
        return b"".join(read)


async def until(condition: Any) -> None:
    async with asyncio.timeout(50):
        while not condition():
            await asyncio.sleep(0.005)


def waits(port: Port) -> bool:
    """Whether an answer waits for its reader."""
    return any(connection.flow.write_paused for connection in port.server.server_state.connections)


def test_an_answer_is_made_no_faster_than_it_is_taken(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    write = ClassKind.rows

    def counted(kind: ClassKind, answers: Probabilities, options: PredictOptions) -> str:
        nonlocal made
        made += len(answers.values)
        return write(kind, answers, options)

    monkeypatch.setattr(ClassKind, "rows", counted)

    async def go() -> bytes:
        slow = Slow(port)
        await until(lambda: waits(port))
        for _ in range(100):
            await asyncio.sleep(0)
        assert made < 250
        return await slow.reads()

    head, _, body = port.run(go()).partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert (made, body.endswith(b"0\r\n\r\n")) == (300, True)


def test_an_answer_that_is_not_taken_is_cut_off_and_nothing_of_it_stays(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(port.api.runtime.settings, "answer_timeout_seconds", 0.2)
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    answers, admit, admitted = port.api.door.context.answers, LongAnswers.admit, list[int]()

    def noted(each: LongAnswers, scope: Any, scores: int) -> None:
        admit(each, scope, scores)
        admitted.append(each._scores)

    monkeypatch.setattr(LongAnswers, "admit", noted)

    async def go() -> bytes:
        slow = Slow(port)
        await until(lambda: admitted and not (port.server.server_state.connections or answers._scores))
        assert admitted[0] > 0
        return await slow.reads()

    assert not port.run(go()).endswith(b"0\r\n\r\n")


def test_one_who_hangs_up_gets_no_more_written(port: Port) -> None:
    async def go() -> None:
        slow = Slow(port)
        await until(lambda: waits(port))
        slow.socket.close()
        await until(lambda: not port.front.door.open_requests)
        assert port.api.door.context.answers._scores == 0

    port.run(go())


def test_whoever_knows_no_pieces_is_told_the_length(port: Port) -> None:
    head, _, body = port.run(Slow(port, "1.0").reads()).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert b"chunked" not in head
    assert len(json.loads(body)["predictions"]) == 300


def test_an_answer_of_medium_length_says_how_long_it_is(port: Port) -> None:
    head, _, body = port.run(Slow(port, path=f"{PATH}?top=2").reads()).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
