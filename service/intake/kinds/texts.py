"""Texts as JSON strings -> an object array of `str` in NFC, or the place of the first fault with its remedy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.figures import row_number
from service.contract.inputs import TextInput
from service.errors import InvalidContent
from service.intake.json_body import is_text, read_value
from service.intake.kinds.cells import CellFault
from service.intake.kinds.numbers import word

BEYOND_MARKS = 0x20000
"""Code points from here on are ideographs and tags: a search of all of Unicode would hold up other requests for a tenth
of a second when the first accent comes."""
MOST_MARKS = 30
"""Combining marks in a row (Unicode's stream-safe format): putting k of them in order takes k x k steps."""


def read_texts(rows: msgspec.Raw | Any, spec: TextInput, model: str) -> NDArray[Any]:
    """`inputs` -> texts in NFC, an object array [n]. Raises InvalidContent with the pointer of the first fault."""
    try:
        if isinstance(rows, msgspec.Raw):
            texts = msgspec.json.decode(rows, type=list[str])
        else:
            texts = msgspec.convert(rows, list[str])
    except (msgspec.DecodeError, RecursionError):
        raise _fault(rows, model) from None
    if not texts:
        raise InvalidContent.at("/inputs", "inputs is empty. Send at least one text.")
    read: list[str] = []
    try:
        for text in texts:
            read.append(clean_text(text, spec, model))
    except CellFault as fault:
        k = len(read)
        raise InvalidContent.at(f"/inputs/{k}", f"Text {row_number(k)} {fault.sentence}") from None
    return as_rows(read)


def as_rows(texts: Iterable[str]) -> NDArray[Any]:
    """Texts as one array. [n] object"""
    listed = list(texts)
    rows = np.empty(len(listed), object)
    rows[:] = listed
    return rows


def clean_text(text: str, spec: TextInput, model: str) -> str:
    """One text in NFC. Raises CellFault where it is empty, too long, or not text: its sentence begins with the verb."""
    if not text.isascii():
        if not is_text(text):
            raise CellFault("holds half of a surrogate pair. Send whole characters.")
        if _many_marks().search(text):
            raise CellFault(f"has more than {MOST_MARKS} combining marks in a row. Take them out.")
        text = unicodedata.normalize("NFC", text)
    if len(text) > spec.length:
        most = f"{model} takes at most {spec.length:,}. Shorten it, or split it."
        raise CellFault(f"has {len(text):,} characters; {most}")
    if not text or text.isspace():
        raise CellFault("is empty. Send text that says something, or leave the row out.")
    return text


def _fault(rows: msgspec.Raw | Any, model: str) -> InvalidContent:
    """The refusal of rows that are not a list of strings."""
    value = read_value(bytes(rows), "/inputs") if isinstance(rows, msgspec.Raw) else rows
    if isinstance(value, str):
        return InvalidContent.at(
            "/inputs", "This is one bare text, and a list of texts is due: put it in brackets, [text]."
        )
    if not isinstance(value, list):
        return InvalidContent.at("/inputs", f'inputs is a list of texts, and {model} takes strings: ["...", ...].')
    for k, row in enumerate(value):
        if not isinstance(row, str):
            return InvalidContent.at(
                f"/inputs/{k}", f"Row {row_number(k)} has {word(row)} where a text is due. Send a string."
            )
    return InvalidContent.at("/inputs", f'inputs is a list of texts, and {model} takes strings: ["...", ...].')


@cache
def _many_marks() -> re.Pattern[str]:
    """A pattern that finds more than MOST_MARKS combining marks in a row."""
    marks = [c for c in range(BEYOND_MARKS) if unicodedata.combining(chr(c))]
    runs = [[c for _, c in run] for _, run in groupby(enumerate(marks), key=lambda pair: pair[1] - pair[0])]
    ranges = "".join(f"{re.escape(chr(run[0]))}-{re.escape(chr(run[-1]))}" for run in runs)
    return re.compile(f"[{ranges}]{{{MOST_MARKS + 1},}}")
