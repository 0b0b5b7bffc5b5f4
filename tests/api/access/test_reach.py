"""Keys of all models whose names begin alike, and models that come back from the archive."""

from __future__ import annotations

from typing import Any

import pytest

from service.registry.callers.reach import Reach
from service.registry.sql.tables import Model
from tests.api.access.test_keys import OPERATOR, made
from tests.api.conftest import Api, MakeApi, pointers

MODEL = {"input": {"kind": "vector", "size": 3}}
ROWS = {"inputs": [[1, 2, 3]], "labels": ["a"]}


@pytest.fixture
def keyed(make_api: MakeApi) -> Api:
    return make_api(key="secret")


def test_a_key_of_a_beginning_makes_its_models_and_no_other_exists_for_it(keyed: Api) -> None:
    for name in ("team-b-x", "team-a", "team-az"):
        keyed.ok("POST", "/v1/models", {"name": name, **MODEL}, headers=OPERATOR)
    mine = {"Authorization": f"Bearer {made(keyed, scopes=['learn', 'promote'], models=['team-a-*'])['secret']}"}
    keyed.ok("POST", "/v1/models", {"name": "team-a-new", **MODEL}, headers=mine)
    update = keyed.ok("POST", "/v1/models/team-a-new/updates", ROWS, headers=mine)
    assert keyed.ok("GET", f"/v1/updates/{update['id']}", headers=mine)["model"] == "team-a-new"
    assert [model["name"] for model in keyed.ok("GET", "/v1/models", headers=mine)["items"]] == ["team-a-new"]
    for name in ("team-b-x", "team-a", "team-az"):
        assert keyed("GET", f"/v1/models/{name}", headers=mine).status_code == 404
        refused = keyed("POST", "/v1/models", {"name": name, **MODEL}, headers=mine)
        assert (refused.status_code, pointers(refused)) == (403, ["/name"]), "whether it is there or not"
    assert keyed("DELETE", "/v1/models/team-a-new", headers=mine).status_code == 403


def test_who_may_promote_reads_the_audit_of_the_own_models_alone(keyed: Api) -> None:
    keyed.ok("POST", "/v1/models", {"name": "theirs", **MODEL}, headers=OPERATOR)
    mine = {"Authorization": f"Bearer {made(keyed, scopes=['promote'], models=['team-a-*'])['secret']}"}
    keyed.ok("POST", "/v1/models", {"name": "team-a-new", **MODEL}, headers=mine)
    rows = keyed.ok("GET", "/v1/audit?model=team-a-new", headers=mine)["items"]
    assert [row["action"] for row in rows] == ["model.created"]
    for query in ("", "?model=theirs", "?model=nothing"):
        assert keyed("GET", f"/v1/audit{query}", headers=mine).status_code == 422, query


@pytest.mark.parametrize("model", ["*", "Team*", "a*b", "a**", "-*"])
def test_what_is_no_beginning_is_refused(keyed: Api, model: str) -> None:
    order: dict[str, Any] = {"name": "till", "scopes": ["predict"], "models": [model]}
    assert pointers(keyed("POST", "/v1/keys", order, headers=OPERATOR)) == ["/models/0"]


def test_a_reach_says_the_same_of_a_name_and_of_a_column(keyed: Api) -> None:
    names = ["a", "a-1", "a-z", "a_", "b", "b0", "a-"]
    for name in names:
        keyed.ok("POST", "/v1/models", {"name": name, **MODEL}, headers=OPERATOR)
    for words in ([], ["b"], ["a-*"], ["a*", "b0"], ["c*"]):
        reach = Reach.of(words)
        with keyed.runtime.database.reading() as session:
            found = {model.name for model in session.query(Model).where(reach.holds(Model.name))}
        assert found == {name for name in names if name in reach}, words


def test_a_model_comes_back_from_the_archive_as_it_was(keyed: Api) -> None:
    for _ in range(2):  # the first is never used, and loses its name to the second
        keyed("DELETE", "/v1/models/digits", headers=OPERATOR)
        keyed.ok("POST", "/v1/models", {"name": "digits", **MODEL}, headers=OPERATOR)
    batch = keyed.ok("POST", "/v1/models/digits/batches", ROWS, headers=OPERATOR)["id"]
    assert keyed("DELETE", "/v1/models/digits", headers=OPERATOR).status_code == 204
    assert "restore" in keyed("GET", "/v1/models/digits", headers=OPERATOR).json()["detail"]
    assert keyed.ok("GET", "/v1/models", headers=OPERATOR)["items"] == []
    [archived] = keyed.ok("GET", "/v1/models?archived=true", headers=OPERATOR)["items"]
    assert (archived["name"], archived["archived_at"] is None) == ("digits", False)
    for _ in range(2):
        assert keyed.ok("POST", "/v1/models/digits/restore", headers=OPERATOR)["archived_at"] is None
    assert keyed.ok("GET", "/v1/models/digits/batches", headers=OPERATOR)["items"][0]["id"] == batch
    assert [row["action"] for row in keyed.ok("GET", "/v1/audit?model=digits", headers=OPERATOR)["items"]][:2] == [
        "model.restored",
        "model.archived",
    ]
    assert keyed("POST", "/v1/models/nothing/restore", headers=OPERATOR).status_code == 404
