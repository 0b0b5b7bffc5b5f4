"""A version whose bytes are damaged: 503 with what to do; and without the key no model is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.registry.sql.tables import Version
from service.runtime import Runtime
from tests.api.conftest import Api, MakeApi
from tests.making import make_model, make_version

PATH = "/v1/models/digits/predictions"
ASK = {"inputs": [[1, 2, 3]]}
INFER = {"inputs": [{"name": "input", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
KEY = {"authorization": "Bearer secret"}


def shards(runtime: Runtime) -> list[Path]:
    return sorted((runtime.settings.store_folder / "shards").glob("*/*"))


def flipped(runtime: Runtime) -> None:
    for path in shards(runtime):
        path.write_bytes(path.read_bytes()[:-1] + b"?")


def gone(runtime: Runtime) -> None:
    for path in shards(runtime):
        path.unlink()


def unreadable(runtime: Runtime) -> None:
    for path in shards(runtime):
        path.unlink()
        path.mkdir()


def without_layout(runtime: Runtime) -> None:
    with runtime.database.writing() as session:
        session.execute(update(Version).values(layout={"classes": ["a"]}))


@pytest.mark.parametrize("damage", [flipped, gone, unreadable, without_layout])
def test_a_damaged_version_is_no_fault_of_the_sender(
    api: Api, damage: Callable[[Runtime], None], tmp_path: Path
) -> None:
    make_version(api.runtime)
    damage(api.runtime)
    for path in (PATH, "/v1/models/digits/versions/1/predictions"):
        refused = api("POST", path, ASK)
        assert refused.status_code == 503, refused.text
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"]
        assert refused.json()["type"] == "/problems/corrupt-artifact"
        assert "Roll back" in refused.json()["detail"]
        assert str(tmp_path) not in refused.text
    assert api("GET", f"{PATH}?input=[1,2,3]").status_code == 503
    infer = api("POST", "/v2/models/digits/infer", INFER)
    assert infer.status_code == 503
    assert "Roll back" in infer.json()["error"]


def test_who_has_no_key_is_not_told_of_models(make_api: MakeApi, tmp_path: Path) -> None:
    api = make_api(key="secret")
    make_model(api.runtime)
    make_version(api.runtime)
    unreadable(api.runtime)
    assert api("POST", PATH, ASK, headers=KEY).status_code == 503
    readiness: Any = api("GET", "/readyz")
    assert (readiness.status_code, readiness.json()) == (200, {"status": "degraded"})
    assert api("GET", "/readyz", headers={"authorization": "Bearer other"}).json() == {"status": "degraded"}
    readiness = api("GET", "/readyz", headers=KEY)
    assert readiness.json()["models"].keys() == {"digits"}
    assert str(tmp_path) not in readiness.text


def test_a_page_of_another_host_is_not_told_of_models_either(api: Api) -> None:
    make_version(api.runtime)
    gone(api.runtime)
    assert api("POST", PATH, ASK).status_code == 503
    assert "digits" in api.ok("GET", "/readyz")["models"]
    assert api("GET", "/readyz", headers={"Host": "evil.example"}).json() == {"status": "degraded"}
