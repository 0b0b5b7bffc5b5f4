"""The form that a browser sent, and the API's refusal of it beside its fields."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.types import Receive

from service.contract.resources import Problem
from service.errors import BodyTimeout, InvalidContent, TooLarge

FORM_BYTES = 1024 * 1024
"""Most bytes of a form without a file."""
MOST_FIELDS = 1000
SECONDS = 30.0
"""In which it must have come."""

MOST_DIGITS = 18
_WORDS = re.compile(r'["“「]([^"“”「」]*)["”」]|([^\s,、]+)')
GENERAL = ""
"""Stands for the form as a whole, among its fields."""


async def read_form(receive: Receive) -> dict[str, str]:
    """Reads the fields of a form, the last of each name. Raises TooLarge, BodyTimeout, InvalidContent."""
    data, more = b"", True
    try:
        async with asyncio.timeout(SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise InvalidContent("The form was cut off. Send it again.")
                data += message.get("body", b"")
                if len(data) > FORM_BYTES:
                    raise TooLarge(f"A form has at most {FORM_BYTES:,} bytes. Send a file in place of long text.")
                more = message.get("more_body", False)
    except TimeoutError:
        raise BodyTimeout(f"The form was not whole after {SECONDS:g} s. Send it again.") from None
    try:
        return dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        raise InvalidContent(
            f"This is not a form of a page: at most {MOST_FIELDS:,} fields, in UTF-8. Load the page again."
        ) from None


class Said(str):
    """A sentence of the API, in English. `slug`: the kind of its refusal, which pages have words of their own for;
    `own`: words that say more than these."""

    slug: str
    own: str

    def __new__(cls, sentence: str, slug: str, own: str = "") -> Said:
        said = super().__new__(cls, sentence)
        said.slug, said.own = slug, own
        return said


def faults(problem: Problem) -> dict[str, str]:
    """Sentences of a refusal by the field that they are of; GENERAL has what is of none."""
    slug = slug_of(problem)
    by_field: dict[str, str] = {
        fault.pointer.lstrip("/").replace("/", "."): Said(fault.detail, slug) for fault in problem.errors
    }
    general = {} if problem.detail in by_field.values() else {GENERAL: Said(problem.detail, slug)}
    return general | by_field


def words_in(text: str) -> list[str]:
    """Words with spaces or commas between them; several that are one stand in quotes."""
    return [quoted or word for quoted, word in _WORDS.findall(text) if quoted or word.strip('"“”「」')]


def as_words(words: Iterable[str]) -> str:
    """Inverse of `words_in`."""
    return " ".join(f'"{word}"' if words_in(word) != [word] else word for word in words)


def slug_of(problem: Problem) -> str:
    """The kind of a refusal: "live-moved"."""
    return problem.type.rpartition("/")[2]


def whole(text: str) -> int | str:
    """A whole number that was typed, or stands in an address; what is none stays text, which the API refuses."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else text
