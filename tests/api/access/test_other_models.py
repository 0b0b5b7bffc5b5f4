"""Of a model that is not its own a key learns nothing: neither by an answer, nor by the work that is done for one."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from service.contract.enums import KeyScope
from service.contract.keys import SCOPES
from service.registry.callers import keys
from service.storage import local
from service.storage.local import LocalArtifacts
from service.web.pages import ROUTES as PAGES
from tests.api.access.test_keys import made
from tests.api.access.test_scopes import OPERATOR, ROUTES, filled, key_of
from tests.api.conftest import Api, MakeApi
from tests.api.routes.test_disputes import opened
from tests.making import make_model, make_version

HTML = {"accept": "text/html"}
CLASSES = ["zebra", "zebus"]
ROWS = {"inputs": [[1, 2, 3], [3, 2, 1]], "labels": CLASSES, "new_classes": "allow", "source": "zookeepers"}
OWN = {"inputs": [[1, 2, 3], [3, 2, 1]], "labels": ["a", "b"], "new_classes": "allow", "source": "shop"}


@pytest.fixture
def two(make_api: MakeApi) -> Api:
    """A service with a model of each of two keys; both have all that a model can have."""
    api = make_api(key="secret")
    for name, rows in (("digits", OWN), ("zoology", ROWS)):
        make_model(api.runtime, name, classes=rows["labels"])
        path = f"/v1/models/{name}"
        batch = api.ok("POST", f"{path}/batches", rows, headers=OPERATOR)["id"]
        make_version(api.runtime, name, rows["labels"], learned=[batch])
        make_version(api.runtime, name, rows["labels"], learned=[batch], seed=1)
        update = api.ok("POST", f"{path}/updates", {"batches": [batch]}, headers=OPERATOR)["id"]
        api.ok("POST", f"/v1/updates/{update}/cancel", headers=OPERATOR)
        api.ok("PUT", f"{path}/aliases/{name}-stable", {"version": 1}, headers=OPERATOR)
        api.ok("POST", f"{path}/rollback", {"reason": f"{name} was bad"}, headers=OPERATOR)
    api.runtime.live.refresh()
    api.look()
    return api


def ids(api: Api, model: str) -> dict[str, str]:
    """What a model has, by the name of its place in a route."""
    path = f"/v1/models/{model}"
    lists = {"batch": "batches", "update": "updates", "version": "versions"}
    found = {name: api.ok("GET", f"{path}/{listed}", headers=OPERATOR)["items"][0] for name, listed in lists.items()}
    return {"model": model, "batch": found["batch"]["id"], "update": found["update"]["id"], "name": f"{model}-stable"}


def at(path: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        path = path.replace(f"{{{name}}}", value).replace(f"{{{name}:path}}", value)
    return filled(path)


def without(text: str, places: dict[str, str]) -> str:
    """A text without the names that were asked for, and what a form carries so that it is sent once."""
    text = re.sub(r'name="attempt" value="[^"]*"', "", text)
    for value in sorted(places.values(), key=len, reverse=True):
        text = text.replace(value, "...")
    return text


def test_no_answer_to_a_key_names_anything_of_a_model_that_is_not_its_own(two: Api) -> None:
    mine = key_of(two, "predict", "learn", "promote", models=["digits"])
    theirs, own = ids(two, "zoology"), ids(two, "digits")
    words = ["zoology", "zookeepers", *CLASSES, *(theirs[name] for name in ("batch", "update"))]
    asked = [(method, at(path, own), {}) for method, path in ROUTES]
    asked += [("GET", at(page.path, own), HTML) for page in PAGES if page.show]
    cookie = {"cookie": f"tsuika_key={mine['Authorization'].partition(' ')[2]}"}
    bodies = [
        ("POST", "/v1/models/digits/batches", {**OWN, "labels": ["zepra", "a"], "new_classes": "refuse"}),
        ("POST", "/v1/models/digits/updates", {"batches": "pending"}),
        ("POST", "/v1/models/digits/classes", {"names": ["zepra"]}),
        ("POST", "/invocations", {"inputs": [[1, 2, 3]]}),
        ("POST", "/v1/models/digits/predictions", {"inputs": [[1, 2]]}),
    ]
    answers = [two(method, path, headers=mine | cookie | more) for method, path, more in asked]
    answers += [two(method, path, body, headers=mine) for method, path, body in bodies]
    assert {200, 303, 403, 404, 409, 422} <= {answer.status_code for answer in answers}
    for answer in answers:
        heard = [word for word in words if word in answer.text or word in str(answer.headers)]
        assert not heard, (answer.request.method, answer.request.url, heard)
    assert "zoology" in two("GET", "/v1/models", headers=OPERATOR).text


def test_a_name_of_another_model_is_one_that_nobody_has(two: Api) -> None:
    """In paths, bodies and queries of a key's own model."""
    mine = key_of(two, "predict", "learn", "promote", models=["digits"])
    theirs = ids(two, "zoology")
    nobodys = {"batch": "bat_" + "0" * 24, "update": "upd_" + "0" * 24, "name": "zoology-stably"}

    def both(method: str, path: str, body: Any = None) -> list[Any]:
        answers = []
        for places in (theirs, nobodys):
            filled_path = at(path, {**places, "model": "digits", "version": places["name"]})
            filled_body = None if body is None else {k: [places["batch"]] if v is ... else v for k, v in body.items()}
            answer = two(method, filled_path, filled_body, headers=mine)
            told = answer.text.replace(answer.headers["x-request-id"], "")
            answers.append((answer.status_code, without(told, places)))
        return answers

    asked: list[tuple[str, str, Any]] = [
        (method, path, None) for method, path in ROUTES if path.count("{") - path.count("{model}")
    ]
    asked += [("POST", f"/v1/models/digits/{path}", {"batches": ...}) for path in ("updates", "retractions")]
    asked += [("POST", "/v1/models/digits/deployments", {"version": 1, "if_live": 99})]
    asked += [("GET", f"/v1/models/digits/batches?cursor={theirs['batch']}&source=zookeepers", None)]
    assert len(asked) > 20
    for method, path, body in asked:
        one, other = both(method, path, body)
        assert one == other, (method, path)
        assert one[0] in (200, 400, 403, 404, 409, 415, 422), (method, path, one)


@contextmanager
def done(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements of the database, the calls of the store and the hashes of keys that a request asks for."""
    work = list[str]()

    def heard(*call: Any) -> None:
        if not threading.current_thread().name.startswith("watcher") and call[2] != "BEGIN":
            work.append(call[2])

    listening = Engine, "before_cursor_execute", heard
    event.listen(*listening)
    with monkeypatch.context() as patch:
        for name in ("put", "get", "has"):
            method = getattr(LocalArtifacts, name)
            patch.setattr(LocalArtifacts, name, lambda *a, name=name, method=method: work.append(name) or method(*a))
        hash_of = keys.hash_of
        patch.setattr(keys, "hash_of", lambda *a: work.append("hash") or hash_of(*a))
        try:
            yield work
        finally:
            event.remove(*listening)


def test_as_much_is_done_for_a_model_of_others_as_for_none(two: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = key_of(two, "predict", "learn", "promote", models=["digits"])
    theirs = ids(two, "zoology")["update"]
    here = [(m, p) for m, p in ROUTES if "{model}" in p or "{update}" in p]
    here = [(m, p) for m, p in here if KeyScope.ADMIN not in SCOPES[p][m]]
    for method, path in here:
        work = []
        for places in ({"model": "zoology", "update": theirs}, {"model": "zoologic", "update": theirs[:-1] + "x"}):
            with done(monkeypatch) as asked:
                assert two(method, at(path, places), headers=mine).status_code in (404, 403), (method, path)
            work.append(asked)
        assert work[0] == work[1], (method, path)
        assert len(work[0]) == 1 + ("{update}" in path), "its hash, and of an update its model"


def test_as_much_is_done_for_a_key_that_there_is_as_for_none(two: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nobody can find the beginning of one by asking."""
    key, revoked = made(two), made(two)
    assert two("DELETE", f"/v1/keys/{revoked['id']}", headers=OPERATOR).status_code == 204
    tried = [key["secret"][:-1] + "!", revoked["secret"], "tsuika_000000000000_" + "x" * 43, key["prefix"], "x"]
    answers = []
    for secret in tried:
        with done(monkeypatch) as asked:
            answer = two("GET", "/v1/models", headers={"Authorization": f"Bearer {secret}"})
        answers.append((answer.status_code, answer.json()["detail"], asked))
    assert answers == [(401, answers[0][1], ["hash"])] * len(tried)


def test_a_page_of_a_model_of_others_is_that_of_none(two: Api) -> None:
    mine = key_of(two, "predict", "learn", "promote", models=["digits"])
    cookie = {"cookie": f"tsuika_key={mine['Authorization'].partition(' ')[2]}; tsuika_token={'t' * 32}", **HTML}
    theirs = ids(two, "zoology")
    for page in (page for page in PAGES if "{" in page.path):
        for method in ["GET"] * bool(page.show) + ["POST"] * bool(page.act):
            texts = []
            for places in (theirs, {"model": "zoologic", "update": "upd_" + "0" * 24}):
                form = {"data": {"token": "t" * 32, "reason": "x"}} if method == "POST" else {}
                answer = two(method, at(page.path, places), headers=cookie, **form)
                texts.append((answer.status_code, without(answer.text, places)))
            assert texts[0] == texts[1], (method, page.path)
            assert texts[0][0] in (403, 404, 422), (method, page.path, texts[0])


def test_numbers_that_a_key_sees_count_its_own_model_alone(two: Api) -> None:
    """So nobody learns from the next one how much has happened elsewhere."""
    mine = key_of(two, "learn", "promote", models=["zoology"])
    events = two("GET", f"/v1/updates/{ids(two, 'zoology')['update']}/events", headers=mine)
    assert re.findall("^id: (.*)$", events.text, re.M) == ["1", "2"]
    seen, cursor = list[tuple[int, int | None]](), ""
    while cursor is not None:
        page = two.ok("GET", f"/v1/models/zoology/deployments?limit=1{cursor and f'&cursor={cursor}'}", headers=mine)
        seen += [(move["id"], move["undoes"]) for move in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [(3, 2), (2, None), (1, None)]
    for number, count in ((2, 1), (10**17, 3)):
        page = two.ok("GET", f"/v1/models/zoology/deployments?cursor={number}", headers=mine)
        assert len(page["items"]) == count


def test_weights_that_another_model_has_are_written_as_any_others(two: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/v1/models/{}/versions/1/weights"
    weights = two("GET", path.format("zoology"), headers=OPERATOR).content
    mine = key_of(two, "promote", models=["digits"])
    media = {"content-type": "application/octet-stream"}
    write, written = local._write_durably, list[int]()
    monkeypatch.setattr(local, "_write_durably", lambda *a: written.append(len(a[1])) or write(*a))
    two.ok("POST", "/v1/models/digits/versions", content=weights, headers=mine | media)
    assert len(written) >= 2
    once = written.copy()
    two.ok("POST", "/v1/models/digits/versions", content=weights, headers=mine | media)
    assert written == once * 2


def test_a_dispute_of_another_model_is_none_here(two: Api) -> None:
    dispute = opened(two, OPERATOR)
    other = key_of(two, "promote", models=["zoology"])
    order = {"verdict": "confirmed", "reason": "x"}
    refused = two("POST", f"/v1/models/zoology/disputes/{dispute}/settle", order, headers=other)
    assert (refused.status_code, "digits" in refused.text) == (404, False)
