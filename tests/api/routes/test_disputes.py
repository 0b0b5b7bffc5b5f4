"""Disputes over HTTP: listed, settled once, and not by the key that opened them."""

from __future__ import annotations

import pytest

from service.contract.enums import Verdict
from service.contract.reports.class_report import Dispute as Disputed
from service.registry import deployments, disputes, models
from service.registry.sql.tables import Batch, Update, Version
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_model, make_version

PATH = "/v1/models/digits/disputes"
OPERATOR = {"Authorization": "Bearer secret"}
CONFIRM = {"verdict": "confirmed", "reason": "the rule is new"}


@pytest.fixture
def keyed(make_api: MakeApi) -> Api:
    api = make_api(key="secret")
    make_model(api.runtime)
    make_version(api.runtime)
    return api


def key(api: Api, *scopes: str, **members: object) -> dict[str, str]:
    order = {"name": "test", "scopes": scopes, **members}
    made = api.ok("POST", "/v1/keys", order, headers=OPERATOR)
    return {"Authorization": f"Bearer {made['secret']}", "id": made["id"]}


def opened(api: Api, headers: dict[str, str], suggested: str = "b", first: int = 1) -> str:
    """An update that was held over rows of "a". first: the first value of its rows. -> its dispute"""
    rows = {"inputs": [[first, 2, 3], [4, 5, 6]], "labels": ["a", "b"], "again": True}
    update_id = api.ok("POST", "/v1/models/digits/updates", rows, headers=headers)["id"]
    number = make_version(api.runtime, promote=False)
    with api.runtime.database.writing() as session:
        model, update = models.get(session, "digits"), session.get_one(Update, update_id)
        update.verdict = Verdict.HELD
        update.version_id = session.query(Version).filter(Version.number == number).one().id
        disputes.open_all(session, model, update, [Disputed(class_="a", suggested=suggested, rows=9, source="lab")])
        return disputes.page(session, model, 1, None)[0][0].id


def test_disputes_are_listed_newest_first_with_what_can_be_done(keyed: Api) -> None:
    both = key(keyed, "learn", "promote")
    first, second = opened(keyed, both), opened(keyed, both, "c")
    page = keyed.ok("GET", f"{PATH}?limit=1", headers=both)
    [shown] = page["items"]
    assert (shown["id"], shown["class"], shown["suggested"], shown["rows"], shown["source"]) == (
        second, "a", "c", 9, "lab",
    )  # fmt: skip
    assert (shown["state"], shown["opened_by"], shown["by"], shown["at"]) == ("open", both["id"], None, None)
    assert "settle" in shown["remedy"]
    rest = keyed.ok("GET", f"{PATH}?cursor={page['next_cursor']}", headers=both)
    assert [each["id"] for each in rest["items"]] == [first]
    assert keyed.ok("GET", f"{PATH}/{second}", headers=both) == shown
    assert keyed("GET", f"{PATH}/dis_0", headers=both).status_code == 404


def test_another_key_settles_a_dispute_once_and_says_why(keyed: Api) -> None:
    both, other = key(keyed, "learn", "promote"), key(keyed, "promote")
    dispute = opened(keyed, both)
    path = f"{PATH}/{dispute}/settle"
    assert keyed("POST", path, CONFIRM, headers=both).status_code == 403
    successor = key(keyed, "promote", replaces=both["id"])
    assert keyed("POST", path, CONFIRM, headers=successor).status_code == 403
    assert pointers(keyed("POST", path, {"verdict": "settled", "reason": "x"}, headers=other)) == ["/verdict"]
    assert pointers(keyed("POST", path, {"verdict": "refuted"}, headers=other)) == ["/reason"]
    shown = keyed.ok("POST", path, CONFIRM, headers=other)
    assert (shown["state"], shown["by"], shown["reason"]) == ("confirmed", other["id"], "the rule is new")
    assert "relabel" in shown["remedy"]
    again = keyed("POST", path, {**CONFIRM, "verdict": "refuted"}, headers=OPERATOR)
    assert (again.status_code, again.json()["state"]) == (409, "confirmed")
    assert keyed("POST", f"{PATH}/dsp_1/settle", CONFIRM, headers=other).status_code == 404
    rows = keyed.ok("GET", "/v1/audit?model=digits", headers=OPERATOR)["items"]
    changes = [(row["action"], row["by"], row["reason"]) for row in rows if row["subject"] == dispute]
    assert [action for action, _, _ in changes] == ["dispute.confirmed", "dispute.opened"]
    assert changes[0][1:] == (other["id"], "the rule is new")


def test_admin_settles_what_it_opened_itself(keyed: Api) -> None:
    assert (
        keyed.ok("POST", f"{PATH}/{opened(keyed, OPERATOR)}/settle", CONFIRM, headers=OPERATOR)["state"] == "confirmed"
    )


def test_who_promotes_or_takes_back_has_settled_it_by_deed(keyed: Api) -> None:
    promoted, taken = opened(keyed, OPERATOR), opened(keyed, OPERATOR, "c")
    with keyed.runtime.database.writing() as session:
        model = models.get(session, "digits")
        update = session.get_one(Update, disputes.get(session, model, promoted).update_id)
        deployments.promote(session, model, session.get_one(Version, update.version_id), "I know better", "somebody")
        batch = session.get_one(Update, disputes.get(session, model, taken).update_id).batches[0]
        assert session.get_one(Batch, batch).retracted_at is None
    order = {"batches": [batch], "reason": "typos"}
    retraction = keyed.ok("POST", "/v1/models/digits/retractions", order, headers=OPERATOR)["id"]
    shown = {each["id"]: each for each in keyed.ok("GET", PATH, headers=OPERATOR)["items"]}
    assert [(shown[d]["state"], shown[d]["by"], shown[d]["reason"]) for d in (promoted, taken)] == [
        ("settled", "somebody", "I know better"),
        ("settled", "bootstrap key", "typos"),
    ]
    third, fourth = opened(keyed, OPERATOR, first=8), opened(keyed, OPERATOR, first=9)
    keyed.ok("POST", f"{PATH}/{fourth}/settle", {**CONFIRM, "verdict": "refuted"}, headers=OPERATOR)
    states = {"open": [third], "confirmed": [], "refuted": [fourth], "settled": [taken, promoted]}
    for state, ids in states.items():
        listed = keyed.ok("GET", f"{PATH}?state={state}", headers=OPERATOR)["items"]
        assert [each["id"] for each in listed] == ids, state
        assert {each["state"] for each in listed} <= {state}
    of = {dispute: keyed.ok("GET", f"{PATH}/{dispute}", headers=OPERATOR) for dispute in (third, fourth)}
    for dispute, settled in ((third, None), (fourth, fourth)):
        listed = keyed.ok("GET", f"{PATH}?update={of[dispute]['update']}", headers=OPERATOR)["items"]
        assert [each["id"] for each in listed] == [dispute]
        shown_batch = keyed.ok("GET", f"/v1/models/digits/batches/{of[dispute]['batches'][0]}", headers=OPERATOR)
        assert shown_batch["refuted"] == settled
    assert keyed.ok("GET", f"{PATH}?update={of[third]['update']}&state=refuted", headers=OPERATOR)["items"] == []
    assert keyed("GET", f"{PATH}?state=lost", headers=OPERATOR).status_code == 422
    refused = keyed("POST", f"{PATH}/{promoted}/settle", CONFIRM, headers=OPERATOR)
    assert (refused.status_code, refused.json()["state"]) == (409, "settled")
    keyed.ok("POST", f"/v1/updates/{retraction}/cancel", headers=OPERATOR)
    assert keyed.ok("GET", f"{PATH}?state=open", headers=OPERATOR)["items"][-1]["id"] == taken
