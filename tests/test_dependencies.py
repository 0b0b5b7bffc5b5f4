"""The page on dependencies has the packages of pyproject.toml, each with its extra and the licence that it declares."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, metadata, requires

from packaging.requirements import Requirement

from tests.running import ROOT

PAGE = (ROOT / "docs" / "dependencies.md").read_text()
ROW = re.compile(r"^\| ([a-z0-9-]+) \| (?:`(\w+)`)? ?\| ([^|]+) \| ([^|]+) \|(?: ([^|]+) \|)?$", re.M)

BESIDE = re.compile(r"^\| (?!package|---)([a-z0-9-]+) \| [^|`]+ \| [^|]+ \| ([^|]+) \|$", re.M)
"""What comes with others, under a licence that asks for more than a notice."""
FAMILY = re.compile(r"MIT|BSD|Apache|MPL|LGPL|GPL")
ASKS_MORE = {"MPL", "LGPL", "GPL"}
NOT_RUN = ("bench", "docs", "peers", "test")


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


def test_what_is_copied_is_what_its_author_published() -> None:
    copied = re.findall(r"^\| [a-z]+ \| ([\d.]+) \| `([^`]+)` \|[^|]+\| `([0-9a-f]{64})` \|", PAGE, re.M)
    assert [file for _, file, _ in copied] == ["service/web/static/htmx.min.js"]
    for version, file, digest in copied:
        content = (ROOT / file).read_bytes()
        assert sha256(content).hexdigest() == digest
        assert f'"{version}"'.encode() in content


def test_each_has_a_licence_and_what_would_take_its_place() -> None:
    for name, _, purpose, licence, replacement in ROW.findall(PAGE):
        assert purpose.strip(), name
        assert licence.strip(), name
        assert replacement.strip(), name


def licence_of(package: str) -> set[str]:
    """The kinds of licences that an installed package declares; empty where it declares none."""
    facts = metadata(package)
    words = [word[:100] for name in ("License-Expression", "License") for word in facts.get_all(name, [])]
    words += [line for line in facts.get_all("Classifier", []) if line.startswith("License")]
    return set(FAMILY.findall(" ".join(words).replace("GNU GENERAL PUBLIC LICENSE", "GPL")))


def test_a_licence_is_the_one_that_the_package_declares() -> None:
    looked = 0
    for name, _, _, licence, _ in ROW.findall(PAGE):
        try:
            found = licence_of(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
        said = set(FAMILY.findall(licence))
        assert said, name
        if found:
            looked += 1
            assert said & found, (name, said, found)
            assert found & ASKS_MORE <= said, (name, said, found)
    assert looked > 30


def brought_along() -> set[str]:
    """All packages that are installed because something that runs needs them."""
    names = {name for name, extra in declared() if extra not in NOT_RUN}
    waiting, seen = [Requirement(name) for name in names] + [Requirement("psycopg[binary]")], set[str]()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        try:
            needs = map(Requirement, requires(wanted.name) or ())
        except PackageNotFoundError:
            continue
        extras = ("", *wanted.extras)
        waiting += [n for n in needs if n.marker is None or any(n.marker.evaluate({"extra": e}) for e in extras)]
        names.add(wanted.name.lower())
    return names


def test_what_comes_along_under_a_licence_that_asks_for_more_is_named() -> None:
    named = dict(BESIDE.findall(PAGE))
    listed = {name for name, *_ in ROW.findall(PAGE)}
    for name in brought_along() - listed:
        try:
            found = licence_of(name) & ASKS_MORE
        except PackageNotFoundError:
            continue
        assert found <= set(FAMILY.findall(named.get(name, ""))), (name, found)
    assert set(named) == {"certifi", "psycopg-binary", "tqdm"}
