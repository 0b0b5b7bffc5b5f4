"""Downloads leave from disk as fast as their readers take them: so many at once, and no file of them stays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load

from service.api.limits import downloads
from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from tests.api.conftest import Api, MakeApi
from tests.api.limits.test_long_answers import Slow, until, waits
from tests.making import make_model, make_version
from tests.server.test_fast_path import Port

WEIGHTS = "/v1/models/digits/versions/1/weights"


def spooled(api: Api) -> list[Path]:
    return list((api.runtime.settings.data / "spool").glob("*"))


def test_a_file_from_disk_is_the_file_from_memory(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_version(api.runtime)
    whole = api("GET", WEIGHTS)
    monkeypatch.setattr(downloads, "WHOLE_BYTES", 0)
    monkeypatch.setattr(downloads, "PIECE_BYTES", 100)
    from_disk = api("GET", WEIGHTS)
    assert from_disk.content == whole.content
    assert from_disk.headers["content-disposition"] == whole.headers["content-disposition"]
    assert from_disk.headers["content-length"] == str(len(whole.content))
    assert load(from_disk.content)
    assert (spooled(api), api.door.context.downloads._open) == ([], 0)


def test_so_many_may_be_on_their_way_and_no_more(api: Api) -> None:
    make_version(api.runtime)
    for path in (WEIGHTS, "/v1/models/digits/versions/1/ledger", "/v1/models/nobody/versions/1/weights"):
        assert api("GET", path).status_code in (200, 404, 409)  # what is refused has no place either
    api.door.context.downloads._most = 0
    refused = api("GET", WEIGHTS)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")


@pytest.fixture
def port(make_api: MakeApi) -> Iterator[Port]:
    """An application with a version of 32 MB."""
    api = make_api(key="secret")
    spec = VectorInput(kind="vector", size=2000)
    make_model(api.runtime, spec=spec)
    make_version(api.runtime, spec=spec, architecture=Architecture(backbone=MlpBackbone(name="mlp", hidden=[4000])))
    port = Port(api)
    yield port
    port.close()


@pytest.mark.long
def test_a_slow_reader_holds_no_memory(port: Port) -> None:
    async def go() -> bytes:
        slow = Slow(port, path=WEIGHTS, body=None)
        await until(lambda: waits(port))
        [connection] = port.server.server_state.connections
        for _ in range(50):
            await asyncio.sleep(0)
        assert connection.transport.get_write_buffer_size() <= 2 * downloads.PIECE_BYTES
        return await slow.reads()

    head, _, body = port.run(go()).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert len(body) > 30_000_000
    assert (spooled(port.api), port.api.door.context.downloads._open) == ([], 0)
