"""The service that the verbs of models talk to: TSUIKA_URL and TSUIKA_KEY, as the Python client has them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from typer import Context

from service.cli.exits import WrongUsage
from service.remedies import UNKNOWN, Door, worded

if TYPE_CHECKING:
    from service.client import Client

ANSWER_SECONDS = 30.0
COMPLETION_SECONDS = 1.0
"""So long a shell waits for each part of an answer."""
COMPLETED_SECONDS = 2.0
"""And so long for the whole of it, and for a client that asks."""
COMPLETED = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
"""Names of models and ids: what else somebody answers might be run by the shell that is told of it."""
COMPLETIONS = 50
"""So many versions or batches a shell is told of, the latest."""
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


def in_options(sentence: str, model: str = UNKNOWN) -> str:
    """A sentence of the service with what one types in a terminal in the place of calls and of members of bodies.
    model: the one that is meant where the sentence does not say which."""
    return worded(sentence, Door.TERMINAL, model)


def url() -> str:
    """The address of the service, without what signs in to it."""
    from service.client.transport import service_address, shown_address

    return shown_address(service_address(_url()))


def _url() -> str:
    from service.client.client import DEFAULT_URL

    return os.environ.get("TSUIKA_URL") or DEFAULT_URL


def ask(path: str, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
    """A GET that the client has no call for. -> the JSON of the answer; {} where it is a refusal"""
    import httpx

    from service.client.transport import key_header

    headers = key_header(os.environ.get("TSUIKA_KEY") or None)
    answer = httpx.get(_url().rstrip("/") + path, headers=headers, timeout=seconds)
    body: dict[str, Any] = answer.json() if answer.is_success else {}
    return body


def models_that_begin(incomplete: str) -> list[str]:
    """Names of models for a shell that completes one; none where the service does not answer at once."""
    return _that_begin(incomplete, "/v1/models?limit=1000", "name")


def versions_that_begin(ctx: Context, incomplete: str) -> list[str]:
    """Numbers of the latest versions of the model that stands before."""
    return _of_model(ctx, incomplete, f"versions?batches=false&limit={COMPLETIONS}", "number")


def batches_that_begin(ctx: Context, incomplete: str) -> list[str]:
    """Ids of the latest batches of the model that stands before."""
    return _of_model(ctx, incomplete, f"batches?limit={COMPLETIONS}", "id")


def _of_model(ctx: Context, incomplete: str, path: str, member: str) -> list[str]:
    model = ctx.params.get("model") or next(iter(ctx.args), None)  # args: behind an option that has no value yet
    return _that_begin(incomplete, f"/v1/models/{quote(model, safe='')}/{path}", member) if model else []


def _that_begin(incomplete: str, path: str, member: str) -> list[str]:
    """None where the whole answer is not there in time, as of who sends it bit by bit, or is none of ours."""
    import service.client.transport  # noqa: F401 - whose time is not the service's

    names = list[str]()

    def look() -> None:
        with suppress(Exception):  # a line that somebody types is no place for an error
            found = [item[member] for item in ask(path, COMPLETION_SECONDS)["items"]]
            names.extend([str(name) for name in found if isinstance(name, str | int)])

    asking = Thread(target=look, daemon=True)
    asking.start()
    asking.join(COMPLETED_SECONDS)
    return [name for name in names if COMPLETED.fullmatch(name) and name.startswith(incomplete)]


def limit(name: str) -> float | None:
    """A limit of that service by its name; None where there is none."""
    return next((limit["value"] for limit in ask("/v1/limits").get("items", []) if limit["name"] == name), None)
