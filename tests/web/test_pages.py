"""Pages through the door, as a browser asks for them."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.api.application import Application
from service.cli.verdicts import figure
from service.contract.reports.class_report import ClassScore, Confusion, Score
from service.contract.reports.number_report import NumberReport
from service.contract.resources import Progress, Update
from service.errors import NotWritable
from service.learning.data.target_grid import NumberGrid
from service.registry import models
from service.registry.sql.tables import Batch, Version
from service.registry.sql.tables import Update as Row
from service.server import dispatch
from service.web.addresses import ROOTS, is_page
from service.web.frame import POLICY
from service.web.kinds.class_kind import matrix
from service.web.pages import ROUTES
from service.web.pages.sign_in import OURS
from service.web.pages.update import seconds_left
from service.web.words import Words
from tests.acceptance.service import until
from tests.api.conftest import Api, MakeApi
from tests.client.test_result import REPORT
from tests.making import keep_version, make_number_model, make_version, number_checkpoint
from tests.registry.facts import batch, version

HTML = {"accept": "text/html,application/xhtml+xml"}
KEY = "the-key-of-this-test"


class Person:
    """Who looks at pages, with the cookies of a browser."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def looks(self, path: str, **headers: str) -> httpx.Response:
        return self.api("GET", path, headers={**HTML, **headers})

    def sends(self, path: str, page: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        """Sends the form for `path` that stands on a page, with these fields filled in."""
        shown = self.looks(page).text
        [form] = [f for f in re.findall(r"<form.*?</form>", shown, re.S) if f'action="{path}"' in f]
        hidden = {
            unescape(n): unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)
        }
        return self.api("POST", path, data={**hidden, **fields}, headers={**HTML, **(headers or {})})


@pytest.fixture
def person(api: Api) -> Person:
    return Person(api)


def test_every_page_lies_beneath_a_root_that_the_server_knows() -> None:
    assert {route.path[1:].partition("/")[0] for route in ROUTES} | {"static"} == ROOTS
    for path in ("/v1/models", "/v2", "/metrics", "/openapi.json", "/version", "/nowhere", "/v1"):
        assert not is_page(path)


def test_the_page_of_all_calls_is_prepared_once_a_page_is_asked_for(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "QUIET_SECONDS", 0.0)
    person.api.ok("GET", "/v1/models")
    assert "written_description" not in vars(person.api.door.app)
    person.looks("/")

    def written() -> bool:
        person.api.runner.run(asyncio.sleep(0.01))  # timers are looked at while its event loop runs
        return "written_description" in vars(person.api.door.app)

    until(written)  # what the page of all calls is made of


def test_a_page_does_not_wait_for_what_the_page_of_all_calls_needs(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "QUIET_SECONDS", 3600.0)  # nobody looks at the next page so late
    person.looks("/")
    first = person.api.door._then
    person.looks("/")
    assert first is not None
    assert first.cancelled()
    assert "written_description" not in vars(person.api.door.app)


def test_who_stops_the_service_does_not_wait_for_the_page_of_all_calls(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def write(_: object) -> bytes:
        begun.set()
        may_end.wait(60.0)
        return b""

    monkeypatch.setattr(Application, "written_description", property(write))
    loop, door = person.api.runner.get_loop(), person.api.door
    door._write_description()
    assert begun.wait(60.0)
    loop.run_until_complete(asyncio.wait_for(loop.shutdown_default_executor(), 30.0))
    assert not may_end.is_set()
    may_end.set()
    monkeypatch.setattr(door.context.health, "stopping", True)
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Thread", None)
        door._write_description()


def test_the_first_page_says_how_to_begin(make_api: MakeApi) -> None:
    page = Person(make_api()).looks("/")
    assert page.status_code == 200
    assert "There is no model here yet." in page.text
    assert "tsuika demo --keep" in page.text
    assert "tsuika init wine wine.csv\ntsuika push wine wine.csv" in page.text
    assert page.headers["content-security-policy"] == POLICY
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_the_first_page_lists_models_with_what_is_live(person: Person) -> None:
    assert "Nothing is live yet." in person.looks("/").text
    make_version(person.api.runtime)
    page = person.looks("/").text
    assert "One model is here. No version waits for your decision." in page
    assert "Version 1 is live. Nothing is measured of it yet." in page
    assert '<a href="/models/digits">digits</a>' in page
    assert '<a href="/v1/models">JSON</a>' in page


def test_versions_that_wait_are_on_the_first_page_and_on_that_of_the_model(person: Person) -> None:
    sent = {"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "allow"}
    batch = person.api.ok("POST", "/v1/models/digits/batches", sent)["id"]
    make_version(person.api.runtime)
    make_version(person.api.runtime, learned=[batch], seed=1, promote=False)
    assert "One has a version that waits for your decision." in person.looks("/").text
    page = person.looks("/models/digits").text
    assert "Version 2 waits for your decision." in page
    order = (
        '<dl class="facts">',
        "What waits for you",
        "/models/digits/send",
        '<h2 id="versions">',
        "What was live when",
    )
    assert [page.index(part) for part in order] == sorted(page.index(part) for part in order)
    assert '<a href="/v1/models/digits">JSON</a>' in page


def test_a_held_version_whose_batch_is_in_the_live_one_waits_for_nobody(person: Person) -> None:
    sent = {"labels": ["a"], "new_classes": "allow"}
    bodies = ({**sent, "inputs": [[k, 2, 3]]} for k in range(2))
    first, second = (person.api.ok("POST", "/v1/models/digits/batches", body)["id"] for body in bodies)
    make_version(person.api.runtime)
    for seed, learned in ((1, [first]), (2, [first]), (3, [first, second])):
        make_version(person.api.runtime, learned=learned, seed=seed, promote=False)

    def nodes() -> dict[int, tuple[bool, bool]]:
        made = person.api.ok("GET", "/v1/models/digits/lineage")["versions"]
        return {node["number"]: (node["waits"], node["in_live"]) for node in made}

    assert nodes() == {1: (False, False), **dict.fromkeys((2, 3, 4), (True, False))}
    assert "Versions 4, 3 and 2 wait for your decision." in person.looks("/").text
    person.api.ok("POST", "/v1/models/digits/deployments", {"version": 2, "reason": "looked at it"})
    assert nodes() == {1: (False, False), 2: (False, False), 3: (False, True), 4: (True, False)}
    assert "Version 4 waits for your decision." in person.looks("/").text
    page = person.looks("/models/digits/versions/3").text
    assert "What it brought is in version 2, which is live" in page
    assert "What to do next" not in page
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [second], "reason": "not wanted"})
    assert nodes()[4] == (False, False)  # one that learned what was taken back may not go live


def test_held_versions_that_another_one_overtook_are_told_and_no_act_of_theirs_comes_first(person: Person) -> None:
    bodies = ({"inputs": [[k, 2, 3]], "labels": ["a"], "new_classes": "allow"} for k in range(3))
    batches = [person.api.ok("POST", "/v1/models/digits/batches", body)["id"] for body in bodies]
    make_version(person.api.runtime)
    for seed, brought in enumerate(batches[:2], 1):
        make_version(person.api.runtime, learned=[brought], seed=seed, promote=False)
    assert "overtaken" not in person.looks("/models/digits").text + person.looks("/").text
    make_version(person.api.runtime, learned=batches[2:], seed=3)
    said = "2 held versions were overtaken: another went live since they were made. Their pages say what can be done."
    first, page = person.looks("/").text, person.looks("/models/digits").text
    assert "No version waits for your decision." in first
    assert said in first
    assert said in page
    assert "What waits for you" not in page
    assert [page.count(f'<a href="/models/digits/versions/{n}">Look at version {n}</a>') for n in (2, 3)] == [1, 1]
    person.api.ok("POST", "/v1/models/digits/rollback", {"reason": "worse"})
    assert "Versions 3 and 2 wait for your decision." in person.looks("/").text
    assert "overtaken" not in person.looks("/models/digits").text


def test_a_model_without_versions_has_a_page(person: Person) -> None:
    page = person.looks("/models/digits").text
    assert "It has no version yet." in page


def test_an_update_that_waits_is_loaded_again_until_it_has_ended(person: Person) -> None:
    sent = {"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "allow"}
    update = person.api.ok("POST", "/v1/models/digits/updates", sent)["id"]
    page = person.looks(f"/updates/{update}").text
    assert "It waits for its turn." in page
    assert '<script src="/static/htmx.min.js?' in page
    assert 'hx-trigger="every 1s, ' in page
    assert "An update is queued." in person.looks("/models/digits").text
    first = person.looks("/").text
    assert "One update waits for its turn." in first
    assert "It learns now" not in first
    falls = {"phase": "training", "done": 2, "total": 9, "losses": [{"epoch": 2, "training": 0.213, "kept_back": None}]}
    with person.api.runtime.database.writing() as session:
        session.get_one(Row, update).progress = falls
    page = person.looks(f"/updates/{update}").text
    assert "training 0.213" in page
    assert '<td class="n">0.213</td><td class="n">–</td>' in page
    with person.api.runtime.database.writing() as session:
        session.get_one(Row, update).progress = {"phase": "solving", "done": 2, "total": 9}
    assert "How the loss falls" not in person.looks(f"/updates/{update}").text
    for progress, shown in (
        (None, "Its first figures come"),
        ({"phase": "judging", "done": 0, "total": 1}, "Judging."),
    ):
        with person.api.runtime.database.writing() as session:
            row = session.get_one(Row, update)
            row.state, row.progress = "running", progress
        page = person.looks(f"/updates/{update}").text
        assert shown in page
        assert '<progress aria-label="It is running."></progress>' in page, "nothing of it can be counted"
    with person.api.runtime.database.writing() as session:
        session.get_one(Row, update).state = "queued"
    person.api.ok("POST", f"/v1/updates/{update}/cancel")
    ended = person.looks(f"/updates/{update}").text
    assert "It was cancelled." in ended
    assert "htmx" not in ended
    assert "hx-" not in ended


def test_an_update_that_failed_says_why_and_is_found_however_old(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.pages.update.UPDATES_A_PAGE", 2)
    sent = {"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "allow"}
    update = person.api.ok("POST", "/v1/models/digits/updates", sent)["id"]
    with person.api.runtime.database.writing() as session:
        row = session.get_one(Row, update)
        row.state, row.error = "failed", {"title": "Training diverged", "detail": "<b>nan</b> in epoch 2"}
    page = person.looks(f"/updates/{update}").text
    assert "Training left the finite numbers" in page
    assert "&lt;b&gt;nan&lt;/b&gt; in epoch 2" in page
    assert f'action="/updates/{update}/retry"' in page
    assert "Training left the finite numbers" in person.looks("/models/digits").text
    first = person.looks("/").text
    assert "The latest update failed." in first
    assert f'href="/updates/{update}"' in first
    for n in range(2):
        person.api.ok("POST", "/v1/models/digits/updates", {**sent, "inputs": [[n, n, n]]})
    assert "The latest update failed." not in person.looks("/").text, "others were ordered since"
    first = person.looks("/models/digits/updates").text
    assert update not in first
    [older] = re.findall(r'href="(/models/digits/updates\?cursor=[^"]+)"', first)
    assert f'href="/updates/{update}"' in person.looks(unescape(older)).text


def test_an_update_leads_to_its_version_beside_the_one_before(person: Person) -> None:
    for seed in (1, 2):
        make_version(person.api.runtime, seed=seed)
    update = person.api.ok("POST", "/v1/models/digits/updates", {"inputs": [[1, 2, 3]], "labels": ["a"]})["id"]
    with person.api.runtime.database.writing() as session:
        first, second = session.scalars(select(Version).order_by(Version.number))
        row = session.get_one(Row, update)
        row.state, row.verdict, row.base_version_id, row.version_id = "succeeded", "promoted", first.id, second.id
    page = person.looks(f"/updates/{update}").text
    [compared] = re.findall(r'href="(/models/digits/compare[^"]+)">Compare version 1 with version 2<', page)
    assert person.looks(unescape(compared)).status_code == 200


def test_the_time_that_is_left_is_told_while_it_trains() -> None:
    began = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
    facts = {"state": "running", "started_at": began, "progress": {"phase": "training", "done": 25, "total": 100}}
    update = Update.model_construct(**{**facts, "progress": Progress(phase="training", done=25, total=100)})
    assert seconds_left(update, began + timedelta(seconds=9.9)) == 30
    reading = Update.model_construct(**{**facts, "progress": Progress(phase="reading", done=1, total=2)})
    assert seconds_left(reading, began + timedelta(seconds=10)) is None


def test_a_matrix_has_all_rows_of_each_class_and_is_left_out_where_it_cannot_be_read() -> None:
    of = {"3": ClassScore(accuracy=0.75, rows=4), "8": ClassScore(accuracy=1.0, rows=2)}
    wrong = Confusion(class_="3", answer="8", rows=1)
    score = Score(accuracy=5 / 6, balanced_accuracy=0.875, rows=6, classes=of, confusions=[wrong])
    drawn = matrix(score)
    assert drawn.answers == ["3", "8"]
    assert [[(cell.rows, cell.level, cell.right) for cell in cells] for _, cells in drawn.classes] == [
        [(3, 4, True), (1, 2, False)],
        [(0, 0, False), (2, 5, True)],
    ]
    assert matrix(score.model_copy(update={"confusions": []})) is None
    assert matrix(score.model_copy(update={"confusions": [wrong] * 100})) is None
    assert matrix(score.model_copy(update={"classes": {str(k): of["3"] for k in range(21)}})) is None


def test_a_page_is_in_the_language_that_was_chosen_and_stays_so(person: Person) -> None:
    assert '<html lang="en">' in person.looks("/").text
    chosen = person.looks("/?lang=ja")
    assert '<html lang="ja">' in chosen.text
    assert chosen.headers["content-language"] == "ja"
    assert "モデルは 1 個あります。" in person.looks("/").text
    assert "更新として送る" in person.looks("/models/digits").text
    make_version(person.api.runtime)
    moves = person.looks("/models/digits").text.partition("公開の履歴")[2]
    assert re.search('審査：<a href="/models/digits/versions/1">', moves), "the gate's own sentence is English"


def test_a_rollback_says_what_changes_and_is_done_once(person: Person) -> None:
    rows = ({"inputs": [[n, n, n]], "labels": ["a"], "new_classes": "allow"} for n in range(2))
    batches = [person.api.ok("POST", "/v1/models/digits/batches", sent)["id"] for sent in rows]
    make_version(person.api.runtime, learned=batches[:1])
    make_version(person.api.runtime, seed=1, learned=batches)
    asked = person.looks("/models/digits/rollback").text
    assert "version 1 answers. One row that version 1 has not learned stays and waits." in asked
    hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', asked))
    form = {**hidden, "reason": "<script>alert(1)</script>"}
    for _ in range(2):
        moved = person.api("POST", "/models/digits/rollback", data=form)
        assert (moved.status_code, moved.headers["location"]) == (303, "/models/digits")
    moves = person.api.ok("GET", "/v1/models/digits/deployments")["items"]
    assert [move["kind"] for move in moves] == ["rollback", "promote", "promote"]
    page = person.looks("/models/digits").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "It went back to version 1." in page
    assert "/models/digits/rollback" not in page
    assert "There is no version before this one to go back to." in page
    assert "anonymous" not in page.lower()


def test_a_model_answers_the_classes_of_its_live_version(person: Person) -> None:
    planned = {"name": "planned", "input": {"kind": "vector", "size": 2}, "classes": ["a", "b"]}
    person.api.ok("POST", "/v1/models", planned)
    assert "It knows of 2 classes." in person.looks("/models/planned").text
    make_version(person.api.runtime, classes=["a", "b"])
    make_version(person.api.runtime, classes=["a", "b", "c"], seed=1)
    assert "It answers 3 classes." in person.looks("/models/digits").text
    person.api.ok("POST", "/v1/models/digits/rollback", {"reason": "worse"})
    assert "It answers 2 classes." in person.looks("/models/digits").text


def test_a_rollback_to_an_erased_version_is_not_offered(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    with person.api.runtime.database.writing() as session:
        session.query(Version).filter_by(number=1).one().erased_at = 1.0
    asked = person.looks("/models/digits/rollback").text
    assert "No version before this one may answer. Version 1, which was live before, was erased on request." in asked
    assert "keep_versions" not in asked
    assert 'action="/models/digits/rollback"' not in asked


def test_a_rollback_to_the_live_version_is_not_offered(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    person.api.ok("POST", "/v1/models/digits/deployments", {"version": 1})
    with person.api.runtime.database.writing() as session:
        session.query(Version).filter_by(number=2).one().erased_at = 1.0
    asked = person.looks("/models/digits/rollback").text
    assert "No version before this one may answer. Version 2, which was live before, was erased on request." in asked


def test_a_rollback_passes_over_a_version_that_learned_what_was_taken_back(person: Person) -> None:
    rows = ({"inputs": [[n, n, n]], "labels": ["a"], "new_classes": "allow"} for n in range(2))
    kept, gone = [person.api.ok("POST", "/v1/models/digits/batches", sent)["id"] for sent in rows]
    for seed, learned in enumerate(([kept], [kept, gone], [kept])):
        make_version(person.api.runtime, seed=seed, learned=learned)
    with person.api.runtime.database.writing() as session:
        session.query(Batch).filter_by(id=gone).one().retracted_at = 1.0
    asked = person.looks("/models/digits/rollback").text
    said = "Version 2, which was live before, has learned rows that were corrected or taken back. It is passed over."
    assert said in asked
    assert "erased" not in asked
    assert "Version 3 stops answering now, and version 1 answers." in asked
    hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', asked))
    assert person.api("POST", "/models/digits/rollback", data={**hidden, "reason": ""}).status_code == 303
    assert person.api.ok("GET", "/v1/models/digits")["live_version"] == 1


def test_a_page_of_many_models_does_not_say_how_many_there_are(person: Person) -> None:
    for n in range(20):
        person.api.ok("POST", "/v1/models", {"name": f"m{n}", "input": {"kind": "vector", "size": 3}})
    first = person.looks("/").text
    assert "20 models of more are on this page." in first
    assert "No version waits for your decision" not in first
    following = person.looks(re.findall(r'href="(/\?cursor=[^"]*)"', first)[0]).text
    assert "One model of several is on this page." in following


def test_a_form_that_is_too_old_is_answered_beside_itself(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    refused = person.sends("/models/digits/rollback", "/models/digits/rollback", if_live="1", reason="late")
    assert refused.status_code == 409
    assert 'role="alert"' in refused.text
    assert 'value="late"' in refused.text
    wrong = person.sends("/models/digits/rollback", "/models/digits/rollback", reason="x" * 2001)
    assert wrong.status_code == 422
    assert 'id="reason-fault"' in wrong.text
    assert person.sends("/models/digits/rollback", "/models/digits/rollback", if_live="9" * 5000).status_code == 422
    assert len(person.api.ok("GET", "/v1/models/digits/deployments")["items"]) == 2


def test_a_model_that_is_not_there_is_told_as_the_api_tells_it(person: Person) -> None:
    for name, shown in (("nobody", "nobody"), ("%3Cb%3E", "&lt;b&gt;")):
        page = person.looks(f"/models/{name}")
        assert page.status_code == 404
        assert f"There is no model &#34;{shown}&#34;." in page.text


def test_a_form_that_is_not_ours_changes_nothing(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    for changes in ({"token": "x" * 32}, {"token": ""}):
        assert person.sends("/models/digits/rollback", "/models/digits/rollback", None, **changes).status_code == 403
    for headers in ({"origin": "http://localhost:3000"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        foreign = person.sends("/models/digits/rollback", "/models/digits/rollback", headers)
        assert foreign.status_code == 403
        assert "did not come from a page of this browser" in foreign.text
    assert len(person.api.ok("GET", "/v1/models/digits/deployments")["items"]) == 2


@pytest.fixture
def shut(make_api: MakeApi) -> Person:
    """At a service that asks for a key."""
    return Person(make_api(key=KEY))


def test_a_service_with_keys_asks_to_sign_in_and_comes_back(shut: Person) -> None:
    away = shut.looks("/models/digits")
    assert (away.status_code, away.headers["location"]) == (303, "/sign-in?next=%2Fmodels%2Fdigits")
    page = away.headers["location"]
    wrong = shut.sends("/sign-in", page, key="wrong")
    assert wrong.status_code == 401
    assert "This key does not open the service" in wrong.text
    assert 'aria-describedby="key-fault"' in wrong.text
    good = shut.sends("/sign-in", page, key=f" {KEY} ")
    assert (good.status_code, good.headers["location"]) == (303, "/models/digits")
    [cookie] = [c for c in good.headers.get_list("set-cookie") if c.startswith("tsuika_key")]
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert shut.looks("/").status_code == 200
    assert shut.looks("/sign-in").headers["location"] == "/"
    out = shut.sends("/sign-out", "/")
    assert out.headers["location"] == "/sign-in"
    assert shut.looks("/").status_code == 303


def test_signing_in_leads_to_no_other_site(shut: Person) -> None:
    assert shut.sends("/sign-in", "/sign-in", key=KEY, next="//evil.example").headers["location"] == "/"
    for other in ("https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a b", "/a\nb", ""):
        assert OURS.fullmatch(other) is None, other
    assert OURS.fullmatch("/models/digits?lang=ja")


def test_a_service_without_keys_asks_nobody_to_sign_in(person: Person) -> None:
    assert person.looks("/sign-in").headers["location"] == "/"
    assert "/sign-out" not in person.looks("/").text


def test_who_may_not_read_what_waits_is_not_told_that_nothing_does(shut: Person) -> None:
    admin: dict[str, Any] = {"headers": {"authorization": f"Bearer {KEY}"}}
    shut.api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, **admin)
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "allow"}
    shut.api.ok("POST", "/v1/models/digits/batches", rows, **admin)
    made = shut.api.ok("POST", "/v1/keys", {"name": "app", "scopes": ["predict"]}, **admin)
    for key, told in ((KEY, True), (made["secret"], False)):
        shut.sends("/sign-in", "/sign-in", key=key)
        assert ("No version waits for your decision." in shut.looks("/").text) is told
        shut.sends("/sign-out", "/")


def test_a_page_shows_what_the_key_may_see(shut: Person) -> None:
    admin: dict[str, Any] = {"headers": {"authorization": f"Bearer {KEY}"}}
    for name in ("digits", "secret"):
        shut.api.ok("POST", "/v1/models", {"name": name, "input": {"kind": "vector", "size": 3}}, **admin)
        make_version(shut.api.runtime, name)
    till = {"name": "till", "scopes": ["predict"], "models": ["digits"], "bytes": 2**53, "queued": 20}
    made = shut.api.ok("POST", "/v1/keys", till, **admin)
    shut.sends("/sign-in", "/sign-in", key=KEY)
    assert (
        "predict · at most 9,007,199,254,740,992 bytes of batches · at most 20 updates waiting"
        in shut.looks("/keys").text
    )
    shut.api.http.cookies.clear()
    shut.sends("/sign-in", "/sign-in", key=made["secret"])
    listed = shut.looks("/").text
    assert "digits" in listed
    assert "secret" not in listed
    page = shut.looks("/models/digits")
    assert page.status_code == 200
    assert "may not read what came of updates" in page.text
    assert shut.looks("/models/secret").status_code == 404
    assert shut.looks("/models/secret").text.count("secret") == shut.looks("/models/others").text.count("others")


def test_what_is_no_page_is_a_page_for_browsers_and_a_problem_for_programs(person: Person) -> None:
    page = person.looks("/models/digits/nothing/here")
    assert (page.status_code, "There is no such page" in page.text) == (404, True)
    for method, path in (("POST", "/models/digits"), ("GET", "/static/../site.py"), ("GET", "/models"), ("PUT", "/")):
        refused = person.api(method, path)
        assert (refused.status_code, refused.headers["content-type"]) == (404, "application/problem+json")
    missing = person.looks("/models/nobody")
    assert (missing.status_code, 'role="alert"' in missing.text) == (404, True)
    assert person.api("HEAD", "/").status_code == 200


@pytest.mark.parametrize("path", ["/dashboard", "/v1/mdels", "/swagger/ui", "/v2x"])
def test_an_address_without_anything_is_a_page_with_ways_on_for_a_browser_and_a_problem_for_programs(
    person: Person, path: str
) -> None:
    page = person.looks(path)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in page.text
    assert 'class="button primary" href="/"' in page.text
    assert 'class="button" href="/docs"' in page.text
    assert person.api("GET", path).headers["content-type"] == "application/problem+json"


def test_an_address_that_other_servers_have_is_told_to_a_browser_as_to_a_program(person: Person) -> None:
    path = "/v1/models/digits/predict"
    told, page = person.api("GET", path).json()["detail"], person.looks(path)
    assert "POST /v1/models/digits/predictions" in told
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert told in unescape(page.text)


def test_a_browser_reads_what_is_no_page_as_it_is(person: Person) -> None:
    for path in ("/v1/models", "/openapi.json", "/metrics", "/version", "/v2", "/v1/models/nobody"):
        assert not person.looks(path).headers["content-type"].startswith("text/html"), path
    refused = person.api("POST", "/dashboard", headers={**HTML, "content-type": "application/json"}, content=b"{}")
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_form_that_cannot_be_read_is_answered_by_a_page(person: Person) -> None:
    headers = {**HTML, "accept-language": "ja"}
    for content, more, status, sentence in (
        (b"a" * (1024 * 1024 + 1), {}, 413, "大きすぎるため"),
        (b"%ff=%ff", {}, 422, "このままでは受け付けられません"),
        (b"&".join(b"a%d=1" % k for k in range(1001)), {}, 422, "このままでは受け付けられません"),
        (b"nothing", {"content-type": "multipart/form-data; boundary=x"}, 422, "このままでは受け付けられません"),
    ):
        page = person.api("POST", "/models/digits/send", content=content, headers={**headers, **more})
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert sentence in page.text
        assert page.headers["content-security-policy"] == POLICY


def test_what_is_away_is_said_with_what_goes_on_and_what_waits(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    health = person.api.door.context.health
    monkeypatch.setattr(health, "storage", lambda: "<b>It was moved.</b>")
    monkeypatch.setattr(health, "troubles", lambda: {"digits": "It is damaged."})
    page = person.looks("/").text
    assert "Nothing can be stored now: what you send has to wait. What is live goes on answering." in page
    assert "&lt;b&gt;It was moved.&lt;/b&gt;" in page
    assert "The live version of digits cannot be loaded." in page
    monkeypatch.setattr(health, "stopping", True)
    assert person.looks("/").status_code == 200

    def away(*_: object, **_more: object) -> None:
        raise NotWritable("The database cannot be reached: nothing was stored. Try again in a moment.")

    hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', person.looks("/keys").text))
    monkeypatch.setattr(type(person.api.runtime.database), "reading", away)
    refused = person.looks("/models/digits")
    assert refused.status_code == 503
    assert "What is live goes on answering; what you send has to wait." in refused.text
    assert '<meta http-equiv="refresh" content="5">' in refused.text
    sent = person.api("POST", "/models/digits/learn", data=hidden, headers=HTML)
    assert sent.status_code == 503
    assert "http-equiv" not in sent.text, "a form is not sent again by itself"


def test_another_language_keeps_what_the_page_shows(person: Person) -> None:
    assert 'href="?before=2&amp;x=%3Cb%3E&amp;lang=ja"' in person.looks("/?before=2&x=<b>&lang=en").text


def test_the_interface_is_a_page(shut: Person) -> None:
    page = shut.looks("/docs?lang=ja")
    assert page.status_code == 200
    assert "/v1/models/{model}/rollback" in page.text
    assert "<script" not in page.text
    assert page.headers["content-security-policy"] == POLICY
    assert "プログラムから使える" in page.text
    assert "<summary>本文（JSON）</summary>" in page.text
    assert "<b>promotion</b> <code>&#34;auto&#34; or &#34;manual&#34;</code>" in page.text
    assert "<b>names</b> (必須) <code>list of string</code>" in page.text


def test_a_form_that_is_sent_with_other_content_is_no_second_click(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    hidden = dict(
        re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', person.looks("/models/digits/rollback").text)
    )
    first, other = (
        person.api("POST", "/models/digits/rollback", data={**hidden, "reason": reason}, headers=HTML)
        for reason in ("one", "other")
    )
    assert (first.status_code, other.status_code) == (303, 409)
    assert "Another version went live since this page was loaded." in other.text


def test_a_page_counts_as_one_request_of_a_key_and_too_many_are_told_to_wait(shut: Person) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    shut.api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=bearer)
    make_version(shut.api.runtime)
    for rate, status in ((2, 200), (0.001, 429)):  # to sign in counts, too
        order = {"name": "till", "scopes": ["predict", "learn", "promote"], "rate": rate}
        made = shut.api.ok("POST", "/v1/keys", order, headers=bearer)
        shut.api.http.cookies.clear()
        assert shut.sends("/sign-in", "/sign-in", key=made["secret"]).status_code == 303
        page = shut.looks("/models/digits")
        assert page.status_code == status
        assert ("More was asked at once than this key may ask." in page.text) == (status == 429)
        assert ("retry-after" in page.headers) == (status == 429)


def test_a_key_that_ends_while_a_page_is_open_leads_back_to_that_page(shut: Person) -> None:
    make_bearer = {"authorization": f"Bearer {KEY}"}
    shut.api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=make_bearer)
    make_version(shut.api.runtime)
    make_version(shut.api.runtime, seed=1)
    made = shut.api.ok("POST", "/v1/keys", {"name": "till", "scopes": ["promote"]}, headers=make_bearer)
    shut.sends("/sign-in", "/sign-in", key=made["secret"])
    page = "/models/digits/rollback"
    hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', shut.looks(page).text))
    assert shut.api("DELETE", f"/v1/keys/{made['id']}", headers=make_bearer).status_code == 204
    for away in (shut.looks(f"{page}?a=1"), shut.api("POST", page, data=hidden, headers=HTML)):
        assert away.status_code == 303
        assert away.headers["location"].startswith("/sign-in?next=%2Fmodels%2Fdigits%2Frollback")
        assert "This key does not open the service" in shut.looks(away.headers["location"]).text
    assert len(shut.api.ok("GET", "/v1/models/digits/deployments", headers=make_bearer)["items"]) == 2


def test_the_stylesheet_and_the_icon_come_from_here(person: Person) -> None:
    for name in re.findall(r'"/static/([^"]+)"', person.looks("/").text):
        assert person.api("GET", f"/static/{name}").status_code == 200
    assert "http" not in person.api("GET", "/static/style.css").text


def test_a_browser_keeps_files_of_pages_by_their_content_and_nothing_else(person: Person) -> None:
    loads = re.findall(r'"(/static/[^"]+)"', person.looks("/models/digits/predict").text)
    assert {path.partition("?")[0] for path in loads} >= {"/static/style.css", "/static/icon.svg"}
    for path in loads:
        assert person.api("GET", path).headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/static/style.css", "/static/style.css?0123456789abcdef", "/"):
        assert "cache-control" not in person.api("GET", path, headers={"Accept": "text/html"}).headers


def test_a_page_by_a_host_name_that_is_not_served_shows_nothing(person: Person) -> None:
    assert person.looks("/", host="evil.example").status_code == 403


def test_what_a_page_asks_is_one_request_in_the_log_and_the_audit(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    named = {"x-request-id": "from-the-page"}
    assert person.sends("/models/digits/rollback", "/models/digits/rollback", named).status_code == 303
    [entry] = person.api.ok("GET", "/v1/audit", params={"limit": 1})["items"]
    assert (entry["action"], entry["request_id"]) == ("version.rolled_back", "from-the-page")


MANY = 3_000


@pytest.mark.long
def test_pages_of_very_many_classes_and_versions_stay_short(person: Person) -> None:
    names = [f"{n} {'long ' * 10}".strip() for n in range(MANY)]
    of = {name: ClassScore(accuracy=0.9, rows=20) for name in names}
    score = Score(accuracy=0.9, balanced_accuracy=0.9, rows=20 * MANY, classes=of).model_dump(mode="json")
    report = {**REPORT, "before": score, "after": score}
    for _ in range(2):
        number = make_version(person.api.runtime, classes=names)
        with person.api.runtime.database.writing() as session:
            session.scalars(select(Version).where(Version.number == number)).one().report = report
    for place in ("", "/versions/2", "/compare", "/predict", "/lineage", "/send"):
        page = person.looks(f"/models/digits{place}")
        assert page.status_code == 200
        assert len(page.content) < 150_000, place
    assert "and 2,900 more classes" in person.looks("/models/digits/versions/2").text


def number_report(mae: float, before: float | None = None, **members: Any) -> dict[str, Any]:
    def errors(size: float) -> dict[str, Any]:
        return {"mae": size, "rmse": size, "r2": None, "median_error": size, "bias": 0.0, "rows": 300}

    empty = dict.fromkeys(("tested", "skill", "before", "rise", "old_classes", "new_classes", "interference"))
    report = {**REPORT, **empty, "worst_class": None, "negative_flips": None, "batch": {}, "after": errors(mae)}
    return {**report, **({"before": errors(before)} if before is not None else {}), **members}


def test_what_the_yardstick_of_a_column_is_can_be_read_by_whoever_never_heard_of_it(person: Person) -> None:
    grid = NumberGrid(names=["price"], offset=[0.0], step=[1.0])
    make_number_model(person.api.runtime, "prices", grid)
    keep_version(person.api.runtime, "prices", number_checkpoint(grid, seed=1))
    tested = {"mae": 3.0, "rmse": 4.0, "r2": None, "coverage": None, "rows": 300, "batches": 1}
    report = number_report(3.0, 3.0, rise=0.0, rise_interval=(-0.1, 0.1), tested=tested, forgetting=None)
    report |= {"skill": 0.6, "yardsticks": {"column": {"mae": 7.5, "rmse": 9.0}}}
    with person.api.runtime.database.writing() as session:
        session.scalars(select(Version).where(Version.number == 1)).one().report = report
    said = "Learning nothing, and taking the value of one column (the yardstick) as the answer, is off by 7.50."
    for path in ("/", "/models/prices", "/models/prices/versions/1"):
        assert said in person.looks(path).text
    japanese = person.looks("/?lang=ja").text
    assert "何も学習せず、列のひとつ（比較の基準）の値をそのまま答えた場合の誤差は 7.50 です。" in japanese


def test_a_batch_that_was_stopped_says_nothing_of_the_version_beside_its_yardstick(person: Person) -> None:
    grid = NumberGrid(names=["price"], offset=[0.0], step=[1.0])
    make_number_model(person.api.runtime, "prices", grid)
    tested = {"mae": 3.0, "rmse": 4.0, "r2": None, "coverage": None, "rows": 300, "batches": 1}
    report = number_report(3.0, 3.0, rise=0.0, rise_interval=(-0.1, 0.1), tested=tested, forgetting=None)
    report |= {"skill": 0.6, "yardsticks": {"mean": {"mae": 7.5, "rmse": 9.0}, "last": {"mae": 9.0, "rmse": 9.0}}}
    for number, outcome in ((1, "pass"), (2, "fail"), (3, "undecided")):
        keep_version(person.api.runtime, "prices", number_checkpoint(grid, seed=number))
        with person.api.runtime.database.writing() as session:
            row = session.scalars(select(Version).where(Version.number == number)).one()
            row.report = {**report, "gate": {**report["gate"], "outcome": outcome}}
        page = person.looks(f"/models/prices/versions/{number}").text
        said = "below that of the yardstick of the model", "The yardstick is always saying the mean of all targets."
        assert all((each in page) is (outcome == "pass") for each in (*said, "the mean of the batch before is off by"))


def test_an_error_on_other_rows_is_told_from_those_on_trusted_rows(person: Person) -> None:
    grid = NumberGrid(names=["price"], offset=[0.0], step=[1.0])
    make_number_model(person.api.runtime, "prices", grid)
    tested = {"mae": 50297, "rmse": 60000, "r2": None, "coverage": None, "rows": 300, "batches": 1}
    later = number_report(34981, 32985, rise=0.06, rise_interval=(-0.02, 0.13), tested=tested, forgetting=-0.061)
    later |= {"skill": 0.5, "yardsticks": {"mean": {"mae": 100594, "rmse": 120000}}}
    first = number_report(50178)
    first["yardsticks"] = {"mean": {"mae": 90000, "rmse": 95000}}
    for number, report in ((1, first), (2, later), (3, later)):
        keep_version(person.api.runtime, "prices", number_checkpoint(grid, seed=number))
        with person.api.runtime.database.writing() as session:
            session.scalars(select(Version).where(Version.number == number)).one().report = report
        page = person.looks("/models/prices").text.replace("\N{NO-BREAK SPACE}", " ")
        assert [points.count(",") for points in re.findall('class="line old" points="([^"]*)"', page)] == (
            [2, 2] if number == 3 else []
        ), "the line joins new rows before they were learned, alone"
        if number == 3:
            yardstick = "Always saying the mean of all targets is off by 100,594."
            assert page.count(yardstick) == person.looks("/").text.count(yardstick) == 1
            assert ">yardstick 100,594<" in page
        if number == 1:
            assert "It is off by 50,178 on average, on 300 rows that it had not seen." in page
            assert "It is off by 50,178 on average, on 300 rows that it had not seen." in person.looks("/").text
            assert "Mean error, rows it had not seen" in page
            for shown in (page, person.looks("/").text, person.looks("/models/prices/versions/1").text):
                assert "had not seen. Always saying the mean of all targets is off by 90,000." in shown
            japanese = person.looks("/models/prices?lang=ja").text
            assert "常に全目標値の平均と答えた場合の誤差は 90,000 です。" in japanese
            person.looks("/?lang=en")
    assert "50,178 (own rows)" in page
    assert ">own rows 50,178<" in page
    for shown in (page, person.looks("/models/prices/versions/2").text.replace("\N{NO-BREAK SPACE}", " ")):
        assert re.search("Mean error, trusted rows</dt><dd>34,981<", shown)
        assert re.search("Mean error, new rows before learning</dt><dd>50,297<", shown)
        assert re.search("Better than its best by</dt><dd>6.1 %<small>on what", shown)
    assert 'data-label="Forgotten">−6.1 %<' in page
    listed = figure(NumberReport.model_validate(number_report(50178))), figure(NumberReport.model_validate(later))
    assert listed == ("± 50,178 (own rows)", "± 34,981")


def test_figures_say_which_rows_and_versions_they_are_of(person: Person) -> None:
    score = {
        "accuracy": 0.95,
        "balanced_accuracy": 0.95,
        "rows": 800,
        "classes": {"a": {"accuracy": 0.95, "rows": 400}},
    }
    brought = {
        "names": ["b"],
        "after": 0.9,
        "interval": (0.8, 0.95),
        "rows": 60,
        "classes": {"b": {"accuracy": 0.9, "rows": 60}},
    }
    report = {**REPORT, "before": score, "after": score, "new_classes": brought, "forgetting": 0.01}
    for number, promote in ((1, True), (2, False)):
        make_version(person.api.runtime, seed=number, promote=promote)
        with person.api.runtime.database.writing() as session:
            session.scalars(select(Version).where(Version.number == number)).one().report = report
    words = Words("en")
    live, held = (person.looks(f"/models/digits/versions/{number}").text for number in (1, 2))
    for key in ("before", "new", "since_class"):
        assert words(f"measured.{key}", label=words("model.fact.forgotten")) in live, key
    assert (words("measured.not_live") in live, words("measured.not_live") in held) == (False, True)
    shown = person.looks("/models/digits").text
    assert words("measured.since_class", label="Forgotten since its best") in shown
    assert 'data-label="Forgotten">1.0 points<' in shown
    make_version(person.api.runtime, seed=3)
    was = person.looks("/models/digits/versions/1").text
    assert words("measured.not_live") not in was, "it was live"
    assert (words("version.then") in was, words("version.then") in live) == (True, False)
    ways = [person.looks(f"/models/digits/compare?{of}").text for of in ("before=1&after=2", "before=2&after=1")]
    assert all(words("compare.together") in way for way in ways), "the older one stands first, whichever is named first"
    compared = person.looks("/models/digits/compare?before=3&after=2").text
    assert (
        "Of “b”, version 2 was judged on rows of its own batch, which it had not learned: it brought them." in compared
    )
    assert words("compare.own_time") in compared
    japanese = person.looks("/models/digits/versions/2?lang=ja").text
    of = {"label": Words("ja")("model.fact.forgotten")}
    assert all(Words("ja")(f"measured.{key}", **of) in japanese for key in ("before", "new", "since_class", "not_live"))


def test_what_was_forgotten_is_no_figure_on_few_rows_and_classes_that_no_row_judges_are_named(person: Person) -> None:
    score = {"accuracy": 0.5, "balanced_accuracy": 0.5, "classes": {"a": {"accuracy": 0.5, "rows": 2}}}
    none = {"names": [], "after": None, "interval": None}
    make_version(person.api.runtime)
    words = Words("en")
    for rows, is_figure in ((19, False), (20, True)):
        both = {key: {**score, "rows": rows} for key in ("before", "after")}
        report = {**REPORT, **both, "new_classes": none, "forgetting": 0.5}
        with person.api.runtime.database.writing() as session:
            session.scalars(select(Version)).one().report = report
        page, version_page = (person.looks(f"/models/digits{of}").text for of in ("", "/versions/1"))
        assert ("50.0 points" in page, "50.0 points" in version_page) == (is_figure, is_figure)
        assert (words("chart.legend_forgotten_class") in page, "forgotten</text>" in page) == (is_figure, is_figure)
        for said in ('data-label="Forgotten">– (19 rows)<', words("model.lost_few_why")):
            assert (said in page) is not is_figure
        for shown in (page, version_page):
            assert ("of 19 rows: so few show only chance" in shown) is not is_figure
        assert "No row judges one of its classes yet: b." in version_page
    assert "クラスが 1 個あります：b。" in person.looks("/models/digits/versions/1?lang=ja").text


def test_a_version_without_rows_it_learned_anew_does_not_say_that_it_learned_none(person: Person) -> None:
    make_version(person.api.runtime)
    for rows, said in ((40, "s to learn 40 rows, after"), (0, "s to take rows back or correct them, after")):
        with person.api.runtime.database.writing() as session:
            version = session.scalars(select(Version)).one()
            version.report = {**REPORT, "cost": {**REPORT["cost"], "rows": rows}}
        page = person.looks("/models/digits/versions/1").text
        assert said in page
        assert "learn 0 rows" not in page
        assert "<small>0 rows</small>" not in page
        assert f'data-label="Rows">{rows or "–"}<' in person.looks("/models/digits").text


def test_a_first_version_says_of_how_many_of_its_rows_its_figure_is(person: Person) -> None:
    brought = {"names": ["a", "b"], "after": 0.9, "interval": (0.8, 0.95), "rows": 258}
    brought["classes"] = {name: {"accuracy": 0.9, "rows": 129} for name in ("a", "b")}
    none = dict.fromkeys(("tested", "before", "after", "forgetting", "worst_class", "negative_flips", "yardstick"))
    report = {**REPORT, **none, "new_classes": brought, "cost": {**REPORT["cost"], "rows": 400}}
    make_version(person.api.runtime)
    for copies, says in ((0, False), (142, True)):
        with person.api.runtime.database.writing() as session:
            of = {**report, "batch": {**REPORT["batch"], "near_duplicates": copies}}
            session.scalars(select(Version).where(Version.number == 1)).one().report = of
        for path in ("/models/digits", "/models/digits/versions/1"):
            shown = person.looks(path).text
            assert "Rows it had not learned: 258 of its 400, kept back or answered in cross-validation." in shown
            assert ("142 rows repeat others with their label, or nearly, and are not counted." in shown) == says
    assert "How good it is, class by class" in shown
    assert "Grey bar: where the true value may lie." in shown
    assert "Hollow: before" not in shown


@pytest.mark.long
def test_lists_of_many_are_read_to_their_end_a_page_at_a_time(person: Person) -> None:
    with person.api.runtime.database.writing() as session:
        model = models.get(session, "digits")
        for _ in range(120):
            version(session, model, [batch(session, model).id]).report = None
    for first, link in (
        ("updates", "/updates/(upd_[0-9a-f]+)"),
        ("batches", "batches/(bat_[0-9a-f]+)"),
        ("lineage", "versions/([0-9]+)"),
    ):
        seen, path = list[str](), f"/models/digits/{first}"
        while path:
            page = person.looks(path).text
            shown = [*dict.fromkeys(re.findall(f'href="[^"]*{link}"', page))]
            assert 0 < len(shown) <= 50, path
            seen += shown
            more = re.findall(f'href="(/models/digits/{first}[?](?:cursor|before)=[^"]+)"', page)
            path = unescape(more[-1]) if more else ""
        assert len(set(seen)) == len(seen) == 120, first
