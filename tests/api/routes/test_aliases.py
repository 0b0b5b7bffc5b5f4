"""Aliases in place of version numbers: `live`, `previous`, and those that people set."""

from __future__ import annotations

from contextlib import closing

import pytest

from service.registry import aliases, models, versions
from service.registry.sql.database import now
from service.runtime import Runtime
from tests.api.conftest import Api, pointers
from tests.making import make_version

MODEL = "/v1/models/digits"
QUESTION = {"inputs": [[1, 2, 3]]}


def with_versions(api: Api, count: int) -> Api:
    for seed in range(count):
        make_version(api.runtime, seed=seed)
    return api


def answered(api: Api, name: str) -> int:
    """The version that answers under a name."""
    version: int = api.ok("POST", f"{MODEL}/versions/{name}/predictions", QUESTION)["version"]
    return version


def test_live_and_previous_follow_the_live_pointer(api: Api) -> None:
    assert api("GET", f"{MODEL}/versions/live").status_code == 409
    with_versions(api, 1)
    assert api("POST", f"{MODEL}/versions/previous/predictions", QUESTION).status_code == 409
    with_versions(api, 1)
    api.runtime.live.refresh()
    assert (answered(api, "live"), answered(api, "previous")) == (2, 1)
    assert [api.ok("GET", f"{MODEL}/versions/{n}")["number"] for n in ("live", "previous")] == [2, 1]
    api.ok("POST", f"{MODEL}/rollback", {})
    assert (answered(api, "live"), answered(api, "previous")) == (1, 2)


def test_numbers_of_no_version_are_repeated_as_they_were_sent(api: Api) -> None:
    with_versions(api, 1)
    for number in ["7", "9" * 19, "9" * 20, "9" * 60]:
        for answer in (
            api("POST", f"{MODEL}/versions/{number}/predictions", QUESTION),
            api("GET", f"{MODEL}/versions/{number}"),
        ):
            assert answer.status_code == 404
            assert number in answer.json()["detail"]


def test_a_name_is_given_moved_and_taken_away(api: Api) -> None:
    with_versions(api, 3)
    before = now()
    made = api("PUT", f"{MODEL}/aliases/stable", {"version": 1})
    assert (made.status_code, made.headers["location"]) == (201, f"{MODEL}/aliases/stable")
    assert {**made.json(), "at": None} == {
        "name": "stable", "model": "digits", "version": 1, "by": "anonymous", "at": None,
    }  # fmt: skip
    assert answered(api, "stable") == 1
    moved = api("PUT", f"{MODEL}/aliases/stable", {"version": 2})
    assert (moved.status_code, moved.json()["version"]) == (200, 2)
    assert answered(api, "stable") == 2
    assert api.ok("PUT", f"{MODEL}/aliases/canary.1", {"version": 2})["version"] == 2
    listed = api.ok("GET", f"{MODEL}/aliases?limit=1")
    assert [a["name"] for a in listed["items"]] == ["canary.1"]
    following = api.ok("GET", f"{MODEL}/aliases?cursor={listed['next_cursor']}")
    assert [(a["name"], a["version"]) for a in following["items"]] == [("stable", 2)]
    assert api.ok("GET", f"{MODEL}/versions/stable")["aliases"] == ["canary.1", "stable"]
    assert api.ok("GET", f"{MODEL}/versions/1")["aliases"] == []
    assert (
        api("GET", f"{MODEL}/versions/stable/weights").headers["content-disposition"].endswith('digits-2.safetensors"')
    )
    assert api.ok("GET", f"{MODEL}/aliases/stable")["at"] >= moved.json()["at"]
    with api.runtime.database.reading() as session:
        assert aliases.get(session, models.get(session, "digits"), "stable").at >= before
    assert api("DELETE", f"{MODEL}/aliases/stable").status_code == 204
    for method, path in [
        ("GET", "aliases/stable"),
        ("DELETE", "aliases/stable"),
        ("GET", "versions/stable"),
        ("GET", "versions/stable/weights"),
        ("GET", "versions/stable/ledger"),
        ("POST", "versions/stable/predictions"),
    ]:
        refused = api(method, f"{MODEL}/{path}", QUESTION if method == "POST" else None)
        assert refused.status_code == 404, path
        assert '"stable"' in refused.json()["detail"]


def test_names_that_cannot_be_given(api: Api) -> None:
    with_versions(api, 1)
    for name in ["7", "live", "previous", "Stable", "-x", "a" * 101, "a%20b"]:
        refused = api("PUT", f"{MODEL}/aliases/{name}", {"version": 1})
        assert refused.status_code == 422, name
        assert pointers(refused) == ["/name"], name


def test_versions_that_cannot_be_named(api: Api) -> None:
    with_versions(api, 2)
    for version in (9, 2**60):
        refused = api("PUT", f"{MODEL}/aliases/stable", {"version": version})
        assert (refused.status_code, pointers(refused)) == (422, ["/version"])
    assert api("PUT", "/v1/models/none/aliases/stable", {"version": 1}).status_code == 404
    api.ok("PUT", f"{MODEL}/aliases/stable", {"version": 1})
    with api.runtime.database.writing() as session:
        versions.get(session, models.get(session, "digits"), 1).erased_at = now()
    api.runtime.live.refresh()
    assert api("PUT", f"{MODEL}/aliases/other", {"version": 1}).status_code == 410
    assert api("POST", f"{MODEL}/versions/stable/predictions", QUESTION).status_code == 410
    assert api("GET", f"{MODEL}/versions/stable/weights").status_code == 410


def test_aliases_of_an_archived_model_are_gone(api: Api) -> None:
    with_versions(api, 1)
    api.ok("PUT", f"{MODEL}/aliases/stable", {"version": 1})
    assert answered(api, "stable") == 1
    api.ok("DELETE", MODEL)
    for path in ("aliases", "aliases/stable", "versions/stable"):
        assert api("GET", f"{MODEL}/{path}").status_code == 404
    assert api("POST", f"{MODEL}/versions/stable/predictions", QUESTION).status_code == 404


def test_a_name_is_looked_up_without_the_database(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with_versions(api, 2)
    api.ok("PUT", f"{MODEL}/aliases/stable", {"version": 1})
    names = ("stable", "live", "previous", "2")
    assert [answered(api, name) for name in names] == [1, 2, 1, 2]
    monkeypatch.setattr(api.runtime.database, "reading", lambda: pytest.fail("the database was read"))
    monkeypatch.setattr(api.runtime.database, "mark", lambda: api.runtime.live._followed)
    assert [answered(api, name) for name in names] == [1, 2, 1, 2]


def test_another_process_follows_names_at_its_next_look_or_when_it_does_not_know_one(api: Api) -> None:
    with_versions(api, 2)
    with closing(Runtime(api.runtime.settings)) as other:
        other.live.refresh()
        api.ok("PUT", f"{MODEL}/aliases/stable", {"version": 1})
        assert api.runner.run(other.live.fetch("digits", "stable")).number == 1
        api.ok("PUT", f"{MODEL}/aliases/stable", {"version": 2})
        other.live.refresh()
        assert api.runner.run(other.live.fetch("digits", "stable")).number == 2
