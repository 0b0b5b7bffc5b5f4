"""A method is added by the steps of CONTRIBUTING.md, in a copy of the repository: nothing else has to be changed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

NAME = "tune_again"
STEPS = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a method")[2].partition("\n## ")[0]
NEEDED = (
    *("benchmarks", "docs", "examples", "migrations", "service", "tests", "tsuika"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "README.md", "README.ja.md", "pyproject.toml", "zensical.toml"),
)


def sub(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, (file, old)
    file.write_text(text.replace(old, new, 1))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_copy_of_a_method_conforms_after_the_steps_that_are_written_down(tmp_path: Path) -> None:
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    methods = tmp_path / "service" / "learning" / "methods"
    assert "`methods/baseline/fine_tune.py` is the shortest example" in STEPS
    shutil.copy(methods / "baseline" / "fine_tune.py", methods / "baseline" / f"{NAME}.py")
    sub(methods / "baseline" / f"{NAME}.py", 'name="fine_tune"', f'name="{NAME}"')
    sub(methods / "__init__.py", "baseline import fine_tune, retrain", f"baseline import fine_tune, retrain, {NAME}")
    sub(methods / "__init__.py", "fine_tune.METHOD,", f"fine_tune.METHOD,\n        {NAME}.METHOD,")
    commands = re.findall(r"\.venv/bin/(pytest|python) ([^`\n]*)", STEPS)
    assert len(commands) == 5
    for program, words in commands:
        if words != "tests/docs":  # that page has no place in `nav` yet
            options = ["-m", "pytest", "-n", "0"] if program == "pytest" else []
            ran = subprocess.run(
                [sys.executable, *options, *words.replace("NAME", NAME).split()],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(tmp_path)},
                capture_output=True,
                text=True,
            )
            assert ran.returncode == 0, f"{words}\n{ran.stdout}{ran.stderr}"
            assert program == "python" or "passed" in ran.stdout, ran.stdout
    assert NAME in (tmp_path / "docs" / "methods.md").read_text()
    assert (tmp_path / "docs" / "methods" / f"{NAME}.md").exists()
