"""What pages tell people to type is there today: verbs and options of `tsuika`, addresses and queries of calls. Many
pages are typed as a whole elsewhere (test_situations, test_readme, tests/cli); the rest needs a cluster, or a cloud."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.api import openapi
from service.api.application import ALL
from service.cli.app import VERBS, _verb
from tests.docs.test_site import DOCS, PAGES

TYPED = [*PAGES, "../README.md", "../README.ja.md", "../CONTRIBUTING.md"]
NAMES = {name for verbs in VERBS.values() for name in verbs}
FENCED = re.compile(r"^ *```(?:sh|console)\n(.*?)^ *```", re.M | re.S)
TSUIKA = re.compile(r"(?:^|[\s$(`;|/])tsuika ([a-z]+\b[^`\n;|)]*)")
CALL = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/v[12]/[^\s`,;)]+)")
ADDRESS = re.compile(r"(?:localhost|127\.0\.0\.1):8000(/(?:v[12]|invocations)\S*)")
QUERY = "query"


def commands(page: str) -> Iterator[list[str]]:
    """The words behind each `tsuika` of blocks and of `code`."""
    code = [part.replace("\\\n", " ") for part in [*FENCED.findall(page), *re.findall(r"`(tsuika [^`\n]+)`", page)]]
    for part in code:
        for line in part.splitlines():
            for words in TSUIKA.findall(line):
                yield shlex.split(words, comments=True) if words.count("'") % 2 == 0 else words.split()


def test_verbs_and_options_are_those_of_the_terminal() -> None:
    verbs = {name: _verb(name) for name in NAMES}
    for verb, *rest in (words for page in TYPED for words in commands((DOCS / page).read_text())):
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
    for page in TYPED:
        for method, address in calls((DOCS / page).read_text()):
            parts = urlsplit(address.replace("...", "x").replace("…", "x"))
            of_path = [query for verb, path, query in known if verb == method and path.fullmatch(parts.path)]
            assert of_path, (page, method, address)
            assert set(parse_qs(parts.query)) <= of_path[0], (page, address)
            looked += 1
    assert looked > 100
