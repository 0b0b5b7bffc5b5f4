"""Large bodies are read by a process of their own: the same verdicts, the same bytes, and a death costs one request."""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import re
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from service.api.reader import process as reader
from service.api.reader import spool
from service.api.reader.process import Reader
from service.api.reader.spool import Spooled
from service.api.reader.tasks import load_array, save_rows
from service.contract.inputs import ImageInput, VectorInput
from service.errors import Busy, TooLarge
from service.intake.formats.raw import read_raw
from service.serving import passes
from service.serving.passes import Pass, Piece, Question
from service.serving.predictor import Predictor
from service.settings import Settings
from service.tuning import room
from tests.api.conftest import Api, Lasting, MakeApi
from tests.api.test_images import LISTS, picture
from tests.making import make_version
from tests.serving.test_predictor import checkpoint

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
                f'{{"inputs": {LONG}, "labels": {json.dumps([True, 7] * 20)}, "new_classes": "allow"}}',
                f'{{"inputs": {LONG}, "labels": {LABELS[:-1]}, 5.5]}}',
                f'{{"inputs": {LONG}, "labels": {LABELS[:-1]}, NaN]}}',
                f'{{"inputs": {LONG}, "labels": {LABELS[:-1]}, "\\ud800"]}}',
                f'{{"inputs": {LONG}, "labels": {LABELS}, "labels": {LABELS}}}',
                f'{{"inputs": {LONG}, "labels": {json.dumps(["a", "b"] * 19 + ["c", "zz"])}}}',
                f'{{"inputs": {LONG}, "labels": "{"a" * 300}"}}',
                f'{{"inputs": [[1, 2]], "labels": {json.dumps(["a"] * 100)}}}',
                f'{{"inputs": {json.dumps([[1, 2, 3]] * 10_001)}, "labels": {json.dumps([*map(str, range(10_001))])}}}',
                f'{{"inputs": {LONG}, "labels": {LABELS}, "x": {json.dumps(dict.fromkeys(map(str, range(2000))))}}}',
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


def npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def tensor(shape: list[int], datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": shape, "datatype": datatype, **more}]}


def behind(data: bytes, shape: list[int], datatype: str = "FP32", **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request whose tensor follows its JSON."""
    head = json.dumps({**tensor(shape, datatype, parameters={"binary_data_size": len(data)}), **more}).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head))}


RAW, NPY = {"Content-Type": "application/octet-stream"}, {"Content-Type": "application/x-npy"}
ROWS = np.array([[1, 2, 3], [-0.5, 1e30, 0]], np.float32)
PIXELS = np.arange(2 * 60, dtype=np.uint8).reshape(2, 3, 4, 5)
SPOILED = np.array([[1, 2, 3], [1, np.nan, 3]], np.float32)
ELEMENT = len(FILE := base64.b64decode(picture("PNG")["png"])).to_bytes(4, "little") + FILE
PREDICT, INFER = "v1/models/{}/predictions", "v2/models/{}/infer"
OTHERS: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("digits", PREDICT, ROWS.tobytes(), RAW),
    ("digits", PREDICT + "?top=2&source=x", ROWS.tobytes(), RAW),
    ("digits", PREDICT + "?tops=2", ROWS.tobytes(), RAW),
    ("digits", PREDICT, ROWS.tobytes()[:-1], RAW),
    ("digits", PREDICT, SPOILED.tobytes(), RAW),
    ("intents", PREDICT, ROWS.tobytes(), RAW),
    ("digits", PREDICT, npy(ROWS), NPY),
    ("digits", PREDICT, npy(ROWS.astype(">f8")), NPY),
    ("digits", PREDICT, npy(np.asfortranarray(ROWS)), NPY),
    ("digits", PREDICT, npy(ROWS)[:-1], NPY),
    ("digits", PREDICT, b"\x93NUMPY", NPY),
    ("faces", PREDICT, npy(PIXELS), NPY),
    ("faces", PREDICT, FILE, {"Content-Type": "image/png"}),
    ("digits", INFER, json.dumps({**tensor([2, 3], data=ROWS.ravel().tolist()), "id": "7"}).encode(), {}),
    ("digits", INFER, json.dumps(tensor([2, 3], data=[[1, 2, 3], [4, 5]])).encode(), {}),
    (
        "digits",
        INFER,
        json.dumps({**tensor([1, 3], data=[1, 2, 3]), "parameters": {"timeout": 9_000_000}}).encode(),
        {},
    ),
    ("digits", INFER, json.dumps({**tensor([1, 3], data=[1, 2, 3]), "parameters": {"top": 2}}).encode(), {}),
    ("digits", INFER, b"{", {}),
    ("digits", INFER, b"{}", {"Inference-Header-Content-Length": "x"}),
    ("digits", INFER, *behind(ROWS.tobytes(), [2, 3], outputs=[{"name": "scores"}])),
    ("digits", INFER, *behind(ROWS.astype("<f8").tobytes(), [2, 3], "FP64", parameters={"binary_data_output": True})),
    ("digits", INFER, *behind(ROWS.tobytes(), [3, 2])),
    ("digits", INFER, *behind(SPOILED.tobytes(), [2, 3])),
    ("digits", INFER, ROWS.tobytes(), {"Inference-Header-Content-Length": "0"}),
    ("faces", INFER, *behind(PIXELS.tobytes(), [2, 3, 4, 5], "UINT8")),
    ("faces", INFER, *behind(ELEMENT * 2, [2], "BYTES")),
    ("faces", INFER, FILE, {"Inference-Header-Content-Length": "0"}),
    ("nobody", INFER, b"{", {}),
]
"""Model, path, body, headers: rows in other forms than JSON."""


@pytest.fixture
def api(make_api: MakeApi, lasting: Lasting) -> Api:
    """What it reads aside is read by the process that lasts."""
    api = make_api()
    inputs = {"digits": {"kind": "vector", "size": 3}, "faces": FACES.model_dump(), "intents": {"kind": "text"}}
    for name, spec in inputs.items():
        api.ok("POST", "/v1/models", {"name": name, "input": spec, "classes": ["a", "b"]})
    make_version(api.runtime)
    make_version(api.runtime, "faces", spec=FACES)
    return api


def comparable(response: httpx.Response) -> Any:
    """A response without what differs each time."""
    return response.status_code, {k: v for k, v in response.json().items() if k not in ("request_id", "received_at")}


def until(true: Callable[[], bool]) -> None:
    """Waits for a condition; a minute, on a machine that has other things to do."""
    end = time.monotonic() + 60.0
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def send(api: Api, model: str, path: str, body: str) -> httpx.Response:
    headers = {"Content-Type": "application/json"}
    return api("POST", f"/v1/models/{model}/{path}", content=body.encode("utf-8", "surrogatepass"), headers=headers)


def test_the_reading_process_says_what_a_handler_says(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that was stored in one process is known to the other, so its bytes are the same."""
    for model, path, body in BODIES:
        monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 256 * 1024)
        here = send(api, model, path, body)
        monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
        aside = send(api, model, path, body)
        if here.status_code == 201:
            assert aside.status_code == 200, body
            assert aside.json() == here.json(), body
        else:
            assert comparable(aside) == comparable(here), body


def test_rows_of_any_form_are_read_from_disk_as_from_memory(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for model, path, body, headers in OTHERS:
        answers = []
        for large in (256 * 1024, 0):
            monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", large)
            monkeypatch.setattr("service.api.bodies.large_questions.LARGE_BYTES", large or 256 * 1024)
            answers.append(api("POST", f"/{path.format(model)}", content=body, headers=headers))
        here, aside = answers
        assert aside.status_code == here.status_code, (path, body)
        assert without_id(aside) == without_id(here), (path, body)


def without_id(response: httpx.Response) -> bytes:
    """An answer without its id, and scores to nine digits: a convolution's last bits follow where its rows lie."""
    content = response.content.replace(response.headers["x-request-id"].encode(), b"")
    return re.sub(rb"\b[01]\.\d{10,}", lambda score: b"%.9f" % float(score[0]), content)


def test_numbers_of_a_large_body_are_not_copied(tmp_path: Path) -> None:
    with Spooled(tmp_path) as body:
        body.write(ROWS.tobytes())
    rows = read_raw(body.mapped(), VectorInput(kind="vector", size=3), "digits")
    body.remove()  # rows outlast their file
    assert isinstance(rows.base, np.ndarray)
    assert rows.flags.writeable
    assert np.array_equal(rows, ROWS)


def test_a_long_answer_is_that_of_its_rows(api: Api) -> None:
    """The answer is written in pieces, which are joined as if there were one."""
    rows = np.random.default_rng(0).normal(size=(3000, 3)).astype("<f4")
    for top in (1, 2):
        whole = api("POST", f"/v1/models/digits/predictions?top={top}", content=rows.tobytes(), headers=RAW).json()
        one = api("POST", f"/v1/models/digits/predictions?top={top}", content=rows[2999:].tobytes(), headers=RAW).json()
        assert len(whole["predictions"]) == 3000
        assert whole["predictions"][2999]["class"] == one["predictions"][0]["class"]
        assert whole["predictions"][2999]["score"] == pytest.approx(one["predictions"][0]["score"], abs=1e-6)
        assert len(whole["predictions"][0]["top"]) == top
    body, headers = behind(rows.tobytes(), [3000, 3])
    classes, scores = api("POST", "/v2/models/digits/infer", content=body, headers=headers).json()["outputs"]
    assert classes["data"] == [row["class"] for row in whole["predictions"]]
    assert np.array(scores["data"]).reshape(scores["shape"]).max(1).tolist() == [
        row["score"] for row in whole["predictions"]
    ]
    wanted = {"outputs": [{"name": "class", "parameters": {"binary_data": True}}]}
    body, headers = behind(rows.tobytes(), [3000, 3], **wanted)
    answer = api("POST", "/v2/models/digits/infer", content=body, headers=headers)
    data = answer.content[int(answer.headers["inference-header-content-length"]) :]
    assert data == b"".join(b"\1\0\0\0" + name.encode() for name in classes["data"])


def test_rows_that_were_read_aside_are_stored_as_others_are(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = f'{{"inputs": {LONG}, "labels": {LABELS}, "again": true}}'
    here = send(api, "digits", "batches", body).json()
    key = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    aside = api("POST", "/v1/models/digits/batches", content=body, headers=key).json()
    assert {k: here[k] for k in ("rows", "digest", "label_counts")} == {
        k: aside[k] for k in ("rows", "digest", "label_counts")
    }
    assert aside["id"] != here["id"]
    monkeypatch.setattr(
        "service.api.bodies.request_body.LARGE_BYTES", 256 * 1024
    )  # the key knows the rows, however they were read
    again = api("POST", "/v1/models/digits/batches", content=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (201, aside["id"])


def test_a_large_body_has_little_beside_its_rows_and_labels(api: Api) -> None:
    long = "x" * 1_100_000
    refused = send(api, "digits", "batches", f'{{"inputs": [[1, 2, 3]], "labels": ["a"], "source": "{long}"}}')
    assert (refused.status_code, refused.json()["title"]) == (413, "The body is too large")
    many = send(api, "digits", "batches", f'{{"inputs": [[1, 2, 3]], "labels": {json.dumps(["a"] * 300_000)}}}')
    assert "1 row and 300000 labels" in many.json()["detail"]


@pytest.mark.long
def test_a_million_rows_are_the_most(api: Api) -> None:
    rows = "[1,2,3]," * 1_000_000
    refused = send(api, "digits", "predictions", f'{{"inputs": [{rows}[1,2,3]]}}')
    assert refused.status_code == 422
    assert "at most 1,000,000 rows at once, and these are more" in refused.json()["detail"]


def test_pictures_that_come_to_much_are_read_aside_however_short_their_body(
    api: Api, lasting: Lasting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are those of a thread of the same process; a word may be written in escapes."""
    two = json.dumps({"inputs": [picture("PNG"), picture("JPEG")]}).encode()
    elements, headers = behind(ELEMENT * 2, [2], "BYTES")
    escaped, others = elements.replace(b"BYTES", b"BYT\\u0045S"), dict(headers)
    others["Inference-Header-Content-Length"] = str(int(headers["Inference-Header-Content-Length"]) + 5)
    strings = json.dumps(tensor([9], "BYTES", data=[picture("PNG")["png"]] * 9)).encode()
    requests = [
        (PREDICT, two, {"Content-Type": "application/json"}),
        (INFER, elements, headers),
        (INFER, escaped, others),
        (INFER, strings, {}),
    ]
    reads: list[str] = []
    run = Reader._answered
    monkeypatch.setattr(Reader, "_answered", lambda self, order: reads.append(order["do"]) or run(self, order))
    for path, body, sent in requests:
        monkeypatch.setattr("service.intake.kinds.images.HERE_BYTES", 16 * 2**20)
        here = api("POST", f"/{path.format('faces')}", content=body, headers=sent)
        assert (here.status_code, reads) == (200, []), here.text
        monkeypatch.setattr("service.intake.kinds.images.HERE_BYTES", 0)
        aside = api("POST", f"/{path.format('faces')}", content=body, headers=sent)
        assert without_id(aside) == without_id(here)
        assert len(reads) == 1
        reads.clear()
    monkeypatch.setattr("service.intake.kinds.images.HERE_BYTES", 10 * 60)
    for path, body, sent in [  # bytes of pixels that look like objects and strings are none
        (PREDICT, b'{"{"' * 60 * 20, RAW),
        (INFER, *behind(b'{"' * 30 * 20, [20, 3, 4, 5], "UINT8")),
    ]:
        assert api("POST", f"/{path.format('faces')}", content=body, headers=sent).status_code == 200
    assert reads == []
    monkeypatch.setattr("service.intake.kinds.images.HERE_BYTES", 0)
    batch = json.dumps({**json.loads(two), "labels": ["a", "b"]})
    assert send(api, "faces", "batches", batch).status_code == 201
    assert reads == ["read", "digest", "store"]
    until(lambda: not list(lasting._root.iterdir()))


def test_rows_that_lie_in_a_file_are_not_kept_in_memory_once_they_have_passed(tmp_path: Path) -> None:
    predictor = Predictor(checkpoint(["a", "b"]))
    save_rows(tmp_path, np.ones((100_000, 4), np.float32))
    rows = load_array(tmp_path)

    def resident() -> int:
        maps = Path("/proc/self/smaps").read_text().split(str(tmp_path))[1]
        return int(maps.split("Rss:")[1].split()[0])

    assert rows.sum() == 400_000
    assert resident() > 1000
    question = Question(rows, SimpleNamespace(done=lambda: False), None)
    computed_pass = passes.run(predictor, predictor.head_of(None), [Piece(question, 0, 50_000)])
    assert isinstance(computed_pass, Pass)
    assert resident() == 0
    assert rows.sum() == 400_000


def test_a_large_body_leaves_no_file(api: Api, lasting: Lasting, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    run = Reader._answered
    monkeypatch.setattr(Reader, "_answered", lambda self, order: reads.append(order["do"]) or run(self, order))
    large = json.dumps({"inputs": [[1, 2, 3]] * 40_000})
    answer = send(api, "digits", "predictions", large)
    assert len(large) > spool.LARGE_BYTES
    assert len(answer.json()["predictions"]) == 40_000
    assert reads == ["read question"]
    until(lambda: not list(lasting._root.iterdir()))


@pytest.fixture
def aside(tmp_path: Path) -> Iterator[Reader]:
    """Its process has its share of a busy machine."""
    made = Reader(Settings(data=tmp_path, child_priority="normal"))
    yield made
    made.close()


def spooled(aside: Reader, body: bytes = b'{"inputs": [[1, 2, 3]]}') -> Spooled:
    with aside.spool() as folder:
        folder.write(body)
    return folder


DUE = {"model": "digits", "input": {"kind": "vector", "size": 3}, "target": {"kind": "class"}}


def ask(aside: Reader, body: Spooled) -> int:
    rows: int = aside.run(body, "read", due=DUE, media="application/json")["rows"]
    return rows


def pid(aside: Reader) -> int:
    return aside._child.process.pid


def unread(aside: Reader) -> int:
    """Bytes that wait in the pipe to the reading process."""
    assert aside._child.process.stdin is not None
    count = bytearray(4)
    fcntl.ioctl(aside._child.process.stdin, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


def stop(pid: int) -> None:
    """Stops a process; it has stopped on return: the signal alone may come after what it was meant to forestall."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def test_the_process_steps_aside_for_the_one_that_serves(tmp_path: Path) -> None:
    """Its priority counts within a session, so it has none of its own; Ctrl-C does not reach it all the same."""
    with closing(Reader(Settings(data=tmp_path))) as aside:
        child = aside._warm().process
        until(lambda: os.sched_getscheduler(child.pid) == os.SCHED_IDLE)
        assert os.getsid(child.pid) == os.getsid(0)
        assert os.getpgid(child.pid) == child.pid


@pytest.mark.long
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


def test_no_more_may_wait_than_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "WAITING", 2)
    with closing(Reader(Settings(data=tmp_path, child_priority="normal"))) as aside:
        body = spooled(aside)
        assert ask(aside, body) == 1
        stop(pid(aside))
        waiting = [aside._submit(body, "read", {"due": DUE, "media": "application/json"}) for _ in range(2)]
        with pytest.raises(Busy, match="may wait"):
            ask(aside, body)
        os.kill(pid(aside), signal.SIGCONT)
        assert [of.result()["rows"] for of in waiting] == [1, 1]


@pytest.mark.parametrize(
    "model",
    ["digits", pytest.param("digits" * 100_000, marks=pytest.mark.long)],
    ids=["that it read", "that it does not read"],
)
def test_a_task_that_takes_too_long_is_ended(aside: Reader, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    body = spooled(aside)
    assert ask(aside, body) == 1
    stop(pid(aside))
    monkeypatch.setattr(aside, "_seconds", 0.3)
    with pytest.raises(Busy, match="took more than"):
        aside.run(body, "read", due={**DUE, "model": model})
    monkeypatch.setattr(aside, "_seconds", 100.0)
    assert ask(aside, body) == 1


@pytest.mark.long
def test_a_body_that_needs_too_much_memory_is_refused_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "FIXED_BYTES", 200 * 2**20)
    monkeypatch.setattr(reader, "BYTES_A_BYTE", 0)
    small = Reader(Settings(data=tmp_path, child_priority="normal"))
    try:
        with pytest.raises(TooLarge, match="in several batches"):
            ask(small, spooled(small, b'{"inputs": [[' + b"0," * 4_000_000 + b"0]]}"))
        assert ask(small, spooled(small)) == 1
    finally:
        small.close()


def test_however_large_a_body_may_be_half_of_the_memory_is_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(room, "CONTAINER", limit)
    machine, most = room.memory(), list[int]()
    for said in ("max", str(2**30)):
        limit.write_text(said)
        of_gigabytes = Reader(Settings(data=tmp_path, max_body_bytes=2**40))
        most.append(int(of_gigabytes._arguments[1]) - reader.FIXED_BYTES)
        of_gigabytes.close()
    assert most == [machine // 2, 2**29]


def test_the_process_ends_with_its_parent(aside: Reader) -> None:
    assert ask(aside, spooled(aside)) == 1
    aside._child._orders.put(None)  # its input ends
    assert aside._child.process.wait(60.0) == 0
