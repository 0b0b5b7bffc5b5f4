"""Which key may call what: the table of scopes, over every route that the router has."""

from __future__ import annotations

import re
from typing import Any

import pytest

from service.api.access.keyring import PUBLIC
from service.api.application import ROUTERS
from service.contract.enums import KeyScope
from service.contract.keys import SCOPES
from service.web.pages import ROUTES as PAGES
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_model, make_version

ROUTES = sorted(
    {(method, route.path) for router in ROUTERS for route in router.routes for method in route.methods - {"HEAD"}}
)
OPERATOR = {"Authorization": "Bearer secret"}


@pytest.fixture
def keyed(make_api: MakeApi) -> Api:
    api = make_api(key="secret")
    for name in ("digits", "letters"):
        make_model(api.runtime, name)
        make_version(api.runtime, name)
    return api


def key_of(api: Api, *scopes: str, **members: Any) -> dict[str, str]:
    """The header of a new key."""
    order = {"name": "test", "scopes": scopes, **members}
    return {"Authorization": f"Bearer {api.ok('POST', '/v1/keys', order, headers=OPERATOR)['secret']}"}


def filled(path: str, model: str = "nobody") -> str:
    return re.sub(r"\{[^}]*\}", "1", path.replace("{model}", model))


def at_model(path: str) -> str:
    return filled(path, "digits")


def test_every_route_has_a_scope_and_only_routes_have() -> None:
    assert {(method, path) for path, methods in SCOPES.items() for method in methods} == set(ROUTES)


def test_a_key_calls_what_its_scope_says_and_nothing_else(keyed: Api) -> None:
    for scope in KeyScope:
        headers = key_of(keyed, scope)
        for method, path in ROUTES:
            needed = SCOPES[path][method]
            answer = keyed(method, filled(path), headers=headers)
            allowed = not needed or scope in needed or scope is KeyScope.ADMIN
            assert (answer.status_code != 403) == allowed, (scope, method, path, answer.text)
            assert answer.status_code < 500


@pytest.mark.long
def test_whatever_stands_for_a_name_in_a_path_is_no_fault_of_ours(keyed: Api) -> None:
    """Bytes that no database takes among them."""
    for name in ["a%00b", "%ff%fe", "x" * 5000, "9" * 30]:
        for method, path in ROUTES:
            for model in ("digits", name) if (method, path) != ("DELETE", "/v1/models/{model}") else (name,):
                address = re.sub(r"\{[^}]*\}", name, path.replace("{model}", model))
                answer = keyed(method, address, headers=OPERATOR)
                assert answer.status_code < 500, (method, path, answer.text)


def test_what_is_no_route_needs_a_key_too_and_the_head_of_an_answer_its_scope(keyed: Api) -> None:
    """HEAD is as GET; an address or a method that is not there tells nothing to who has no key."""
    paths, public = sorted({path for _, path in ROUTES}), {*PUBLIC}
    other = ["OPTIONS", "TRACE", "PROPFIND", "PUT", "PATCH", "POST"]
    tried = [(method, path) for path in paths for method in other if method not in SCOPES[path]]
    tried += [("HEAD", path) for path in paths]
    tried += [(method, path) for path in ("/nowhere", "/v1", "/v3/models", "/v1/models/") for method in ("GET", *other)]
    for method, path in tried:
        address = filled(path)
        assert (keyed(method, address).status_code == 401) == (address not in public), (method, path)
    for scope in (KeyScope.PREDICT, KeyScope.ADMIN):
        headers = key_of(keyed, scope)
        for method, path in (each for each in tried if each[0] in ("HEAD", "OPTIONS", "PUT")):
            status, needed = keyed(method, filled(path), headers=headers).status_code, SCOPES.get(path, {}).get("GET")
            if method != "HEAD" or needed is None:
                assert status in (404, 405, 415), (scope, method, path)
            else:
                allowed = not needed or scope in needed or scope is KeyScope.ADMIN
                assert (status != 403) == allowed, (scope, method, path)


def test_a_page_without_a_key_asks_for_one_and_shows_nothing(keyed: Api) -> None:
    html = {"accept": "text/html"}
    for page in PAGES:
        path = at_model(page.path)
        if page.show is not None:
            shown = keyed("GET", path, headers=html)
            open_to_all = path in ("/sign-in", "/docs", "/docs/gate")
            assert (shown.status_code, "digits" in shown.text) == (200 if open_to_all else 303, False), path
        if page.act is not None:
            sent = keyed("POST", path, headers=html, data={"token": "x"})
            assert sent.status_code == 403, path
    assert keyed("GET", "/static/style.css").status_code == 200


def test_a_model_that_does_not_exist_for_a_key_is_like_one_that_does_not_exist(keyed: Api) -> None:
    headers = key_of(keyed, "predict", "learn", "promote", models=["digits"])
    everything = key_of(keyed, "admin")
    here = [(m, p) for m, p in ROUTES if "{model}" in p and KeyScope.ADMIN not in SCOPES[p][m]]
    assert len(here) > 25
    for method, path in here:
        theirs = keyed(method, filled(path, "letters"), headers=headers)
        nobodys = keyed(method, filled(path, "lettuce"), headers=headers)
        assert theirs.status_code == nobodys.status_code == 404, (method, path, theirs.text)
        unlike = {"request_id"}
        one, other = theirs.json(), nobodys.json()
        assert {k: v for k, v in one.items() if k not in unlike} == {
            k: v.replace("lettuce", "letters") if isinstance(v, str) else v for k, v in other.items() if k not in unlike
        }, (method, path)
    listed = keyed.ok("GET", "/v1/models", headers=headers)
    assert [model["name"] for model in listed["items"]] == ["digits"]
    assert len(keyed.ok("GET", "/v1/models", headers=everything)["items"]) == 2
    asked = keyed.ok("POST", "/v1/models/digits/predictions", {"inputs": [[1, 2, 3]]}, headers=headers)
    assert asked["version"] == 1


def test_an_update_of_a_model_that_does_not_exist_for_a_key_is_unknown(keyed: Api) -> None:
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"]}
    update = keyed.ok("POST", "/v1/models/letters/updates", rows, headers=OPERATOR)["id"]
    stranger, friend = (key_of(keyed, "learn", models=[name]) for name in ("digits", "letters"))
    for path, method in ((p, m) for m, p in ROUTES if p.startswith("/v1/updates")):
        answer = keyed(method, path.replace("{update}", update), headers=stranger)
        assert answer.status_code == 404
        assert answer.json()["detail"] == f'There is no update "{update}".'
    assert keyed.ok("GET", f"/v1/updates/{update}", headers=friend)["state"] == "queued"


def test_rows_that_another_model_has_are_stored_as_any_others(keyed: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the answer nor the work done tells that somebody sent them before."""
    headers, work = key_of(keyed, "learn", models=["digits"]), list[str]()
    for name in ("put", "has"):
        method = getattr(keyed.runtime.store, name)
        monkeypatch.setattr(
            keyed.runtime.store, name, lambda *args, name=name, method=method: work.append(name) or method(*args)
        )
    rows = [{"inputs": [[k, 2, 3]], "labels": ["a"]} for k in range(2)]
    known = keyed.ok("POST", "/v1/models/letters/batches", rows[0], headers=OPERATOR)["id"]
    done = []
    for body in rows:
        work.clear()
        answer = keyed("POST", "/v1/models/digits/batches", body, headers=headers)
        done.append((answer.status_code, answer.headers.keys(), answer.json().keys(), work.copy()))
    assert done[0] == done[1]
    assert (done[0][0], "put" in done[0][3]) == (201, True)
    for path in ("updates", "retractions"):
        details = {
            keyed("POST", f"/v1/models/digits/{path}", {"batches": [batch]}, headers=key_of(keyed, "learn", "promote"))
            .json()["detail"]
            .replace(batch, "")
            for batch in (known, "bat_1")
        }
        assert len(details) == 1, details


def test_an_idempotency_key_of_one_key_is_nothing_to_another(keyed: Api) -> None:
    """What another key did under the same one is not answered, nor is it in the way."""
    bodies = [{"inputs": [[k, 2, 3]], "labels": ["a"], "again": True} for k in (0, 0, 1)]
    answers = [
        keyed("POST", "/v1/models/digits/batches", body, headers={**key_of(keyed, "learn"), "Idempotency-Key": "mine"})
        for body in bodies
    ]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 3
    assert not any("idempotency-replayed" in answer.headers for answer in answers)


def test_who_learns_cannot_undo_what_others_decided(keyed: Api) -> None:
    """A retraction is not for a key of data alone to stop, nor to bring back."""
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"]}
    batch = keyed.ok("POST", "/v1/models/digits/batches", rows, headers=OPERATOR)["id"]
    order = {"batches": [batch], "erase": True}
    update = keyed.ok("POST", "/v1/models/digits/retractions", order, headers=OPERATOR)["id"]
    learner = key_of(keyed, "learn")
    refused = keyed("POST", f"/v1/updates/{update}/cancel", headers=learner)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (403, "forbidden")
    assert "promote" in refused.json()["detail"]
    assert keyed("POST", f"/v1/updates/{update}/cancel", headers=key_of(keyed, "promote")).status_code == 200


def test_who_learns_cannot_say_that_labels_change_on_purpose(keyed: Api) -> None:
    order = {"inputs": [[1, 2, 3]], "labels": ["a"], "expect": "relabel"}
    learner, both = key_of(keyed, "learn"), key_of(keyed, "learn", "promote")
    refused = keyed("POST", "/v1/models/digits/updates", order, headers=learner)
    assert (refused.status_code, pointers(refused)) == (403, ["/expect"])
    update = keyed.ok("POST", "/v1/models/digits/updates", order, headers=both)
    assert update["expect"] == "relabel"
    assert keyed("POST", f"/v1/updates/{update['id']}/cancel", headers=learner).status_code == 403
    assert keyed.ok("POST", "/v1/models/digits/updates", {**order, "expect": None}, headers=learner)["expect"] is None
