"""A database of another version: every command says so in a sentence and leaves everything as it is."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from service.api.health import Health
from service.cli import main
from service.cli.exits import DONE, ERROR
from service.registry.sql.schema import revisions
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.settings import Settings
from service.worker.parent import child_process
from service.worker.parent.loop import Worker
from tests.registry.facts import learn, model
from tests.registry.old_store import Store

COMMANDS = (
    ["serve", "--port", "0"],
    ["work"],
    ["migrate"],
    ["gc"],
    ["gc", "--dry-run"],
    ["fsck", "--repair"],
    ["backup", "a-backup"],
    ["verify", "digits", "1"],
    ["keys", "create", "x", "--scopes", "learn"],
    ["keys", "list"],
    ["audit", "verify"],
)
UPGRADES = ("serve", "migrate")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path / "data"))
    return Store(tmp_path / "data", "0002")


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def everything(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file with the time of its last change."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends at once and touches nothing."""
    before = everything(folder)
    assert main(arguments) == ERROR
    captured = capsys.readouterr()
    assert everything(folder) == before
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    return captured.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_tables_of_a_newer_version_are_left_alone(
    command: list[str], old: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    change(old.file, "UPDATE alembic_version SET version_num = '9999'")
    message = refused(command, old.data, capsys)
    assert "revision 9999" in message
    assert f"up to {revisions()[-1]}: use the version that upgraded it" in message


@pytest.mark.parametrize("command", [c for c in COMMANDS if c[0] not in UPGRADES], ids=" ".join)
def test_tables_of_an_older_version_are_left_to_migrate(
    command: list[str], old: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(command, old.data, capsys)
    assert f"at revision 0002, and this version of Tsuika works with revision {revisions()[-1]}" in message
    assert "tsuika migrate" in message


def test_a_migration_that_fails_is_named_and_changes_nothing(old: Store, capsys: pytest.CaptureFixture[str]) -> None:
    change(old.file, "CREATE TABLE audit (id INTEGER)")
    before = old.rows()
    assert main(["migrate"]) == ERROR
    [sentence] = capsys.readouterr().err.splitlines()
    assert "migration 0010_keys failed: table audit already exists. Nothing was changed" in sentence
    assert "restore a backup" in sentence
    assert old.rows() == before


def test_what_is_said_to_run_brings_them_up_to_date(old: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate"]) == DONE
    assert main(["audit", "verify"]) == DONE


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("whose", ["of another program", "no database"])
def test_a_file_that_is_not_ours_is_left_alone(
    command: list[str], whose: str, old: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    if whose == "no database":
        old.file.write_bytes(b"minutes of a meeting" * 100)
    else:
        change(old.file, "DROP TABLE alembic_version")
    assert str(old.file) in refused(command, old.data, capsys)


def test_work_without_tables_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TSUIKA_DATA", str(tmp_path))
    assert "tsuika migrate" in refused(["work"], tmp_path, capsys)


def test_a_worker_ends_before_its_next_claim_when_another_version_has_upgraded_the_tables(
    migrated: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "CHILD", "tests.worker.stand_in")
    settings = Settings(data=tmp_path, database_url=f"sqlite:///{tmp_path / 'tsuika.db'}", poll_seconds=0.02)
    settings.database_file.write_bytes(migrated.read_bytes())
    runtime, ended = Runtime(settings), threading.Event()
    worker = Worker(runtime, ended.set)
    try:
        with runtime.database.writing() as session:
            update_id = learn(session, model(session)).id
        change(settings.database_file, "UPDATE alembic_version SET version_num = '9999'")
        worker.start()
        assert ended.wait(20.0)
        assert worker.refused is not None
        status, body = Health(learning=worker.trouble).ready()
        assert (status, body["status"]) == (200, "degraded")
        assert "another version" in body["learning"]
        with runtime.database.reading() as session:
            assert session.get_one(Update, update_id).state == "queued"
    finally:
        worker.stop(5.0)
        runtime.close()
    assert [r.message for r in caplog.records if "9999" in r.message and r.exc_info is None]
