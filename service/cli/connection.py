"""The service that the verbs of models talk to: TSUIKA_URL and TSUIKA_KEY, as the Python client has them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from service.cli.exits import WrongUsage

if TYPE_CHECKING:
    from service.client import Client

ANSWER_SECONDS = 30.0
NAMES = ("/batches/", "/version")
"""Where a body names batches, or a version: what is refused there does not exist."""


@contextmanager
def connected() -> Iterator[Client]:
    """A client. What the service calls invalid is wrong usage, as what cannot be sent to it, but for batches and
    versions that are not there. Raises WrongUsage, and ClientError for all else; both say it in options of the
    terminal."""
    from service.client import Client, InvalidContent  # httpx and numpy, a quarter of a second
    from service.client.errors import ClientError

    with Client() as client:
        try:
            yield client
        except (InvalidContent, ValueError) as refused:
            sentence = in_options(str(refused))
            if isinstance(refused, InvalidContent) and any(e.pointer.startswith(NAMES) for e in refused.errors):
                raise ClientError(sentence) from refused
            raise WrongUsage(sentence) from refused
        except ClientError as refused:
            refused.args = (in_options(str(refused)),)
            raise


def in_options(sentence: str) -> str:
    """A sentence of the service with what one types in a terminal in the place of calls and of members of bodies."""
    for said, typed in TYPED:
        sentence = said.sub(typed, sentence)
    return sentence


def _quoted(option: str) -> Callable[[re.Match[str]], str]:
    return lambda said: f"{option} {shlex.quote(said[1])}"


def _unquoted(verb: str) -> Callable[[re.Match[str]], str]:
    return lambda said: f"{verb} {shlex.quote(unquote(said[1]))}"


def _of_model(verb: str) -> Callable[[re.Match[str]], str]:
    return lambda said: f"{verb} {said[1]} {shlex.quote(said[2])}"


def _learned(said: re.Match[str]) -> str:
    """All that waits, or the batches of a list."""
    return " ".join(["tsuika learn", said[1], *re.findall(r"bat_\w+", said[2])])


_MODEL = r"/v1/models/([^/\s]+)"
TYPED: Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(said), typed)
    for said, typed in (
        (r"or name (\S+) in gaps", r"or say --gaps \1"),
        (r'\bgaps="([^"]+)"', _quoted("--gaps")),
        (r'(?:"expect": |expect=)"(\w+)"', r"--expect \1"),
        (r'\btarget="([^"]+)"', _quoted("--label")),
        (r'\bleave_out="([^"]+)"', _quoted("--leave-out")),
        (r'\b(delimiter|decimal|encoding|dates)="(\S+?)"', r"--\1 '\2'"),
        (r'(?:send|say) "?new_classes(?:": |=)"allow"', "say --new-classes"),
        (r'send "erase": true', "say --erase"),
        (r'promote it with "rebase": true: that is', "tsuika rebase MODEL@VERSION: it is"),
        (r'client\.model\("([^"]+)"\)\.update\(batches=("pending"|\[[^\]]*\])\)', _learned),
        (r"(in (\S+)): client\.model\(\S+?\)\.push\(rows, labels\) sends some", r"\1. Send rows: tsuika push \2 FILE"),
        (rf"(Version (\d+) .*)POST {_MODEL}/deployments", r"\1tsuika promote \3@\2"),
        (rf"POST {_MODEL}/deployments", r"tsuika promote \1@VERSION"),
        (rf"an alias of {_MODEL}/aliases", r"an alias that tsuika versions \1 lists"),
        (r"(: )POST [^:]*?, in a terminal (tsuika .+), from Python [^,]+\.$", r"\1\2"),
        (rf"GET {_MODEL}/(?:versions says|aliases lists)", r"tsuika versions \1 says"),
        (r"GET /v1/keys lists", "tsuika keys list lists"),
        (r"\(the page of their batch, or POST \.\.\./batches/(\S+)/corrections\)", r"(tsuika correct MODEL \1)"),
        (
            r'\(the page of their batch, or client\.model\("([^"]+)"\)\.correct\("(\S+?)", \{\.\.\.\}\)\)',
            r"(tsuika correct \1 \2)",
        ),
        (r'client\.model\("([^"]+)"\)\.promote\((\d+)\)', r"tsuika promote \1@\2"),
        (r'client\.model\("[^"]+"\)\.correct\(batch, \{\.\.\.\}\) gives rows', "tsuika correct gives rows"),
        (r'(?:\bPOST \.\.\./retractions|client\.model\("[^"]+"\)\.retract\(batch\))', "tsuika retract"),
        (r"\(tsuika delete-class, or DELETE [^)]*\)", "(tsuika delete-class)"),
        (r"DELETE /v1/models/…/classes/([^\s,)]+)", _unquoted("tsuika delete-class MODEL")),
        (r'client\.model\("([^"]+)"\)\.delete_class\("(.+?)"\)(?=[,)]| and )', _of_model("tsuika delete-class")),
        (
            r"A new one is declared first: (POST \.\.\./classes|client\.model\(.+?\)\.declare\(name\))",
            "A new one: --new-classes",
        ),
        (r"lists them \(batch\.new_values\)", "lists them with --json"),
    )
]
"""Patterns of what the service says -> what one types here for the same."""


def url() -> str:
    """The address of the service, without what signs in to it."""
    from service.client.transport import service_address, shown_address

    return shown_address(service_address(_url()))


def _url() -> str:
    from service.client.client import DEFAULT_URL

    return os.environ.get("TSUIKA_URL") or DEFAULT_URL


def ask(path: str) -> dict[str, Any]:
    """A GET that the client has no call for. -> the JSON of the answer; {} where it is a refusal"""
    import httpx

    from service.client.transport import key_header

    headers = key_header(os.environ.get("TSUIKA_KEY") or None)
    answer = httpx.get(_url().rstrip("/") + path, headers=headers, timeout=ANSWER_SECONDS)
    body: dict[str, Any] = answer.json() if answer.is_success else {}
    return body


def limit(name: str) -> float | None:
    """A limit of that service by its name; None where there is none."""
    return next((limit["value"] for limit in ask("/v1/limits").get("items", []) if limit["name"] == name), None)
