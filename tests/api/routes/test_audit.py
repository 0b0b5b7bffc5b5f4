"""The audit over HTTP: pages of who changed what, under which request."""

from __future__ import annotations

from tests.api.conftest import Api, pointers


def test_the_audit_lists_changes_newest_first_with_key_and_request(api: Api) -> None:
    headers = {"X-Request-Id": "from-till-7"}
    batch = api.ok("POST", "/v1/models/digits/batches", {"inputs": [[1, 2, 3]], "labels": ["a"]}, headers=headers)["id"]
    api.ok("PATCH", "/v1/models/digits", {"promotion": "manual"})
    page = api.ok("GET", "/v1/audit?limit=2")
    assert [entry["action"] for entry in page["items"]] == ["model.changed", "batch.received"]
    received = page["items"][1]
    assert (received["by"], received["request_id"], received["subject"]) == ("anonymous", "from-till-7", batch)
    assert (received["model"], received["reason"]) == ("digits", "1 row")
    rest = api.ok("GET", f"/v1/audit?limit=2&cursor={page['next_cursor']}")
    assert [entry["action"] for entry in rest["items"]] == ["classes.added", "model.created"]
    assert rest["next_cursor"] is None


def test_the_audit_of_a_model_outlives_it(api: Api) -> None:
    api.ok("POST", "/v1/models", {"name": "letters", "input": {"kind": "vector", "size": 3}})
    api.ok("DELETE", "/v1/models/letters")
    actions = [entry["action"] for entry in api.ok("GET", "/v1/audit?model=letters")["items"]]
    assert actions == ["model.archived", "model.created"]
    assert pointers(api("GET", "/v1/audit?model=nobody")) == ["/model"]


def test_what_is_refused_is_no_change(api: Api) -> None:
    before = api.ok("GET", "/v1/audit")["items"]
    assert api("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}).status_code == 409
    assert api("POST", "/v1/models/digits/rollback", {}).status_code == 409
    assert api("PATCH", "/v1/models/digits", {"gate": {"nonsense": 1}}).status_code == 422
    assert api.ok("GET", "/v1/audit")["items"] == before
