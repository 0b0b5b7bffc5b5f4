"""An upload that ends in the middle (CTRL+C, a process that is killed, a closed tab, a service whose power goes)
leaves no batch, no update, no file; the whole file is learned afterwards."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from service.client import Client
from tests.acceptance.service import RIDGE, SIZE, SPEC, blobs, until
from tests.running import ROOT, Server, environment

ROWS = 20_000
PASSED = 300_000
"""Bytes of a request that come through: of the file the first quarter."""
HEARD = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
"""As where somebody types: what a shell starts in the background, as the run of all tests may be, ignores CTRL+C."""
PUSH = f"{HEARD}from tsuika import Client; Client(sys.argv[1]).model(sys.argv[2]).push(sys.argv[3])"
TYPED = f"{HEARD}from service.cli import main; sys.exit(main(['push', *sys.argv[1:]]))"


class Narrow:
    """A way to a service that lets the first bytes of each request through, and holds the rest back. `held`: is set
    once there is a rest."""

    def __init__(self, to: int) -> None:
        self._to, self._open = to, list[socket.socket]()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.held = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Both sides of each connection end."""
        for one in (self._door, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = self._door.accept()[0], socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                threading.Thread(target=self._up, args=(near, far), daemon=True).start()
                threading.Thread(target=self._down, args=(far, near), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while passed < PASSED and (piece := near.recv(PASSED - passed)):
                far.sendall(piece)
                passed += len(piece)
        if passed == PASSED:
            self.held.set()

    def _down(self, far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := far.recv(65536):
                near.sendall(piece)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("cut"), migrated=migrated) as started:
        yield started


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "rows.csv"
    header = ",".join([*(f"p{k}" for k in range(SIZE)), "label"])
    lines = (",".join([*map(str, row), label]) for row, label in zip(*blobs(0, ROWS), strict=True))
    path.write_text("\n".join([header, *lines, ""]))
    assert path.stat().st_size > 3 * PASSED
    return path


def kept(server: Server) -> set[Path]:
    """The files of the data folder, without those of the database itself."""
    return {path for path in server.data.rglob("*") if path.is_file() and not path.name.startswith("tsuika.db")}


def nothing_came(server: Server, model: str, before: set[Path]) -> bool:
    with server.client() as http:
        for of in ("batches", "updates", "versions"):
            assert http.get(f"/v1/models/{model}/{of}").raise_for_status().json()["items"] == [], of
        pending = http.get(f"/v1/models/{model}").raise_for_status().json()["pending"]
    assert (pending["batches"], pending["rows"]) == (0, 0)
    return kept(server) <= before


def whole_is_learned(server: Server, model: str, file: Path) -> None:
    with Client(server.url) as client:
        result = client.model(model).push(file)
        assert (result.verdict, client.model(model).info().live_version) == ("promoted", 1)
        [batch] = client.model(model).batches()
    assert batch.rows == ROWS


@contextlib.contextmanager
def nothing_half(server: Server, model: str, file: Path) -> Iterator[None]:
    """A new model, of which an upload that is cut within leaves nothing; then the whole file is learned."""
    with Client(server.url) as client:
        client.create_model(model, SPEC, classes=list("abcd"), method=RIDGE)
    before = kept(server)
    yield
    until(lambda: nothing_came(server, model, before))
    whole_is_learned(server, model, file)


def started(door: str, url: str, model: str, file: Path) -> subprocess.Popen[str]:
    how = [TYPED, model, str(file)] if door == "terminal" else [PUSH, url, model, str(file)]
    return subprocess.Popen(
        [sys.executable, "-c", *how],
        cwd=ROOT,
        env=environment(url=url),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("door", "end"), [("terminal", signal.SIGINT), ("python", signal.SIGINT), ("python", signal.SIGKILL)]
)
def test_a_sender_that_ends_in_the_middle_leaves_nothing(
    server: Server, file: Path, door: str, end: signal.Signals
) -> None:
    model = f"cut-{door}-{end.name.lower()}"
    with nothing_half(server, model, file):
        way = Narrow(server.port)
        with started(door, way.url, model, file) as sender:
            assert way.held.wait(120)
            sender.send_signal(end)
            said = sender.communicate(timeout=120)[1]
        way.close()
        if door == "terminal":
            assert sender.returncode == 130
            assert f"No answer came yet: tsuika updates {model} says whether the rows arrived." in said
        else:
            assert sender.returncode == -end


@pytest.mark.long
def test_a_tab_that_is_closed_in_the_middle_leaves_nothing(server: Server, file: Path) -> None:
    model = "cut-tab"
    with nothing_half(server, model, file):
        with server.client(headers={"Accept": "text/html", "Origin": server.url}) as http:
            page = http.get(f"/models/{model}/send").text
            hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page))
            fields = {unescape(name): unescape(value) for name, value in hidden.items()}
            request = http.build_request(
                "POST", f"/models/{model}/send", data=fields, files={"file": ("rows.csv", file.read_bytes())}
            )
            body = request.read()
            head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
            head += "".join(f"cookie: {name}={value}\r\n" for name, value in http.cookies.items())
        with socket.create_connection(("127.0.0.1", server.port)) as tab:
            tab.sendall(f"POST /models/{model}/send HTTP/1.1\r\n{head}\r\n".encode() + body[:PASSED])


@pytest.mark.long
def test_a_service_that_is_killed_in_the_middle_of_an_upload_begins_without_it(server: Server, file: Path) -> None:
    model = "cut-service"
    with nothing_half(server, model, file):
        way = Narrow(server.port)
        with started("python", way.url, model, file) as sender:
            assert way.held.wait(120)
            server.kill()
            sender.kill()
            sender.communicate(timeout=120)
        way.close()
        server.restart()
