"""Names of classes: what people write becomes what the vocabulary holds."""

from __future__ import annotations

import unicodedata

from service.contract.requests import LONGEST_NAME
from service.errors import InvalidContent

LONGEST_SPELT = 4 * LONGEST_NAME
"""Characters of a name before it is cleaned: no character takes more than four to be spelt. Longer ones are not looked
at, for putting k combining marks in order takes k x k steps."""


def clean_class_name(name: str, pointer: str) -> str:
    """NFC, trimmed, 1 to 200 characters, no control, format or surrogate characters. Raises InvalidContent."""
    if len(name) > LONGEST_SPELT:
        raise _too_long(pointer)
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name):
        raise InvalidContent.at(pointer, "A class name has no control, format or surrogate characters. Remove them.")
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(cleaned) <= LONGEST_NAME:
        raise _too_long(pointer)
    return cleaned


def _too_long(pointer: str) -> InvalidContent:
    return InvalidContent.at(pointer, f"A class name has 1 to {LONGEST_NAME} characters.")
