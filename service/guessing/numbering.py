"""Numbered columns, such as p0, p1 ...: which are missing of as many as a row has, or which are too many, and what to
do then."""

from __future__ import annotations

import re
from collections.abc import Sequence

from service.guessing.column_facts import NAMES_THINGS
from service.guessing.label_column import named_label

NUMBERED = re.compile(r"(.*?)([0-9]{1,9})")
NAMED = 5
"""Missing columns that a sentence names."""


def missing_columns(names: Sequence[str], due: int) -> list[str]:
    """What is missing of `due` columns that are numbered from 0 or 1, or without a gap; nothing where they are not
    numbered, or where it may be the first one or the last. An id or a label may stand in the place of one."""
    names = [name for name in names if name not in (others := strangers(names))]
    found = [NUMBERED.fullmatch(name) for name in names]
    parts = [(match[1], match[2]) for match in found if match is not None]
    if not len(parts) == len(names) < due or len({beginning for beginning, _ in parts}) != 1:
        return []
    there = {int(digits): name for (_, digits), name in zip(parts, names, strict=True)}
    if others and len(names) + len(others) >= due and len(there) > max(there) - min(there):
        return []  # the first one or the last, and nothing says that the id is no input
    width = min(len(digits) for _, digits in parts) if any(digits[:-1].startswith("0") for _, digits in parts) else 0
    ways = {range(first, first + due) for first in (0, 1, min(there)) if there.keys() <= {*range(first, first + due)}}
    if len(ways) != 1:
        return []
    return [f"{parts[0][0]}{number:0{width}}" for number in next(iter(ways)) if number not in there]


def what_is_missing(names: Sequence[str], due: int) -> str:
    """'"p17" is missing in their numbering. Add it ...'"""
    missing = missing_columns(names, due)
    if not missing:
        return "Add what is missing, or make a model of its own for such rows."
    named = ", ".join(f'"{name}"' for name in missing[:NAMED])
    named += f" and {len(missing) - NAMED:,} more" if len(missing) > NAMED else ""
    are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
    others = ", ".join(f'"{name}"' for name in strangers(names)[:NAMED])
    none = f", and {others} {'is' if others.count(',') == 0 else 'are'} no part of it" if others else ""
    return f"{named} {are} missing in their numbering{none}: add {them}, or make a model of its own for such rows."


def strangers(names: Sequence[str]) -> list[str]:
    """Those of the names that an id or a label has: its column is no input of numbers or texts."""
    return [name for name in names if NAMES_THINGS.search(name) or named_label([name]) is not None]


def what_is_too_much(names: Sequence[str], due: int) -> str:
    """What to do where there are more columns than `due`: 'Leave out what is no input: leave_out="id".'"""
    ids = [name for name in strangers(names) if len(names) > due]
    return f'Leave out what is no input: leave_out="{ids[0] if ids else "COLUMN"}".'
