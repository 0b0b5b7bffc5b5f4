"""PostgreSQL: its tables, its turns, its news, and what it says when it is not as it should be (`--postgres`)."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg.sql import SQL, Identifier
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    Engine,
    MetaData,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy import Table as SqlTable

from service.api.access.keyring import Keyring
from service.contract.enums import Action
from service.errors import Busy, DiskFull, InvalidContent, NotWritable, SchemaMismatch
from service.registry import models, versions
from service.registry.callers import audit, idempotency
from service.registry.callers.idempotency import Attempt
from service.registry.sql import pg_driver, schema, unopened
from service.registry.sql import postgres as postgres_module
from service.registry.sql.base import Table
from service.registry.sql.database import Bounds, Database, among, clock, now
from service.registry.sql.engines import migrate, open_database
from service.registry.sql.pg_driver import Listener
from service.registry.sql.tables import (
    AuditEntry,
    Batch,
    IdempotencyKey,
    Installation,
    Model,
    RowMark,
    Update,
    UpdateEvent,
    Version,
)
from service.settings import Settings
from tests.postgres import PostgresServer
from tests.proxy import Proxy
from tests.registry import facts
from tests.registry.facts import batch, learn, model, version
from tests.registry.migrating import killed_amid
from tests.registry.old_store import Store

pytestmark = pytest.mark.postgres

LATER = """from service.registry.sql.migrating import TEXT, add, add_filled, optional

revision, down_revision, branch_labels, depends_on = "9999", "{before}", None, None


def upgrade() -> None:
    add_filled("models", "motto", TEXT, "none")
    add("versions", *optional(TEXT, "colour"))
"""
"""A revision that this version does not know yet, of tables that others refer to."""


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_empty_database_gets_the_tables_that_the_code_knows_by_whoever_comes_first(
    postgres: PostgresServer,
) -> None:
    url = postgres.empty()
    assert unopened.revision_of(url) is None
    with pytest.raises(SchemaMismatch, match="tsuika migrate"):
        unopened.require(url)
    starts = [threading.Thread(target=migrate, args=(url,)) for _ in range(4)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    migrate(url)
    unopened.require(url)
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
        assert len(connection.execute(select(Installation)).all()) == 1
    engine.dispose()


TEXTS = """SELECT table_name, column_name, collation_name FROM information_schema.columns
WHERE table_schema = 'public' AND data_type = 'character varying' AND table_name <> 'alembic_version'"""
LENGTHS = """SELECT table_name, character_maximum_length FROM information_schema.columns
WHERE table_name IN ('models', 'theirs') AND character_maximum_length > 0 ORDER BY table_name"""


def test_texts_stand_by_code_point_and_the_audit_is_guarded_in_new_tables_and_in_those_of_before(
    postgres: PostgresServer,
) -> None:
    url = postgres.empty()
    migrate(url)
    with closing(open_database(url)) as database, database.writing() as session:
        digits = model(session)
        learned = [batch(session, digits).id]
        before = version(session, digits, learned).id
    with psycopg.connect(url, autocommit=True) as connection:
        made = connection.execute(TEXTS).fetchall()
        assert {collation for _, _, collation in made} == {"C"}
        for table, column, _ in made:
            change = SQL('ALTER TABLE {} ALTER COLUMN {} TYPE varchar COLLATE "default"')
            connection.execute(change.format(Identifier(table), Identifier(column)))
        connection.execute("DROP FUNCTION refuse_audit_change CASCADE")
        connection.execute("DROP INDEX ix_updates_model_id_id")
        connection.execute("DROP INDEX ix_disputes_update_id")
        connection.execute("DROP TABLE named_batches")
        connection.execute("ALTER TABLE updates DROP corrected")
        connection.execute("DROP TABLE row_marks")
        connection.execute("ALTER TABLE batches DROP notes, DROP in_live, DROP sketch")
        connection.execute("ALTER TABLE api_keys DROP bytes, DROP queued")
        connection.execute("ALTER TABLE models DROP leave_out, DROP claimed_at, DROP keep_versions")
        connection.execute("UPDATE versions SET learned = more")
        connection.execute("ALTER TABLE versions DROP more, DROP less, DROP batch_count, ALTER learned SET NOT NULL")
        connection.execute("UPDATE alembic_version SET version_num = '0017'")
        connection.execute("CREATE TABLE theirs (code varchar(5))")
        connection.execute("CREATE VIEW codes AS SELECT code FROM theirs")
        connection.execute("CREATE VIEW names AS SELECT name FROM models")
        with pytest.raises(SchemaMismatch, match=r"0019_texts_by_code_point failed: .* used by a view.*Nothing was"):
            migrate(url)
        connection.execute("DROP VIEW names")
        connection.execute("ALTER TABLE models ALTER promotion TYPE varchar(40)")
    migrate(url)
    with closing(open_database(url)) as database, database.writing() as session:
        digits = session.get_one(Model, digits.id)
        assert [*session.get_one(Version, before).learned] == learned
        later = versions.add(session, digits, None, before, facts.made([*learned, batch(session, digits).id]))
        assert (later.whole, later.more, later.less) == (None, [max(later.learned)], [])
    with psycopg.connect(url) as connection:
        theirs = [("theirs", "code", None), ("codes", "code", None)]
        assert sorted(connection.execute(TEXTS).fetchall(), key=str) == sorted([*made, *theirs], key=str)
        assert connection.execute(LENGTHS).fetchall() == [("models", 40), ("theirs", 5)]
        with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
            connection.execute("DELETE FROM audit")


@pytest.mark.parametrize("statements", [4, 30])
def test_a_first_start_that_is_killed_leaves_no_tables_and_the_next_one_makes_them(
    postgres: PostgresServer, statements: int
) -> None:
    url = postgres.empty()
    assert killed_amid(url, statements)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    migrate(url)
    open_database(url).close()


@pytest.mark.parametrize("breaks_off", [False, True])
def test_a_later_revision_is_brought_to_tables_with_rows_in_them_or_changes_nothing(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks_off: bool
) -> None:
    url, before = postgres.empty(), schema.revisions()[-1]
    migrate(url)
    with closing(open_database(url)) as database, database.writing() as session:
        model(session)
    migrations = Path(shutil.copytree(schema.migrations_path(), tmp_path / "migrations"))
    later = LATER.format(before=before) + breaks_off * '    add_filled("models", "motto", TEXT, "none")\n'
    (migrations / "versions" / "9999_later.py").write_text(later)
    monkeypatch.setattr(schema, "migrations_path", lambda: migrations)
    said = 'migration 9999_later failed: column "motto" of relation "models" already exists. Nothing was changed'
    with pytest.raises(SchemaMismatch, match=said) if breaks_off else nullcontext():
        migrate(url)
    rows = {"SELECT version_num FROM alembic_version": before if breaks_off else "9999"}
    if not breaks_off:
        rows["SELECT motto FROM models"] = "none"
    with psycopg.connect(url) as connection:
        assert {query: connection.execute(query).fetchone() for query in rows} == {q: (v,) for q, v in rows.items()}
        assert connection.execute("SELECT name FROM models").fetchone() == ("digits",)
        columns = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'motto'"
        assert connection.execute(columns).fetchone() == (not breaks_off,)


FIRST = Path(__file__).parents[1] / "postgres_0011.sql"


@pytest.mark.parametrize("revision", schema.revisions()[10::4])
def test_a_database_of_each_revision_is_brought_up_to_date_with_every_row_and_predicts_the_same_bits(
    postgres: PostgresServer, tmp_path: Path, revision: str
) -> None:
    old, url = Store(tmp_path / "data", revision), postgres.empty()
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    tables, rows = _filled(engine, old)
    migrate(url)
    with engine.connect() as connection:
        for name, table in tables.tables.items():
            kept = _left(connection, table)
            assert kept == sorted(rows.get(name, kept), key=str), name
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    engine.dispose()
    old.is_whole(url)


@pytest.mark.parametrize("statements", [4, 60])
def test_an_upgrade_that_is_killed_has_changed_nothing_and_is_made_whole_later(
    postgres: PostgresServer, tmp_path: Path, statements: int
) -> None:
    old, url = Store(tmp_path / "data", "0011"), postgres.empty()
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    tables, rows = _filled(engine, old)
    assert killed_amid(url, statements)
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "0011"
        for name, known in rows.items():
            assert _left(connection, tables.tables[name]) == sorted(known, key=str), name
        assert not inspect(connection).has_table("row_marks")
    engine.dispose()
    migrate(url)
    old.is_whole(url)


def _filled(engine: Engine, old: Store) -> tuple[MetaData, dict[str, list[dict[str, Any]]]]:
    """Makes the tables of a store's revision, with its rows in them. -> the tables, and what is in them"""
    tables = MetaData()
    with engine.begin() as connection:
        connection.exec_driver_sql(FIRST.read_text())
        schema.upgrade(connection, old.revision)
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # rows name others that come later
        tables.reflect(connection)
        rows = {name: [_as_in(tables.tables[name], row) for row in known] for name, known in old.rows().items()}
        for name in rows:
            for row in rows[name]:
                connection.execute(tables.tables[name].insert(), row)
    return tables, rows


def _left(connection: Connection, table: SqlTable) -> list[dict[str, Any]]:
    """The rows of a table without what is NULL, in an order of their own."""
    kept = connection.execute(select(table)).mappings().all()
    return sorted(({key: value for key, value in row.items() if value is not None} for row in kept), key=str)


def _as_in(table: SqlTable, row: dict[str, Any]) -> dict[str, Any]:
    """A row of SQLite as PostgreSQL has it, without what is NULL."""
    kinds = {JSON: json.loads, Boolean: bool}
    reads = {c.name: read for c in table.columns for kind, read in kinds.items() if isinstance(c.type, kind)}
    return {key: reads.get(key, lambda same: same)(value) for key, value in row.items() if value is not None}


def test_tables_of_another_program_and_of_a_newer_version_are_left_alone(postgres: PostgresServer) -> None:
    url = postgres.empty()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE accounts (id int)")
    with pytest.raises(SchemaMismatch, match="another program"):
        migrate(url)
    newer = postgres.empty()
    migrate(newer)
    with closing(open_database(newer)) as database:
        database.mark()
        with psycopg.connect(newer) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(SchemaMismatch, match="9999"), database.writing():
            pass
        until(lambda: "9999" in (database.foreign() or ""))
    with pytest.raises(SchemaMismatch, match="9999"):
        migrate(newer)


def test_a_commit_of_another_process_is_heard_of_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_driver, "NET_SECONDS", 60.0)
    until(lambda: database.mark() > 0)
    before = database.mark()
    with closing(open_database(database.url)) as other:
        with other.reading() as session:
            session.scalar(select(Installation.id))
        assert database.mark() == before
        with other.writing() as session:
            model(session)
    until(lambda: database.mark() > before)


def test_what_was_not_heard_of_is_seen_by_the_clock_and_nothing_else_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_driver, "NET_SECONDS", 0.05)
    looks: list[None] = []

    def answers_in_time(_: Listener) -> int:
        if threading.current_thread().name == "listener":  # at each look
            looks.append(None)
        return 0

    monkeypatch.setattr(Listener, "_silence", answers_in_time)
    until(lambda: database.mark() > 0)
    before, looked = database.mark(), len(looks)
    until(lambda: len(looks) > looked + 5)
    assert database.mark() == before
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE installation SET id = id")
    until(lambda: database.mark() > before)


def test_a_process_that_starts_waits_for_a_while(
    database: Database, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    starting = threading.Thread(target=unopened.wait, args=(database.url,))
    with postgres.away():
        with monkeypatch.context() as short:
            short.setattr(unopened, "WAIT_SECONDS", 0.6)
            with pytest.raises(NotWritable, match="cannot be reached"):
                unopened.wait(database.url)
        assert "It is tried for 0.6 seconds." in capsys.readouterr().err
        starting.start()
        until(lambda: "cannot be reached" in capsys.readouterr().err)
        assert starting.is_alive()
    starting.join(60)
    assert not starting.is_alive()


def test_a_connection_that_hangs_without_a_word_hides_no_commit(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_driver, "NET_SECONDS", 0.2)
    with closing(Proxy(postgres.socket, silent_for=b"LISTEN")) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/tsuika"
        with closing(open_database(url)) as database:
            before = database.mark()
            for later in range(10):
                until(lambda later=later: database.mark() > before + later)
            assert proxy.connections == 1, "it listens over one connection, and that one hangs"
            with database.writing() as session:
                model(session)  # another connection is a good one


def test_writers_take_turns_and_do_not_wait_for_ever(database: Database) -> None:
    with closing(open_database(database.url, Bounds(lock_seconds=0.1))) as impatient, database.writing() as session:
        model(session)
        with pytest.raises(Busy), impatient.writing():
            pass
        with impatient.reading() as other, pytest.raises(Exception, match="no model"):
            models.get(other, "digits")


def test_a_writer_that_stands_still_keeps_others_waiting_no_longer_than_they_wait(database: Database) -> None:
    def stand_still(writers: Database) -> None:
        with writers.writing() as session:
            model(session)
            with database.writing() as other:
                model(other, "letters")

    stalled = open_database(database.url, Bounds(turn_seconds=1.0))
    with closing(stalled), pytest.raises(NotWritable):
        stand_still(stalled)
    with database.reading() as session:
        assert models.page(session, 9, None)[0] == [models.get(session, "letters")]


def test_a_connection_that_was_cut_while_nobody_used_it_refuses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = text("SELECT pg_terminate_backend(:pid, 5000)")
    for seconds, passes in ((0.0, nullcontext()), (math.inf, pytest.raises(NotWritable))):
        monkeypatch.setattr(postgres_module, "IDLE_SECONDS", seconds)
        with database.looking() as connection:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
        with database.writing() as session:
            assert session.scalar(cut, {"pid": pid})
        with passes, database.looking() as connection:  # one that has just been used is not looked at
            assert connection.scalar(text("SELECT 1")) == 1
        with database.looking() as connection:
            assert connection.scalar(text("SELECT pg_backend_pid()")) != pid


def test_a_process_takes_no_more_of_the_server_than_it_may(database: Database) -> None:
    modest = Bounds(kept=2, most=1, lock_seconds=0.05, statement_seconds=60.0)
    with closing(open_database(database.url, modest)) as one, one.looking() as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
        with pytest.raises(Busy, match="other reads"), one.looking():
            pass
    with (
        closing(open_database(database.url, Bounds(statement_seconds=0.1))) as brief,
        pytest.raises(Busy) as slow,
        brief.looking() as connection,
    ):
        connection.execute(text("SELECT pg_sleep(50)"))
    assert not slow.value.undone


@pytest.mark.parametrize("moment", ["begin", "commit"])
def test_a_transaction_whose_connection_is_cut_may_run_once_more_unless_its_commit_was_under_way(
    database: Database, postgres: PostgresServer, moment: str
) -> None:
    engine = database.writers
    event.listen(engine, moment, postgres.cut, once=True)
    with pytest.raises(NotWritable) as cut, database.writing() as session:
        model(session)
    assert cut.value.undone == (moment == "begin")
    with database.writing() as session:
        model(session)  # the next one has a new connection


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_transaction_that_gives_way_to_another_may_run_once_more(database: Database, code: str) -> None:
    with pytest.raises(Busy) as undone, database.writing() as session:
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no order' USING ERRCODE = '{code}'; END $$"))
    assert undone.value.undone


def test_a_server_without_room_is_told_as_such(database: Database) -> None:
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    with pytest.raises(DiskFull, match="no room left"), database.writing() as session:
        session.execute(text(full))


def test_on_a_disk_that_is_full_nothing_is_written_by_half_and_with_room_again_all_goes_on(
    postgres: PostgresServer,
) -> None:
    with postgres.on_small_disk() as (url, folder), closing(open_database(url)) as database:
        with database.writing() as session:
            model(session)
        filling = folder / "filling"
        with suppress(OSError), filling.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**16))
        written = list[str]()

        def write() -> None:
            with database.writing() as session:
                new = batch(session, models.get(session, "digits")).id
            written.append(new)

        def write_on() -> None:
            while True:
                write()

        def stored() -> list[str]:
            with database.reading() as session:
                ids = list(session.scalars(select(Batch.id).order_by(Batch.id)))
            with database.looking() as connection:
                assert audit.verify(connection).rows == 1 + len(ids)
            return ids

        with pytest.raises(DiskFull, match="no room left"):
            write_on()
        assert stored() == written
        filling.unlink()
        write()
        assert stored() == written


def test_a_database_that_goes_away_is_said_to_and_comes_back(database: Database, postgres: PostgresServer) -> None:
    database.mark()
    until(lambda: database.trouble() is None)
    with postgres.away():
        with pytest.raises(NotWritable, match="cannot be reached"), database.writing():
            pass
        with pytest.raises(NotWritable, match="cannot be reached"), database.reading() as session:
            session.scalar(select(Installation.id))
        until(lambda: "cannot be reached" in (database.trouble() or ""))
        with pytest.raises(NotWritable, match="cannot be reached"):
            unopened.revision_of(database.url)
    until(lambda: database.trouble() is None)
    with database.writing() as session:
        model(session)


def test_what_it_cannot_store_is_refused(database: Database) -> None:
    with pytest.raises(InvalidContent, match=r"U\+0000"), database.writing() as session:
        session.execute(text("SELECT :text"), {"text": "a\0b"})
    with pytest.raises(InvalidContent, match=r"U\+0000"), database.reading() as session:
        session.scalars(among(session, ["a", "a\0b"])).all()
    with pytest.raises(NotWritable, match="no writes"), database.reading() as session:
        model(session)


def test_a_role_without_rights_is_told_so(database: Database, postgres: PostgresServer) -> None:
    with database.writing() as session:
        session.execute(text("CREATE ROLE poor LOGIN"))
    for url, words in (database.url, "permission denied"), (postgres.empty(), "owner of the database"):
        with pytest.raises(NotWritable, match=words):
            migrate(url.replace("postgres@", "poor@"))


def test_what_was_deleted_or_replaced_is_in_no_file_after_a_scrub(database: Database, postgres: PostgresServer) -> None:
    """Of what quotes rows: reports, values, errors and events of updates, marks."""
    mark = 0x1DEA1E55C0FFEE77
    with database.writing() as session:
        digits = model(session)
        version(session, digits, []).report = {"town": "Nowhere-on-Sea"}
        kept, update = batch(session, digits), learn(session, digits)
        kept.values, update.error = {"town": {"Elsewhere-by-Wood": 8}}, {"detail": "Nobody-under-Hill"}
        session.add(UpdateEvent(update_id=update.id, at=1.0, kind="failed", detail={"detail": "Anything-at-Brook"}))
        session.add(RowMark(model_id=digits.id, mark=mark, batch_id=kept.id))
    with database.writing() as session:
        session.scalars(select(Version)).one().report = None
        session.scalars(select(Batch)).one().values = {}
        session.scalars(select(Update).where(Update.error.is_not(None))).one().error = None
        session.scalars(select(UpdateEvent).where(UpdateEvent.kind == "failed")).one().detail = {}
        session.delete(session.scalars(select(RowMark)).one())
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("VACUUM")
    assert postgres.keeps(b"Nowhere-on-Sea"), "pages keep what was in them"
    database.scrub()
    words = [
        b"Nowhere-on-Sea",
        b"Elsewhere-by-Wood",
        b"Nobody-under-Hill",
        b"Anything-at-Brook",
        mark.to_bytes(8, "little"),
    ]
    assert [word for word in words if postgres.keeps(word)] == []


def test_times_are_of_its_clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert now() == 1000.0
    with database.reading() as session:
        assert clock(session) > 1_000_000_000.0
    with database.writing() as session:
        for subject in (1, 2):
            audit.record(session, Action.MODEL_CREATED, "digits", subject)
        idempotency.record(session, Attempt("anybody", "key-1", "POST", "/v1/models", ""), 201, {})
        learn(session, model(session))
        columns = (AuditEntry.at, IdempotencyKey.created_at, Model.created_at, Update.created_at, UpdateEvent.at)
        times = [list(session.scalars(select(column))) for column in columns]
    assert [len(of_column) for of_column in times] == [4, 1, 1, 1, 1]
    assert min(map(min, times)) > 1_000_000_000.0
    assert Keyring(database, Settings())._now() > 1_000_000_000.0


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://user:secret@db.example:5432/tsuika?sslmode=require", "postgresql://db.example:5432/tsuika"),
        ("postgresql+psycopg://db/tsuika", "postgresql://db/tsuika"),
        ("postgresql://user@/tsuika?host=/var/run", "postgresql:///var/run/tsuika"),
        ("sqlite:////data/tsuika.db", str(Path("/data/tsuika.db"))),
    ],
)
def test_a_database_is_known_by_a_name_without_secrets(url: str, name: str) -> None:
    assert schema.name_of(url) == name
