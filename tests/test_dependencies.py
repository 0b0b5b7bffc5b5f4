"""The page on dependencies has the packages of pyproject.toml, each under its extra, and no other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

from tests.running import ROOT

PAGE = (ROOT / "docs" / "dependencies.md").read_text()
ROW = re.compile(r"^\| ([a-z0-9-]+) \| (?:`(\w+)`)? ?\| ([^|]+) \| ([^|]+) \|(?: ([^|]+) \|)?$", re.M)


def declared() -> Iterator[tuple[str, str]]:
    """Package and extra, "" where it always comes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, requirements in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for requirement in requirements:
            name = re.split(r"[\[<>=;, ]", requirement)[0].lower()
            if name != project["name"]:
                yield name, extra


def test_the_page_has_each_package_once_with_its_extra() -> None:
    assert sorted((name, extra) for name, extra, *_ in ROW.findall(PAGE)) == sorted(declared())


def test_what_runs_has_a_licence_and_a_replacement() -> None:
    for name, extra, purpose, licence, replacement in ROW.findall(PAGE):
        assert purpose.strip(), name
        assert licence.strip(), name
        assert replacement.strip() or extra in ("bench", "docs", "test"), name
