"""How much of the service one key, and one model, may take."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.access import rates
from tests.api.access.test_keys import OPERATOR, made
from tests.api.conftest import Api, MakeApi
from tests.making import make_model, make_version

ROWS = {"inputs": [[1, 2, 3]], "labels": ["a"]}
MODEL = {"name": "digits", "input": {"kind": "vector", "size": 3}}


def ask(api: Api, headers: dict[str, str], count: int) -> list[int]:
    return [api("GET", "/v1/models", headers=headers).status_code for _ in range(count)]


def bearer(key: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['secret']}"}


def test_a_key_that_asks_too_often_is_told_when_to_ask_again(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api(key="secret", key_rate=2)
    clock = [100.0]
    monkeypatch.setattr(rates.time, "monotonic", lambda: clock[0])
    slow, quick = made(api, rate=0.5), made(api, rate=1e6)
    assert ask(api, bearer(slow), 2) == [200, 429]
    refused = api("GET", "/v1/models", headers=bearer(slow))
    assert (refused.headers["retry-after"], refused.json()["type"].rpartition("/")[2]) == ("2", "too-many")
    clock[0] += 2.0
    assert ask(api, bearer(slow), 2) == [200, 429]
    assert ask(api, bearer(made(api)), 3) == [200, 200, 429]
    assert set(ask(api, bearer(quick), 20)) == set(ask(api, OPERATOR, 20)) == {200}
    assert api("GET", "/readyz", headers=bearer(slow)).status_code == 200
    seldom = made(api, rate=0.001)
    assert ask(api, bearer(seldom), 2) == [200, 429]
    assert api("GET", "/v1/models", headers=bearer(seldom)).headers["retry-after"] == "1000"


def test_so_many_updates_wait_and_no_more(make_api: MakeApi) -> None:
    api = make_api(queued_updates=2)
    api.ok("POST", "/v1/models", MODEL)
    update = [api.ok("POST", "/v1/models/digits/updates", {**ROWS, "seed": k})["id"] for k in (1, 2)][-1]
    refused = api("POST", "/v1/models/digits/updates", {**ROWS, "inputs": [[3, 2, 1]]})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert len(api.ok("GET", "/v1/models/digits/batches")["items"]) == 1, "the rows of the refused update are not kept"
    [batch] = api.ok("GET", "/v1/models/digits/batches")["items"]
    api.ok("POST", "/v1/models/digits/classes", {"names": ["b"]})
    correction = {"rows": {"0": "b"}, "reason": "looked at again"}
    assert api("POST", f"/v1/models/digits/batches/{batch['id']}/corrections", correction).status_code == 429
    [kept] = api.ok("GET", "/v1/models/digits/batches")["items"]
    assert (kept["id"], kept["state"]) == (batch["id"], "pending"), "what was refused takes nothing back"
    assert api("POST", "/v1/models/digits/retractions", {"batches": [batch["id"]]}).status_code == 202
    api.ok("POST", f"/v1/updates/{update}/cancel")


def test_updates_that_wait_are_counted_by_key(make_api: MakeApi) -> None:
    api = make_api(key="secret", key_queued_updates=1)
    api.ok("POST", "/v1/models", MODEL, headers=OPERATOR)
    one, two = bearer(made(api)), bearer(made(api, queued=2))
    for headers, statuses in ((one, [202, 429]), (two, [202, 202, 429])):
        asked = [api("POST", "/v1/models/digits/updates", ROWS, headers=headers).status_code for _ in statuses]
        assert asked == statuses


def test_an_update_that_is_tried_again_waits_like_any_other(make_api: MakeApi) -> None:
    """Else a key would cancel, order another one, and try the first again, as often as it likes."""
    api = make_api(key="secret", key_queued_updates=1)
    api.ok("POST", "/v1/models", MODEL, headers=OPERATOR)
    mine = bearer(made(api))
    cancelled = api.ok("POST", "/v1/models/digits/updates", ROWS, headers=mine)["id"]
    api.ok("POST", f"/v1/updates/{cancelled}/cancel", headers=mine)
    waiting = api.ok("POST", "/v1/models/digits/updates", ROWS, headers=mine)["id"]
    assert api("POST", f"/v1/updates/{cancelled}/retry", headers=mine).status_code == 429
    assert api("POST", f"/v1/updates/{cancelled}/retry", headers=OPERATOR).status_code == 429
    api.ok("POST", f"/v1/updates/{waiting}/cancel", headers=mine)
    assert api("POST", f"/v1/updates/{cancelled}/retry", headers=mine).status_code == 202


def test_a_version_that_is_learned_again_waits_like_any_other(make_api: MakeApi) -> None:
    api = make_api(queued_updates=1)
    make_model(api.runtime)
    make_version(api.runtime)
    make_version(api.runtime, seed=1)
    api.ok("POST", "/v1/models/digits/updates", ROWS)
    refused = api("POST", "/v1/models/digits/deployments", {"version": 1, "rebase": True})
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (429, "too-many")


def test_a_key_in_the_place_of_another_has_the_same_share(make_api: MakeApi) -> None:
    """Else whoever may replace keys would have room without end."""
    api = make_api(key="secret")
    api.ok("POST", "/v1/models", MODEL, headers=OPERATOR)
    old = made(api, bytes=3000, queued=1)
    new = api.ok("POST", "/v1/keys", {"replaces": old["id"], "overlap_hours": 1}, headers=OPERATOR)
    newest = api.ok("POST", "/v1/keys", {"replaces": new["id"], "overlap_hours": 1}, headers=OPERATOR)
    update = "/v1/models/digits/updates"
    assert api("POST", update, ROWS, headers=bearer(newest)).status_code == 202
    waiting = [api("POST", update, ROWS, headers=bearer(key)).status_code for key in (old, new, newest)]
    assert waiting == [429] * 3
    batches = "/v1/models/digits/batches"
    row = {**ROWS, "again": True}
    while api("POST", batches, row, headers=bearer(old)).status_code == 201:
        pass
    full = [api("POST", batches, row, headers=bearer(key)).status_code for key in (old, new, newest, made(api))]
    assert full == [507, 507, 507, 201]


@pytest.mark.parametrize(("whose", "own"), [("model_bytes", None), ("key_bytes", None), ("key_bytes", 1500)])
def test_stored_rows_take_so_much_and_no_more(make_api: MakeApi, whose: str, own: int | None) -> None:
    api = make_api(key="secret", **{whose: 3000 if own is None else 10**9})
    api.ok("POST", "/v1/models", MODEL, headers=OPERATOR)
    mine = bearer(made(api, bytes=own))
    statuses = [
        api("POST", "/v1/models/digits/batches", {**ROWS, "inputs": [[k, 0, 0]]}, headers=mine).status_code
        for k in range(8)
    ]
    taken = statuses.count(201)
    assert 0 < taken < 8
    assert statuses == [201] * taken + [507] * (8 - taken)
    refused = api("POST", "/v1/models/digits/batches", ROWS, headers=mine)
    assert refused.json()["type"].rpartition("/")[2] == "quota-full"
    files = [path for path in (api.runtime.settings.data / "store").rglob("*") if path.is_file()]
    assert len(files) == taken, "what was refused is in no folder"
