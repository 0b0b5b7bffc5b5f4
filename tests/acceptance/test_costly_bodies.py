"""Bodies that are made to cost much stall a real service for a moment at the most, and take little of its memory."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image

from service.contract.inputs import ImageInput, InputSpec, VectorInput
from service.runtime import Runtime
from service.settings import Settings
from tests.making import make_model, make_version
from tests.running import Server

SMALL, LONG = 60_000, 1_000_000
STALL_SECONDS = 1.0
"""Twenty times what it may be where nothing else runs: many of these once took from one to forty seconds."""
MEMORY_BYTES = 50_000_000
JSON, FILE = {"Content-Type": "application/json"}, {"Content-Type": "application/octet-stream"}
DIGITS, WIDE, PHOTOS = "/v1/models/digits", "/v1/models/wide", "/v1/models/photos"
SIDE = 512
DIGIT = VectorInput(kind="vector", size=3)
SPECS: dict[str, InputSpec] = {
    "digits": DIGIT,
    "wide": VectorInput(kind="vector", size=100_000),
    "photos": ImageInput(kind="image", channels=3, height=SIDE, width=SIDE),
}

Body = Callable[[int], bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A service without a worker, with versions that answer, and a model of many long names."""
    folder = tmp_path_factory.mktemp("costly")
    settings = Settings(data=folder / "data")
    settings.data.mkdir()
    shutil.copy(migrated, settings.data / "tsuika.db")
    with contextlib.closing(Runtime(settings)) as runtime:
        for name, spec in SPECS.items():
            make_model(runtime, name, spec)
            make_version(runtime, name, spec=spec)
        make_model(runtime, "many", DIGIT)
        make_version(runtime, "many", classes=[f"{k:05}" for k in range(5000)])
        make_model(runtime, "names", DIGIT, classes=[f"{k:05}" + "abc" * 65 for k in range(10_000)])
    with Server(folder, worker=False, child_priority="idle") as server:
        with server.client() as client:
            for name in (*SPECS, "many"):  # each is loaded when it is first asked
                client.post(f"/v1/models/{name}/predictions", json={"inputs": []})
            client.post(f"{PHOTOS}/predictions", content=scans(0), headers={"Content-Type": "image/jpeg"})
        yield server


@pytest.fixture(scope="module")
def clients(server: Server) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """One that sends, and one that looks on."""
    with server.client(timeout=90) as sender, server.client() as onlooker:
        yield sender, onlooker


def filled(before: str, item: str, behind: str) -> Body:
    """As many items as fill a body of that size."""
    return lambda size: (before + ",".join([item] * (size // (len(item.encode()) + 1))) + behind).encode()


def numbered(before: str, item: str, behind: str) -> Body:
    """The same, the items numbered."""
    return lambda size: (before + ",".join(item % k for k in range(size // (len(item) + 4))) + behind).encode()


def near_names(_size: int) -> bytes:
    return json.dumps({"inputs": [[1, 2, 3]] * 10, "labels": ["cab" * 65 + f"{k:04}" for k in range(10)]}).encode()


def scans(size: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (9, 99, 200)).save(held, "JPEG", progressive=True)
    data = held.getvalue()
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * (size // len(last)) + b"\xff\xd9"


def in_base64(size: int) -> bytes:
    return json.dumps({"inputs": [{"jpeg": base64.b64encode(scans(size * 3 // 4)).decode()}]}).encode()


def packed(size: int) -> bytes:
    """A PNG with texts that unpack to a thousand times their size."""
    held = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(held, "PNG")
    text = b"zTXt" + b"k\0\0" + zlib.compress(b"\0" * 1_000_000, 9)
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return held.getvalue()[:33] + chunk * (size // len(chunk)) + held.getvalue()[33:]


def black(size: int) -> bytes:
    """As many pictures as fit, each of which unpacks to seven hundred times its size."""
    held = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(held, "PNG", optimize=True)
    return filled('{"inputs":[', json.dumps({"png": base64.b64encode(held.getvalue()).decode()}), "]}")(size)


def header(text: Body) -> Body:
    """A safetensors file that is a header alone."""
    return lambda size: len(text(size)).to_bytes(8, "little") + text(size)


def layers(size: int) -> bytes:
    layout = {"input": DIGIT.model_dump(), "classes": ["a"], "lifts": [1] * (size // 3)}
    entry = json.dumps({"classes": ["a"], "layout": layout}, separators=(",", ":"))
    return json.dumps({"__metadata__": {"tsuika": entry}}).encode()


FLAT = '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,3],"data":[1,2,3]}],'
SCALE = '{"name":"n","input":{"kind":"vector","size":3,"scale":{"std":1,"mean":['
BODIES: dict[str, tuple[str, str, dict[str, str], Body]] = {
    "short rows where long ones are due": ("POST", f"{WIDE}/predictions", JSON, filled('{"inputs":[', "[]", "]}")),
    "numbers where long rows are due": ("POST", f"{WIDE}/predictions", JSON, filled('{"inputs":[', "1", "]}")),
    "a fault in the last row": (
        "POST",
        f"{DIGITS}/predictions",
        JSON,
        filled('{"inputs":[', "[1.5,2.5,3.5]", ',[1,2,"3"]]}'),
    ),
    "a member twice": ("POST", f"{DIGITS}/predictions", JSON, numbered('{"x":1,', '"%x":0', ',"x":2}')),
    "unknown members": ("POST", f"{DIGITS}/batches", JSON, numbered('{"inputs":[[1,2,3]],', '"%x":0', "}")),
    "a member of /v2 twice": ("POST", "/v2/models/digits/infer", JSON, numbered(FLAT + '"x":1,', '"%x":0', ',"x":2}')),
    "outputs of /v2": ("POST", "/v2/models/digits/infer", JSON, filled(FLAT + '"outputs":[', '{"name":"class"}', "]}")),
    "numbers in place of ids": ("POST", f"{DIGITS}/updates", JSON, filled('{"batches":[', "1", "]}")),
    "lists in place of names": ("POST", f"{DIGITS}/classes", JSON, filled('{"names":[', "[]", "]}")),
    "texts in place of numbers": ("POST", "/v1/models", JSON, filled(SCALE, '""', "]}}}")),
    "unknown thresholds": ("PATCH", DIGITS, JSON, numbered('{"gate":{"forgets":{', '"%x":0', "}}}")),
    "lists in place of labels": (
        "POST",
        f"{DIGITS}/batches",
        JSON,
        filled('{"inputs":[[1,2,3]],"labels":[', "[]", "]}"),
    ),
    "a name of many marks": ("POST", f"{DIGITS}/classes", JSON, filled('{"names":["a', "\u0301\u0316" * 1000, '"]}')),
    "names near to many": ("POST", "/v1/models/names/batches", JSON, near_names),
    "scans of a JPEG": ("POST", f"{PHOTOS}/predictions", {"Content-Type": "image/jpeg"}, scans),
    "scans of a JPEG in JSON": ("POST", f"{PHOTOS}/predictions", JSON, in_base64),
    "pictures of one colour": ("POST", f"{PHOTOS}/predictions", JSON, black),
    "rows of many classes": (
        "POST",
        "/v1/models/many/predictions",
        JSON,
        filled('{"top":10,"inputs":[', "[1,2,3]", "]}"),
    ),
    "texts of a PNG": ("POST", f"{PHOTOS}/predictions", {"Content-Type": "image/png"}, packed),
    "a member of weights twice": (
        "POST",
        f"{DIGITS}/versions",
        FILE,
        header(numbered('{"x":1,', '"%x":0', ',"x":2}')),
    ),
    "layers of weights": ("POST", f"{DIGITS}/versions", FILE, header(layers)),
}
ANSWERED = ("pictures of one colour", "rows of many classes")
"""What is answered as long as it is short."""


@pytest.mark.long
@pytest.mark.parametrize("size", [SMALL, LONG])
@pytest.mark.parametrize("name", BODIES)
def test_a_costly_body_stalls_the_service_for_a_moment_and_takes_little_memory(
    server: Server, clients: tuple[httpx.Client, httpx.Client], name: str, size: int
) -> None:
    method, path, headers, body = BODIES[name]
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = server.memory()
    sender, onlooker = clients
    with watched(onlooker, server.pid) as stalls:
        answer = sender.request(method, path, content=body(size), headers=headers)
    assert answer.status_code == (200 if size == SMALL and name in ANSWERED else 422), answer.text[:300]
    if size == SMALL:
        assert max(stalls) < STALL_SECONDS
    assert server.memory(peak=True) - before < MEMORY_BYTES


@contextlib.contextmanager
def watched(client: httpx.Client, pid: int) -> Iterator[list[float]]:
    """How long each of many looks at a service took meanwhile, as far as its process worked: others work, too."""
    took, over = list[float](), threading.Event()

    def at_work() -> float:
        return sum(psutil.Process(pid).cpu_times()[:2])

    def look() -> None:
        while not over.is_set() or not took:
            began, before = time.monotonic(), at_work()
            client.get("/healthz")
            took.append(min(time.monotonic() - began, at_work() - before))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()
