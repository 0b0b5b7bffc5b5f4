"""Numbered columns, such as p0, p1 ...: which are missing of as many as a row has, and what to do then."""

from __future__ import annotations

import re
from collections.abc import Sequence

NUMBERED = re.compile(r"(.*?)([0-9]{1,9})")
NAMED = 5
"""Missing columns that a sentence names."""


def missing_columns(names: Sequence[str], due: int) -> list[str]:
    """What is missing of `due` columns that are numbered from 0 or 1, or without a gap; nothing where they are not
    numbered, or where it may be the first one or the last."""
    found = [NUMBERED.fullmatch(name) for name in names]
    parts = [(match[1], match[2]) for match in found if match is not None]
    if not len(parts) == len(names) < due or len({beginning for beginning, _ in parts}) != 1:
        return []
    there = {int(digits): name for (_, digits), name in zip(parts, names, strict=True)}
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
    return f"{named} {are} missing in their numbering: add {them}, or make a model of its own for such rows."
