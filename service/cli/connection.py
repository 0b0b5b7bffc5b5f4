"""The service that the verbs of models talk to: TSUIKA_URL and TSUIKA_KEY, as the Python client has them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.cli.exits import WrongUsage

if TYPE_CHECKING:
    from service.client import Client

ANSWER_SECONDS = 30.0


@contextmanager
def connected() -> Iterator[Client]:
    """A client. What the service calls invalid is wrong usage, as what cannot be sent to it. Raises WrongUsage, and
    ClientError for all else; both say it in options of the terminal."""
    from service.client import Client, Conflict, InvalidContent  # httpx and numpy, a quarter of a second

    with Client() as client:
        try:
            yield client
        except (InvalidContent, ValueError) as refused:
            raise WrongUsage(in_options(str(refused))) from refused
        except Conflict as refused:
            refused.args = (in_options(str(refused)),)
            raise


def in_options(sentence: str) -> str:
    """A sentence of the service with the options of the terminal in it."""
    sentence = re.sub(r"or name (\S+) in gaps", r"or say --gaps \1", sentence)
    sentence = re.sub(r'\bgaps="([^"]+)"', lambda said: f"--gaps {shlex.quote(said[1])}", sentence)
    sentence = re.sub(r'(?:"expect": |expect=)"(\w+)"', r"--expect \1", sentence)
    sentence = re.sub(r'\btarget="([^"]+)"', lambda said: f"--label {shlex.quote(said[1])}", sentence)
    sentence = re.sub(r'\bleave_out="([^"]+)"', lambda said: f"--leave-out {shlex.quote(said[1])}", sentence)
    sentence = re.sub(r'POST \{"batches": "pending"\} to /v1/models/([^/\s]+)/updates', r"tsuika learn \1", sentence)
    nothing = r"(in (\S+)): POST a batch first, or send rows with the update"
    sentence = re.sub(nothing, r"\1. Send rows: tsuika push \2 FILE", sentence)
    sentence = re.sub(r"(Version (\d+) .*)POST /v1/models/([^/\s]+)/deployments", r"\1tsuika promote \3@\2", sentence)
    return re.sub(r'\b(delimiter|decimal|encoding|dates)="(\S+?)"', r"--\1 '\2'", sentence)


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
