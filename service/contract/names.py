"""Names of classes, of numbers and of groups of rows, cleaned before they are stored."""

from __future__ import annotations

import unicodedata

from service.contract.requests import LONGEST_GROUP, LONGEST_NAME
from service.contract.strict import NO_UNSEEN, has_unseen
from service.errors import InvalidContent

GROUP_NAME = f"The name of a group is text of 1 to {LONGEST_GROUP} characters; null stands for a row in none."
LONGEST_SPELT = 4 * LONGEST_NAME
"""Most characters of a name before it is cleaned: no character of NFC is spelt with more than four. Longer names are
refused unread, for to put k combining marks in order takes k x k steps."""


def clean_class_name(name: str, pointer: str) -> str:
    """A class name in NFC, trimmed: 1 to 200 characters, none that nobody sees.

    Raises InvalidContent.
    """
    return _cleaned(name, "A class name", pointer)


def clean_number_name(name: str, pointer: str) -> str:
    """The name of a number that is predicted, as that of a class. Raises InvalidContent."""
    return _cleaned(name, "The name of a number", pointer)


def clean_value(text: str, pointer: str) -> str:
    """The value of a category, as the name of a class; "" where it is blank. Raises InvalidContent."""
    return _cleaned(text, "The value of a category", pointer) if text.strip() else ""


def _cleaned(name: str, subject: str, pointer: str) -> str:
    if len(name) > LONGEST_SPELT:
        raise _too_long(subject, pointer)
    _check_characters(name, subject, pointer)
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(cleaned) <= LONGEST_NAME:
        raise _too_long(subject, pointer)
    return cleaned


def clean_group_name(name: str, pointer: str) -> str:
    """A group name in NFC: 1 to 200 characters, none that nobody sees. Raises InvalidContent.

    Blanks at its ends stay: the folds of the rows of earlier batches depend on them.
    """
    if not 1 <= len(name) <= LONGEST_GROUP:
        raise InvalidContent.at(pointer, GROUP_NAME)
    _check_characters(name, "The name of a group", pointer)
    return unicodedata.normalize("NFC", name)


def _check_characters(name: str, subject: str, pointer: str) -> None:
    """Raises InvalidContent for characters that nobody sees."""
    if has_unseen(name):
        raise InvalidContent.at(pointer, f"{subject} {NO_UNSEEN}. Remove them.")


def _too_long(subject: str, pointer: str) -> InvalidContent:
    return InvalidContent.at(pointer, f"{subject} has 1 to {LONGEST_NAME} characters.")
