"""Names of classes and of groups of rows: what people write becomes what is kept."""

from __future__ import annotations

import unicodedata

from service.contract.requests import LONGEST_GROUP, LONGEST_NAME
from service.errors import InvalidContent

GROUP_NAME = f"The name of a group is text of 1 to {LONGEST_GROUP} characters; null stands for a row in none."
LONGEST_SPELT = 4 * LONGEST_NAME
"""Characters of a name before it is cleaned: no character takes more than four to be spelt. Longer ones are not looked
at, for putting k combining marks in order takes k x k steps."""


def clean_class_name(name: str, pointer: str) -> str:
    """NFC, trimmed, 1 to 200 characters, no control, format or surrogate characters. Raises InvalidContent."""
    if len(name) > LONGEST_SPELT:
        raise _too_long(pointer)
    _check_characters(name, "A class name", pointer)
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(cleaned) <= LONGEST_NAME:
        raise _too_long(pointer)
    return cleaned


def clean_group_name(name: str, pointer: str) -> str:
    """NFC, 1 to 200 characters, no control, format or surrogate characters. Blanks at its ends stay: the sides that
    the rows of earlier batches fell on hang on them. Raises InvalidContent."""
    if not 1 <= len(name) <= LONGEST_GROUP:
        raise InvalidContent.at(pointer, GROUP_NAME)
    _check_characters(name, "The name of a group", pointer)
    return unicodedata.normalize("NFC", name)


def _check_characters(name: str, what: str, pointer: str) -> None:
    """Raises InvalidContent where a name holds what nobody sees, or what turns the text around it."""
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name):
        raise InvalidContent.at(pointer, f"{what} has no control, format or surrogate characters. Remove them.")


def _too_long(pointer: str) -> InvalidContent:
    return InvalidContent.at(pointer, f"A class name has 1 to {LONGEST_NAME} characters.")
