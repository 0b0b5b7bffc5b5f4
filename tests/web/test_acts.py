"""Pages that act, through the door: promote, cancel, try again, learn, take back, settle."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from service.contract.enums import UpdateState
from service.learning.evaluation.classes.class_challenge import ClassComparison
from service.registry import disputes, states, updates
from service.registry.sql.tables import Batch, Deployment, Dispute, Model, Update, Version
from service.web.words import LANGUAGES, Words
from tests.api.conftest import Api
from tests.api.routes.test_disputes import opened
from tests.client.test_result import REPORT
from tests.making import make_version
from tests.web.browser.test_japanese import Text
from tests.web.test_pages import HTML, Person

ROWS = {"inputs": [[1, 2, 3], [3, 2, 1]], "labels": ["a", "<b>"], "new_classes": "allow", "source": "<i>till</i>"}


@pytest.fixture
def person(api: Api) -> Person:
    return Person(api)


def send(api: Api, first: int = 1) -> str:
    """-> the id of a batch of two rows"""
    batch: str = api.ok("POST", "/v1/models/digits/batches", {**ROWS, "inputs": [[first, 2, 3], [3, 2, first]]})["id"]
    return batch


def test_a_promotion_says_what_changes_and_what_is_left_out(person: Person) -> None:
    one, other = send(person.api, 1), send(person.api, 2)
    make_version(person.api.runtime, learned=[one])
    make_version(person.api.runtime, seed=1, learned=[other], promote=False)
    assert "/models/digits/versions/2/promote" in person.looks("/models/digits/versions/2").text
    page = "/models/digits/versions/2/promote"
    asked = person.looks(page).text
    assert "Version 1 stops answering now, and version 2 answers." in asked
    assert "It has learned one batch that the live version has not." in asked
    assert "It lacks one batch that the live version has learned: that one waits again." in asked
    late = person.sends(page, page, if_live="7")
    assert (late.status_code, 'role="alert"' in late.text) == (409, True)
    for if_live in ("9" * 5000, "seven"):
        assert person.sends(page, page, if_live=if_live).status_code == 422
    moved = person.sends(page, page, reason="<i>checked</i>")
    assert (moved.status_code, moved.headers["location"]) == (303, "/models/digits")
    assert "&lt;i&gt;checked&lt;/i&gt;" in person.looks("/models/digits").text
    assert person.api.ok("GET", "/v1/models/digits")["live_version"] == 2
    assert "<form" not in person.looks(page).text.partition("<main")[2]


def test_what_goes_live_against_the_gate_is_not_told_what_stays_live_and_what_to_do(person: Person) -> None:
    sent = person.api.ok("POST", "/v1/models/digits/updates", ROWS)
    make_version(person.api.runtime)
    number = make_version(person.api.runtime, seed=1, learned=sent["batches"], promote=False)
    fired = {"number": 4, "name": "disagrees_broadly", "value": 0.3, "limit": 0.1, "passed": False, "severity": "held"}
    rule = {
        **fired,
        "why": "31 of 120 rows disagree. Look at them, then decide.",
        "remedy": "Look at them, then decide.",
    }
    why = "Held: 31 of 120 rows disagree. Version 1 stays live. Look at them, then decide."
    gate = {"outcome": "undecided", "rules": [rule], "why": why, "decided_by": "disagrees_broadly"}
    with person.api.runtime.database.writing() as session:
        update = session.get_one(Update, sent["id"])
        update.state, update.verdict = "succeeded", "held"
        version = session.scalars(select(Version).where(Version.number == number)).one()
        version.report = {**REPORT, "gate": {**REPORT["gate"], **gate}}
        version.update_id, update.version_id = update.id, version.id
    page = "/models/digits/versions/2"
    assert "Version 1 stays live. Look at them, then decide." in person.looks(page).text
    make_version(person.api.runtime, seed=2)
    later = person.looks(page).text
    assert "When it was judged: Held: 31 of 120 rows disagree." in later, "version 3 is live"
    assert "stays live" not in later
    asked = person.looks(f"{page}/promote").text
    assert "Held: 31 of 120 rows disagree." in asked
    assert "stays live" not in asked
    assert "Look at them" not in asked
    person.sends(f"{page}/promote", f"{page}/promote", if_live="3", reason="looked at them")
    shown = person.looks(page).text
    assert "When it was judged: Held: 31 of 120 rows disagree." in shown
    assert "stays live" not in shown
    assert "Look at them" not in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_rejected_version_leads_to_its_batch_and_to_taking_it_back(person: Person, language: str) -> None:
    words = Words(language)
    sent = person.api.ok("POST", "/v1/models/digits/updates", ROWS)
    make_version(person.api.runtime)
    number = make_version(person.api.runtime, seed=1, learned=sent["batches"], promote=False)
    kept = {"number": 5, "name": "forgets", "value": 0.0213, "limit": 0.02, "passed": True, "why": "Of 90 rows 3 are."}
    suspect = {"batch": sent["batches"][0], "row": 0, "label": "a", "suggested": "<b>", "score": 0.99}
    slip = '"<i>Chiars" of goods is new, and like "Chairs", which is known: is it a slip?'
    refuted = {"update": "upd_9", "batches": ["bat_9"], "class": "a", "suggested": "b", "verdict": "refuted", "p": 1.0}
    batch = {
        "conflicts": 1,
        "suspect_rows": [suspect],
        "settled": [{**refuted, "source": None, "rows": 0, "sure": 20}],
        "notes": ["Declare the `<scale>` of it.", slip],
    }
    report = {**REPORT, "batch": batch, "gate": {**REPORT["gate"], "outcome": "fail", "rules": [kept]}}
    with person.api.runtime.database.writing() as session:
        update = session.get_one(Update, sent["id"])
        update.state, update.verdict = "succeeded", "rejected"
        version = session.scalars(select(Version).where(Version.number == number)).one()
        version.report, version.update_id, update.version_id = report, update.id, version.id
    batch_page = f"/models/digits/batches/{sent['batches'][0]}"
    shown = person.looks(f"/models/digits/versions/2?lang={language}").text
    for page in (shown, person.looks(f"/updates/{sent['id']}").text):
        assert f'href="{batch_page}">{words("version.batch", id=sent["batches"][0])}</a>' in page
        assert f'href="{batch_page}/retract">{words("retract.link")}</a>' in page
        assert (
            "「&lt;i&gt;Chiars」は" if language == "ja" else "<li>&#34;&lt;i&gt;Chiars&#34; of goods is new"
        ) in page
    for page in (batch_page, "/models/digits/batches/bat_9"):
        assert f'<p><a href="{page}">' in shown, "beside the notes"
    assert words("version.within_chance") in shown
    assert "Declare the <code>&lt;scale&gt;</code> of it." in shown
    assert "/retract" not in person.looks("/models/digits/versions/1").text
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": sent["batches"]})
    for path in ("/models/digits/versions/2", f"/updates/{sent['id']}"):
        assert "/retract" not in person.looks(path).text, "it was taken back"
    shown = person.looks("/models/digits/versions/2").text
    assert words("next.taken_back") in shown
    assert not [said for said in ("next.title", "next.right", "next.against", "promote.link") if words(said) in shown]


def test_a_class_is_deleted_unless_a_batch_has_rows_of_it(person: Person) -> None:
    send(person.api)
    person.api.ok("POST", "/v1/models/digits/classes", {"names": ["slip/<i>", *(f"c{k}" for k in range(100))]})
    make_version(person.api.runtime, classes=["a", "slip/<i>"])
    assert 'href="/models/digits/classes">Classes</a>' in person.looks("/models/digits").text
    listed = person.looks("/models/digits/classes").text
    assert "103 classes are known" in listed
    page = "/models/digits/classes/delete?class=slip%2F%3Ci%3E"
    assert f'href="{page.replace("%2F", "/")}"' in listed
    assert "c99" in person.looks("/models/digits/classes?after=100").text.partition("<main")[2]
    asked = person.looks(page).text
    assert "Delete the class slip/&lt;i&gt;?" in asked
    assert "Version 1, which is live, answers with it as before" in asked
    sent = person.sends("/models/digits/classes/delete", page, reason="a <i>slip</i>")
    assert (sent.status_code, sent.headers["location"]) == (303, "/models/digits/classes")
    assert "slip/<i>" not in person.api.ok("GET", "/v1/models/digits")["classes"]
    entry = person.api.ok("GET", "/v1/audit")["items"][0]
    assert (entry["action"], entry["reason"]) == ("class.removed", "a <i>slip</i>")
    assert "<form" not in person.looks(page).text.partition("<main")[2], "it is deleted"
    kept = person.sends("/models/digits/classes/delete", "/models/digits/classes/delete?class=a")
    assert (kept.status_code, 'role="alert"' in kept.text) == (409, True)
    assert "Retract it first." in kept.text
    assert "a" in person.api.ok("GET", "/v1/models/digits")["classes"]


def test_after_a_rollback_new_versions_go_live_by_themselves_again_where_that_is_ticked(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    page = "/models/digits/versions/2/promote"
    for auto, promotion in (({}, "manual"), ({"auto": "on"}, "auto")):
        person.api.ok("POST", "/v1/models/digits/rollback", {"reason": "to see"})
        assert f'href="{page}">Make version 2 live again…</a>' in person.looks("/models/digits").text
        assert ">went live, rolled back</span>" in person.looks("/models/digits").text
        assert Words("en")("model.undone", version=2) not in person.looks("/models/digits").text, "it brought nothing"
        assert 'name="auto" type="checkbox"' in person.looks(page).text
        assert person.sends(page, page, reason="it was good", **auto).status_code == 303
        info = person.api.ok("GET", "/v1/models/digits")
        assert (info["live_version"], info["promotion"]) == (2, promotion)
    assert 'name="auto"' not in person.looks("/models/digits/versions/1/promote").text
    assert "rolled back</span>" not in person.looks("/models/digits").text, "it is live again"
    person.api.ok("POST", "/v1/models/digits/rollback", {"reason": "to see"})
    assert "公開、元に戻された" in person.looks("/models/digits?lang=ja").text
    person.looks("/models/digits?lang=en")
    moved = person.sends("/models/digits/auto", "/models/digits")
    assert (moved.status_code, moved.headers["location"]) == (303, "/models/digits")
    assert person.api.ok("GET", "/v1/models/digits")["promotion"] == "auto"
    after = person.looks("/models/digits").text
    assert ('action="/models/digits/auto"' in after, "Make version 2 live again…" in after) == (False, True)
    with person.api.runtime.database.writing() as session:
        session.scalars(select(Version).where(Version.number == 2)).one().erased_at = 1.0
    assert "live again…" not in person.looks("/models/digits").text


def test_a_version_that_learned_what_was_taken_back_since_is_not_offered_and_what_waits_is(person: Person) -> None:
    first, bad, waits = (send(person.api, n) for n in (1, 2, 3))
    make_version(person.api.runtime, learned=[first])
    make_version(person.api.runtime, seed=1, learned=[first, bad, waits])
    assert "take their batches back afterwards" in person.looks("/models/digits/rollback").text
    person.api.ok("POST", "/v1/models/digits/rollback", {"reason": "to see"})
    shown, undone = person.looks("/models/digits").text, Words("en")("model.undone", version=2)
    assert ("Make version 2 live again…" in shown, undone in shown) == (True, True)
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [bad]})
    shown = person.looks("/models/digits").text
    assert undone not in shown
    lead = '<a class="button" href="/models/digits/batches">Learn the batch that waits</a>'
    assert ("live again…" in shown, lead in shown) == (False, True)
    assert lead in person.looks("/models/digits/versions/2/promote").text


def test_a_version_that_waits_while_another_went_live_is_learned_again(person: Person) -> None:
    first, waits, later = (send(person.api, n) for n in (1, 2, 3))
    make_version(person.api.runtime, learned=[first])
    make_version(person.api.runtime, seed=1, learned=[first, waits], promote=False)
    assert "Learn it again" not in person.looks("/models/digits/versions/2").text
    make_version(person.api.runtime, seed=2, learned=[first, later])
    page, promote = "/models/digits/versions/2", "/models/digits/versions/2/promote"
    shown = person.looks(page).text
    assert "Version 3 went live since it was made." in shown
    assert "Learn it again on version 3" in shown
    assert "Its rows were taken back" not in shown
    asked = person.looks(promote).text
    assert asked.index('name="rebase"') < asked.index(">Make version 2 live<"), "Enter does what leaves nothing out"
    for where in (page, promote):
        moved = person.sends(promote, where, **({"rebase": "on"} if where == promote else {}))
        update = person.api.ok("GET", "/v1/models/digits/updates")["items"][0]
        assert (moved.status_code, moved.headers["location"]) == (303, f"/updates/{update['id']}")
        assert (update["state"], update["batches"]) == ("queued", [first, waits])
    assert person.api.ok("GET", "/v1/models/digits")["live_version"] == 3
    make_version(person.api.runtime, seed=3, learned=[first, waits, later])
    assert "Learn it again" not in person.looks(page).text, "what is live has learned all of it"


def test_a_batch_that_was_taken_back_is_not_said_to_be_left_out(person: Person) -> None:
    one = send(person.api, 1)
    make_version(person.api.runtime, learned=[one])
    make_version(person.api.runtime, seed=1, promote=False)
    make_version(person.api.runtime, seed=2, learned=[one], promote=False)
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [one]})
    assert "It lacks" not in person.looks("/models/digits/versions/2/promote").text
    assert (
        "It has learned rows that were corrected or taken back since"
        in person.looks("/models/digits/versions/3/promote").text
    )


def test_a_stopped_version_that_learned_what_was_taken_back_is_learned_again_and_never_offered(person: Person) -> None:
    bad, waits = send(person.api, 1), send(person.api, 2)
    make_version(person.api.runtime, learned=[bad])
    sent = person.api.ok("POST", "/v1/models/digits/updates", {"batches": [waits]})["id"]
    number = make_version(person.api.runtime, seed=1, learned=[bad, waits], promote=False)
    with person.api.runtime.database.writing() as session:
        update = session.get_one(Update, sent)
        version = session.scalars(select(Version).where(Version.number == number)).one()
        update.state, update.verdict, update.version_id = "succeeded", "held", version.id
        version.update_id, version.more = update.id, [waits]
    page = "/models/digits/versions/2"
    assert f'href="{page}/promote"' in person.looks(page).text
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [bad]})
    barred = "It has learned rows that were corrected or taken back since, so it cannot be made live."
    shown = person.looks(page).text
    assert (barred in shown, f'href="{page}/promote"' in shown) == (True, False)
    assert person.api("POST", "/v1/models/digits/deployments", {"version": 2, "reason": "x"}).status_code == 409
    make_version(person.api.runtime, seed=2, learned=[])
    assert "One held version was overtaken" in person.looks("/models/digits").text
    shown = person.looks(page).text
    assert (barred in shown, f'href="{page}/promote"' in shown) == (True, False)
    asked = person.looks(f"{page}/promote").text.partition("<main")[2]
    assert barred in asked
    assert re.findall('class="button[^"]*" href="([^"]*)"', asked) == [page]
    first = shown.partition("What to do next")[2].partition("</form>")[0]
    assert "Learn it again on version 3" in first
    hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', first))
    moved = person.api("POST", f"{page}/promote", data=hidden, headers=HTML)
    update = person.api.ok("GET", "/v1/models/digits/updates")["items"][0]
    assert (moved.headers["location"], update["batches"]) == (f"/updates/{update['id']}", [waits])
    assert f'href="{page}/promote"' not in person.looks("/models/digits/versions/1").text
    assert barred in person.looks("/models/digits/versions/1").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_that_were_found_wrong_are_taken_back_first_and_not_learned(person: Person, language: str) -> None:
    words = Words(language)
    make_version(person.api.runtime)
    person.api.ok("POST", "/v1/models/digits/classes", {"names": ["a", "b"]})
    dispute = opened(person.api, {})
    path = f"/v1/models/digits/disputes/{dispute}"
    [batch] = person.api.ok("GET", path)["batches"]
    with person.api.runtime.database.writing() as session:
        update = session.get_one(Update, session.get_one(Dispute, dispute).update_id)
        version = session.get_one(Version, update.version_id)
        version.update_id, version.more, update.state = update.id, [batch], "succeeded"
    make_version(person.api.runtime, seed=2)
    batch_page, version_page = f"/models/digits/batches/{batch}", "/models/digits/versions/2"
    back = f'<a class="button primary" href="{batch_page}/retract">{words("retract.link")}</a>'
    assert words("batches.learn_one") in person.looks(f"{batch_page}?lang={language}").text
    assert words("promote.rebase", live=3) in person.looks(version_page).text
    settle = f'<a class="button" href="/models/digits/disputes/{dispute}">{words("next.do_settle")}</a>'
    assert settle in person.looks(version_page).text
    person.api.ok("POST", f"{path}/settle", {"verdict": "refuted", "reason": "looked at them"})
    assert words("next.do_settle") not in person.looks(version_page).text
    _settle_others(person.api, dispute, 250)
    for page in (batch_page, version_page, f"/models/digits/disputes/{dispute}"):
        shown = person.looks(page).text.partition("<main")[2]
        assert back in shown, page
        assert shown.index(back) == shown.index('<a class="button'), page
        assert "/promote" not in shown, page
        assert words("batches.learn_one") not in shown, page
        assert words("promote.rebase", live=3) not in shown, page
        assert "POST ..." not in shown, page
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [batch]})
    assert "/retract" not in person.looks(f"/models/digits/disputes/{dispute}").text, "it was taken back"


def _settle_others(api: Api, like: str, many: int) -> None:
    """As many later disputes over other batches in which the model was found right."""
    other = api.ok("POST", "/v1/models/digits/updates", {**ROWS, "again": True})["id"]
    with api.runtime.database.writing() as session:
        names = (
            "model_id",
            "class_",
            "suggested",
            "rows",
            "opened_at",
            "verdict",
            "settled_by",
            "settled_at",
            "reason",
        )
        same = {name: getattr(session.get_one(Dispute, like), name) for name in names}
        session.add_all(Dispute(id=f"{like}{k:03}", update_id=other, **same) for k in range(many))


def test_an_update_is_stopped_and_tried_again(person: Person) -> None:
    update = person.api.ok("POST", "/v1/models/digits/updates", ROWS)["id"]
    cancel = f"/updates/{update}/cancel"
    assert f'href="{cancel}"' in person.looks(f"/updates/{update}").text
    assert "its batches wait to be learned again" in person.looks(cancel).text
    stopped = person.sends(cancel, cancel, reason="the <b>wrong</b> file")
    assert (stopped.status_code, stopped.headers["location"]) == (303, f"/updates/{update}")
    assert person.api.ok("GET", f"/v1/updates/{update}")["state"] == "cancelled"
    assert "It has ended already." in person.looks(cancel).text
    assert "the &lt;b&gt;wrong&lt;/b&gt; file" in person.looks("/audit").text
    retry = f"/updates/{update}/retry"
    assert person.sends(retry, f"/updates/{update}").status_code == 303
    assert person.api.ok("GET", f"/v1/updates/{update}")["state"] == "queued"


def test_what_waits_is_learned_by_one_button(person: Person) -> None:
    batch, other = send(person.api), send(person.api, 5)
    moved = person.sends("/models/digits/learn", f"/models/digits/batches/{other}")
    [alone] = person.api.ok("GET", "/v1/models/digits/updates")["items"]
    assert (moved.headers["location"], alone["batches"]) == (f"/updates/{alone['id']}", [other])
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [other]})
    assert 'action="/models/digits/learn"' not in person.looks(f"/models/digits/batches/{other}").text
    listed = person.looks("/models/digits/batches").text
    assert "One batch waits to be learned: 2 rows." in listed
    assert "&lt;b&gt;: 1, a: 1" in listed
    assert "&lt;i&gt;till&lt;/i&gt;" in listed
    moved = person.sends("/models/digits/learn", "/models/digits/batches")
    update = person.api.ok("GET", "/v1/models/digits/updates")["items"][0]
    assert (moved.headers["location"], update["batches"]) == (f"/updates/{update['id']}", [batch])


def test_batches_of_a_version_that_was_stopped_are_named_and_the_others_are_learned_alone(person: Person) -> None:
    first, bad, other = (send(person.api, k) for k in (1, 5, 9))
    make_version(person.api.runtime, learned=[first])
    make_version(person.api.runtime, learned=[bad], seed=1, promote=False)
    assert [batch["stopped"] for batch in person.api.ok("GET", "/v1/models/digits/batches")["items"]] == [None, 2, None]
    listed = person.looks("/models/digits/batches").text.partition("<main")[2]
    assert "One of them is in a version that was held or rejected." in listed
    assert '<a href="/models/digits/versions/2">In version 2, which did not go live</a>' in listed
    assert re.findall('<button class="primary">(.*?)</button>', listed) == ["Learn the other one alone"]
    assert "<button>Learn the 2 batches that wait</button>" in listed
    first_form = listed.partition("<form")[2].partition("</form>")[0]
    hidden = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', first_form))
    moved = person.api("POST", "/models/digits/learn", data=hidden)
    update = person.api.ok("GET", "/v1/models/digits/updates")["items"][0]
    assert (moved.headers["location"], update["batches"]) == (f"/updates/{update['id']}", [other])
    person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [other]})
    alone = person.looks("/models/digits/batches").text.partition("<main")[2]
    assert re.findall('<button class="primary">(.*?)</button>', alone) == ["Learn the batch that waits"]
    assert "held or rejected" in alone


def test_a_batch_that_no_version_learned_is_said_to_be_taken_back(person: Person) -> None:
    batch = send(person.api)
    update = person.api.ok("POST", "/v1/models/digits/retractions", {"batches": [batch]})["id"]
    with person.api.runtime.database.writing() as session:
        session.get_one(Update, update).state = "succeeded"
    send(person.api, 5)
    assert "One batch waits to be learned" in person.looks(f"/updates/{update}").text
    assert '<a class="button primary" href="/models/digits/send">' in person.looks(f"/updates/{update}").text
    for page in (f"/updates/{update}", "/models/digits/updates"):
        shown = person.looks(page).text
        assert "It is taken back, and no new version was needed." in shown
        assert "verdict bad" not in shown


def test_a_correction_is_told_as_one_with_the_batch_that_has_the_rows(person: Person) -> None:
    batch = send(person.api)
    update = person.api.ok("POST", f"/v1/models/digits/batches/{batch}/corrections", {"rows": {"0": None}})
    new = update["batches"][0]
    with person.api.runtime.database.writing() as session:
        session.get_one(Update, update["id"]).state = "succeeded"
    told = f"It corrects batch {batch}: one row taken out."
    for page in ("/models/digits/updates", f"/updates/{update['id']}"):
        shown = person.looks(page).text
        assert told in shown, page
        assert "It learns one batch" not in shown, page
        assert ("What was taken out comes back where it is sent again." in shown) == (page != "/models/digits/updates")
        assert "correct the rows there once more" not in shown, "none got another label"
    assert f'href="/models/digits/batches/{new}"' in person.looks(f"/updates/{update['id']}").text
    with person.api.runtime.database.writing() as session:
        changed = session.get_one(Update, update["id"])
        changed.corrected = {**(changed.corrected or {}), "changed": 1, "taken_out": 0}
    undo = "To undo that, correct the rows there once more, to what they said before."
    assert undo in person.looks(f"/updates/{update['id']}").text
    assert f'href="/models/digits/batches/{new}"' in person.looks(f"/models/digits/batches/{batch}").text
    assert f'href="/models/digits/batches/{batch}"' in person.looks(f"/models/digits/batches/{new}").text


@pytest.mark.parametrize("erase", [False, True])
def test_a_batch_is_taken_back_with_a_reason(person: Person, erase: bool) -> None:
    batch = send(person.api)
    make_version(person.api.runtime, learned=[batch])
    with person.api.runtime.database.writing() as session:
        session.get_one(Batch, batch).notes = ["The day stands first in dates."]
    page = f"/models/digits/batches/{batch}"
    shown = person.looks(page).text
    assert "The version that is live has learned it." in shown
    assert "The day stands first in dates." in shown
    assert "&lt;b&gt;" in shown
    assert "<b>:" not in shown
    asked = person.looks(f"{page}/retract").text
    assert "Version 1, which is live, has learned it." in asked
    fields = {"reason": "wrong labels", **({"erase": "on"} if erase else {})}
    moved = person.sends(f"{page}/retract", f"{page}/retract", **fields)
    update = person.api.ok("GET", "/v1/models/digits/updates")["items"][0]
    assert moved.headers["location"] == f"/updates/{update['id']}"
    assert (update["kind"], update["reason"], update["erase"]) == ("retract", "wrong labels", erase)
    wrong = person.sends(f"{page}/retract", f"{page}/retract", reason="x" * 2001)
    assert (wrong.status_code, 'id="reason-fault"' in wrong.text) == (422, True)


def test_a_dispute_is_settled_with_a_reason(person: Person) -> None:
    make_version(person.api.runtime)
    person.api.ok("POST", "/v1/models/digits/classes", {"names": ["a", "b"]})
    dispute = opened(person.api, {})
    assert "/models/digits/disputes" in person.looks("/models/digits").text
    page = f"/models/digits/disputes/{dispute}"
    assert f'href="{page}"' in person.looks("/models/digits/disputes").text
    asked = person.looks(page).text
    [batch] = person.api.ok("GET", f"/v1{page}")["batches"]
    assert f'Look at the rows first: <a href="/models/digits/batches/{batch}"' in asked
    wrong = person.sends(page, page, verdict="nobody", reason="x")
    assert (wrong.status_code, 'id="verdict-fault"' in wrong.text) == (422, True)
    assert person.sends(page, page, verdict="confirmed", reason="<b>since May</b>").status_code == 303
    settled = person.looks(page).text
    assert "Settled: the labels are right." in settled
    assert "&lt;b&gt;since May&lt;/b&gt;" in settled
    assert "<form" not in settled.partition("<main")[2]


def test_what_the_service_gave_as_a_reason_is_said_in_japanese(person: Person) -> None:
    make_version(person.api.runtime)
    dispute = opened(person.api, {})
    sentence = "Its batch was taken back."
    why = "Live: version 1. It knows a and b."
    with person.api.runtime.database.writing() as session:
        row = session.get_one(Dispute, dispute)
        disputes.settle(session, row, "confirmed", session.get_one(Update, row.update_id), sentence)
        move = session.scalars(select(Deployment)).one()
        move.by, move.reason = "retraction", why
        session.scalars(select(Version).where(Version.number == 1)).one().report = {
            **REPORT, "gate": {**REPORT["gate"], "why": why}
        }  # fmt: skip
    page = person.looks(f"/models/digits/disputes/{dispute}?lang=ja").text
    assert "そのバッチは取り消されました。" in page
    assert f'<p lang="en">{sentence}</p>' in page
    moves = person.looks("/models/digits").text.partition("公開の履歴")[2]
    assert "行の取り消しか訂正：" in moves
    assert why not in moves
    assert "バージョン 1 を公開しました。" in moves.partition("取り消しか訂正：")[2]
    assert sentence in person.looks(f"/models/digits/disputes/{dispute}?lang=en").text
    assert "By taking rows back, or correcting them:" in person.looks("/models/digits").text
    assert why in person.looks("/models/digits").text.partition("What was live when")[2]


def test_a_model_without_batches_or_disputes_says_so(person: Person) -> None:
    assert "No rows have come yet." in person.looks("/models/digits/batches").text
    disputes = person.looks("/models/digits/disputes").text
    assert "No label is in dispute. A dispute opens where a batch has labels that contradict" in disputes
    missing = person.looks("/models/digits/disputes/dis_0")
    assert (missing.status_code, "There is no dispute" in missing.text) == (404, True)


def test_numbers_are_said_by_their_mean_and_range(person: Person) -> None:
    model = {"name": "load", "input": {"kind": "vector", "size": 1}, "target": {"kind": "number"}}
    person.api.ok("POST", "/v1/models", model)
    batch = person.api.ok("POST", "/v1/models/load/batches", {"inputs": [[1], [2]], "targets": [1, 4]})["id"]
    assert "mean 2.50, from 1 to 4" in person.looks("/models/load/batches").text
    assert person.looks(f"/models/load/batches/{batch}").status_code == 200


def test_a_reason_that_cannot_be_read_is_refused_beside_its_field_and_an_old_one_is_shown_escaped(
    person: Person,
) -> None:
    for seed in (0, 1):
        make_version(person.api.runtime, seed=seed)
    page = "/models/digits/rollback"
    for language, sentence in (("en", "character 2 is U+202E"), ("ja", "2 文字目の U+202E")):
        person.looks(f"{page}?lang={language}")
        wrong = person.sends(page, page, reason="a\u202eb")
        [fault] = re.findall('id="reason-fault".*?</span>', wrong.text)
        assert (wrong.status_code, sentence in fault) == (422, True)
    assert person.sends(page, page, reason="to see").status_code == 303
    with person.api.runtime.database.writing() as session:
        session.scalars(select(Deployment).order_by(Deployment.id.desc())).first().reason = "a\u202eb\n<i>"  # type: ignore[union-attr]
    assert '<bdi lang="">a\\u202eb\\n&lt;i&gt;</bdi>' in person.looks("/models/digits").text


def test_a_challenger_that_did_not_win_says_so_with_its_figures(person: Person) -> None:
    make_version(person.api.runtime)
    with person.api.runtime.database.writing() as session:
        [champion] = session.scalars(select(Update))
        [model] = session.scalars(select(Model))
        update = updates.challenge(session, model, champion, {"name": "retrain"}, "auto: the net challenges.")
        states.advance(session, update, UpdateState.RUNNING, "claimed")
        update.why = (
            f"auto: a challenger that did not win. {ClassComparison(300, 0.934, 0.912, 1e-40).sentence('retrain')}"
        )
        states.advance(session, update, UpdateState.SUCCEEDED, "succeeded")
        lost = update.id
    page = person.looks(f"/updates/{lost}").text
    assert "A challenger was trained and did not win: what is live stays." in page
    assert "retrain answers 0.912 of 300 rows kept back for choosing, what serves 0.934 (p &lt; 0.001)" in page
    assert page.count("retrain answers") == 1
    assert "auto:" not in page
    japanese = person.looks(f"/updates/{lost}?lang=ja").text
    assert "選択用に取り分けた 300 行での正解率は、retrain が 0.912、公開中のものが 0.934 でした。" in japanese
    assert "上回りませんでした" in person.looks("/models/digits/updates").text


def test_what_is_wrong_with_a_form_is_said_in_japanese(person: Person) -> None:
    batch = send(person.api)
    for seed in (0, 1):
        make_version(person.api.runtime, seed=seed)
    person.looks("/?lang=ja")
    of_batch = f"/models/digits/batches/{batch}"
    forms: dict[str, dict[str, str]] = {
        "/models/digits/versions/1/promote": {"if_live": "7"},
        "/models/digits/rollback": {"reason": "x" * 2001},
        f"{of_batch}/retract": {"reason": "a\x1bb"},
        "/models/digits/predict": {"rows": "[[1]]"},
        "/keys": {"name": "a", "scope-admin": "yes", "models": "digits", "rate": "-1", "bytes": "1 GB", "queued": "0"},
    }
    for page, fields in forms.items():
        wrong = person.sends(page, page, **fields)
        assert wrong.status_code >= 400, page
        assert 'lang="en"' in wrong.text, "the service's own sentence is there, to be unfolded"
        assert Text(wrong.text).english == [], page
    missing = person.looks("/models/digits/versions/99")
    assert "digits にバージョン 99 はありません。" in missing.text
    assert Text(missing.text).english == []
