"""The wheel: built from the checkout, installed apart from it, run from an empty folder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import yaml

from service import __version__
from service.cli.exits import INTERRUPTED
from service.settings import Settings

ROOT = Path(__file__).parent.parent
ALONE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
"""An environment in which the wheel's code is the only one."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out], cwd=ROOT, check=True)
    (built,) = out.glob("tsuika-*.whl")
    return built


@pytest.fixture(scope="module")
def bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that holds the wheel alone; what it depends on is borrowed from ours by a path."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        wheel,
    ]
    subprocess.run(pip, check=True)
    (packages,) = place.glob("lib/python3*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


def test_the_same_checkout_gives_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_it_is_cited_as_the_version_that_it_is() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["version"], cited["license"]) == (__version__, "Apache-2.0")


def test_the_wheel_holds_the_packages_and_the_migrations_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"service", "tsuika"}
    assert "service/migrations/env.py" in names
    of_pages = ("templates/base.html", "static/style.css", "catalogue/ja.toml")
    assert {f"service/web/{name}" for name in of_pages} <= {*names}
    assert any(name.startswith("service/migrations/versions/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.long
def test_the_installed_command_makes_its_database_in_an_empty_folder(bin: Path, tmp_path: Path) -> None:
    where = subprocess.check_output(
        [bin / "python", "-c", "import service; print(service.__file__)"], cwd=tmp_path, env=ALONE, text=True
    )
    assert Path(where.strip()).is_relative_to(bin.parent)
    subprocess.run([bin / "tsuika", "migrate"], cwd=tmp_path, env=ALONE, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "tsuika-data" / "tsuika.db").stat().st_size > 0


@pytest.mark.long
def test_the_demonstration_runs_from_the_wheel(bin: Path, tmp_path: Path) -> None:
    """To its end and on: what it says to try works, and Ctrl-C leaves nothing behind."""
    folder, out, err = tmp_path / "empty", tmp_path / "out", tmp_path / "err"
    folder.mkdir()
    with out.open("wb") as output, err.open("wb") as errors:
        command = [bin / "tsuika", "demo", "--keep"]
        demo = subprocess.Popen(command, cwd=folder, env=ALONE, stdout=output, stderr=errors)
    try:
        while "Press CTRL+C" not in out.read_text():
            assert demo.poll() is None, out.read_text() + err.read_text()
            time.sleep(0.2)
        story = out.read_text()
        tried = re.findall(r"^ +(curl .+)$", story, re.M)
        answers = [json.loads(subprocess.check_output(["bash", "-c", f"{line} -s"])) for line in tried]
        address = story.split()[-1]
        page = subprocess.check_output(["curl", "-s", "-H", "Accept: text/html", address], text=True)
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == INTERRUPTED
    assert re.findall(r"^(\d  .+?) ─", story, re.M) == [
        "1  New classes",
        "2  The world shifts",
        "3  Something went wrong",
        "4  Numbers that drift",
        "5  A table, and a city that is new",
    ]
    verdicts = dict(re.findall(r"^ (\w+) .* [●◐✕○] (\w+) *$", story.split("2  The world shifts")[0], re.M))
    assert verdicts.keys() == {"fine_tune", "l2_sp", "den", "linear_probe", "ridge", "retrain"}
    assert (verdicts["fine_tune"], verdicts["ridge"], verdicts["retrain"]) == ("rejected", "live", "live")
    assert "Rejected: " in story.split("3  Something went wrong")[1]
    assert "times too large: divided by 100 they fit" in " ".join(story.split())
    assert 'has not learned "Kobe" of city' in " ".join(story.split())
    assert 'Line 19, column "km": "12,5" is not a number here: write 12.5' in " ".join(story.split())
    assert "the same, bit for bit" in " ".join(story.split())
    assert len(answers) == 5
    assert '<a href="/models/mistakes">mistakes</a>' in page
    assert answers[-1]["live_version"] == 1
    assert "Traceback" not in story + err.read_text()
    assert list(folder.iterdir()) == []


def test_the_image_is_not_root_is_checked_and_asks_for_a_key() -> None:
    image = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER (?!root)\w+$", image, re.M)
    assert "HEALTHCHECK" in image
    assert "TSUIKA_HOST=0.0.0.0" in image
    assert not re.search(r"^[^#]*TSUIKA_(KEY|OPEN)", image, re.M)
    copied = [name for line in re.findall(r"^COPY (?!--)(.+)$", image, re.M) for name in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    kept = (ROOT / ".dockerignore").read_text().split()
    assert {f"!{name}" for name in copied} <= {*kept}


def test_the_composition_is_two_services_and_two_workers_whose_settings_there_are() -> None:
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    commands = Counter(str(each.get("command")) for each in composed.values() if each["image"] == "tsuika")
    assert commands == {"None": 2, "['tsuika', 'work']": 2}
    for each in (each for each in composed.values() if each["image"] == "tsuika"):
        variables = {name for name in each["environment"] if name.startswith("TSUIKA_")}
        assert {name.removeprefix("TSUIKA_").lower() for name in variables} <= Settings.model_fields.keys()
        assert {"TSUIKA_DATABASE_URL", "TSUIKA_STORE_URL", "TSUIKA_WORKER"} <= variables
        assert set(each["build"]["args"]["EXTRAS"].split(",")) <= {"postgres", "s3"}
        assert each["depends_on"].keys() in ({"postgres", "store"}, {"service-1"})  # a service makes the tables
