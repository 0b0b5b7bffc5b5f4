"""The pages of reference do what they say: every block is typed in order, and every body is sent."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from tests.cluster import VARIABLES
from tests.docs.newcomer import sitting
from tests.docs.typed import PLACES, REFERENCE, SEVERAL_MACHINES, given, page
from tests.otlp import receiving
from tests.postgres import PostgresServer
from tests.running import free_port
from tests.s3 import S3Server

pytestmark = pytest.mark.timeout(600)
ORDER = """post '' '{"name": "more", "input": {"kind": "vector", "size": 1}}'
update=$(post /more/updates '{"inputs": [[1], [2]], "labels": ["a", "b"], "new_classes": "allow"}' | grep -o 'upd_\\w*')
until curl -s http://127.0.0.1:8000/v1/updates/$update | tee update.json | grep -q '"finished_at":"'; do sleep 0.2; done
cat update.json"""


@pytest.mark.long
@pytest.mark.parametrize("name", REFERENCE)
def test_a_page_does_what_it_says(name: str, tmp_path: Path, migrated: Path) -> None:
    with sitting(tmp_path, migrated, PLACES | {"/srv/": f"{tmp_path}/"}) as newcomer:
        assert list(newcomer.follows(page(name), given(name)))


@pytest.mark.long
def test_spans_arrive_as_the_page_on_operations_says(tmp_path: Path, migrated: Path) -> None:
    with receiving() as collector:
        with sitting(tmp_path, migrated, {"http://collector:4318": collector.url}) as newcomer:
            assert list(newcomer.follows(page("operations"), given("operations")))
            newcomer.types("sh", "tsuika serve\n" + ORDER)
        assert "update" in {span.name for span in collector.spans}


@pytest.mark.postgres
@pytest.mark.s3
@pytest.mark.parametrize("name", SEVERAL_MACHINES)
def test_a_page_on_several_machines_does_what_it_says(
    name: str, tmp_path: Path, postgres: PostgresServer, s3: S3Server
) -> None:
    bucket = s3.bucket()
    places = {
        "postgresql://tsuika:secret@db.example/tsuika": postgres.empty(),
        "s3://bucket/tsuika": bucket,
        "s3://bucket/prefix": bucket,
        " /old/tsuika.db": " tsuika-data/tsuika.db",
        " /backup": " ./backup",
        "/new": "./new",
    }
    with sitting(tmp_path, places=places) as newcomer:
        assert list(newcomer.follows(page(name), given(name)))


@pytest.mark.ray
def test_the_page_on_ray_does_what_it_says(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    address, folder = f"127.0.0.1:{free_port()}", mkdtemp(prefix="ray-", dir="/tmp")  # names of sockets must be short
    start = f"{Path(sys.executable).with_name('ray')} start"
    here = "--node-ip-address=127.0.0.1 --num-cpus=1 --object-store-memory=100000000"
    places = {
        "ray start --head": f"{start} --head {here} --port={address.rpartition(':')[2]} --temp-dir={folder}",
        "ray start --address=HEAD:6379": f"{start} --address={address} {here}",
        "TSUIKA_RAY=auto": f"TSUIKA_RAY={address}",
        "s3://bucket/tsuika": (tmp_path / "store").as_uri(),
    }
    (tmp_path / "store").mkdir()
    try:
        with sitting(tmp_path, migrated, places) as newcomer:
            assert list(newcomer.follows(page("ray"), given("ray")))
            said = newcomer.types("sh", "tsuika serve --no-worker\n" + ORDER)
            assert '"verdict":"promoted"' in said, "".join(log.read_text() for log in tmp_path.glob("*.log"))
    finally:
        for process in psutil.process_iter(["cmdline"]):
            if folder in " ".join(process.info["cmdline"] or ()):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)
