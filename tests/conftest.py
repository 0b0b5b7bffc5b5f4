"""One thread a test process, since few cores are shared and threads may change bits; the order of the files; and a
fresh database.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from service.tuning.garbage import freeze
from tests import guard

if TYPE_CHECKING:
    from tests.postgres import PostgresServer
    from tests.running import Server
    from tests.s3 import S3Server

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30
"""Where files lie in memory, and the bytes that must be free there: a run takes less than half."""

# a third of the time of what writes to a database was spent waiting for a disk
if "PYTEST_DEBUG_TEMPROOT" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(MEMORY)

# some hundred processes are started: the service is compiled once, not by each of them
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

guard.start()

gc.disable()  # until all is collected: it would walk again and again through libraries and test modules that stay

LONG = [
    "acceptance/test_taking_back.py",
    "client/test_inputs.py",
    "learning/test_conformance.py",
    "test_readme.py",
    "acceptance/test_power.py",
    "learning/gate/test_verdicts.py",
    "learning/backbones/test_learning.py",
    "learning/test_number_conformance.py",
    "acceptance/test_door.py",
    "acceptance/test_costly_bodies.py",
    "cli/test_upkeep.py",
    "api/test_large_bodies.py",
    "learning/training/test_unfreezing.py",
    "registry/test_migrations.py",
    "acceptance/test_telemetry.py",
    "benchmarks/test_streams.py",
    "learning/methods/expand/test_den.py",
    "learning/test_devices.py",
    "learning/backbones/test_extractors.py",
]
"""Files, or files of TOGETHER, that take five seconds and more with what they start, the longest first: a process that
ends with one of them ends alone."""


SECRET = "5e" * 32
"""Of every installation that a test copies; one of its own is drawn elsewhere."""

LATE = ["acceptance/test_backbones.py"]
"""Files that leave much in the service that they share, which others look through for what must be gone."""

TOGETHER = [
    [
        "acceptance/test_backbones.py",
        "acceptance/test_backups.py",
        "acceptance/test_challengers.py",
        "acceptance/test_corrections.py",
        "acceptance/test_erasing.py",
        "acceptance/test_keeping.py",
        "acceptance/test_live_moves.py",
        "acceptance/test_merging.py",
        "acceptance/test_named_columns.py",
        "acceptance/test_numbers.py",
        "acceptance/test_permissions.py",
        "acceptance/test_same_bits.py",
        "acceptance/test_table_values.py",
        "acceptance/test_tables.py",
        "acceptance/test_taking_back.py",
        "acceptance/test_three_mistakes.py",
        "api/routes/predicting/test_inference.py",
        "api/routes/predicting/test_number_predictions.py",
        "cli/test_correct.py",
        "cli/test_exit_codes.py",
        "cli/test_people.py",
        "cli/test_spreadsheets.py",
        "cli/test_terminal_page.py",
        "cli/test_texts.py",
        "cli/test_ways_on.py",
        "examples/test_cifar.py",
        "examples/test_programs.py",
    ],
    [
        "client/test_estimators.py",
        "client/test_export.py",
        "client/test_inputs.py",
        "client/test_page.py",
        "client/test_push.py",
        "client/test_scale.py",
        "client/test_service.py",
        "client/test_spreadsheets.py",
    ],
]
"""Files that use one service: a process of the run takes all of them, so that it is started once."""
SERVICES = ("shared", "service_url")
"""The fixtures that start it, by group."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """File by file, as --dist loadfile, with files that belong together as one."""
    from xdist.scheduler import LoadFileScheduling  # not there where tests run in one process

    class Scheduler(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return next((group[0] for group in TOGETHER if file.removeprefix("tests/") in group), file)

    return Scheduler(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", action="store_true", help="keep the registry in PostgreSQL instead of SQLite")
    parser.addoption("--s3", action="store_true", help="also run the tests of a store in S3")
    parser.addoption("--long", action="store_true", help="also run the tests that take long")
    parser.addoption("--ray", action="store_true", help="also run the tests of updates on a Ray cluster")
    parser.addoption("--peers", action="store_true", help="also run the tests of methods of Avalanche")
    parser.addoption("--browser", action="store_true", help="also run the tests of the pages in Chromium")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files begin, so that the processes of a run end together; the others stay in their order, before LATE. With
    --postgres, tests of what SQLite alone does are left out, without it those of PostgreSQL; without --s3, --ray,
    --browser and --peers, those of a store in S3, of a Ray cluster, of pages in Chromium and of Avalanche; without
    --long, those that take long."""
    left_out = {"sqlite" if config.getoption("postgres") else "postgres"}
    left_out.update(option for option in ("s3", "ray", "browser", "long", "peers") if not config.getoption(option))
    if never := [
        item.nodeid for item in items if {"sqlite", "postgres"} <= {mark.name for mark in item.iter_markers()}
    ]:
        raise pytest.UsageError(f"{', '.join(never)}: neither with --postgres nor without it; take one mark away")
    items[:] = [item for item in items if left_out.isdisjoint(mark.name for mark in item.iter_markers())]
    for fixture, group in zip(SERVICES, TOGETHER, strict=True):
        using = {item.path.relative_to(Path(__file__).parent).as_posix() for item in items if _uses(item, fixture)}
        if alone := using.difference(group):
            raise pytest.UsageError(f"{', '.join(sorted(alone))}: a service of its own; add it to TOGETHER")
    ranks = {name: rank for rank, name in enumerate(LONG)} | {name: len(LONG) + 1 for name in LATE}
    of_path = {Path(__file__).parent / name: rank for name, rank in ranks.items()}
    items.sort(key=lambda item: of_path.get(item.path, len(LONG)))


def _uses(item: pytest.Item, fixture: str) -> bool:
    """Whether a test asks for a fixture, itself or through others."""
    return isinstance(item, pytest.Function) and fixture in item.fixturenames


def pytest_collection_finish() -> None:
    """Libraries and test modules stay: without this a tenth of the time went into walking through them for garbage."""
    from tests.statements import share  # the process that hands out tests needs no SQLAlchemy

    share()
    gc.freeze()
    freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def as_ever() -> None:
    """What a test before left in this process: a command said who acts, and something drew from torch's generator."""
    if (actor := sys.modules.get("service.registry.callers.actor")) is not None:
        actor.act_as(actor.SERVICE)
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _as_at_rest() -> Iterator[None]:
    """In this process as many rows pass at once as may: how many do elsewhere follows how busy the machine is, and the
    last bits of an answer follow that."""
    from service.serving.pace import MOST_ROWS, Pace

    def measured(answer: Callable[[int], object], most: int = MOST_ROWS) -> Pace:
        answer(1)
        return Pace(0.0, 0.0, 1 << most.bit_length() - 1, most=most)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Pace, "measured", staticmethod(measured))
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of PostgreSQL."""
    from tests.postgres import started

    with started() as server:
        fold_as_ever(server.url("tsuika"))
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """A server that speaks the protocol of S3."""
    from tests.s3 import started

    with started() as server:
        yield server


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Callable[[Path], str]:
    """Makes a database with the tables of the first day, a file in that folder, or --postgres; -> its URL"""
    if request.config.getoption("postgres"):
        server: PostgresServer = request.getfixturevalue("postgres")
        return lambda _: server.fresh()
    migrated: Path = request.getfixturevalue("migrated")
    return lambda folder: f"sqlite:///{shutil.copy(migrated, folder / 'tsuika.db')}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables of the first day and nothing in them: migrated once, copied for every test."""
    from service.registry.sql.engines import migrate  # after the threads are capped

    path = tmp_path_factory.mktemp("migrated") / "tsuika.db"
    migrate(f"sqlite:///{path}")
    fold_as_ever(f"sqlite:///{path}")
    return path


def fold_as_ever(url: str) -> None:
    """Gives a database a secret that is the same in every run: so are the folds of the rows that a test sends."""
    from sqlalchemy import update

    from service.registry.sql.engines import open_database
    from service.registry.sql.tables import Installation

    database = open_database(url)
    with database.writing() as session:
        session.execute(update(Installation).values(secret=SECRET))
    database.close()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """One service with its own worker for all tests that do not end it; files that use it stand in TOGETHER. Short
    delays, so that retries are seen."""
    from tests.acceptance.service import QUICK
    from tests.learning.backbones.weight_files import named_weights
    from tests.running import Server

    folder = tmp_path_factory.mktemp("shared")
    with Server(folder, migrated=migrated, weights=named_weights(folder), **QUICK) as server:
        yield server
