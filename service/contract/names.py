"""Names: how long they are, which characters they have, and how those of classes, of numbers and of groups of rows are
cleaned before they are stored."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence

from service.errors import InvalidContent

LONGEST_NAME = 200
"""Most characters of the name of a class, of a number or of a column, and of the value of a category."""
MOST_CLASSES = 10_000
"""Most classes of a model."""
MOST_NAMED = 10_000
"""Most columns of a model of vectors that have names: each version carries them."""
LONGEST_GROUP = 200
"""Most characters of the name of a group of rows."""
GROUP_NAME = f"The name of a group is text of 1 to {LONGEST_GROUP} characters; null stands for a row in none."
LONGEST_SPELT = 4 * LONGEST_NAME
"""Most characters of a name before it is cleaned: no character of NFC is spelt with more than four. Longer names are
refused unread, for to put k combining marks in order takes k x k steps."""


NO_UNSEEN = "has no control, format or invisible characters"
"""What a name is told that has any; see `has_unseen`."""
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2065\u2800\u3164\uffa0\ufff0-\ufff8\U0001d159\U000e0000-\U000e00ff"
    "\U000e01f0-\U000e0fff]|^[\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Letters and symbols without a picture: those that Unicode says may be ignored (Default_Ignorable_Code_Point), and
blank ones. Selectors of a variant are taken behind the character that they vary, as in many an emoji."""
FORMULAS = ("=", "+", "-", "@")
"""With these a cell of a spreadsheet begins a formula."""
NUMBER = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", re.IGNORECASE)
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode of which nothing is seen, or that begin another line."""


def unseen_at(text: str) -> int | None:
    """The place of the first character that nobody sees, or that reorders the text around it; None where there is
    none."""
    if text.isascii() and text.isprintable():
        return None
    blank = _BLANK.search(text)
    end = blank.start() if blank else len(text)
    unseen = (k for k, c in enumerate(text[:end]) if unicodedata.category(c) in UNSEEN)
    return next(unseen, end if blank else None)


def has_unseen(name: str) -> bool:
    """Whether a name has such a character: two names that look the same would be two."""
    return unseen_at(name) is not None


def seen(text: str) -> str:
    """A text that may have such characters, each of them as its escape: \\u202e."""
    return "".join(c.encode("unicode_escape").decode() if has_unseen(f"a{c}") else c for c in text)


def csv_cell(value: str | float) -> str | float:
    """A cell of a CSV file that a spreadsheet shows as it is: a name that would begin a formula gets a ' before it, as
    OWASP advises ("CSV Injection"). A number is no formula."""
    if not isinstance(value, str) or not value.lstrip().startswith(FORMULAS) or NUMBER.fullmatch(value):
        return seen(value) if isinstance(value, str) else value
    return seen(f"'{value}")


def shortened(names: Sequence[str], most: int) -> str:
    """["a", "b", "c"], 2 -> "a, b and 1 more"."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def names_beside(names: Iterable[str], answer: Collection[str]) -> list[str]:
    """Names of columns of a file beside an answer: one that is a name of the answer, too, becomes given_..."""
    beside = dict[str, None]()
    for name in names:
        while name in answer or name in beside:
            name = f"given_{name}"
        beside[name] = None
    return [*beside]


def clean_class_name(name: str, pointer: str) -> str:
    """A class name in NFC, trimmed: 1 to 200 characters, none that nobody sees.

    Raises InvalidContent.
    """
    return _cleaned(name, "A class name", pointer)


def clean_class_names(names: Sequence[str], pointer: str) -> list[str]:
    """Each name cleaned. Raises InvalidContent at `pointer`/k, also for a second spelling of the same name."""
    return clean_names(names, pointer, clean_class_name)


def clean_names(names: Sequence[str], pointer: str, clean_name: Callable[[str, str], str]) -> list[str]:
    """The same of names of any sort."""
    cleaned: dict[str, int] = {}
    for k, name in enumerate(names):
        clean = clean_name(name, f"{pointer}/{k}")
        if clean in cleaned:
            raise InvalidContent.at(f"{pointer}/{k}", f'"{clean}" is there already, at {cleaned[clean]}. Name it once.')
        cleaned[clean] = k
    return list(cleaned)


def clean_number_name(name: str, pointer: str) -> str:
    """The name of a number that is predicted, as that of a class. Raises InvalidContent."""
    return _cleaned(name, "The name of a number", pointer)


def clean_value(text: str) -> str:
    """The value of a category, as the name of a class; "" where it is blank. Raises InvalidContent."""
    return _cleaned(text, "The value of a category", "") if text.strip() else ""


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
