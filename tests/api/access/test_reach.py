"""Keys of all models whose names begin alike, and models that come back from the archive."""

from __future__ import annotations

from typing import Any

import pytest

from service.contract.enums import UpdateState
from service.registry.callers.reach import Reach
from service.registry.sql.tables import Model, Update
from tests.api.access.test_keys import OPERATOR, made
from tests.api.conftest import Api, MakeApi, pointers
from tests.registry import facts

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
    refused = keyed("DELETE", "/v1/models/team-a-new", headers=mine)
    assert (refused.status_code, "needs the scope admin" in refused.json()["detail"]) == (403, True), "it has had rows"
    keyed.ok("POST", "/v1/models", {"name": "team-a-slip", **MODEL}, headers=mine)
    assert keyed("DELETE", "/v1/models/team-a-slip", headers=mine).status_code == 204, "who makes one takes it back"


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


def test_a_model_whose_live_version_was_erased_comes_back_without_one(keyed: Api) -> None:
    keyed.ok("POST", "/v1/models", {"name": "digits", **MODEL}, headers=OPERATOR)
    keyed.ok("POST", "/v1/models/digits/batches", ROWS, headers=OPERATOR)
    with keyed.runtime.database.writing() as session:
        digits = session.query(Model).one()
        learned = facts.promoted(session, digits)
        learned.erased_at, digits.live_version_id = 1.0, None
        first = facts.version(session, digits).number
        open_update = facts.learn(session, digits).id
        digits.archived_at = 1.0
    refused = keyed("POST", "/v1/models/digits/restore", headers=OPERATOR)
    assert (refused.status_code, open_update in refused.text) == (409, True)
    with keyed.runtime.database.writing() as session:
        ended = session.get_one(Update, open_update)
        ended.state, ended.finished_at = UpdateState.SUCCEEDED, 2.0
    keyed.ok("POST", "/v1/models/digits/restore", headers=OPERATOR)
    asked = keyed("GET", "/v1/models/digits/predictions?input=[1,2,3]", headers=OPERATOR)
    assert (asked.status_code, f"version {first} was made" in asked.text) == (409, True)
    assert keyed("POST", "/v1/models/digits/rollback", {}, headers=OPERATOR).status_code == 409
