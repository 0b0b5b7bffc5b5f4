"""The database and its migrations: whole or absent, one writer, the tables that the code knows."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, select, text

import service
from service.errors import Busy, DiskFull, ImpossibleSettings, SchemaMismatch
from service.registry import models
from service.registry.sql import schema
from service.registry.sql.base import Table
from service.registry.sql.database import Bounds, Database, marks
from service.registry.sql.engines import migrate, open_database
from service.registry.sql.schema import migrations_path
from service.registry.sql.tables import Installation, Model, Update
from tests.registry.facts import model, undone

LATER = """from service.registry.sql.migrating import TEXT, add_filled

revision, down_revision = "9999", "{before}"


def upgrade() -> None:
    add_filled("audit", "motto", TEXT, "none")
"""


def created(path: Path) -> dict[str, list[str]]:
    """What SQLite was told for each table, index and trigger, word by word, columns and constraints in any order."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    statements = {}
    for name, sql in rows:
        if name not in ("alembic_version", "sqlite_sequence"):
            parts = re.split(r",\s|\n", sql.replace('"', ""))  # a column that was added stands in another's line
            statements[name] = sorted(part.strip() for part in parts if part.strip())
    return statements


@pytest.mark.sqlite
def test_migrations_from_empty_make_the_tables_that_the_code_knows(migrated: Path, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()


@pytest.mark.sqlite
def test_migrations_make_every_check_and_key_that_the_code_declares(migrated: Path, tmp_path: Path) -> None:
    """compare_metadata is blind to checks."""
    direct = tmp_path / "direct.db"
    engine = create_engine(f"sqlite:///{direct}")
    with engine.begin() as connection:
        Table.metadata.create_all(connection)
        schema.guard_audit(connection)
    engine.dispose()
    assert created(migrated) == created(direct)


@pytest.mark.sqlite
def test_a_later_revision_that_makes_the_audit_anew_leaves_it_guarded(
    migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = Path(shutil.copytree(schema.migrations_path(), tmp_path / "migrations"))
    (migrations / "versions" / "9999_later.py").write_text(LATER.format(before=schema.revisions()[-1]))
    monkeypatch.setattr(schema, "migrations_path", lambda: migrations)
    later = Path(shutil.copy(migrated, tmp_path / "tsuika.db"))
    migrate(f"sqlite:///{later}")
    before, after = created(migrated), created(later)
    assert {name for name in before if before[name] != after.get(name)} == {"audit"}


def test_the_migrations_are_found_from_the_checkout() -> None:
    checkout = Path(service.__file__).resolve().parent.parent / "migrations"
    assert migrations_path() == checkout
    assert (checkout / "env.py").exists()


@pytest.mark.sqlite
def test_without_a_checkout_the_packaged_copy_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "service"
    monkeypatch.setattr(schema, "__file__", str(package / "registry" / "sql" / "schema.py"))
    assert migrations_path() == package / "migrations"


@pytest.mark.sqlite
def test_migrating_twice_keeps_what_is_there(migrated: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tsuika.db"
    shutil.copy(migrated, copy)
    with closing(open_database(f"sqlite:///{copy}")) as database:
        with database.writing() as session:
            model(session)
            secret = models.installation_secret(session)
        migrate(database.url)
        with database.reading() as session:
            assert models.get(session, "digits").name == "digits"
            assert models.installation_secret(session) == secret


@pytest.mark.sqlite
def test_strengths_that_were_stored_before_they_meant_what_they_say_go_on_holding_as_they_did(tmp_path: Path) -> None:
    url, methods = (
        f"sqlite:///{tmp_path / 'tsuika.db'}",
        ({"name": "ewc", "strength": 5}, {"name": "lwf", "strength": 5}),
    )
    migrate(url, "0005")
    engine = create_engine(url)
    with engine.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for key, method in enumerate([*methods, {"name": "l2_sp", "strength": "search"}]):
            at_all = {"id": key, "name": f"m{key}", "input": {}, "architecture": {}, "classes": [], "method": method}
            chosen = {"promotion": "auto", "retention": "all", "memory_rows": 0, "created_at": 0.0, "gate": {}}
            connection.execute(tables.tables["models"].insert().values(**at_all, **chosen))
        row = {column.name: 0 for column in tables.tables["updates"].columns if not column.nullable}
        row |= {"id": "upd_1", "kind": "learn", "batches": [], "state": "succeeded", "method": methods[0]}
        connection.execute(tables.tables["updates"].insert().values(**row))
    engine.dispose()
    migrate(url)
    with closing(open_database(url)) as database, database.reading() as session:
        stored = [model.method.get("strength") for model in session.scalars(select(Model).order_by(Model.id))]
        assert stored == [0.5, 5, "search"]
        [update] = session.scalars(select(Update))
        assert update.method == {"name": "ewc", "strength": 0.5}
        assert update.requested_method is None


@pytest.mark.sqlite
def test_alembic_is_not_loaded_for_a_database_that_is_up_to_date(migrated: Path) -> None:
    code = f"import sys; from service.registry.sql.engines import migrate; migrate('sqlite:///{migrated}')"
    code += "; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_who_finds_no_connection_is_told_what_holds_them(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.registry.sql.database.BUSY_SECONDS", 0.05)
    with closing(open_database(database.url, Bounds(lock_seconds=0.05))) as impatient, ExitStack() as reads:
        for _ in range(32):
            reads.enter_context(impatient.looking())
        with pytest.raises(Busy, match="busy with other reads"):
            reads.enter_context(impatient.looking())


@pytest.mark.sqlite
def test_every_installation_has_a_secret_of_its_own(tmp_path: Path) -> None:
    secrets = []
    for name in ("one.db", "other.db"):
        migrate(f"sqlite:///{tmp_path / name}")
        with closing(open_database(f"sqlite:///{tmp_path / name}")) as database, database.reading() as session:
            [row] = session.scalars(select(Installation))
            secrets.append(row.secret)
    assert secrets[0] != secrets[1]
    assert {len(bytes.fromhex(secret)) for secret in secrets} == {32}


@pytest.mark.sqlite
def test_a_migration_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tsuika.db"
    with monkeypatch.context() as patched:
        patched.setattr("secrets.token_hex", lambda size: 1 / 0)
        with pytest.raises(SchemaMismatch, match="0001_the_first_tables failed: ZeroDivisionError"):
            migrate(f"sqlite:///{path}")
    assert created(path) == {}
    migrate(f"sqlite:///{path}")
    assert "models" in created(path)


def test_a_block_that_ends_badly_leaves_no_trace(database: Database) -> None:
    undone(database, model)
    with database.reading() as session:
        assert session.query(Model).count() == 0


def test_a_reading_block_sees_one_moment(database: Database) -> None:
    with database.reading() as session:
        assert session.query(Model).count() == 0
        with database.writing() as other:
            model(other)
        assert session.query(Model).count() == 0
    with database.reading() as session:
        assert session.query(Model).count() == 1


def test_what_a_reading_block_changes_is_not_kept(database: Database) -> None:
    with database.writing() as session:
        model(session)
    with database.reading() as session:
        models.get(session, "digits").promotion = "manual"
    with database.reading() as session:
        assert models.get(session, "digits").promotion == "auto"


def test_a_function_is_called_before_each_transaction(database: Database) -> None:
    threads: list[int] = []
    database.before_each(lambda: threads.append(threading.get_ident()))

    def ask() -> None:
        with database.reading() as session:
            session.scalars(select(Installation)).one()
            session.scalars(select(Model)).all()
        with database.looking() as reader:
            reader.execute(select(Installation)).one()
        with database.writing() as session:
            model(session, "told")

    other = threading.Thread(target=ask)
    other.start()
    identity = other.ident
    other.join()
    database.mark()
    assert threads == [identity] * 3


def test_writes_of_many_threads_wait_for_one_another(database: Database) -> None:
    def write(name: str) -> None:
        with database.writing() as session:
            model(session, name)

    threads = [threading.Thread(target=write, args=(f"m{k}",)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.reading() as session:
        assert session.query(Model).count() == 12


@pytest.mark.sqlite
def test_a_commit_tells_its_marks_unless_others_committed_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, calls = database.mark, 0

    def late() -> int:
        nonlocal calls
        calls += 1
        if calls == 2:  # after the commit
            with other.writing() as other_session:
                model(other_session, "theirs")
        return mark()

    before = database.mark()
    with database.writing() as session:
        model(session, "ours")
        assert marks(session) is None
    assert marks(session) == (before, database.mark()) != (before, before)
    with closing(open_database(database.url)) as other:
        with other.writing() as other_session:
            model(other_session, "earlier")
        with monkeypatch.context() as patched:
            patched.setattr(database, "mark", late)
            with database.writing() as session:
                model(session, "again")
            assert marks(session) is None
    with database.writing() as session:
        model(session, "last")
    assert marks(session) is not None


@pytest.mark.parametrize("own", [False, True], ids=["for another process", "in its own process"])
def test_a_write_that_waits_too_long_is_refused_as_busy(
    database: Database, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.registry.sql.database.BUSY_SECONDS", 0.05)
    with (
        closing(open_database(database.url, Bounds(lock_seconds=0.05))) as impatient,
        (impatient if own else database).writing(),
    ):
        with pytest.raises(Busy), impatient.writing():
            pass
        with impatient.reading() as session:
            assert session.query(Model).count() == 0


@pytest.mark.sqlite
def test_a_full_disk_is_reported_as_such_and_stores_nothing(database: Database) -> None:
    def fill() -> None:
        with database.writing() as session:
            pages = session.scalar(text("PRAGMA page_count"))
            session.execute(text(f"PRAGMA max_page_count={pages}"))
            for k in range(200):
                model(session, f"m{k}", classes=["x" * 150])

    with pytest.raises(DiskFull):
        fill()
    with database.reading() as session:
        assert session.query(Model).count() == 0


@pytest.mark.sqlite
def test_every_connection_is_durable_and_keeps_the_foreign_keys(database: Database) -> None:
    for block in (database.reading, database.writing):
        with block() as session:
            pragmas = [
                session.scalar(text(f"PRAGMA {word}")) for word in ("journal_mode", "synchronous", "foreign_keys")
            ]
        assert pragmas == ["wal", 2, 1]


@pytest.mark.sqlite
def test_without_its_driver_postgresql_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImpossibleSettings, match=r"\.\[postgres\]"):
        open_database("postgresql://localhost/tsuika")


def test_between_a_look_for_bytes_and_its_commit_others_write_and_nobody_deletes(database: Database) -> None:
    """A store that takes its time keeps no writer waiting."""
    looks, goes_on, order = threading.Event(), threading.Event(), list[str]()

    def slow() -> None:
        looks.set()
        assert goes_on.wait(60)
        order.append("looked")

    def name() -> None:
        with database.writing(slow) as session:
            order.append("named")
            model(session, "named")

    def delete() -> None:
        with database.deleting() as session:
            order.append("deleted" if models.get(session, "named") else "")

    threads = [threading.Thread(target=name), threading.Thread(target=delete)]
    threads[0].start()
    assert looks.wait(60)
    threads[1].start()
    with database.writing() as session:
        model(session, "other")
    order.append("written")
    threads[1].join(0.2)
    assert threads[1].is_alive()
    goes_on.set()
    for thread in threads:
        thread.join(60)
    assert order == ["written", "looked", "named", "deleted"]


def test_who_deletes_bytes_keeps_those_waiting_who_look_for_some_and_no_other_writer(database: Database) -> None:
    order = list[str]()

    def name() -> None:
        with database.writing(lambda: order.append("looked")):
            pass

    thread = threading.Thread(target=name)
    with database.deleting():
        thread.start()
        with database.writing() as session:
            model(session)
        thread.join(0.2)
        order.append("deleted")
    thread.join(60)
    assert order == ["deleted", "looked"]


def test_who_waits_too_long_for_bytes_is_told_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.registry.sql.database.BUSY_SECONDS", 0.1)
    with (
        closing(open_database(database.url, Bounds(lock_seconds=0.1))) as impatient,
        database.deleting(),
        pytest.raises(Busy),
        impatient.writing(lambda: None),
    ):
        pass
