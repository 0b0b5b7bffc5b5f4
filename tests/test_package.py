"""The wheel: built from the checkout, installed apart from it, run from an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


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


def test_the_wheel_holds_the_packages_and_the_migrations_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"service", "tsuika"}
    assert "service/migrations/env.py" in names
    assert any(name.startswith("service/migrations/versions/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_command_makes_its_database_in_an_empty_folder(bin: Path, tmp_path: Path) -> None:
    where = subprocess.check_output(
        [bin / "python", "-c", "import service; print(service.__file__)"], cwd=tmp_path, text=True
    )
    assert Path(where.strip()).is_relative_to(bin.parent)
    subprocess.run([bin / "tsuika", "migrate"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "tsuika-data" / "tsuika.db").stat().st_size > 0


def test_the_demonstration_runs_from_the_wheel(bin: Path, tmp_path: Path) -> None:
    ran = subprocess.run([bin / "tsuika", "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    story = ran.stdout
    assert re.findall(r"^(\d  .+?) ─", story, re.M) == [
        "1  New classes",
        "2  The world shifts",
        "3  Something went wrong",
    ]
    assert "Traceback" not in story + ran.stderr
    assert list(tmp_path.iterdir()) == []
