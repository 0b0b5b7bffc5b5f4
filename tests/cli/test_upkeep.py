"""Commands on the data of a service: a worker apart, garbage, and certificates that hold or do not."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from service.cli import main, progress
from service.cli.exits import DONE, ERROR, USAGE
from service.cli.upkeep.verify import report_lines
from service.client import Client
from service.upkeep.verify import Verified
from tests.acceptance.service import WorkProcess, until
from tests.running import Server, free_port

INPUT = {"kind": "vector", "size": 2, "scale": {"range": [-1, 1]}}
ROWS = [[k / 40 - 1, 1 - k / 40] for k in range(80)]
LABELS = ["low" if k < 40 else "high" for k in range(80)]
COUNTED = 'tsuika_updates_total{model="lines",method="ridge",verdict="promoted"} 1'
"""What a worker says of its one update."""


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


Tsuika = Callable[..., Ended]


@pytest.fixture
def tsuika(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tsuika:
    """Runs a command on a data folder, in this process: it spares an import of torch each."""

    def run(data: Path, *arguments: str) -> Ended:
        monkeypatch.setenv("TSUIKA_DATA", str(data))
        code = main(arguments)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


def _figures(server: Server) -> str:
    """What the worker beside a service says at its port of metrics."""
    return httpx.get(f"http://127.0.0.1:{server.settings['metrics_port']}/metrics", timeout=30).text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A service without worker, and a worker beside it; one version of one model."""
    folder = tmp_path_factory.mktemp("service")
    with Server(folder, migrated=migrated, worker=False, metrics_port=free_port()) as made:
        worker = WorkProcess(made, "work")
        try:
            with Client(made.url) as client:
                model = client.create_model("lines", INPUT, method={"name": "ridge", "lift": "none"})
                assert model.update(ROWS, LABELS, new_classes="allow").version == 1
            until(lambda: COUNTED in _figures(made), what="the count of the update")
            worker.signal(signal.SIGTERM)
            assert worker.process.wait(60) == DONE
        finally:
            worker.end()
        yield made


@pytest.mark.long
def test_a_certificate_holds_until_a_stored_entry_changes(server: Server, tsuika: Tsuika) -> None:
    held = tsuika(server.data, "verify", "lines", "live")
    assert (held.code, held.out.splitlines()[0][:27]) == (DONE, "Verified. lines version 1: ")
    stored = [path for path in (server.data / "store").rglob("*") if path.is_file()]
    kept = {path: path.read_bytes() for path in stored}
    try:
        for path, data in kept.items():
            path.chmod(0o644)
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        broken = tsuika(server.data, "verify", "lines", "1")
    finally:
        for path, data in kept.items():
            path.write_bytes(data)
    assert broken.code == ERROR
    assert broken.out.count("  damaged     ") == len(kept)


@pytest.mark.long
def test_a_check_names_what_is_damaged_and_what_still_answers(server: Server, tsuika: Tsuika, tmp_path: Path) -> None:
    whole = tsuika(server.data, "fsck")
    assert (whole.code, whole.out[:7]) == (DONE, "Whole. ")
    copies = tmp_path / "copies"
    shutil.copytree(server.data / "store", copies / "store")
    for path in (server.data / "store" / "shards").glob("*/*"):
        path.unlink()
    broken = tsuika(server.data, "fsck", "--repair")
    assert broken.code == ERROR
    assert 'lines: part "head.0" of version 1. Without it it answers no prediction' in broken.out
    assert "lines: version 1 is live and cannot be loaded" in broken.out
    assert "NOT whole: " in broken.out
    checked = json.loads(tsuika(server.data, "fsck", "--json").out)
    assert (checked["whole"], checked["serving"][0]["broken"]) == (False, [1])
    assert "no/store" in tsuika(server.data, "fsck", "--copies", str(tmp_path / "no")).err
    mended = tsuika(server.data, "fsck", "--repair", "--copies", str(copies))
    assert mended.code == DONE
    assert "mended, from the copies." in mended.out
    assert tsuika(server.data, "fsck").out == whole.out


@pytest.mark.long
def test_a_backup_becomes_an_installation_elsewhere_and_says_what_may_be_back(
    server: Server, tsuika: Tsuika, tmp_path: Path
) -> None:
    folder, place = tmp_path / "backup", tmp_path / "restored"
    folder.mkdir()
    (folder / "database.part-wal").write_bytes(b"left by a backup that was killed")
    (folder / "backup.lock").touch()
    made = tsuika(server.data, "backup", str(folder))
    assert (made.code, made.err) == (DONE, "")
    assert made.out.startswith(f"{folder}: ")
    restored = tsuika(place, "restore", str(folder))
    assert restored.code == DONE
    assert "What was erased after that moment is back" in restored.out
    assert tsuika(place, "verify", "lines", "live").out == tsuika(server.data, "verify", "lines", "live").out
    again = tsuika(place, "restore", str(folder))
    assert (again.code, again.out) == (ERROR, "")
    assert f"{place} is not empty" in again.err
    (server.data / "store").rename(tmp_path / "away")
    try:
        lacking = tsuika(server.data, "backup", str(tmp_path / "another"))
    finally:
        shutil.rmtree(server.data / "store")
        (tmp_path / "away").rename(server.data / "store")
    assert lacking.code == ERROR
    assert "which is damaged here: tsuika fsck" in lacking.err


def test_how_far_a_long_command_is_stands_in_lines_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.progress("Hashing") as show:
        for done in (1000, 1000, 2000):
            show(done, 2000)
    assert capsys.readouterr() == ("", "Hashing: 1,000 of 2,000\nHashing: 2,000 of 2,000\n"), "what changed alone"


def test_digests_that_differ_are_both_shown() -> None:
    lines = report_lines(Verified("lines", 1, recorded="abc", recomputed="def", rows=80, batches=1, shards=2))
    assert lines[0].startswith("NOT verified. lines version 1")
    assert [line.split()[-1] for line in lines[1:3]] == ["abc", "def"]


@pytest.mark.long
def test_what_is_not_there_is_said(server: Server, tsuika: Tsuika, tmp_path: Path) -> None:
    for arguments in (["lines", "9"], ["nobody", "1"]):
        ended = tsuika(server.data, "verify", *arguments)
        assert (ended.code, ended.out) == (ERROR, "")
        assert arguments[0] in ended.err
    assert "TSUIKA_DATA" in tsuika(tmp_path, "gc").err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_garbage_is_listed_before_it_goes(server: Server, tsuika: Tsuika) -> None:
    ended = tsuika(server.data, "gc", "--dry-run")
    assert (ended.code, ended.out) == (DONE, "0 would go, 0 old ones are in use.\n")


@pytest.mark.long
def test_a_taken_port_or_folder_is_said_with_the_remedy(server: Server, tsuika: Tsuika, tmp_path: Path) -> None:
    port = tsuika(tmp_path, "serve", "--port", str(server.port))
    assert port.code == USAGE
    assert f"Port {server.port} is in use. Try: tsuika serve --port {server.port + 1}" in port.err
    folder = tsuika(server.data, "serve", "--port", "0")
    assert folder.code == USAGE
    assert str(server.data) in folder.err
    assert f"process {server.pid}" in folder.err
    assert "TSUIKA_DATA" in folder.err


def test_methods_are_listed(tsuika: Tsuika, tmp_path: Path) -> None:
    ended = tsuika(tmp_path, "methods")
    assert ended.code == DONE
    assert all(f" {name} " in ended.out for name in ("ridge", "lda", "den", "retrain"))
    lines = [line.split() for line in ended.out.splitlines()]
    assert [words[2] for words in lines if words[:1] in (["ridge"], ["lda"])] == ["yes", "no"]
    assert "auto, the default, chooses one of these" in ended.out
