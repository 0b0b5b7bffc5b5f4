"""The whole application in process, over a real database and store; no worker."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.application import build
from service.api.reader.process import Reader
from service.runtime import Runtime
from service.server.dispatch import Dispatcher
from service.settings import Settings
from tests.making import make_version

MakeApi = Callable[..., "Api"]
THREADS = ("watcher", "inference", "loader", "swapper")
"""Of an application: none of them outlasts it, so none reads what the test after it has."""


class Api:
    """A client of the application; every call is one run of its event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        app = build(runtime)
        self.door = Dispatcher(app.state.context, app)
        self.runner = asyncio.Runner()
        transport = httpx.ASGITransport(self.door)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30)

    def __call__(self, method: str, path: str, json: Any = None, **options: Any) -> httpx.Response:
        if json is not None:
            options["json"] = json
        return self.runner.run(self.http.request(method, path, **options))

    def ok(self, method: str, path: str, json: Any = None, **options: Any) -> Any:
        """The body of a response, which must be a success."""
        response = self(method, path, json, **options)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def look(self) -> None:
        """Looks at the database as a poll that comes after all commits until now, behind one that is under way. A
        server's word of a commit may still be on its way, and is not waited for."""
        watcher = self.door.context.watcher
        watcher._mark = watcher.waiting_rows._mark = self.runtime.live._followed = None
        watcher._thread.submit(watcher._poll, []).result()

    def close(self) -> None:
        self.runner.run(self.door.context.watcher.stop())
        self.door.context.close()
        self.runner.run(self.http.aclose())
        self.runner.close()


@pytest.fixture
def make_api(
    tmp_path: Path,
    fresh_database: Callable[[Path], str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MakeApi]:
    """An application with settings of the test's own. What reads large bodies has its share of a busy machine, and is
    the one that lasts where a test uses that."""
    made: list[Api] = []
    usual: dict[str, Any] = {"child_priority": "normal"}
    if "lasting" in request.fixturenames:
        lasting: Lasting = request.getfixturevalue("lasting")
        lasting.empty()
        usual["store_url"] = lasting.store_url
        monkeypatch.setattr("service.api.application.Reader", lambda settings: lasting)

    def make(**settings: Any) -> Api:
        database = {} if "data" in settings else {"database_url": fresh_database(tmp_path)}
        chosen = Settings.from_environment({"TSUIKA_DATA": str(tmp_path)}, **{**usual, **database, **settings})
        made.append(Api(Runtime(chosen)))
        return made[-1]

    yield make
    for api in made:
        api.close()
        api.runtime.close()
    assert not [each.name for each in threading.enumerate() if each.name.startswith(THREADS)]


class Lasting(Reader):
    """A reading process that outlasts the applications it reads for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.store_url, self._store = settings.store_url, settings.store_folder

    def empty(self) -> None:
        """Nothing that an application before has stored is in the store."""
        shutil.rmtree(self._store, ignore_errors=True)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lasting]:
    """One for many applications, over one store: to start it takes longer than to read a few rows."""
    reader = Lasting(Settings(data=tmp_path_factory.mktemp("reading"), child_priority="normal"))
    yield reader
    Reader.close(reader)


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    """An application with a model "digits" of three numbers a row."""
    api = make_api()
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}})
    return api


@pytest.fixture
def answering(api: Api) -> Api:
    """The same with a version of three classes, whose names are not in order."""
    make_version(api.runtime, classes=["c", "a", "b"])
    return api


def pointers(response: httpx.Response) -> list[str]:
    """The pointers of a refusal."""
    assert response.headers["content-type"] == "application/problem+json"
    return [error["pointer"] for error in response.json()["errors"]]
