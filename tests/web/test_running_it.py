"""Pages for who runs a service: keys, limits, the audit."""

from __future__ import annotations

import re
from html import unescape

import pytest

from service.web.pages import ROUTES, audit
from tests.api.conftest import MakeApi
from tests.api.routes.test_disputes import opened
from tests.making import make_version
from tests.web.test_pages import HTML, KEY, Person


@pytest.fixture
def admin(make_api: MakeApi) -> Person:
    """Who signed in with the key of the service."""
    person = Person(make_api(key=KEY))
    person.sends("/sign-in", "/sign-in", key=KEY)
    return person


def test_a_key_is_made_with_scopes_and_models_and_its_secret_is_shown_once(admin: Person) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    for name in ("digits", "other"):
        admin.api.ok("POST", "/v1/models", {"name": name, "input": {"kind": "vector", "size": 3}}, headers=bearer)
    assert "No key was made yet." in admin.looks("/keys").text
    made = admin.sends(
        "/keys",
        "/keys",
        **{"name": "<i>till</i>", "scope-predict": "yes", "models": "digits, other t-*", "expires_at": "2099-01-31"},
        rate="2.5",
        bytes="10000000000",
        queued="3",
    )
    [secret] = re.findall(r"<code>(\S+)</code></pre>", made.text)
    assert "shown this once" in made.text
    [key] = admin.api.ok("GET", "/v1/keys", headers=bearer)["items"]
    assert (key["name"], key["scopes"], key["models"]) == ("<i>till</i>", ["predict"], ["digits", "other", "t-*"])
    assert (key["rate"], key["bytes"], key["queued"]) == (2.5, 10**10, 3)
    assert key["expires_at"].startswith("2099-01-31T00:00:00")
    listed = admin.looks("/keys").text
    assert secret not in listed
    assert "One key can be used now." in listed
    for share in (
        "at most 2.5 requests a second",
        "at most 10,000,000,000 bytes of batches",
        "at most 3 updates waiting",
        "other, t-*",
    ):
        assert share in listed
    assert "&lt;i&gt;till&lt;/i&gt;" in listed
    assert "<i>" not in made.text + listed
    assert admin.api("GET", "/v1/models", headers={"authorization": f"Bearer {secret}"}).status_code == 200


def test_the_first_key_of_a_service_that_asks_nobody_may_do_all_and_its_secret_is_shown(make_api: MakeApi) -> None:
    person = Person(make_api())
    page = person.looks("/keys").text
    assert "asks nobody for a key yet" in page
    assert re.search(r'value="yes" checked>\s<label for="scope-admin">', page)
    refused = person.sends("/keys", "/keys", **{"name": "till", "scope-predict": "yes"})
    assert refused.status_code == 422
    assert "nobody could make keys here any more" in refused.text
    assert person.api.ok("GET", "/v1/keys")["items"] == []
    made = person.sends("/keys", "/keys", **{"name": "me", "scope-admin": "yes"})
    [secret] = re.findall(r"<code>(\S+)</code></pre>", made.text)
    assert 'href="/sign-in"' in made.text
    assert person.looks("/keys").headers["location"] == "/sign-in?next=%2Fkeys"
    person.sends("/sign-in", "/sign-in", key=secret)
    assert "One key can be used now." in person.looks("/keys").text


def test_the_key_of_the_settings_makes_one_that_may_do_all_and_opens_nothing_after(admin: Person) -> None:
    made = admin.sends("/keys", "/keys", **{"name": "me", "scope-admin": "yes"})
    [secret] = re.findall(r"<code>(\S+)</code></pre>", made.text)
    assert "this browser needs a key that was made here" in made.text
    away = admin.looks("/keys").headers["location"]
    assert away == "/sign-in?next=%2Fkeys"
    assert "TSUIKA_KEY opens it as long as there is no key with the scope admin" in admin.looks(away).text
    assert admin.sends("/sign-in", away, key=secret).headers["location"] == "/keys"
    assert "this browser needs" not in admin.sends("/keys", "/keys", **{"name": "you", "scope-admin": "yes"}).text


def test_a_second_click_makes_no_second_key_and_shows_no_secret(admin: Person) -> None:
    shown = admin.looks("/keys").text
    hidden = {n: unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', shown)}
    form = {**hidden, "name": "till", "scope-predict": "yes"}
    first, second = (admin.api("POST", "/keys", data=form, headers=HTML) for _ in range(2))
    assert "shown this once" in first.text
    assert "was made before" in second.text
    assert "<pre" not in second.text
    assert "One key can be used now." in second.text


def test_a_key_that_cannot_be_made_is_answered_beside_its_fields(admin: Person) -> None:
    for field, sent in {
        "scopes": {"name": "till"},
        "models": {"name": "till", "scope-learn": "yes", "models": "NO!"},
        "expires_at": {"name": "till", "scope-learn": "yes", "expires_at": "tomorrow"},
        "rate": {"name": "till", "scope-learn": "yes", "rate": "1,5"},
        "bytes": {"name": "till", "scope-learn": "yes", "bytes": "1 GB"},
        "queued": {"name": "till", "scope-learn": "yes", "queued": "1.5"},
    }.items():
        refused = admin.sends("/keys", "/keys", **sent)
        assert refused.status_code == 422, field
        assert f'id="{field}-fault"' in refused.text
        assert 'value="till"' in refused.text
    assert "No key was made yet." in admin.looks("/keys").text


def test_a_key_is_revoked_on_a_page_that_says_what_changes(admin: Person) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    key = admin.api.ok("POST", "/v1/keys", {"name": "till", "scopes": ["predict"]}, headers=bearer)
    path = f"/keys/{key['id']}/revoke"
    assert f'href="{path}"' in admin.looks("/keys").text
    assert "is refused from now on" in admin.looks(path).text
    assert admin.sends(path, path).headers["location"] == "/keys"
    assert admin.api("GET", "/v1/models", headers={"authorization": f"Bearer {key['secret']}"}).status_code == 401
    assert ">revoked<" in admin.looks("/keys").text
    assert "opens nothing any more" in admin.looks(path).text
    assert admin.looks("/keys/none/revoke").status_code == 404


def test_who_may_not_see_keys_and_the_audit_gets_a_sentence(admin: Person) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    key = admin.api.ok("POST", "/v1/keys", {"name": "till", "scopes": ["predict"]}, headers=bearer)
    till = Person(admin.api)
    till.sends("/sign-out", "/")
    till.sends("/sign-in", "/sign-in", key=key["secret"])
    for path in ("/keys", "/audit"):
        refused = till.looks(path)
        assert (refused.status_code, 'role="alert"' in refused.text) == (403, True)
    assert till.looks("/limits").status_code == 200


@pytest.mark.long
def test_the_same_as_json_is_linked_and_is_read_by_who_is_signed_in(admin: Person) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    admin.api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=bearer)
    make_version(admin.api.runtime)
    dispute = opened(admin.api, bearer)
    [batch] = admin.api.ok("GET", "/v1/models/digits/batches", headers=bearer)["items"]
    key = admin.api.ok("POST", "/v1/keys", {"name": "till", "scopes": ["predict"]}, headers=bearer)
    filled = {"model": "digits", "version": "1", "dispute": dispute, "batch": batch["id"], "key": key["id"]}
    filled["update"] = admin.api.ok("GET", "/v1/models/digits/updates", headers=bearer)["items"][0]["id"]
    linked, docs = dict[str, list[str]](), admin.looks("/docs").text
    for route in ROUTES:
        if route.show is None or admin.looks(path := route.path.format(**filled)).status_code != 200:
            continue
        page = admin.looks(path).text
        linked[route.path] = [unescape(link) for link in re.findall(r'<a href="([^"]*)">JSON', page)]
        calls = re.findall(r'<a href="/docs#([^"]*)">as a call: ([^<]*)</a>', page)
        assert [call for _, call in calls] == [call.replace(":path}", "}") for call in route.calls], path
        assert linked[route.path], path
        assert all(f'id="{place}"' in docs for place, _ in calls)
        for link in linked[route.path]:
            assert admin.api("GET", link).status_code == 200, link
    at = f"/v1/models/digits/batches/{batch['id']}"
    assert linked["/models/{model}/batches/{batch}"] == [at, f"{at}/suspects?limit=100", f"{at}/rows?limit=20"]
    of = {
        "/new": "/v1/models",
        "/keys/{key}/revoke": f"/v1/keys/{key['id']}",
        "/updates/{update}/cancel": f"/v1/updates/{filled['update']}",
        "/models/{model}/versions/{version}/promote": "/v1/models/digits/versions/1",
        **dict.fromkeys((f"/models/{{model}}/{form}" for form in ("send", "predict")), "/v1/models/digits"),
        "/models/{model}/rollback": "/v1/models/digits/rollback",
        **dict.fromkeys((f"/models/{{model}}/batches/{{batch}}/{form}" for form in ("correct", "retract")), at),
    }
    assert {form: linked[form] for form in of} == {form: [same] for form, same in of.items()}
    assert linked["/models/{model}/disputes/{dispute}"] == [f"/v1/models/digits/disputes/{dispute}"]
    for at, same in (
        ("/audit?model=digits", "/v1/audit?model=digits"),
        ("/models/digits/lineage?before=2", "/v1/models/digits/lineage?before=2"),
        ("/models/digits/compare?before=1&after=2", "/v1/models/digits/versions/2"),
    ):
        assert same in [unescape(link) for link in re.findall('href="([^"]*)">JSON', admin.looks(at).text)]
    asked = admin.sends("/models/digits/predict", "/models/digits/predict", rows="[1,2,3]").text
    [same] = re.findall(r'<a href="([^"]*)">JSON', asked)
    assert admin.api.ok("GET", unescape(same))["predictions"][0]["class"] in asked
    for method, path in (("POST", "/v1/models"), ("DELETE", f"/v1/keys/{key['id']}")):
        assert admin.api(method, path).status_code == 401
    assert admin.api("GET", "/v1/models", headers={"authorization": "Bearer other"}).status_code == 401


def test_limits_are_those_of_the_service(admin: Person) -> None:
    page = unescape(admin.looks("/limits").text).replace("<code>", "`").replace("</code>", "`")
    limits = admin.api.ok("GET", "/v1/limits", headers={"authorization": f"Bearer {KEY}"})["items"]
    assert f"{len(limits)} limits" in page
    assert all(limit["bounds"] in page and limit["beyond"] in page for limit in limits)
    cells = re.findall(r'<td class="n">(.*?)</td>', page)
    assert cells.count("no limit") == sum(limit["value"] is None for limit in limits) > 0
    assert f"{2**31:,} bytes" in cells, "a limit is said in full"


def test_the_audit_is_paged_and_of_one_model(admin: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "ENTRIES", 3)
    bearer = {"authorization": f"Bearer {KEY}"}
    for name in ("digits", "other"):
        admin.api.ok("POST", "/v1/models", {"name": name, "input": {"kind": "vector", "size": 3}}, headers=bearer)
    for seed in range(2):
        make_version(admin.api.runtime, seed=seed)
    for n in range(4):
        order = {"version": 1 + n % 2, "reason": f"<b>{n}</b>"}
        admin.api.ok("POST", "/v1/models/digits/deployments", order, headers=bearer)
    page = admin.looks("/audit").text
    assert "&lt;b&gt;3&lt;/b&gt;" in page
    [older] = re.findall(r'href="(/audit\?cursor=[^"]+)"', page)
    assert "&lt;b&gt;0&lt;/b&gt;" in admin.looks(unescape(older)).text
    rows = {"inputs": [[1, 2, 3]], "labels": ["z"], "new_classes": "allow"}
    admin.api.ok("POST", "/v1/models/digits/batches", rows, headers=bearer)
    assert ">1 row<" in admin.looks("/audit").text.replace('<bdi lang="">', "")
    assert ">1 行<" in admin.looks("/audit?lang=ja").text
    assert "1 個のクラス" in admin.looks("/audit?lang=ja").text
    of_other = admin.looks("/audit?model=other").text
    assert "&lt;b&gt;" not in of_other
    assert 'value="other"' in of_other
    unknown = admin.looks("/audit?model=nobody")
    assert (unknown.status_code, 'id="model-fault"' in unknown.text) == (422, True)


def test_a_change_leads_to_what_it_is_of_where_that_is_there(admin: Person) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    for name in ("digits", "other"):
        admin.api.ok("POST", "/v1/models", {"name": name, "input": {"kind": "vector", "size": 3}}, headers=bearer)
    for seed in range(2):
        make_version(admin.api.runtime, seed=seed)
    admin.api.ok("POST", "/v1/models/digits/classes", {"names": ["a", "b"]}, headers=bearer)
    admin.api.ok("POST", "/v1/models/digits/deployments", {"version": 1}, headers=bearer)
    dispute = opened(admin.api, bearer)
    opened_by = admin.api.ok("GET", f"/v1/models/digits/disputes/{dispute}", headers=bearer)
    [batch] = opened_by["batches"]
    admin.api.ok("DELETE", "/v1/models/other", headers=bearer)
    page = admin.looks("/audit").text
    links = {f"/models/digits/{at}" for at in (f"batches/{batch}", f"disputes/{dispute}", "versions/1")}
    links |= {f"/updates/{opened_by['update']}", "/models/digits"}
    found = set(re.findall(r'href="([^"]+)"', page.partition("<table")[2].partition("</table")[0]))
    assert found >= links
    assert all(admin.looks(link).status_code == 200 for link in found)
    assert "/models/other" not in found
    assert ">other<" in page, "it is named all the same"
    assert '<a href="/models/digits/versions/1">version 1</a>' in page, "who hears links alone is told of what"
