"""What is said of the classes of a file: how many rows each has, and which may be slips of the pen."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

SHOWN = 10
"""Classes that are listed with their rows."""
SHOWN_SLIPS = 5
FEW_ROWS, TIMES = 5, 10
"""A class of at most so many rows may be a slip of one with so many times as many."""
FEWEST_LETTERS, MOST_LETTERS = 4, 40
"""Names of so many letters are compared letter by letter: of three, one is a third of the word. In shorter ones
a letter that stands there twice, as in "noo", is a slip alone."""
CODES = re.compile(r"\d+|(?<![^\W\d_])[^\W\d_](?![^\W\d_])")
"""Numbers and single letters in a name: those of "type A" and "type B" are meant to differ."""


def counted_classes(rows: Mapping[str, int], most: int = SHOWN) -> str:
    """Classes with their rows, the first ones of them."""
    counted = ", ".join(f"{name} ({count:,})" for name, count in list(rows.items())[:most])
    return counted + _more(len(rows) - most)


def likely_slips(rows: Mapping[str, int]) -> dict[str, str]:
    """Classes of few rows -> the larger class whose name each has but for a letter, two that are swapped, or case. A
    letter or syllable before a whole name, as in "atypical", makes another word."""
    spelt: dict[str, str] = {}
    for name in sorted(rows, key=rows.__getitem__):
        if rows[name] >= TIMES:
            spelt |= dict.fromkeys(_spellings(name), name)
    slips = {}
    for name, count in rows.items():
        if count <= FEW_ROWS:
            larger = next((spelt[like] for like in _spellings(name) if like in spelt), name)
            if rows[larger] >= TIMES * count and _may_be(name, larger):
                slips[name] = larger
    return slips


def is_slip(name: str, other: str) -> bool:
    """Whether one name is the other but for a letter, two that are swapped, or case."""
    alike = _folded(name) == _folded(other)
    return alike or (_may_be(name, other) and not {*_spellings(name)}.isdisjoint(_spellings(other)))


def rare_classes(rows: Mapping[str, int]) -> list[str]:
    """Classes of one row each, which may be slips, though of no class in particular; none where all are."""
    likely = likely_slips(rows)
    rare = [name for name, count in rows.items() if count == 1 and name not in likely]
    return rare if len(rare) < len(rows) else []


def slips(rows: Mapping[str, int], where: Callable[[str], str] = lambda name: "") -> str:
    """The question whether rare classes are slips; "" where there are none. where: what stands behind a name."""
    likely, rare = likely_slips(rows), rare_classes(rows)
    asked = [
        f'"{name}"{where(name)}, in {rows[name]} row{"s"[: rows[name] != 1]}, is like "{other}", in {rows[other]:,}: '
        "is it a slip?"
        for name, other in list(likely.items())[:SHOWN_SLIPS]
    ]
    asked += [f"{more:,} more are like larger classes."] if (more := len(likely) - SHOWN_SLIPS) > 0 else []
    named = ", ".join(f'"{name}"{where(name)}' for name in rare[:SHOWN_SLIPS]) + _more(len(rare) - SHOWN_SLIPS)
    if len(rare) == 1:
        asked.append(f"{named} is in one row alone: is it a slip?")
    elif rare:
        asked.append(f"{named} are in one row each: are they slips?")
    return " ".join(asked)


def _spellings(name: str) -> Iterator[str]:
    """A name, and the same without one letter each: names that differ in one have one of these in common."""
    folded = _folded(name)
    yield folded
    if FEWEST_LETTERS <= len(folded) <= MOST_LETTERS:
        yield from (folded[:k] + folded[k + 1 :] for k in range(len(folded)))
    elif len(set(filter(str.isalpha, folded))) > 1:
        yield "".join(letter for letter, _ in groupby(folded))


def _may_be(name: str, larger: str) -> bool:
    one, other = _folded(name), _folded(larger)
    if name == larger or CODES.findall(name) != CODES.findall(larger):
        return False
    return one == other or not (one.endswith(other) or other.endswith(one))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _more(left: int) -> str:
    return f" and {left:,} more" if left > 0 else ""
