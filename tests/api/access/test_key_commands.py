"""`tsuika keys` and `tsuika audit` beside a service: what they print, and that the service knows it within a poll."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.cli import main
from service.cli.exits import DONE, ERROR
from service.registry.callers.actor import SERVICE, act_as
from service.registry.sql import unopened
from tests.api.conftest import Api

pytestmark = pytest.mark.sqlite  # commands read the settings of the environment


@pytest.fixture
def beside(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A service without a key, whose data folder the commands name."""
    monkeypatch.setenv("TSUIKA_DATA", str(api.runtime.settings.data))
    yield api
    act_as(SERVICE)  # a command names its own actor, and ends with its process


def status(api: Api, secret: str) -> int:
    api.door.context.keyring.refresh()  # as a poll does
    return api("GET", "/v1/models", headers={"Authorization": f"Bearer {secret}"}).status_code


def test_a_key_made_by_command_opens_and_shuts_a_running_service(
    beside: Api, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = beside.runtime.database.url
    assert not unopened.any_key(url)
    share = ["--rate", "50", "--bytes", "1000000", "--queued", "20"]
    assert main(["keys", "create", "till 7", "--scopes", "learn,predict", "--models", "digits", *share]) == DONE
    made = capsys.readouterr()
    secret = made.out.removesuffix("\n")
    assert secret.startswith("tsuika_")
    assert "\n" not in secret
    may = (
        "'till 7': predict, learn on digits, 50 requests a second, 1,000,000 bytes of batches, 20 updates in the queue"
    )
    assert f"{may}, without end" in made.err
    assert unopened.any_key(url)
    assert (status(beside, secret), status(beside, "")) == (200, 401)
    assert beside("POST", "/v1/models", {}, headers={"Authorization": f"Bearer {secret}"}).status_code == 403

    assert main(["keys", "create", "--replaces", made.err.split()[0], "--overlap-hours", "0", "--days", "90"]) == DONE
    newer = capsys.readouterr()
    assert f"{may}, until 20" in newer.err
    assert f"It replaces {made.err.split()[0]} " in newer.err
    assert (status(beside, secret), status(beside, newer.out.strip())) == (401, 200)
    capsys.readouterr()
    assert main(["keys", "revoke", newer.err.split()[0]]) == DONE
    assert capsys.readouterr().out.startswith(f"{newer.err.split()[0]} ")
    assert status(beside, newer.out.strip()) == 401
    refused = beside("GET", "/v1/models").json()["detail"]
    assert "`tsuika keys create`" in refused

    capsys.readouterr()
    assert main(["keys", "list"]) == DONE
    listed = capsys.readouterr().out.splitlines()
    assert [("revoked" in line, "ended" in line) for line in listed] == [(True, False), (False, True)]
    assert main(["audit", "list"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(maxsplit=2)[2].startswith("command line key.revoked key_")
    assert lines[-1].endswith("model.created digits")
    for word in (secret, newer.out.strip()):
        hidden = word[-20:]
        assert hidden not in "\n".join([caplog.text, *listed, *lines, made.err, newer.err])
    assert main(["keys", "create", "slow", "--scopes", "predict", "--rate", "1", "--queued", "1"]) == DONE
    assert ", 1 request a second, 1 update in the queue, without end" in capsys.readouterr().err


def test_a_command_that_cannot_be_says_which_option_is_wrong(beside: Api, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, sentence in [
        (["create", "x", "--scopes", "fly"], "--scopes"),
        (["create", "x"], "--scopes"),
        (["create", "--scopes", "learn"], "NAME"),
        (["create", "x", "--scopes", "learn", "--models", "nobody"], '--models: There is no model "nobody"'),
        (["create", "x", "--scopes", "learn", "--rate", "1e-9"], "--rate: rate is at least 0.001, a request in 17"),
        (["create", "x", "--scopes", "learn", "--bytes", "0"], "--bytes"),
        (["create", "x", "--scopes", "learn", "--days", "-1"], "--days"),
        (["create", "x", "--scopes", "learn", "--days", "nan"], "--days"),
        (["create", "x", "--scopes", "learn", "--days", "1e-12"], "--days: That moment has passed"),
        (["create", "--replaces", "key_1"], "--replaces"),
        (["create", "x", "--scopes", "learn", "--overlap-hours", "-1"], "--overlap-hours"),
        (["create", "x", "--scopes", "learn", "--overlap-hours", "4"], "--overlap-hours"),
        (["revoke", "key_1"], 'There is no key "key_1"'),
    ]:
        assert main(["keys", *arguments]) == ERROR, arguments
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1), arguments
        assert sentence in said.err, arguments
        assert not unopened.any_key(beside.runtime.database.url), arguments


def test_verify_says_how_many_rows_hold_or_which_does_not(beside: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify"]) == DONE
    said = capsys.readouterr().out
    assert said.startswith("As it was written: 1 row holds.")
    head = said.split()[-1]
    assert main(["audit", "verify", "--head", head]) == DONE
    assert main(["audit", "verify", "--head", "f" * 64]) == ERROR
    assert main(["audit", "verify", "--head", "short"]) == ERROR
    with closing(sqlite3.connect(beside.runtime.database.name)) as other, other:
        other.execute("DROP TRIGGER audit_no_update")
        other.execute("UPDATE audit SET by = 'nobody'")
    capsys.readouterr()
    assert main(["audit", "verify"]) == ERROR
    assert "0 rows hold, row 1 does not" in capsys.readouterr().out


def test_a_folder_without_a_database_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path / "nowhere"))
    assert main(["keys", "create", "x", "--scopes", "learn"]) == ERROR
    assert "TSUIKA_DATA" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()
