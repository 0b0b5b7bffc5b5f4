"""Numbered columns, such as p0, p1 ...: which are missing of as many as a row has, or which are too many, and what to
do then."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from service.contract.names import shortened
from service.guessing.label_column import strangers
from service.remedies import LEAVE_OUT_ANY, LEAVE_OUT_INPUT

NUMBERED = re.compile(r"(.*?)([0-9]{1,9})")
NAMED = 5
"""Missing columns that a sentence names."""
CLEAR = 3
"""So many numbered columns with a gap say that a column of any name stands in the place of the one that is missing."""


def lacks_columns(names: Sequence[str], due: int) -> bool:
    """Whether a numbered column is missing, and others make up for their number: an id, a label, or any column where
    the numbering has a gap that it would fill. Its cells would be taken for those of another column."""
    there, others = _numbered(names)
    if not others or not 0 < len(there) < due <= len(names):
        return False
    gap = max(there) - min(there) + 1 - len(there)
    known = len(strangers(others)) == len(others)
    return gap <= len(others) and (known or (gap > 0 and len(there) >= CLEAR))


def missing_columns(names: Sequence[str], due: int) -> list[str]:
    """What is missing of `due` columns that are numbered from 0 or 1, or without a gap; nothing where they are not
    numbered, where it may be the first one or the last, or where nobody can tell whether another column is one of
    them."""
    there, others = _numbered(names)
    few = len(names) < due and len(strangers(others)) == len(others)
    if not there or not (few or lacks_columns(names, due)):
        return []
    ways = {range(first, first + due) for first in (0, 1, min(there)) if there.keys() <= {*range(first, first + due)}}
    if len(ways) != 1:
        return []
    parts = [found.groups() for name in there.values() if (found := NUMBERED.fullmatch(name))]
    width = min(len(digits) for _, digits in parts) if any(digits[:-1].startswith("0") for _, digits in parts) else 0
    return [f"{parts[0][0]}{number:0{width}}" for number in next(iter(ways)) if number not in there]


def what_is_missing(names: Sequence[str], due: int) -> str:
    """'"p17" is missing in their numbering. Add it ...'"""
    missing = missing_columns(names, due)
    others = _numbered(names)[1]
    none = f", and {_listed(others)} {'is' if len(others) == 1 else 'are'} no part of it" if others else ""
    if missing:
        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        named = f"{_listed(missing)} {are} missing in their numbering"
        return f"{named}{none}: add {them}, or make a model of its own for such rows."
    if lacks_columns(names, due):
        first = "A column at the beginning or the end of their numbering is missing"
        return f"{first}{none}: add it, or make a model of its own for such rows."
    return "Add what is missing, or make a model of its own for such rows."


def what_is_too_much(names: Sequence[str], due: int) -> str:
    """What to do where there are more columns than `due`: 'Leave out what is no input: leave_out="id".'"""
    ids = [name for name in strangers(names) if len(names) > due]
    return f"{LEAVE_OUT_INPUT(column=ids[0]) if ids else LEAVE_OUT_ANY()}."


def _numbered(names: Sequence[str]) -> tuple[dict[int, str], list[str]]:
    """Those of the names that are the same but for a number, by the number, and the others; none of them where they are
    not more than the others, or two have the same number."""
    known = {*strangers(names)}
    beginnings = {name: found[1] for name in names if name not in known and (found := NUMBERED.fullmatch(name))}
    [(beginning, count)] = Counter(beginnings.values()).most_common(1) or [("", 0)]
    there = {int(name[len(beginning) :]): name for name, before in beginnings.items() if before == beginning}
    if 2 * count <= len(names) or len(there) < count:
        return {}, list(names)
    return there, [name for name in names if beginnings.get(name) != beginning]


def _listed(names: Sequence[str]) -> str:
    """Names in quotes, the first ones of many."""
    return shortened([f'"{name}"' for name in names], NAMED)
