"""Keys over HTTP: made, shown once, replaced, expired, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from service.api.access.callers import OPERATOR as WHO_BOOTSTRAPS
from service.api.access.callers import Caller
from service.api.access.keyring import Keyring
from service.api.routes.updates import _stream
from service.contract.enums import Action, KeyScope
from service.contract.keys import CreateKey, CurrentKey
from service.errors import Unauthorized
from service.registry.callers import audit, keys
from service.registry.sql.database import now
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Batch, Update
from service.settings import Settings
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_version

OPERATOR = {"Authorization": "Bearer secret"}


@pytest.fixture
def keyed(make_api: MakeApi) -> Api:
    return make_api(key="secret")


def made(api: Api, **members: Any) -> dict[str, Any]:
    order = {"name": "till 7", "scopes": ["learn"], **members}
    key: dict[str, Any] = api.ok("POST", "/v1/keys", order, headers=OPERATOR)
    return key


def status(api: Api, secret: str) -> int:
    return api("GET", "/v1/models", headers={"Authorization": f"Bearer {secret}"}).status_code


def test_a_secret_is_shown_once_and_kept_nowhere(keyed: Api) -> None:
    key = made(keyed)
    secret = key.pop("secret")
    assert (secret[: len(key["prefix"])], len(secret) > 60) == (key["prefix"], True)
    assert (key["by"], key["good"], key["scopes"], key["models"]) == ("bootstrap key", True, ["learn"], None)
    assert status(keyed, secret) == 200
    shown = keyed.ok("GET", f"/v1/keys/{key['id']}", headers=OPERATOR)
    assert shown == key
    assert keyed.ok("GET", "/v1/keys", headers=OPERATOR)["items"] == [key]
    hidden = secret.removeprefix(key["prefix"])
    kept = b"".join(path.read_bytes() for path in keyed.runtime.settings.data.rglob("*") if path.is_file())
    assert hidden.encode() not in kept


def test_a_repeated_order_makes_one_key_and_shows_no_secret(keyed: Api) -> None:
    order, headers = {"name": "x", "scopes": ["learn"]}, {**OPERATOR, "Idempotency-Key": "once"}
    first = keyed.ok("POST", "/v1/keys", order, headers=headers)
    again = keyed.ok("POST", "/v1/keys", order, headers=headers)
    assert again == {**first, "secret": None}


def test_a_key_that_differs_opens_nothing(keyed: Api) -> None:
    secret = made(keyed)["secret"]
    for other in (secret[:-1], secret + "x", secret[:19] + secret[20:], secret[:19]):
        assert status(keyed, other) == 401, other


def test_a_revoked_key_opens_nothing_and_stays_listed(keyed: Api) -> None:
    key = made(keyed)
    assert keyed("DELETE", f"/v1/keys/{key['id']}", headers=OPERATOR).status_code == 204
    assert status(keyed, key["secret"]) == 401
    [shown] = keyed.ok("GET", "/v1/keys", headers=OPERATOR)["items"]
    assert (shown["good"], shown["revoked_at"] is not None) == (False, True)
    assert keyed("DELETE", f"/v1/keys/{key['id']}", headers=OPERATOR).status_code == 204
    assert keyed("DELETE", "/v1/keys/key_1", headers=OPERATOR).status_code == 404


def test_every_key_is_told_what_it_may_do(keyed: Api) -> None:
    def told(secret: str) -> dict[str, Any]:
        return keyed.ok("GET", "/v1/keys/current", headers={"Authorization": f"Bearer {secret}"})

    made_one = made(keyed, models=["team-a-*"], expires_at="2127-12-31T00:00:00Z", queued=20)
    assert told(made_one["secret"]) == {name: made_one[name] for name in CurrentKey.model_fields}
    nobody = dict.fromkeys(CurrentKey.model_fields) | {"scopes": [*KeyScope]}
    assert told(OPERATOR["Authorization"].split()[1]) == nobody | {"id": "bootstrap key"}


def test_a_key_expires(keyed: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    key = made(keyed, expires_at=soon.isoformat())
    assert status(keyed, key["secret"]) == 200
    monkeypatch.setattr(Keyring, "_now", lambda _: now() + 3601)
    refused = keyed("GET", "/v1/models", headers={"Authorization": f"Bearer {key['secret']}"})
    assert refused.status_code == 401
    assert f"The key {key['id']} has ended." in refused.json()["detail"]
    guessed = keyed("GET", "/v1/models", headers={"Authorization": f"Bearer {key['secret'][:-1]}!"})
    assert (guessed.status_code, key["id"] in guessed.text) == (401, False)


def test_a_key_takes_the_place_of_another_with_an_overlap(keyed: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    old = made(keyed, rate=50, bytes=10**12, queued=20)
    new = keyed.ok("POST", "/v1/keys", {"replaces": old["id"], "overlap_hours": 2}, headers=OPERATOR)
    alike = ("name", "scopes", "rate", "bytes", "queued")
    assert (
        [new[member] for member in alike] == [old[member] for member in alike] == ["till 7", ["learn"], 50, 10**12, 20]
    )
    assert new["replaces"] == old["id"]
    assert status(keyed, old["secret"]) == status(keyed, new["secret"]) == 200
    monkeypatch.setattr(Keyring, "_now", lambda _: now() + 2 * 3600 + 1)
    assert (status(keyed, old["secret"]), status(keyed, new["secret"])) == (401, 200)


def test_a_key_with_other_scopes_has_the_models_of_the_key_that_it_replaces(keyed: Api) -> None:
    keyed.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=OPERATOR)
    old = made(keyed, models=["digits"])
    narrow = keyed.ok("POST", "/v1/keys", {"replaces": old["id"], "scopes": ["predict"]}, headers=OPERATOR)
    assert narrow["models"] == ["digits"]
    wide = keyed.ok("POST", "/v1/keys", {"replaces": old["id"], "scopes": ["admin"]}, headers=OPERATOR)
    assert wide["models"] is None


def test_an_order_that_cannot_be_is_refused_where_it_is_wrong(keyed: Api) -> None:
    for members, pointer in [
        ({"overlap_hours": 2}, "/overlap_hours"),
        ({"name": "a\0b"}, "/name"),
        ({"name": "till \x1b[2J"}, "/name"),
        ({"scopes": ["fly"]}, "/scopes/0"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": None}, "/scopes"),
        ({"name": None}, "/name"),
        ({"models": ["nobody"]}, "/models/0"),
        ({"scopes": ["admin"], "models": ["digits"]}, "/models"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "soon"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "/expires_at"),
        ({"rate": 0}, "/rate"),
        ({"rate": 0.0009}, "/rate"),
        ({"bytes": 0}, "/bytes"),
        ({"queued": 2**70}, "/queued"),
        ({"replaces": "key_1"}, "/replaces"),
    ]:
        refused = keyed("POST", "/v1/keys", {"name": "x", "scopes": ["learn"], **members}, headers=OPERATOR)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text


def test_a_service_that_has_made_a_key_asks_for_one_for_good(make_api: MakeApi) -> None:
    """Without TSUIKA_KEY the first key shuts the door, and the end of all keys does not open it."""
    api = make_api()
    key = api.ok("POST", "/v1/keys", {"name": "me", "scopes": ["admin"]})
    assert api("GET", "/v1/models").status_code == 401
    mine = {"Authorization": f"Bearer {key['secret']}"}
    assert api("DELETE", f"/v1/keys/{key['id']}", headers=mine).status_code == 204
    assert api("GET", "/v1/models", headers=mine).status_code == 401


def test_the_first_key_of_a_service_that_asks_nobody_may_do_all(api: Api) -> None:
    refused = api("POST", "/v1/keys", {"name": "till 7", "scopes": ["learn", "promote"]})
    assert (refused.status_code, pointers(refused)) == (422, ["/scopes"])
    assert "the first has the scope admin" in refused.json()["detail"]
    assert api.ok("GET", "/v1/keys")["items"] == []
    me = {"Authorization": f"Bearer {api.ok('POST', '/v1/keys', {'name': 'me', 'scopes': ['admin']})['secret']}"}
    api.ok("POST", "/v1/keys", {"name": "till 7", "scopes": ["learn"]}, headers=me)


def test_the_key_of_the_settings_opens_all_until_another_one_may_do_all(
    keyed: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rows = {"name": "digits", "input": {"kind": "vector", "size": 3}}, {"inputs": [[1, 2, 3]]}
    keyed.ok("POST", "/v1/models", model, headers=OPERATOR)
    make_version(keyed.runtime)
    made(keyed)
    admits = keyed.door.context.keyring.still_admits
    assert (status(keyed, "secret"), admits(WHO_BOOTSTRAPS)) == (200, True)

    admin = made(keyed, scopes=["admin"])
    me = {"Authorization": f"Bearer {admin['secret']}"}
    for written in ("Bearer secret", "bearer  secret "):
        headers = {"Authorization": written}
        for method, path, body in (
            ("GET", "/v1/models", None),
            ("GET", "/metrics", None),
            ("POST", "/v1/keys", {"name": "x", "scopes": ["admin"]}),
            ("POST", "/v1/models/digits/predictions", rows),
        ):
            refused = keyed(method, path, body, headers=headers)
            assert (refused.status_code, "`tsuika keys create" in refused.text) == (401, True), (method, path)
        assert keyed("GET", "/readyz", headers=headers).status_code == 200
    probe = {"method": "GET", "path": "/readyz", "headers": [(b"authorization", b"Bearer secret")]}
    assert not keyed.door.context.keyring.may_see(probe)
    assert not admits(WHO_BOOTSTRAPS)
    assert keyed("GET", "/v1/models", headers={"Authorization": "Bearer secrets"}).status_code == 401

    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    keyed.ok("POST", "/v1/keys", {"name": "you", "scopes": ["admin"], "expires_at": soon}, headers=me)
    assert keyed("DELETE", f"/v1/keys/{admin['id']}", headers=me).status_code == 204
    assert status(keyed, "secret") == 401
    monkeypatch.setattr(Keyring, "_now", lambda _: now() + 3601)
    assert (status(keyed, "secret"), status(keyed, admin["secret"])) == (200, 401)


def test_a_key_that_may_do_all_of_another_process_takes_the_place_of_that_of_the_settings(keyed: Api) -> None:
    other = open_database(keyed.runtime.database.url)
    with other.writing() as session:
        _, secret = keys.create(session, CreateKey(name="me", scopes=[KeyScope.ADMIN]), "command line")
    other.close()
    keyed.look()
    assert (status(keyed, "secret"), status(keyed, secret)) == (401, 200)


def test_a_stored_key_is_itself_where_the_settings_have_it_too(keyed: Api, tmp_path: Path) -> None:
    """The client's TSUIKA_KEY has the same name, and may be set where a service is started."""
    key = made(keyed, scopes=["admin"])
    settings = Settings(data=tmp_path, key=key["secret"])
    headers = [(b"authorization", f"Bearer {key['secret']}".encode())]
    scope = {"path": "/v1/models", "headers": headers}
    before = Keyring(keyed.runtime.database, settings)
    assert before.caller(scope).name == key["id"]
    me = {"Authorization": f"Bearer {key['secret']}"}
    assert keyed("DELETE", f"/v1/keys/{key['id']}", headers=me).status_code == 204
    before.reread()
    for ring in (before, Keyring(keyed.runtime.database, settings)):
        with pytest.raises(Unauthorized, match="All keys of this service have ended"):
            ring.caller(scope)


def test_what_another_process_revokes_is_known_within_a_poll(keyed: Api) -> None:
    key = made(keyed)
    with closing(open_database(keyed.runtime.database.url)) as other, other.writing() as session:
        keys.revoke(session, keys.get(session, key["id"]))
    keyed.look()
    assert status(keyed, key["secret"]) == 401


def test_keys_are_read_anew_where_one_was_changed_and_not_for_other_changes(keyed: Api) -> None:
    read: list[str] = []
    listening = Engine, "before_cursor_execute", lambda *call: read.append(call[2])
    event.listen(*listening)
    try:
        with keyed.runtime.database.writing() as session:
            audit.record(session, Action.MODEL_CREATED, "digits")
        keyed.look()
        others = [statement for statement in read if "api_keys" in statement or "installation" in statement]
        key = made(keyed)
    finally:
        event.remove(*listening)
    assert others == []
    assert [statement for statement in read if "FROM api_keys" in statement]
    assert status(keyed, key["secret"]) == 200


def test_who_holds_a_key_is_told_for_a_while_that_it_has_ended(keyed: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    key = made(keyed, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    answers = []
    for days in (89, 91):
        monkeypatch.setattr(Keyring, "_now", lambda _, later=days: now() + later * 86400.0)
        monkeypatch.setattr(keys, "clock", lambda _, later=days: now() + later * 86400.0)
        made(keyed)
        refused = keyed("GET", "/v1/models", headers={"Authorization": f"Bearer {key['secret']}"})
        answers.append((refused.status_code, key["id"] in refused.text))
    assert answers == [(401, True), (401, False)]


def test_a_stream_of_events_tells_nothing_more_once_its_key_is_revoked(keyed: Api) -> None:
    keyed.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=OPERATOR)
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"]}
    update = keyed.ok("POST", "/v1/models/digits/updates", rows, headers=OPERATOR)["id"]
    key = made(keyed)
    stream = _stream(keyed.door.context, Caller(key["id"], frozenset({KeyScope.LEARN})), update, 0)

    async def follow() -> list[bytes]:
        told = [await anext(stream)]
        assert (await keyed.http.delete(f"/v1/keys/{key['id']}", headers=OPERATOR)).status_code == 204
        assert (await keyed.http.post(f"/v1/updates/{update}/cancel", headers=OPERATOR)).status_code == 200
        return [*told, *[message async for message in stream]]

    [queued] = keyed.runner.run(follow())
    assert b"event: queued" in queued


def test_who_waits_for_an_update_is_told_nothing_once_the_key_is_revoked(keyed: Api) -> None:
    keyed.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=OPERATOR)
    key = made(keyed)
    mine = {"Authorization": f"Bearer {key['secret']}"}
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"]}

    async def wait() -> tuple[int, str]:
        waiting = asyncio.create_task(keyed.http.post("/v1/models/digits/updates?wait=20", json=rows, headers=mine))
        updates: list[dict[str, Any]] = []
        while not updates:
            updates = (await keyed.http.get("/v1/models/digits/updates", headers=OPERATOR)).json()["items"]
        await keyed.http.delete(f"/v1/keys/{key['id']}", headers=OPERATOR)
        await keyed.http.post(f"/v1/updates/{updates[0]['id']}/cancel", headers=OPERATOR)
        answer = await waiting
        return answer.status_code, answer.text

    status_code, text = keyed.runner.run(wait())
    assert (status_code, "upd_" in text) == (401, False)


def test_a_body_that_was_on_its_way_when_its_key_was_revoked_does_nothing(keyed: Api) -> None:
    keyed.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=OPERATOR)
    key = made(keyed)
    mine = {"Authorization": f"Bearer {key['secret']}", "Content-Type": "application/json"}

    async def body() -> AsyncIterator[bytes]:
        yield b'{"inputs": [[1, 2, 3]], '
        await keyed.http.delete(f"/v1/keys/{key['id']}", headers=OPERATOR)
        yield b'"labels": ["a"]}'

    assert keyed("POST", "/v1/models/digits/batches", content=body(), headers=mine).status_code == 401
    assert keyed.ok("GET", "/v1/models/digits/batches", headers=OPERATOR)["items"] == []


def test_a_key_signs_what_it_does(keyed: Api) -> None:
    key = made(keyed, scopes=["admin"])
    mine = {"Authorization": f"Bearer {key['secret']}"}
    keyed.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=mine)
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"]}
    keyed.ok("POST", "/v1/models/digits/updates", rows, headers=mine)
    with keyed.runtime.database.reading() as session:
        [batch], [update] = session.scalars(select(Batch)).all(), session.scalars(select(Update)).all()
    assert (batch.by, update.by, batch.bytes > 0) == (key["id"], key["id"], True)


def test_the_log_names_the_key_of_a_failed_request_and_has_few_lines_for_many_wrong_keys(
    keyed: Api, caplog: pytest.LogCaptureFixture
) -> None:
    key = made(keyed)
    with caplog.at_level("INFO", "tsuika.requests"):
        for _ in range(50):
            assert keyed("GET", "/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
        keyed.door.fast_path.log_refusals()
        lines = [line for line in caplog.messages if "refused" in line]
        assert sum(int(line.split()[0]) for line in lines) == 50, "each is counted, whenever it was logged"
        assert len(lines) < 50
        keyed("GET", "/v1/models/none", headers={"Authorization": f"Bearer {key['secret']}"})
    fields: dict[str, Any] = vars(caplog.records[-1])["fields"]
    assert (fields["status"], fields["key"]) == (404, key["id"])
